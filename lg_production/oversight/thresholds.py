"""Thresholds that keep their promise: which scores may go without a person, provably.

`SelectiveRisk` promises the error among what is auto-approved, with a probability (Learn then
Test, arXiv 2110.01052); `EscapeRate` the share of all that is auto-approved and wrong, on
average (conformal risk control, arXiv 2208.02814). Both hold for new cases like the labelled
ones, and for one fit. Nothing is automated until it is proven.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, Protocol

MOST = 10**7
"""The most labels that a forecast of what is missing goes to."""
TINY = 1e-290


@dataclass(frozen=True, slots=True)
class Label:
    """A case that a person judged. `approve` is correct; `edit` and `reject` are not.

    `respond` and canaries are no labels. `probability`: that the case was looked at, given what
    was known before; 1 for what is always reviewed. `draw` is the number below `probability`
    that had it looked at (`sampling.draw`); only unequal probabilities need it.
    """

    score: float
    correct: bool
    probability: float = 1.0
    stratum: str = ""
    draw: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.score):
            raise ValueError("a score must be a finite number")
        if not 0 < self.probability <= 1:
            raise ValueError("the probability of a label must be above 0 and at most 1")
        if self.draw is not None and not 0 <= self.draw < self.probability:
            raise ValueError("a case is labelled where its draw is below its probability")


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which score on a case may go without a person; None: none may, it is not proven yet.

    `automated` is the share of the labelled cases at or above it, `bound` what was proven of
    them, at most `alpha` unless None, and `n` how many labels count. `missing`: how many more
    would prove something if the error stays as it is, at least; None where no number would.
    """

    value: float | None
    guarantee: str
    automated: float
    bound: float
    n: int
    missing: int | None = 0


class Rule(Protocol):
    """What makes a threshold of labels."""

    def fit(self, labels: Iterable[Label]) -> Threshold:
        """The loosest threshold that keeps the promise."""


def fit_each(rule: Rule, labels: Iterable[Label]) -> dict[str, Threshold]:
    """A threshold for every stratum. Each promise stands for itself.

    That all of k strata keep it at once has probability 1 - k * delta: give `delta / k` for that.
    """
    groups: Mapping[str, list[Label]] = defaultdict(list)
    for label in labels:
        groups[label.stratum].append(label)
    return {stratum: rule.fit(group) for stratum, group in sorted(groups.items())}


def uniform(labels: Iterable[Label], least: float | None = None) -> list[Label]:
    """The labels that would have been drawn had every case had the probability `least`.

    That is the smallest there is: by default of the labels, if no case had a smaller one.

    The exact bounds hold for a uniform random sample only. This is one, whatever the rates
    were; the price is that oversampling gains nothing for a bound (it does for
    `sampling.error_rate`). Raises ValueError where probabilities differ and a draw is missing.
    """
    kept = list(labels)
    if least is None:
        least = min((label.probability for label in kept), default=1.0)
    return [label for label in kept if _drawn(label, least)]


def _drawn(label: Label, least: float) -> bool:
    if label.probability == least:
        return True
    if label.draw is None:
        raise ValueError("labels of unequal probability need the draw that they were taken by")
    return label.draw < least


class Point(NamedTuple):
    """A threshold that could be: how many labels are at or above it, and how many of them wrong."""

    value: float
    n: int
    errors: int


def curve(labels: Sequence[Label], grid: Sequence[float] = ()) -> list[Point]:
    """What each threshold would automate, strictest first: every observed score, or the grid's."""
    ordered = sorted(labels, key=lambda label: -label.score)
    values = sorted({*grid} if grid else {label.score for label in ordered}, reverse=True)
    points, n, errors = [], 0, 0
    for value in values:
        while n < len(ordered) and ordered[n].score >= value:
            errors += not ordered[n].correct
            n += 1
        points.append(Point(value, n, errors))
    return points


@dataclass(frozen=True)
class SelectiveRisk:
    """With probability 1 - `delta`, the error among auto-approved is at most `alpha`.

    Thresholds are tested one after the other, loosening, each with an exact binomial bound,
    until one fails. `starts` are where that begins, as shares of the labels: 0.1 is the
    strictest tenth, but never fewer labels than could prove anything; with about 300 labels or
    fewer, a start nearer 0 often automates more. With several, delta is split, and a sequence
    that reaches the next start hands its part on (the fallback test of Wiens and Dmitrienko).

    The thresholds tested are the observed scores, which assumes that of two thresholds the
    higher has no greater error. `grid`, chosen before the labels were seen, needs no such
    assumption; then `starts` are shares of the grid. Fewer than `minimum` labels prove nothing.
    """

    alpha: float
    delta: float = 0.1
    starts: tuple[float, ...] = (0.1,)
    grid: tuple[float, ...] = ()
    minimum: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.delta < 1):
            raise ValueError("alpha and delta must be between 0 and 1")
        if not self.starts or not all(0 < start <= 1 for start in self.starts):
            raise ValueError("starts must be shares above 0 and at most 1, and at least one")

    @property
    def fewest(self) -> int:
        """How many labels without an error prove it at a start."""
        return math.ceil(math.log(self.delta / len(self.starts)) / math.log1p(-self.alpha))

    def fit(self, labels: Iterable[Label]) -> Threshold:
        """The loosest threshold that is proven, or what is missing."""
        kept = uniform(labels)
        n, points = len(kept), curve(kept, self.grid)
        levels = self._levels(points, n)
        proven = list(self._walk(points, levels)) if n >= self.minimum else []
        if proven:
            point, level = proven[-1]
            bound = upper_bound(point.errors, point.n, level)
            return Threshold(point.value, self._promise(n), point.n / n, bound, n)
        tried = [(p, level) for p, level in zip(points, levels, strict=True) if level and p.n]
        bound = min((upper_bound(p.errors, p.n, level) for p, level in tried), default=1.0)
        missing = self._missing(points, levels, n)
        return Threshold(None, _refusal(n, missing), 0.0, bound, n, missing)

    def _levels(self, points: Sequence[Point], n: int) -> list[float]:
        """What each threshold adds to the level of its sequence: part of delta where one starts."""
        levels, part = [0.0] * len(points), self.delta / len(self.starts)
        for start in self.starts:
            if self.grid:
                levels[math.ceil(start * len(points)) - 1] += part
                continue
            rank = max(self.fewest, math.ceil(start * n))
            first = next((i for i, point in enumerate(points) if point.n >= rank), None)
            if first is not None:
                levels[first] += part
        return levels

    def _walk(
        self, points: Sequence[Point], levels: Sequence[float]
    ) -> Iterator[tuple[Point, float]]:
        level = 0.0
        for point, added in zip(points, levels, strict=True):
            level += added
            if level and binomial_tail(point.errors, point.n, self.alpha) <= level:
                yield point, level
            else:
                level = 0.0

    def _missing(self, points: Sequence[Point], levels: Sequence[float], n: int) -> int | None:
        """Go to more and more labels, until the error at a start would do."""
        if not n:
            return max(self.fewest, self.minimum)
        part, most, lowest = self.delta / len(self.starts), n, _lowest(points)
        fixed = [i for i, level in enumerate(levels) if level and points[i].n]
        while most < MOST and lowest[0] < self.alpha:
            most = max(most + 1, most * 51 // 50, self.fewest, self.minimum)
            ranks = [max(self.fewest, math.ceil(start * most)) for start in self.starts]
            for at in fixed if self.grid else [_reached(points, r * n / most) for r in ranks]:
                rank = math.ceil(points[at].n * most / n)
                if binomial_tail(rank * lowest[at], rank, self.alpha) <= part:
                    return most - n
        return None

    def _promise(self, n: int) -> str:
        return (
            f"with probability {_percent(1 - self.delta)} the error among auto-approved is at "
            f"most {_percent(self.alpha)}, {_like(n)}"
        )


def _reached(points: Sequence[Point], rank: float) -> int:
    """The strictest threshold with so many labels, or the loosest."""
    return min(bisect_left(points, rank, key=lambda p: p.n), len(points) - 1)


def _lowest(points: Sequence[Point]) -> list[float]:
    """The error at each threshold; lower where a looser one's is, as the scores are in order."""
    errors = (point.errors / point.n if point.n else 1.0 for point in reversed(points))
    return [*accumulate(errors, min)][::-1]


@dataclass(frozen=True)
class EscapeRate:
    """On average, at most `alpha` of all cases are auto-approved and wrong.

    The loosest threshold with (escapes + 1) / (n + 1) <= alpha: exact for exchangeable cases,
    with no assumption about the scores. The average is over labels too; and among the few that
    are auto-approved, the error can be far above alpha. Fewer than `minimum` labels prove nothing.
    """

    alpha: float
    minimum: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError("alpha must be between 0 and 1")

    def fit(self, labels: Iterable[Label]) -> Threshold:
        """The loosest threshold that keeps it, or what is missing."""
        kept = uniform(labels)
        n, points = len(kept), curve(kept)
        held = [p for p in points if p.errors + 1 <= self.alpha * (n + 1)]
        if held and n >= self.minimum:
            loosest = held[-1]
            bound = (loosest.errors + 1) / (n + 1)
            return Threshold(loosest.value, self._promise(n), loosest.n / n, bound, n)
        bound = (points[0].errors + 1) / (n + 1) if points else 1.0
        missing = self._missing(points, n)
        return Threshold(None, _refusal(n, missing), 0.0, bound, n, missing)

    def _missing(self, points: Sequence[Point], n: int) -> int | None:
        rate = points[0].errors / n if points else 0.0
        if rate >= self.alpha:
            return None
        return max(1, math.ceil((1 - self.alpha) / (self.alpha - rate)) - n, self.minimum - n)

    def _promise(self, n: int) -> str:
        return (
            f"on average at most {_percent(self.alpha)} of all cases are auto-approved and wrong, "
            f"{_like(n)}"
        )


def _percent(share: float) -> str:
    return f"{round(100 * share, 6):g} %"


def _like(n: int) -> str:
    return f"if new cases are like the {n:,} labelled ones"


def _refusal(n: int, missing: int | None) -> str:
    if missing is None:
        return (
            f"nothing is automated: as the {n:,} labelled cases are, more of them would not prove "
            "it; the error is too high even where the score is highest"
        )
    return (
        f"nothing is automated: {n:,} labelled cases do not prove it; if the error stays as it "
        f"is, at least {missing:,} more are needed"
    )


# ------------------------------------------------------------------------- exact binomial
def binomial_tail(errors: float, n: float, rate: float) -> float:
    """P(at most `errors` of `n`) at this rate of error; between whole numbers, its smooth curve."""
    return 1.0 if errors >= n else _beta(1 - rate, rate, n - errors, errors + 1)


def upper_bound(errors: float, n: float, delta: float) -> float:
    """Clopper and Pearson: the rate of error is at most this, with probability 1 - `delta`."""
    if errors >= n:
        return 1.0
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if binomial_tail(errors, n, middle) <= delta:
            high = middle
        else:
            low = middle
    return high


def lower_bound(errors: float, n: float, delta: float) -> float:
    """Clopper and Pearson: the rate of error is at least this, with probability 1 - `delta`."""
    return 1 - upper_bound(n - errors, n, delta)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function."""
    return _beta(x, 1 - x, a, b)


def _beta(x: float, y: float, a: float, b: float) -> float:
    """The same, with y = 1 - x to the last digit."""
    if min(x, y) < TINY:
        return float(y < TINY)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_below(y, x, b, a)
    return _beta_below(x, y, a, b)


def _beta_below(x: float, y: float, a: float, b: float) -> float:
    """Below the mean, where Lentz's continued fraction is fast."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction, m, change = d, 1, 0.0
    while abs(change - 1) > 1e-16 and m < MOST:
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        c, d = 1 + even / c, 1 / (1 + even * d)
        fraction *= c * d
        c, d = 1 + odd / c, 1 / (1 + odd * d)
        change = c * d
        fraction, m = fraction * change, m + 1
    return _density(a, a + b, x, y) * b / (a + b) * fraction


def _density(x: float, n: float, p: float, q: float) -> float:
    """P(x of n), by Loader's saddle point: no digits are lost where n is large."""
    rest = n - x
    exponent = _stirling(n) - _stirling(x) - _stirling(rest)
    exponent -= _deviance(x, n * p) + _deviance(rest, n * q)
    return math.exp(exponent) * math.sqrt(n / (2 * math.pi * x * rest))


def _stirling(n: float) -> float:
    """What Stirling's formula lacks of log(n!)."""
    if n <= 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - math.log(2 * math.pi) / 2
    s = 1 / n**2
    return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / n


def _deviance(x: float, mean: float) -> float:
    """The value of x log(x / mean) + mean - x, also where the two are close."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    total, term, j = (x - mean) * v, 2 * x * v, 1
    while total != (more := total + (term := term * v * v) / (2 * j + 1)):
        total, j = more, j + 1
    return total
