"""The scale of a judge's grades."""

from __future__ import annotations

SCALE = 10
"""The highest grade; the lowest is 1."""


def is_grade(score: object) -> bool:
    """Whether this is a grade: an `int` from 1 to 10, and neither a bool nor a float."""
    return type(score) is int and 1 <= score <= SCALE
