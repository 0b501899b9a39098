"""Characters that people do not see: terminal sequences, direction marks, tags, invisible ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

By: TypeAlias = str | Callable[[re.Match[str]], str]

TERMINAL = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"
    r"(?:[^\x07\x1b\x90\x98\x9c-\x9f]{0,4096}(?:\x07|\x1b\\|\x9c))?"
    r"|(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]?|\x1b[ -/]{0,8}[0-~]?"
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
LINES = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TAGS = re.compile(
    "(\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074"
    "|\U000e0077\U000e006c\U000e0073)\U000e007f)|[\U000e0000-\U000e007f]"
)
"""The flags of England, Scotland and Wales are spelled with tags; nothing else is."""
INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0080-\U000e0fff]"
)
JOINERS = re.compile(
    "[\u200c\u200d\ufe0e\ufe0f]{2,}|(?<![^\x00-\x7f])[\u200c\u200d\ufe0e]"
    "|[\u200c\u200d](?![^\x00-\x7f])"
)
EMOJI = "\ufe0f\u200d"
SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str, note: Counter[str] | None = None) -> str:
    """The text without what people do not see; `note` counts what was taken out, by kind.

    Joiners stay between letters that need them (emoji, Persian, Hindi), a lone carriage return
    or line separator becomes a line feed, and a lone surrogate the replacement character.
    """
    note = Counter() if note is None else note
    text = _sub(LINES, "\n", text, "control", note)
    if CONTROL.search(text):
        text = _sub(TERMINAL, "", text, "ansi", note)
        text = _sub(CONTROL, "", text, "control", note)
    if text.isascii():
        return text
    text = _sub(BIDI, "", text, "bidi", note)
    text = _sub(TAGS, lambda m: m[1] or "", text, "tags", note)
    text = _sub(INVISIBLE, "", text, "invisible", note)
    text = _sub(JOINERS, lambda m: m[0] if m[0] == EMOJI else "", text, "invisible", note)
    return _sub(SURROGATE, "\ufffd", text, "surrogate", note)


def _sub(pattern: re.Pattern[str], by: By, text: str, what: str, note: Counter[str]) -> str:
    """Substitute, and count what has changed."""
    changed = 0

    def one(match: re.Match[str]) -> str:
        nonlocal changed
        new = by if isinstance(by, str) else by(match)
        changed += new != match[0]
        return new

    text = pattern.sub(one, text)
    if changed:
        note[what] += changed
    return text
