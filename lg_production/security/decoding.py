"""Words in another coat: each decoder finds what it can read and gives it back in plain text.

None of them raises, and none takes more than time linear in the text: every pattern has bounded
repetitions, or cannot fail once it has begun.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from .lexicon import KNOWN

BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,6}(?:\r?\n[A-Za-z0-9+/_-]{16,}={0,2})*")
HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :,]?){10,}")
BINARY = re.compile(r"(?:[01]{8}[ ,]?){4,}")
ESCAPES = re.compile(r"(?:\\{1,2}(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})){3,}")
ESCAPE = re.compile(r"\\{1,2}[xu]([0-9a-fA-F]{2,4})")
JSON_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
CODES = re.compile(r"(?:\d{2,3}[ ,]{1,2}){7,}\d{2,3}")
ENTITY = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,5})|([0-9]{1,6}));?")
SPACED = re.compile(r"(?<![^\W_])(?:[^\W_][ .\-_*~]{1,3}){4,}[^\W_](?![^\W_])")
LEET = str.maketrans("013456789@$!|+", "oieasgtbgasiit")
LEETS = re.compile(r"[0134578@$!|][a-zA-Z]|[a-zA-Z][0134578@$]{1,3}[a-zA-Z]")
WORDS = re.compile(r"[a-z]{3,20}")
PLAIN = frozenset(" \n\r\t.,;:!?'\"()-_/@#%&*<>[]{}=+$")
LONGEST_WORD = 16
LEAST_TEXT = 8
TAG_RUN = re.compile("[\U000e0020-\U000e007e]{4,}")
SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{6,}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, read; what carried it, and where it stood."""

    text: str
    carrier: str
    start: int
    end: int


Decoder: TypeAlias = Callable[[str], Iterator[Piece]]


def readable(data: bytes) -> str | None:
    """The words in these bytes, or None where there are none."""
    text = data.decode("utf-8", "ignore")
    if len(text) < LEAST_TEXT or len(text.encode("utf-8", "ignore")) < len(data) - 3:
        return None
    wordy = sum(1 for c in text if c.isalnum() or c == " ")
    odd = sum(1 for c in text if not (c.isalnum() or c in PLAIN))
    apart = " " in text or "%20" in text or (text.isascii() and text.isalpha())
    return text if apart and wordy >= 0.7 * len(text) and odd <= 0.05 * len(text) else None


def in_base64(text: str) -> Iterator[Piece]:
    """Base64 in both alphabets, over several lines; base32."""
    for match in BASE64.finditer(text):
        run = re.sub(r"[\r\n=]", "", match[0])
        if run.isalpha() and (run.islower() or run.istitle()):
            continue
        name, decode = ("base32", base64.b32decode) if is_base32(run) else ("base64", _base64)
        try:
            data = decode(run + "=" * (-len(run) % 8) if name == "base32" else run)
        except (binascii.Error, ValueError):
            continue
        if plain := readable(data):
            yield Piece(plain, name, match.start(), match.end())


def is_base32(run: str) -> bool:
    """Whether it is in capitals and the digits 2 to 7 only."""
    return run.isupper() and not any(c in "0189+/_-" for c in run)


def _base64(run: str) -> bytes:
    run = run.replace("-", "+").replace("_", "/")
    run = run[: len(run) - (len(run) % 4 == 1)]
    return base64.b64decode(run + "=" * (-len(run) % 4))


def in_hex(text: str) -> Iterator[Piece]:
    """Bytes in hexadecimal or binary digits, together or apart."""
    for pattern, base in ((BINARY, 2), (HEX, 16)):
        for match in pattern.finditer(text):
            digits = re.sub(r"[ :,]", "", match[0])
            width = 8 if base == 2 else 2
            last = len(digits) - len(digits) % width
            data = bytes(int(digits[i : i + width], base) for i in range(0, last, width))
            if plain := readable(data):
                yield Piece(plain, "hex", match.start(), match.end())


def in_escapes(text: str) -> Iterator[Piece]:
    """Runs of backslash escapes, HTML's numbered entities, and codes of characters."""
    for match in ESCAPES.finditer(text) if "\\" in text else ():
        written = "".join(chr(int(code, 16)) for code in ESCAPE.findall(match[0]))
        yield Piece(written, "escape", match.start(), match.end())
    if "\\u" in text and JSON_ESCAPE.search(text):
        yield Piece(JSON_ESCAPE.sub(_escape, text), "escape", 0, len(text))
    if text.count("&#") >= 4:
        yield Piece(ENTITY.sub(_entity, text), "entities", 0, len(text))
    for match in CODES.finditer(text):
        numbers = [int(number) for number in re.findall(r"\d+", match[0])]
        if all(10 <= number < 127 for number in numbers) and (plain := readable(bytes(numbers))):
            yield Piece(plain, "codes", match.start(), match.end())


def _escape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _entity(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    return chr(code) if code < 0x110000 else " "


def in_percent(text: str) -> Iterator[Piece]:
    """Words of URLs."""
    if text.count("%") < 3:
        return
    plain = [
        unquote(word.replace("+", " "), errors="replace")
        for word in text.split()
        if word.count("%") >= 3
    ]
    if plain and plain != text.split():
        yield Piece(" ".join(plain), "percent", 0, len(text))


def _marks(turn: Callable[[str], str]) -> frozenset[str]:
    common = {turn(word) for word in KNOWN if len(word) > 2}
    return frozenset(word for word in common if word not in KNOWN and word != "fed")


TURNS: tuple[tuple[str, Callable[[str], str], frozenset[str]], ...] = tuple(
    (name, turn, _marks(turn))
    for name, turn in (
        ("rot13", lambda text: codecs.encode(text, "rot13")),
        ("reversed", lambda text: text[::-1]),
    )
)


def in_turns(text: str) -> Iterator[Piece]:
    """Lines that are English once they are turned."""
    words = frozenset(WORDS.findall(text.lower()))
    for name, turn, marks in TURNS:
        if len(marks & words) >= 3:
            lines = [line for line in text.splitlines() if _most(line, marks)]
            if lines:
                yield Piece(turn("\n".join(lines)), name, 0, len(text))


def _most(line: str, marks: frozenset[str]) -> bool:
    words = WORDS.findall(line.lower())
    return sum(word in marks for word in words) >= max(2, 0.25 * len(words))


def in_leet(text: str) -> Iterator[Piece]:
    """Lines with digits in the place of letters."""
    if len(LEETS.findall(text)) < 3:
        return
    lines = []
    for line in text.splitlines():
        words = line.split()
        odd = sum(len(word) <= 24 and LEETS.search(word) is not None for word in words)
        if odd >= 2 and odd >= 0.12 * len(words):
            lines.append(" ".join(map(_unleet, words)))
    if lines:
        yield Piece("\n".join(lines), "leet", 0, len(text))


def _unleet(word: str) -> str:
    if word.isalpha() or len(word) > 24 or not any(map(str.isalpha, word)):
        return word
    plain = word.lower().translate(LEET)
    other = word.lower().replace("1", "l").translate(LEET)
    return other if other.strip(".,;:!?\"'") in KNOWN else plain


def in_spaced(text: str) -> Iterator[Piece]:
    """Words whose letters stand apart. Where nothing parts the words, known ones are found."""
    runs = list(SPACED.finditer(text))
    if not runs:
        return
    parts: list[str] = []
    done = 0
    for run in runs:
        joined = re.sub(r"[^\w ]|_", "", re.sub(r"  +", "\n", run[0])).replace(" ", "")
        words = joined.split() if "\n" in run[0] or "  " in run[0] else [joined]
        parts += [text[done : run.start()], " ".join(w for word in words for w in _parted(word))]
        done = run.end()
    around = slice(max(0, runs[0].start() - 200), runs[-1].end() + 200)
    yield Piece("".join([*parts, text[done : around.stop]]), "spaced", around.start, around.stop)


def _parted(word: str) -> Iterator[str]:
    """The known words in one long one, greedily; it stays whole where it has none."""
    lower, place = word.lower(), 0
    while place < len(lower):
        for size in range(min(LONGEST_WORD, len(lower) - place), 1, -1):
            if lower[place : place + size] in KNOWN:
                break
        else:
            size = min(len(lower) - place, LONGEST_WORD)
            size = next((n for n in range(1, size) if _begins(lower, place + n)), size)
        yield word[place : place + size]
        place += size


def _begins(word: str, place: int) -> bool:
    return any(word[place : place + size] in KNOWN for size in range(4, LONGEST_WORD))


def smuggled(text: str) -> Iterator[Piece]:
    """What invisible characters spell: Unicode tags, and bytes in variation selectors."""
    if text.isascii():
        return
    for match in TAG_RUN.finditer(text):
        if text[max(0, match.start() - 1) : match.start()] != "\U0001f3f4":
            plain = "".join(chr(ord(c) - 0xE0000) for c in match[0])
            yield Piece(plain, "tags", match.start(), match.end())
    for match in SELECTORS.finditer(text):
        codes = map(ord, match[0])
        data = bytes(c - 0xFE00 if c < 0x10000 else c - 0xE0100 + 16 for c in codes)
        yield Piece(data.decode("utf-8", "replace"), "variation", match.start(), match.end())


DECODERS: tuple[Decoder, ...] = (
    in_base64,
    in_hex,
    in_escapes,
    in_percent,
    in_turns,
    in_leet,
    in_spaced,
)
