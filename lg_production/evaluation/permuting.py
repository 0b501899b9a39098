"""Grades of an item by one judge are exchangeable: what today's could as well have been.

Two sums are looked at: of the residuals of today's grades (does the judge lean one way?), and of
their squares (are they farther out than they were?).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from random import Random

from .scale import SCALE


def residuals(scores: Sequence[float]) -> tuple[float, ...]:
    """Each score less the mean of the others; at least two scores."""
    total, others = sum(scores), len(scores) - 1
    return tuple(score - (total - score) / others for score in scores)


def drawn(rows: Sequence[tuple[float, ...]], draws: int, seed: int) -> list[tuple[float, float]]:
    """What was seen, and then draws: how far the sum is from 0, and the sum of squares.

    `rows`: the residuals of each item, today's last. A draw takes any of them in each.
    """
    random = Random(seed)  # noqa: S311 - no secret
    columns = [random.choices(table, k=draws) for table in tables(rows)]
    seen = sum(both(row[-1]) for row in rows)
    return [(abs(one.real), one.imag) for one in (seen, *map(sum, zip(*columns, strict=True)))]


def both(residual: float) -> complex:
    """A residual and its square as one number, so that one addition is of both."""
    return complex(residual, residual * residual)


def tables(rows: Sequence[tuple[float, ...]]) -> Iterator[list[complex]]:
    """What two rows can add to both sums, all of it as likely: half as many draws are needed."""
    adds = [[both(one) for one in row] for row in rows]
    adds += [[0j]] * (len(rows) % 2)
    for one, other in zip(adds[::2], adds[1::2], strict=True):
        yield [a + b for a in one for b in other]


def least(before: Sequence[tuple[int, ...]]) -> float:
    """No grades today could have a smaller p, by either statistic, with these grades before.

    A grade of today is surest to be another one at an end of the scale. Then a draw looks the same
    only if it takes, in every item, a grade that is as far out as that.
    """
    ends = (1, SCALE)
    directions = [prod((row.count(end) + 1) / (len(row) + 1) for row in before) for end in ends]
    return min(*directions, prod(min(as_far(row, end) for end in ends) for row in before))


def as_far(row: tuple[int, ...], today: int) -> float:
    """The share of all these grades that lie as far from the others as today's does."""
    *before, last = map(abs, residuals((*row, today)))
    return (1 + sum(one >= last - 1e-9 for one in before)) / (1 + len(before))
