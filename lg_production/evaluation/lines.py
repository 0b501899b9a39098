"""JSON Lines, read strictly: what could mean two things, or nothing, is refused with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CaseInvalid

MOST_BYTES = 1_000_000
"""The longest line."""
MOST_LEVELS = 100
MOST_NUMBER = 2**63
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A JSON object, and where it stands."""

    file: Path
    number: int
    data: dict[str, Any]

    def invalid(self, problem: str, field: str = "") -> CaseInvalid:
        """The error that names this line."""
        return CaseInvalid(problem, file=str(self.file), line=self.number, field=field)


def read_lines(file: Path) -> Iterator[Line]:
    """The objects of a file, one a line, in UTF-8.

    A byte order mark, CRLF and blank lines mean nothing and are passed over. Raises
    `CaseInvalid` at the first line that is no JSON object, is longer than `MOST_BYTES` or
    deeper than `MOST_LEVELS`, says a name twice, or holds NaN, an infinity, a number of more
    than 64 bits or half a surrogate pair.
    """
    try:
        with file.open("rb") as stream:
            number = 0
            while raw := stream.readline(MOST_BYTES + 2):
                number += 1
                raw = raw.removeprefix(BOM) if number == 1 else raw
                if text := _text(file, number, raw).strip(" \t\r\n"):
                    yield _line(file, number, text)
    except OSError as wrong:
        raise CaseInvalid(f"it cannot be read: {wrong.strerror}", file=str(file)) from None


def _text(file: Path, number: int, raw: bytes) -> str:
    place: Any = {"file": str(file), "line": number}
    if len(raw.rstrip(b"\r\n")) > MOST_BYTES:
        raise CaseInvalid(f"the line is longer than {MOST_BYTES:,} bytes", **place)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise CaseInvalid(f"byte {wrong.start + 1} is not UTF-8", **place) from None


def _line(file: Path, number: int, text: str) -> Line:
    place = Line(file, number, {})
    try:
        data = json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise place.invalid(f"it is nested deeper than {MOST_LEVELS} levels") from None
    except json.JSONDecodeError as wrong:
        raise place.invalid(f"not JSON: {wrong.msg} at column {wrong.colno}") from None
    except ValueError:  # an integer of more digits than Python reads
        raise place.invalid("a number has more than 64 bits") from None
    if not isinstance(data, dict):
        raise place.invalid(f"a case is a JSON object, not {named(data)}")
    if found := flaw(data):
        raise place.invalid(found[1], found[0])
    return Line(file, number, data)


class _Twice(dict[str, Any]):
    """An object that says a name twice."""

    name = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice, seen = _Twice(found), set[str]()
    twice.name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return twice


def flaw(value: Any) -> tuple[str, str] | None:
    """The first part of a value that is not plain JSON: its dotted path and what is wrong."""
    parts: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while parts:
        path, part = parts.pop()
        if problem := _problem(part, len(path)):
            name = (part.name,) if isinstance(part, _Twice) else ()
            return dotted(*path, *name), problem
        if isinstance(part, dict):
            parts += [((*path, name), inner) for name, inner in reversed(part.items())]
        elif isinstance(part, list | tuple):
            parts += [((*path, str(i)), part[i]) for i in reversed(range(len(part)))]
    return None


def _problem(part: Any, level: int) -> str:
    match part:
        case _Twice():
            return "the name is there twice"
        case dict() | list() | tuple() if level > MOST_LEVELS:
            return f"it is nested deeper than {MOST_LEVELS} levels"
        case dict():
            wrong = [name for name in part if not isinstance(name, str) or not is_text(name)]
            return "a name in it is no text" if wrong else ""
        case str():
            return "" if is_text(part) else "half a surrogate pair is no character"
        case bool() | None | list() | tuple():
            return ""
        case int():
            return "" if -MOST_NUMBER <= part < MOST_NUMBER else "the number has more than 64 bits"
        case float():
            return "" if math.isfinite(part) else f"{part} is no JSON number"
    return f"{type(part).__name__} is not JSON"


def is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: it has no half of a surrogate pair."""
    return not any("\ud800" <= char <= "\udfff" for char in text) if not text.isascii() else True


def dotted(*path: object) -> str:
    """A path as fields are named: behaviours.0.tool. Half a surrogate pair is spelled out."""
    name = ".".join(str(part).encode("utf-8", "backslashreplace").decode() for part in path)
    return name if len(name) <= 100 else f"{name[:99]}…"


def named(value: Any) -> str:
    """What JSON calls the type of a value."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")
