"""What a text says to a model: hidden, disguised and encoded words, written out.

Everything here takes time linear in the text, and takes any `str`: lone surrogates, controls and
a megabyte of one character included.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias

from .decoding import DECODERS, Piece, smuggled
from .hidden import carriers

Carrier: TypeAlias = Literal[
    "text", "comment", "hidden", "attribute", "tags", "variation", "base64", "base32", "hex",
    "escape", "percent", "entities", "codes", "rot13", "reversed", "leet", "spaced",
]  # fmt: skip

MOST_EXPANSION = 8
DEPTH = 2
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
MARKS = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE2F))
ALIKE = (
    ("авеёкмнорстухіјѕԁһԛԝѵьҽгпіӏ", "abeekmhopctyxijsdhqwvbernil"),
    ("αβεηικνορτυχγωσϲϳ", "abenikvoptuxywocj"),
    ("ɑɡıɩʟɴʀʏʙɢʜɪᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢꜰꜱℓøłđħƅƙɓɗ", "agiilnrybghiacdejkmoptuvwzfsloldhbkbd"),
    ("օսհեցոշրԁ", "ouhegn2pd"),
    ("‘’‚‛′“”„‟″«»‐‑‒–—―−⁃", '\'\'\'\'\'"""""""--------'),
)
LOOKS: dict[str, str] = {odd: even for odds, evens in ALIKE for odd, even in zip(odds, evens)}  # noqa: B905


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text that a model can read, the thing that carried it, and where it stood.

    `start` and `end` count in `Canonical.text`; `Canonical.origin` leads from there to the text
    that was given.
    """

    text: str
    carrier: Carrier
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Canonical:
    """A text written out. The first segment is what is seen, the others what is not."""

    given: str
    text: str
    segments: tuple[Segment, ...]

    def origin(self) -> Callable[[int], int]:
        """The place in the given text of a place in `text`."""
        if self.text == self.given:
            return lambda place: place
        widths = (len(FOLDED[ord(character)] or "") for character in self.given)
        starts = list(accumulate(widths, initial=0))
        places = [0] * (starts[-1] + 1)
        for index in range(len(self.given) - 1, -1, -1):
            for place in range(starts[index], starts[index + 1]):
                places[place] = index
        places[-1] = len(self.given)
        return lambda place: places[min(place, len(places) - 1)]


class _Folded(dict[int, str | None]):
    """What each character is read as. A table that fills itself, for `str.translate`."""

    def __missing__(self, code: int) -> str | None:
        if len(self) > 20_000:
            self.clear()
        self[code] = folded = _fold(code)
        return folded


def _fold(code: int) -> str | None:
    if 0xE0020 <= code <= 0xE007E:
        return chr(code - 0xE0000)
    if 0x1F1E6 <= code <= 0x1F1FF or 0x1F170 <= code <= 0x1F189:
        return chr((code - 0x1F1E6 if code >= 0x1F1E6 else code - 0x1F170) + ord("a"))
    character = chr(code)
    if character in "\t\n\r":
        return character
    if character in FILLERS or 0xE0100 <= code <= 0xE01EF or code == 0x2800:
        return None
    category = unicodedata.category(character)
    if category in ("Zl", "Zp"):
        return "\n"
    if category in ("Cf", "Cc"):
        return None
    if category in ("Cs", "Co", "Cn"):
        return " "
    return _plain(character)


def _plain(character: str) -> str | None:
    parts = unicodedata.normalize("NFKD", character)
    if len(parts) > MOST_EXPANSION:
        return " "
    kept = (p for p in parts if not any(low <= ord(p) <= high for low, high in MARKS))
    return unicodedata.normalize("NFC", "".join(map(_look, kept))) or None


def _look(character: str) -> str:
    lower = character.lower()
    like = LOOKS.get(lower)
    if like is None:
        return character
    return like if character == lower else like.upper()


FOLDED = _Folded()


def clean(text: str) -> str:
    """The text in plain characters: NFKC, no invisible ones, look-alikes as what they look like."""
    if text.isascii() and not CONTROLS.search(text):
        return text
    return text.translate(FOLDED)


def canonical(text: str) -> Canonical:
    """The text and everything that it carries, each as a segment of its own."""
    cleaned = clean(text)
    seen, found = _split(cleaned)
    extra = [Segment(seen, "text", 0, len(cleaned)), *found]
    for piece in smuggled(text):
        extra.append(Segment(clean(piece.text), _carrier(piece), 0, len(cleaned)))  # noqa: PERF401
    budget = 2 * len(cleaned) + 1_000
    layer = extra[:]
    for _ in range(DEPTH):
        deeper = []
        for segment in layer:
            for new in _decoded(segment):
                budget -= len(new.text)
                if budget > 0:
                    deeper.append(new)
        extra += deeper
        layer = deeper
    return Canonical(text, cleaned, tuple(extra))


def _split(text: str) -> tuple[str, list[Segment]]:
    """What is seen of a text, hidden stretches blanked, and these as segments."""
    found: list[Segment] = []
    seen: list[str] = []
    done = 0
    for piece in carriers(text):
        found.append(Segment(piece.text, _carrier(piece), piece.start, piece.end))
        if piece.carrier != "attribute":
            seen += [text[done : piece.start], " " * (piece.end - piece.start)]
            done = piece.end
    return "".join([*seen, text[done:]]), found


def _decoded(segment: Segment) -> Iterator[Segment]:
    exact = segment.carrier == "text"
    for decoder in DECODERS:
        for piece in decoder(segment.text):
            start, end = (piece.start, piece.end) if exact else (segment.start, segment.end)
            yield Segment(clean(piece.text), _carrier(piece), start, end)


def _carrier(piece: Piece) -> Carrier:
    return piece.carrier  # type: ignore[return-value]
