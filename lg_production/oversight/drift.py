"""Whether new scores are still like those that a threshold was fitted on; if not, it is disarmed.

A threshold's promise holds for cases like the labelled ones. `DriftTest` is the two-sample test
of Kolmogorov and Smirnov: it needs no labels and has a stated rate of false alarms. The
population stability index (PSI) is told beside it, and decides nothing: it has no such rate.
What moves no score (the same scores, more often wrong) only labels show: see `refuted`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, Self

from .thresholds import Label, lower_bound, uniform

EXACT = 10**5
"""Up to this product of the sample sizes, p is exact."""


class Valued(Protocol):
    """A `Threshold`, or anything else that says from which score on a case may go."""

    @property
    def value(self) -> float | None:
        """The score, or None: no case may."""


@dataclass(frozen=True, slots=True)
class Armed:
    """A threshold that holds until there is a reason against it. Disarmed, its value is None.

    It stays disarmed: only a person who fits a threshold to new labels arms again.
    """

    threshold: Valued
    reasons: tuple[str, ...] = ()

    @property
    def value(self) -> float | None:
        """From which score on a case may go without a person; None: every case is reviewed."""
        return None if self.reasons else self.threshold.value

    def disarm(self, reason: str) -> Self:
        """Have every case reviewed, for one more reason."""
        return replace(self, reasons=(*self.reasons, reason))

    def after(self, drift: Drift) -> Self:
        """The same, or disarmed if the scores drifted."""
        return self.disarm(drift.reason) if drift.drifted else self


@dataclass(frozen=True, slots=True)
class Drift:
    """What a test said. `p`: how likely scores that did not drift look as different, at most.

    `statistic` is the greatest distance of the two distributions, `level` what `p` was held
    against; `psi` above 0.25 is commonly called a great change.
    """

    p: float
    statistic: float
    level: float
    psi: float
    reference: int
    recent: int

    @property
    def drifted(self) -> bool:
        """Whether the scores changed."""
        return self.p <= self.level

    @property
    def reason(self) -> str:
        """The finding, in words for a reviewer."""
        return (
            f"the last {self.recent:,} scores are not like the {self.reference:,} that the "
            f"threshold was fitted on (p = {self.p:.2g}, KS distance {self.statistic:.2f}, "
            f"PSI {self.psi:.2f})"
        )


@dataclass(frozen=True)
class DriftTest:
    """Compares new scores with those of the labels, `looks` times before the next fit.

    The chance that scores which did not drift are ever called drifted, in all these looks, is
    at most `alpha`, also if they share cases. Fewer than `minimum` new scores say nothing.
    """

    alpha: float = 0.05
    looks: int = 52
    minimum: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or self.looks < 1:
            raise ValueError("alpha must be between 0 and 1, and looks at least 1")

    def look(self, reference: Sequence[float], recent: Sequence[float]) -> Drift:
        """Compare. `reference` are all scores that the threshold was fitted on, not a part."""
        level, n, m = self.alpha / self.looks, len(reference), len(recent)
        if m < max(1, self.minimum) or not n:
            return Drift(1.0, 0.0, level, 0.0, n, m)
        steps = distance(reference, recent)
        return Drift(p_value(steps, n, m), steps / (n * m), level, psi(reference, recent), n, m)


def distance(left: Sequence[float], right: Sequence[float]) -> int:
    """The greatest distance of two empirical distributions, times both sizes: a whole number."""
    first, second = sorted(left), sorted(right)
    n, m = len(first), len(second)
    return max(
        abs(bisect_right(first, v) * m - bisect_right(second, v) * n) for v in {*left, *right}
    )


def p_value(steps: int, n: int, m: int) -> float:
    """How likely two samples of one distribution are at least so far apart; with ties, at most."""
    if n * m > EXACT:
        return kolmogorov(steps / math.sqrt(n * m * (n + m)))
    return 1 - _inside(steps, n, m)


def _inside(steps: int, n: int, m: int) -> float:
    """The share of the ways to mix the samples in which they are never `steps` apart."""
    row = [0.0] * (m + 1)
    for i in range(n + 1):
        for j in range(m + 1):
            if abs(i * m - j * n) >= steps:
                row[j] = 0.0
            elif i + j == 0:
                row[j] = 1.0
            else:
                before = row[j - 1] if j else 0.0
                row[j] = (i * row[j] + j * before) / (i + j)
    return row[m]


def kolmogorov(x: float) -> float:
    """What the distribution of Kolmogorov has above x."""
    if x < 0.2:
        return 1.0
    terms = ((-1) ** k * math.exp(-2 * (k + 1) ** 2 * x * x) for k in range(100))
    return min(1.0, 2 * math.fsum(terms))


def psi(reference: Sequence[float], recent: Sequence[float], bins: int = 10) -> float:
    """The population stability index over bins of equal mass in the reference."""
    ordered = sorted(reference)
    edges = sorted({ordered[len(ordered) * i // bins] for i in range(1, bins)})
    pairs = zip(_shares(reference, edges), _shares(recent, edges), strict=True)
    return math.fsum((new - old) * math.log(new / old) for old, new in pairs)


def _shares(scores: Sequence[float], edges: Sequence[float]) -> list[float]:
    """The shares of the bins. Half a case more in each: an empty bin is no infinite change."""
    ordered, bins = sorted(scores), len(edges) + 1
    ends = [0, *(bisect_right(ordered, edge) for edge in edges), len(ordered)]
    return [(b - a + 0.5) / (len(ordered) + 0.5 * bins) for a, b in pairwise(ends)]


def refuted(labels: Iterable[Label], threshold: Valued, alpha: float, delta: float = 0.01) -> bool:
    """Whether labels from after the fit prove that more than `alpha` of the auto-approved is wrong.

    An exact binomial test: where the promise is kept, it says so with probability `delta` at
    most, each time it is asked.
    """
    value = threshold.value
    if value is None:
        return False
    above = uniform(label for label in labels if label.score >= value)
    errors = sum(not label.correct for label in above)
    return bool(above) and lower_bound(errors, len(above), delta) > alpha
