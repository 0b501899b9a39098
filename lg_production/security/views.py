"""A text without what stands within its words, and where each letter of it stood.

A secret that is cut up by markup, blanks or unseen characters is whole in a view, and what was
found there is taken out of the text itself.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_left, bisect_right

from .hosts import IGNORED

COATS = re.compile(
    r"(?P<gap></?[a-zA-Z!][^<>]{0,200}>|\*+|`+|~~|__|\|\||\\(?=[_\-*])"
    rf"|&(?:shy|nbsp|zwn?j|ZeroWidthSpace|NoBreak);|{IGNORED.pattern})"
    r"|&#(?:[xX](?P<hex>[0-9a-fA-F]{1,5})|(?P<dec>[0-9]{1,6}));"
    r"|(?:%|\\x|\\u00)(?P<code>[2-7][0-9a-fA-F])"
    "|(?P<wide>[\u24b6-\u24e9\uff10-\uff5e\U0001d400-\U0001d7ff])"
)
"""What stands within a word and is not seen, and letters that are written in another way."""
BLANKS = re.compile(
    r"(?:\s|\\[nrt]|(?<=\n)[\-*+>|](?=\s))+|[\"']\s{0,9}[+.&,]?\s{0,9}[\"']"
    r"|(?<=\b\w)[^\w\s]\s{0,3}(?=\w\b)"
)
"""What parts the pieces of one word: blanks, quotes, and any sign between single letters."""
SIGNS = re.compile(r"\W+")
"""What parts the pieces of a word that has no signs of its own."""
WORD = re.compile(r"[A-Za-z]?[a-z]{2,}")
NO_TOKEN = re.compile(r"[^A-Za-z0-9_\-]")
LONGEST = 2_000


class View:
    """A text without what `coats` finds, and where each character of it stood."""

    def __init__(self, text: str, coats: re.Pattern[str]) -> None:
        self._starts, self._places, self._ends = array("L"), array("L"), dict[int, int]()
        self._parts: list[str] = []
        self._size = done = 0
        for match in coats.finditer(text):
            if match.start() > done:
                self._add(text[done : match.start()], done)
            if letter := written(match):
                self._ends[len(self._parts)] = match.end()
                self._add(letter, match.start())
            done = match.end()
        self._add(text[done:], done)
        self.text = "".join(self._parts)

    def _add(self, piece: str, place: int) -> None:
        self._starts.append(self._size)
        self._places.append(place)
        self._parts.append(piece)
        self._size += len(piece)

    def placed(self, start: int, end: int) -> tuple[int, int]:
        """From where to where this stood in the text itself."""
        first, last = self._piece(start), self._piece(end - 1)
        began = self._places[first] + start - self._starts[first]
        ended = self._places[last] + end - self._starts[last]
        return began, self._ends.get(last, ended)

    def is_edge(self, place: int) -> bool:
        """Whether a word begins here."""
        before = self.text[place - 1 : place]
        return not before.isalnum() or self._starts[self._piece(place)] == place

    def edge_behind(self, place: int) -> int:
        """Where the word ends that this place is in or behind, or the piece of one."""
        after = bisect_left(self._starts, place)
        end = self._starts[after] if after < len(self._starts) else len(self.text)
        inside = NO_TOKEN.search(self.text, place, min(end, place + LONGEST))
        return inside.start() if inside else end

    def is_random(self, start: int, end: int) -> bool:
        """Whether there are pieces here, of which few letters are in words."""
        edges = self._starts[bisect_right(self._starts, start) : bisect_left(self._starts, end)]
        if not edges:
            return False
        pieces = zip([start, *edges], [*edges, end], strict=True)
        words = sum(b - a for a, b in pieces if WORD.fullmatch(self.text, a, b))
        return 3 * words <= end - start

    def _piece(self, place: int) -> int:
        return bisect_right(self._starts, place) - 1


def written(match: re.Match[str]) -> str:
    """The letter that is written in another way here; "" if none is."""
    if match.lastgroup in ("hex", "dec", "code"):
        code = int(match[match.lastgroup], 10 if match.lastgroup == "dec" else 16)
        return chr(code) if code < 0x110000 else ""
    return unicodedata.normalize("NFKC", match[0]) if match.lastgroup == "wide" else ""
