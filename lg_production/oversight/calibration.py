"""Scores that mean what they say: of the cases with score 0.8, eight in ten are correct.

Fitted on judged cases, in pure Python, and the same every time. What is fitted is a frozen
value of numbers that is called with a score: it can be stored beside the decisions it made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from ..core.intervals import Rate
from .thresholds import lower_bound, upper_bound

NEAR = 1e-6
"""How near to 0 and 1 a score may come before its log odds are taken."""


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A staircase that never falls, by pool adjacent violators; linear between its steps."""

    scores: tuple[float, ...]
    rates: tuple[float, ...]

    @classmethod
    def fit(
        cls, scores: Sequence[float], correct: Sequence[bool], weights: Sequence[float] = ()
    ) -> Self:
        """The monotone rates with the least squares, weighted. Equal scores share one rate."""
        blocks: list[list[float]] = []  # lowest and highest score, sum of weights, of correct
        cases = sorted(zip(scores, correct, weights or [1.0] * len(scores), strict=True))
        for score, hit, weight in cases:
            if blocks and blocks[-1][1] == score:
                blocks[-1][2] += weight
                blocks[-1][3] += weight * hit
            else:
                blocks.append([score, score, weight, weight * hit])
        pooled: list[list[float]] = []
        for block in blocks:
            pooled.append(block)
            while len(pooled) > 1 and _rate(pooled[-2]) >= _rate(pooled[-1]):
                _, high, weight, right = pooled.pop()
                pooled[-1][1:] = [high, pooled[-1][2] + weight, pooled[-1][3] + right]
        if not pooled:
            raise ValueError("nothing can be fitted to no cases")
        edges = [(s, _rate(block)) for block in pooled for s in dict.fromkeys(block[:2])]
        return cls(tuple(s for s, _ in edges), tuple(r for _, r in edges))

    def __call__(self, score: float) -> float:
        """The rate of correct cases at this score; beyond the fitted scores, that of the last."""
        if score <= self.scores[0]:
            return self.rates[0]
        if score >= self.scores[-1]:
            return self.rates[-1]
        at = _first_above(self.scores, score)
        low, high = self.scores[at - 1], self.scores[at]
        share = (score - low) / (high - low)
        return self.rates[at - 1] + share * (self.rates[at] - self.rates[at - 1])


def _rate(block: Sequence[float]) -> float:
    return block[3] / block[2]


def _first_above(values: Sequence[float], value: float) -> int:
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if values[middle] <= value else (low, middle)
    return low


@dataclass(frozen=True, slots=True)
class Logistic:
    """Several scores become one: the odds are a weighted sum of their log odds."""

    intercept: float
    weights: tuple[float, ...]

    @classmethod
    def fit(
        cls, rows: Sequence[Sequence[float]], correct: Sequence[bool], penalty: float = 1.0
    ) -> Self:
        """Maximum likelihood by Newton's method. Every row has one score of each kind.

        `penalty` * |weights|^2 / 2 keeps them finite where the scores tell all apart.
        """
        design = [[1.0, *map(log_odds, row)] for row in rows]
        if not design:
            raise ValueError("nothing can be fitted to no cases")
        fitted = _newton(design, correct, [0.0, *[penalty] * (len(design[0]) - 1)])
        return cls(fitted[0], tuple(fitted[1:]))

    def __call__(self, scores: Sequence[float]) -> float:
        """The probability that the case is correct."""
        terms = zip(self.weights, scores, strict=True)
        return _expit(self.intercept + sum(weight * log_odds(score) for weight, score in terms))


@dataclass(frozen=True, slots=True)
class Temperature:
    """One number that makes over-confident scores (above 1) or timid ones (below) honest."""

    value: float

    @classmethod
    def fit(cls, scores: Sequence[float], correct: Sequence[bool]) -> Self:
        """Maximum likelihood. Raises ValueError where higher scores are not more often correct."""
        (slope,) = _newton([[log_odds(score)] for score in scores], correct, [NEAR])
        if slope <= 0:
            raise ValueError("no temperature fits: higher scores are not more often correct")
        return cls(1 / slope)

    def __call__(self, score: float) -> float:
        """The probability that the case is correct."""
        return _expit(log_odds(score) / self.value)


def log_odds(score: float) -> float:
    """The logarithm of the odds of a score from 0 to 1; the very ends are moved inwards."""
    inner = min(max(score, NEAR), 1 - NEAR)
    return math.log(inner / (1 - inner))


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _newton(
    design: Sequence[Sequence[float]], correct: Sequence[bool], penalty: Sequence[float]
) -> list[float]:
    """Minimise the penalised log loss. A step that does not lower it is halved."""
    beta = [0.0] * len(penalty)
    best = _loss(design, correct, penalty, beta)
    for _ in range(100):
        step = _newton_step(design, correct, penalty, beta)
        size = 1.0
        while size > NEAR:
            moved = [b - size * s for b, s in zip(beta, step, strict=True)]
            loss = _loss(design, correct, penalty, moved)
            if loss < best:
                break
            size /= 2
        else:
            return beta
        beta, best = moved, loss
    return beta


def _loss(
    design: Sequence[Sequence[float]],
    correct: Sequence[bool],
    penalty: Sequence[float],
    beta: Sequence[float],
) -> float:
    total = sum(p * b * b / 2 for p, b in zip(penalty, beta, strict=True))
    for row, right in zip(design, correct, strict=True):
        odds = _dot(row, beta)
        signed = -odds if right else odds
        total += max(signed, 0.0) + math.log1p(math.exp(-abs(signed)))
    return total


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _newton_step(
    design: Sequence[Sequence[float]],
    correct: Sequence[bool],
    penalty: Sequence[float],
    beta: Sequence[float],
) -> list[float]:
    k = len(penalty)
    gradient = [p * b for p, b in zip(penalty, beta, strict=True)]
    hessian = [[(penalty[i] + 1e-12) * (i == j) for j in range(k)] for i in range(k)]
    for row, right in zip(design, correct, strict=True):
        chance = _expit(_dot(row, beta))
        for i in range(k):
            gradient[i] += (chance - right) * row[i]
            for j in range(k):
                hessian[i][j] += chance * (1 - chance) * row[i] * row[j]
    return solve(hessian, gradient)


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """A system of linear equations, by elimination with pivots."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = max(range(i, len(rows)), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for below in rows[i + 1 :]:
            factor = below[i] / rows[i][i]
            below[i:] = [b - factor * a for a, b in zip(rows[i][i:], below[i:], strict=True)]
    solved: list[float] = []
    for row in reversed(rows):
        known = _dot(row[len(rows) - len(solved) : -1], solved)
        solved.insert(0, (row[-1] - known) / row[len(rows) - len(solved) - 1])
    return solved


# ------------------------------------------------------------------------ is it calibrated
def exact(hits: float, n: float, confidence: float = 0.95) -> Rate:
    """A share with Clopper and Pearson's interval, which holds the true one at least so often."""
    if not n:
        return Rate(0.0, 0.0, 1.0, 0)
    side = (1 - confidence) / 2
    return Rate(hits / n, lower_bound(hits, n, side), upper_bound(hits, n, side), n)


@dataclass(frozen=True, slots=True)
class Bin:
    """Cases with scores of a range: their mean score, and how many of them were correct."""

    low: float
    high: float
    score: float
    correct: Rate


def reliability(
    scores: Sequence[float],
    correct: Sequence[bool],
    bins: int = 10,
    by: Literal["width", "mass"] = "width",
    confidence: float = 0.95,
) -> list[Bin]:
    """A reliability diagram: bins of equal width or of equal mass, without the empty ones.

    A bin of equal mass may hold more, so that equal scores stay together.
    """
    cases = sorted(zip(scores, correct, strict=True))
    groups: dict[float, list[tuple[float, bool]]] = {}
    for rank, case in enumerate(cases):
        place = case[0] if by == "width" else rank / len(cases)
        if by == "mass" and rank and case[0] == cases[rank - 1][0]:
            groups[max(groups)].append(case)
        else:
            groups.setdefault(min(int(place * bins), bins - 1), []).append(case)
    return [_bin(key, group, bins, by, confidence) for key, group in groups.items()]


def _bin(
    key: float, group: Sequence[tuple[float, bool]], bins: int, by: str, confidence: float
) -> Bin:
    low, high = (key / bins, (key + 1) / bins) if by == "width" else (group[0][0], group[-1][0])
    mean = math.fsum(score for score, _ in group) / len(group)
    return Bin(low, high, mean, exact(sum(right for _, right in group), len(group), confidence))


def calibration_error(
    scores: Sequence[float],
    correct: Sequence[bool],
    bins: int = 10,
    by: Literal["width", "mass"] = "width",
    confidence: float = 0.95,
) -> Rate:
    """The expected calibration error (ECE): how far a bin's score is from its rate, on average.

    The value is too high for few cases, as chance alone makes a difference. The interval is
    made of exact ones that hold for all bins at once: it covers at least as often as it says,
    and 0 in it means that the scores may be calibrated.
    """
    if not scores:
        return Rate(0.0, 0.0, 1.0, 0)
    each = 1 - (1 - confidence) / bins
    found, n = reliability(scores, correct, bins, by, each), len(scores)
    gaps = [_gap(b) for b in found]
    shares = [b.correct.n / n for b in found]
    value, low, high = (_dot(shares, [gap[i] for gap in gaps]) for i in range(3))
    return Rate(value, low, high, n)


def _gap(found: Bin) -> tuple[float, float, float]:
    rate, score = found.correct, found.score
    nearest = max(rate.low - score, score - rate.high, 0.0)
    return abs(rate.value - score), nearest, max(score - rate.low, rate.high - score)
