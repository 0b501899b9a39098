"""What HTML keeps from people and not from models: comments, hidden elements, attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .decoding import Piece

TAG = re.compile(r"<!--|<([a-zA-Z][a-zA-Z0-9]{0,15})\b([^<>]{0,2000})>")
HIDDEN = re.compile(
    r"display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|font-size\s{0,3}:\s{0,3}[01](?:px|pt|em|\b)"
    r"|opacity\s{0,3}:\s{0,3}0(?:\.0|\b(?!\.))|(?<![-\w])color\s{0,3}:\s{0,3}(?:#fff|white|transparent|rgba?\(255)"
    r"|\bhidden\b|text-indent\s{0,3}:\s{0,3}-\d{3}|(?:left|top)\s{0,3}:\s{0,3}-\d{3}|mso-hide"
    r"|(?:height|width)\s{0,3}:\s{0,3}0(?:px)?\s{0,3}(?:;|$)",
    re.IGNORECASE,
)
SPEAKING = frozenset({"alt", "title", "content", "aria-label", "aria-description", "value"})
VOID = frozenset({"img", "meta", "input", "br", "hr", "link", "source", "area", "base", "col"})
LEAST_WORDS = 3


def carriers(text: str) -> Iterator[Piece]:
    """The stretches of a text that a person does not see, in their order."""
    place = 0
    while "<" in text and (tag := TAG.search(text, place)):
        place = tag.end()
        if tag[1] is None:
            close = text.find("-->", place)
            end = len(text) if close < 0 else close + 3
            yield Piece(text[place : close if close >= 0 else end], "comment", tag.start(), end)
            place = end
            continue
        yield from _attributes(tag[2], tag.start(), tag.end())
        if tag[1].lower() not in VOID and HIDDEN.search(tag[2]):
            close = text.find("</", place)
            end = len(text) if close < 0 else close
            yield Piece(text[place:end], "hidden", place, end)
            place = end


def _attributes(attributes: str, start: int, end: int) -> Iterator[Piece]:
    parts = attributes.split('"' if '"' in attributes else "'")
    for before, value in zip(parts[::2], parts[1::2], strict=False):
        names = before.rstrip("= \\").rsplit(None, 1)
        name = names[-1].lower() if names else ""
        if (name in SPEAKING or name.startswith("data-")) and len(value.split()) >= LEAST_WORDS:
            yield Piece(value.rstrip("\\"), "attribute", start, end)
