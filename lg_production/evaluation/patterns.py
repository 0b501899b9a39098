"""Regular expressions that come from a file: checked when they are read, bounded when they run."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from .pattern_steps import steps

MOST_STEPS = 3e8
"""A search of more would take longer than a few seconds, and Python could not be stopped."""
LENGTHS = (100_000, 20_000, 10_000, 5_000, 2_000)
"""How long a text may be: as long as its pattern allows. Less than the last is refused."""
MOST_PATTERN = 1_000


def checked(pattern: str) -> str:
    """The pattern, if it can be used. Raises ValueError, in words, where it cannot.

    Refused is what could take for ever: a repeated group with a choice or a repetition in it, and
    repetitions that could divide a text of 2,000 characters among them in too many ways.
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
    try:
        usable = most_searched(pattern) > 0
    except RecursionError:
        raise ValueError("its groups stand too deep in one another") from None
    if not usable:
        raise ValueError(
            "its repetitions could overlap: bound them, as in .{0,80}, or put between them what "
            "they do not repeat"
        )
    return pattern


Pattern: TypeAlias = Annotated[str, AfterValidator(checked)]
"""A regular expression, searched for anywhere in a text; `^` and `$` bind it to the ends."""


@cache
def most_searched(pattern: str) -> int:
    """How long a text may be to be searched with this pattern, in characters; 0 if never."""
    return next((n for n in LENGTHS if steps(pattern, n) <= MOST_STEPS), 0)


def search(pattern: str, text: str, *, ignore_case: bool = False) -> re.Match[str] | None:
    """The first match, or None. Raises ValueError for a text that is too long to be searched."""
    if len(text) > most_searched(pattern):
        raise ValueError(
            f"a text of {len(text):,} characters is too long to be searched with {pattern!r}"
        )
    return re.compile(pattern, re.IGNORECASE if ignore_case else 0).search(text)
