"""How far two judges agree: kappa, and each item on which they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from .scale import SCALE, is_grade
from .statistics import Interval

DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An item that two judges see differently: their scores."""

    id: str
    first: int | None
    second: int | None

    @property
    def distance(self) -> int:
        """Levels between them; as far as can be where one is missing."""
        return 10 if None in (self.first, self.second) else abs(self.first - self.second)  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges on the same items.

    `kappa` is Cohen's, on whether an item passes; `weighted` has quadratic weights on the ten
    levels. Items that one could not grade are in neither, and counted in `missing`. `items` are
    those they disagree on, the farthest apart first.
    """

    kappa: Interval
    weighted: Interval
    items: tuple[Disagreement, ...]
    missing: int


def agreement(
    ids: Sequence[str], first: Sequence[int | None], second: Sequence[int | None], *,
    passing: int = 7, seed: int = 0,
) -> Agreement:  # fmt: skip
    """Compare two judges' scores, None where one is missing.

    Raises `ValueError` for a score that is no grade, or if there is no item that both graded.
    """
    rows = list(zip(ids, first, second, strict=True))
    for name, *scores in rows:
        for score in scores:
            if score is not None and not is_grade(score):
                told = f"a grade is a whole number from 1 to {SCALE}"
                raise ValueError(f"item {name!r} has the grade {score!r}; {told}")
    both = [(a, b) for _, a, b in rows if a is not None and b is not None]
    if not both:
        raise ValueError("there is no item that both judges have graded")
    passed = [(int(a >= passing), int(b >= passing)) for a, b in both]
    apart = [Disagreement(*row) for row in rows if row[1] != row[2]]
    ordered = tuple(sorted(apart, key=lambda one: -one.distance))
    return Agreement(
        with_interval(cohen_kappa, passed, seed), with_interval(weighted_kappa, both, seed),
        ordered, len(rows) - len(both),
    )  # fmt: skip


def cohen_kappa(pairs: Sequence[tuple[Any, Any]]) -> float:
    """Agreement beyond chance; 1 where both always say the same one thing (Cohen 1960)."""
    n = len(pairs)
    seen = sum(a == b for a, b in pairs) / n
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(left[label] * right[label] for label in left) / n**2
    return 1.0 if chance == 1 else (seen - chance) / (1 - chance)


def weighted_kappa(pairs: Sequence[tuple[int, int]]) -> float:
    """Kappa whose disagreements weigh by the square of their distance (Cohen 1968)."""
    n = len(pairs)
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    seen = sum((a - b) ** 2 for a, b in pairs) / n
    chance = sum(left[a] * right[b] * (a - b) ** 2 for a in left for b in right) / n**2
    return 1.0 if not chance else 1 - seen / chance


def with_interval(
    statistic: Callable[[Sequence[Any]], float], pairs: Sequence[Any], seed: int,
    confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """A statistic of items with the percentile bootstrap's interval over items."""
    random, n = Random(seed), len(pairs)  # noqa: S311 - no secret
    drawn = sorted(statistic(random.choices(pairs, k=n)) for _ in range(DRAWS))
    skip = int((1 - confidence) / 2 * DRAWS)
    return Interval(statistic(pairs), drawn[skip], drawn[DRAWS - 1 - skip], n, confidence)
