"""Regular expressions that come from a file: checked when they are read, bounded when they run."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

MOST_TEXT = 20_000
"""Longer texts are not searched with a pattern that repeats anything without a bound."""
MOST_PLAIN = 100_000
MOST_REPETITIONS = 4
MOST_PATTERN = 1_000

TOKEN = re.compile(
    r"(?P<escape>\\.)"
    r"|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<open>\((?:\?(?:P<\w+>|<[=!]|[:=!>]|[a-zA-Z\-]+:|[a-zA-Z]+(?=\))|P=\w+(?=\))|#[^)]*(?=\)))?)?)"
    r"|(?P<close>\))"
    r"|(?P<repeat>[*+?]|\{\d*,?\d*\})[?+]?"
    r"|(?P<choice>\|)"
    r"|(?P<any>.)",
    re.DOTALL,
)
WIDE = re.compile(
    r"\.|\\[SDW]|\[\^.*|\[.*(?:\\s.*\\S|\\S.*\\s|\\w.*\\W|\\W.*\\w|\\d.*\\D|\\D.*\\d).*", re.DOTALL
)


@dataclass
class _Group:
    varies: bool = False


@dataclass
class _Scan:
    """What a pattern repeats without a bound, and whether repetitions stand in one another."""

    unbounded: int = 0
    wide: int = 0
    nested: bool = False
    groups: list[_Group] = field(default_factory=lambda: [_Group()])
    last: _Group | str = ""

    def read(self, pattern: str) -> _Scan:
        for match in TOKEN.finditer(pattern):
            kind, text = match.lastgroup or "any", match[0]
            if kind == "open":
                self.groups.append(_Group())
            elif kind == "close" and len(self.groups) > 1:
                self.last = self.groups.pop()
                self.groups[-1].varies |= self.last.varies
            elif kind == "choice":
                self.groups[-1].varies = True
            elif kind == "repeat":
                self._repeat(match["repeat"])
            else:
                self.last = text
        return self

    def _repeat(self, spelled: str) -> None:
        least, most = _bounds(spelled)
        if isinstance(self.last, _Group) and self.last.varies and (most is None or most > 1):
            self.nested = True
        if most is None:
            self.unbounded += 1
            self.wide += isinstance(self.last, str) and bool(WIDE.fullmatch(self.last))
        if least != most:
            self.groups[-1].varies = True


def _bounds(spelled: str) -> tuple[int, int | None]:
    if spelled in "*+?":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[spelled]
    least, comma, most = spelled.strip("{}").partition(",")
    return int(least or 0), (int(most) if most else None) if comma else int(least or 0)


def checked(pattern: str) -> str:
    """The pattern, if it can be used. Raises ValueError, in words, where it cannot.

    Refused is what could take for ever: a repeated group with a choice or a repetition in it,
    and more than one unbounded repetition of nearly any character (write `.{0,80}`).
    """
    if len(pattern) > MOST_PATTERN:
        raise ValueError(f"a pattern has at most {MOST_PATTERN:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python means to read it otherwise one day
            compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as wrong:
        raise ValueError(f"this is no regular expression: {wrong}") from None
    if compiled.flags & re.VERBOSE:
        raise ValueError("a pattern is read without (?x)")
    found = _Scan().read(pattern)
    if found.nested:
        raise ValueError("a repeated group with a choice or a repetition in it could take for ever")
    if found.wide > 1 or found.unbounded > MOST_REPETITIONS:
        raise ValueError("too many unbounded repetitions: bound them, as in .{0,80}")
    return pattern


Pattern: TypeAlias = Annotated[str, AfterValidator(checked)]
"""A regular expression, searched for anywhere in a text; `^` and `$` bind it to the ends."""


def most_searched(pattern: str) -> int:
    """How long a text may be to be searched with this pattern, in characters."""
    return MOST_TEXT if _Scan().read(pattern).unbounded else MOST_PLAIN


def search(pattern: str, text: str, *, ignore_case: bool = False) -> re.Match[str] | None:
    """The first match, or None. Raises ValueError for a text that is too long to be searched."""
    if len(text) > most_searched(pattern):
        raise ValueError(
            f"a text of {len(text):,} characters is too long to be searched with {pattern!r}"
        )
    return re.compile(pattern, re.IGNORECASE if ignore_case else 0).search(text)
