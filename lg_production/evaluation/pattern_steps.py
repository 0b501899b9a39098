"""How long a regular expression can take, at most: an upper bound, in steps of Python's engine.

The engine tries every way to divide a text among repetitions. Their numbers are multiplied, except
where only one way can go on: where what must follow is no character that is repeated. The tree is
that of Python's own parser, so that nothing is read in another way than it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from re import _parser  # type: ignore[attr-defined]  # in every Python from 3.11 on
from typing import Any, Final

SINGLE = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}
REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}
ASIDE = {"ASSERT", "ASSERT_NOT", "ATOMIC_GROUP"}
MOST_UNROLLED = 20
END: Final = ""
"""Nothing must follow, so that what is repeated is never tried in another way."""


class Nested(ValueError):
    """A repeated group says one thing in several ways: that doubles with every character."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a place in a pattern costs, with all that comes after it.

    `steps` each time that it is reached; `once` for all places of a text together, if each is
    reached once. `first` is a set of the characters that must come next: `END` if none must, None
    if nobody knows. `run` is how much of `steps` is a repetition right here, of `repeated`.
    """

    steps: float = 0
    once: float = 0
    first: str | None = None
    run: float = 0
    repeated: str = ""


def steps(pattern: str, length: int) -> float:
    """At most so many steps to search a text of this length. Raises `Nested`."""
    rest = walked(_parser.parse(pattern), length, Rest(first=END))
    return (length + 1) * (1 + rest.steps) + rest.once


def walked(parts: Iterable[Any], length: int, rest: Rest) -> Rest:
    """The cost of some parts of a pattern, with what comes after them."""
    for kind, value in reversed(list(parts)):
        rest = _before(str(kind), value, length, rest)
    return rest


def _before(kind: str, value: Any, length: int, rest: Rest) -> Rest:
    if kind in SINGLE:
        return _one(spelled(kind, value), rest)
    if kind in REPEATS:
        return _repeat(kind, value, length, rest)
    match kind:
        case "SUBPATTERN":
            return walked(value[-1], length, rest)
        case "AT":
            return Rest(1 + rest.steps, rest.once)
        case "GROUPREF":
            return Rest(length + rest.steps + rest.once)
        case _ if kind in ASIDE:
            parts = value if kind == "ATOMIC_GROUP" else value[1]
            inside = walked(parts, length, Rest(first=END))
            return Rest(inside.steps + inside.once + rest.steps + rest.once)
        case "BRANCH" | "GROUPREF_EXISTS":
            ways = [walked(way or (), length, rest) for way in _ways(kind, value)]
            total = sum(way.steps + way.once for way in ways)
            return Rest(1 + total, first=_either(*(way.first for way in ways)))
    raise Nested(f"{kind} is not known here")


def _ways(kind: str, value: Any) -> list[Any]:
    return list(value[1] if kind == "BRANCH" else value[1:])


def _one(first: str, rest: Rest) -> Rest:
    """A single character. After one that is not repeated, a repetition begins only once."""
    if rest.run and not overlap(first, rest.repeated):
        return Rest(1 + rest.steps - rest.run, rest.once + rest.run, first)
    return Rest(1 + rest.steps, rest.once, first)


def _repeat(kind: str, value: Any, length: int, rest: Rest) -> Rest:
    least, most, body = value
    wide = min(int(most), length)
    choices = max(1, wide - int(least) + 1)
    parts = list(body)
    if len(parts) != 1 or str(parts[0][0]) not in SINGLE:
        if wide <= MOST_UNROLLED:
            return _unrolled(parts, int(least), wide, length, rest)
        return _group(parts, wide, choices, length, rest)
    one = spelled(str(parts[0][0]), parts[0][1])
    first = one if least else _either(one, rest.first)
    if choices == 1 and not rest.run:
        return Rest(wide + rest.steps, rest.once, first)
    decided = kind == "POSSESSIVE_REPEAT" or rest.first == END
    if decided or (rest.first is not None and not overlap(one, rest.first)):
        return Rest(wide + rest.steps + rest.once, first=first, run=wide, repeated=one)
    return Rest(wide + choices * rest.steps + rest.once, first=first)


def _unrolled(parts: list[Any], least: int, most: int, length: int, rest: Rest) -> Rest:
    """A group that is repeated a few times, as if it were written so often."""
    found = rest
    for n in range(most, 0, -1):
        found = walked(parts, length, found)
        if n > least:
            total = found.steps + found.once + rest.steps + rest.once
            found = Rest(1 + total, first=_either(found.first, rest.first))
    return found


def _group(parts: list[Any], wide: int, choices: int, length: int, rest: Rest) -> Rest:
    """A group that is repeated often. Only one that says one thing in one way may be."""
    if varies(parts):
        raise Nested("a repeated group with a choice or a repetition in it could take for ever")
    inside = walked(parts, length, Rest())
    return Rest(wide * (inside.steps + inside.once) + choices * (rest.steps + rest.once))


def varies(parts: Iterable[Any]) -> bool:
    """Whether something can be said in several ways."""
    for kind, value in parts:
        match str(kind):
            case "BRANCH" | "GROUPREF_EXISTS":
                return True
            case name if name in REPEATS and (value[0] != value[1] or varies(value[2])):
                return True
            case "SUBPATTERN" if varies(value[-1]):
                return True
    return False


def _either(*firsts: str | None) -> str | None:
    """What must come next where there are several ways; one that cannot fail is enough."""
    if END in firsts:
        return END
    known = [one for one in firsts if one is not None]
    return f"(?:{'|'.join(known)})" if len(known) == len(firsts) else None


def spelled(kind: str, value: Any) -> str:
    """A set of characters, as a pattern of its own."""
    match kind:
        case "ANY":
            return "."
        case "LITERAL":
            return f"[{_code(value)}]"
        case "NOT_LITERAL":
            return f"[^{_code(value)}]"
    return f"[{''.join(_member(str(one), part) for one, part in value)}]"


def _member(kind: str, value: Any) -> str:
    match kind:
        case "NEGATE":
            return "^"
        case "RANGE":
            return f"{_code(value[0])}-{_code(value[1])}"
        case "CATEGORY":
            name = str(value).removeprefix("CATEGORY_").removeprefix("NOT_")[0]
            return f"\\{name if '_NOT_' in str(value) else name.lower()}"
    return _code(value)


def _code(value: int) -> str:
    return f"\\U{value:08x}"


@cache
def overlap(one: str, other: str) -> bool:
    """Whether some character is in both sets, whatever flags they are read with."""
    both, characters = f"(?={one}){other}", _characters()
    reads = (0, re.IGNORECASE, re.ASCII, re.ASCII | re.IGNORECASE)
    return any(re.search(both, characters, flags | re.DOTALL) for flags in reads)


@cache
def _characters() -> str:
    return "".join(map(chr, range(0x110000)))
