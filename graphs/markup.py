"""What a person sees of HTML."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape

from lg_production.security.hidden import HIDDEN

TAG = re.compile(r"<!--|<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})\b([^<>]{0,2000})>")
UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript"})
VOID = frozenset({"br", "hr", "img", "input", "meta", "link", "wbr", "area", "col", "source"})
LINES = ("br", "p", "div", "tr", "li", "table", "ul", "ol", "h1", "h2", "h3", "blockquote", "hr")
BREAKS = {**dict.fromkeys(LINES, "\n"), "td": " ", "th": " "}


def visible(markup: str) -> str:
    """The text that a person sees of HTML, and a note if there is some that nobody sees.

    Linear in its length; Python's own parser takes quadratic time for what is not well formed.
    """
    seen = Seen()
    place = 0
    while tag := TAG.search(markup, place):
        seen.text(markup[place : tag.start()])
        place = tag.end()
        if tag[0] == "<!--":
            end = markup.find("-->", place)
            place = len(markup) if end < 0 else end + 3
        elif tag[1]:
            seen.end(tag[2].lower())
        else:
            seen.start(tag[2].lower(), tag[3])
    seen.text(markup[place:])
    lines = [" ".join(line.split()) for line in unescape("".join(seen.parts)).split("\n")]
    text = "\n".join(line for line in lines if line)
    return f"{text}\n[Text that a reader does not see was left out.]" if seen.left_out else text


class Seen:
    """What a person sees, while tags begin and end."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.within: list[str] = []
        self.open: Counter[str] = Counter()
        self.left_out = False

    def text(self, text: str) -> None:
        """Some text between two tags."""
        if not self.within:
            self.parts.append(text)
        elif self.within[0] not in UNSEEN and text.strip():
            self.left_out = True

    def start(self, tag: str, attributes: str) -> None:
        """A tag: where something hidden begins, or a new line."""
        if tag not in VOID and (self.within or tag in UNSEEN or HIDDEN.search(attributes)):
            self.within.append(tag)
            self.open[tag] += 1
        self.parts.append(BREAKS.get(tag, ""))

    def end(self, tag: str) -> None:
        """The end of a tag, and of all that began within it."""
        while self.open[tag]:
            ended = self.within.pop()
            self.open[ended] -= 1
            if ended == tag:
                break
        self.parts.append(BREAKS.get(tag, ""))
