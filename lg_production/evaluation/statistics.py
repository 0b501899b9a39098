# ruff: noqa: S311 - what is drawn here is no secret
"""What a few runs say about all: shares and differences with intervals, and passing every time.

Everything is deterministic: what draws takes a seed. Intervals are of the cases, since other cases
of the kind are what one wants to know about; repetitions of a case are no further cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb, isfinite, sqrt
from random import Random
from statistics import NormalDist, fmean


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, and the interval that holds the true one with this confidence. `n`: cases."""

    value: float
    low: float
    high: float
    n: int
    confidence: float = 0.95


def pass_hat_k(successes: int, trials: int, k: int) -> float:
    """The chance that k runs of a case all pass: C(c, k) / C(n, k), unbiased.

    Source: tau-bench (Yao et al. 2024), pass^k. Raises `ValueError` if there are fewer than k.
    """
    _check(successes, trials, k)
    return comb(successes, k) / comb(trials, k)


def pass_at_k(successes: int, trials: int, k: int) -> float:
    """The chance that one of k runs passes: 1 - C(n-c, k) / C(n, k), unbiased.

    Source: HumanEval (Chen et al. 2021), pass@k. Raises `ValueError` if there are fewer than k.
    """
    _check(successes, trials, k)
    return 1 - comb(trials - successes, k) / comb(trials, k)


def _check(successes: int, trials: int, k: int) -> None:
    if not 0 <= successes <= trials or not 1 <= k <= trials:
        raise ValueError(f"{successes} of {trials} runs passed; k is between 1 and {trials}")


def paired(
    old: Sequence[float],
    new: Sequence[float],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    most: float = 1.0,
) -> tuple[Interval, float]:
    """The mean difference new - old with its interval, and p (`sign_flip`); pairs in one order.

    A case that is hard for both says nothing about the difference. The interval is of the normal
    distribution, with one pair more that went up by `most`, the largest difference that there can
    be (1 of shares), and one that went down: that nothing has changed, or only a little, in so many
    cases does not show that nothing will (Bonett and Price 2012). It holds 0 if, and only if, p is
    at least 1 - `confidence`: see `agreeing`.
    Raises `ValueError` without cases, for sides of different lengths, or for what is no number.
    """
    differences = [after - before for before, after in zip(old, new, strict=True)]
    if not differences or not all(map(isfinite, differences)):
        raise ValueError("a difference is of at least one case, and of numbers")
    n = len(differences) + 2
    middle = sum(differences) / n
    spread = (sum(one * one for one in differences) + 2 * most * most) / n - middle * middle
    width = quantile(confidence) * sqrt(spread / n)
    value, p = fmean(differences), sign_flip(differences, seed=seed)
    low, high = min(value, middle - width), max(value, middle + width)
    return agreeing(Interval(value, low, high, n - 2, confidence), p), p


def agreeing(found: Interval, p: float) -> Interval:
    """An interval whose bound at 0 is where the test is; the test is exact, so it is believed.

    If p allows no difference, the interval holds 0; if it does not, and the interval would, the
    bound is the test's own (Miettinen 1976): the value times 1 - z / z(p).
    """
    if p >= 1 - found.confidence:
        return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))
    if found.low > 0 or found.high < 0:
        return found
    bound = found.value * (1 - quantile(found.confidence) / quantile(1 - p))
    return replace(found, low=bound) if found.value > 0 else replace(found, high=bound)


def quantile(confidence: float) -> float:
    """How many standard deviations to both sides hold this share of a normal distribution."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def sign_flip(differences: Sequence[float], *, draws: int = 9_999, seed: int = 0) -> float:
    """The chance of a mean difference as far from 0 if signs were chance; two-sided.

    Exact for up to 12 cases that differ, else drawn, and then never 0 (Phipson and Smyth 2010).
    """
    moved = [abs(one) for one in differences if one]
    seen = abs(sum(differences)) - 1e-12
    if len(moved) <= 12:
        ways = 1 << len(moved)
        return sum(abs(_signed(moved, way)) >= seen for way in range(ways)) / ways
    random = Random(seed)
    hits = sum(abs(_signed(moved, random.getrandbits(len(moved)))) >= seen for _ in range(draws))
    return (hits + 1) / (draws + 1)


def _signed(values: Sequence[float], signs: int) -> float:
    return sum(value if signs >> place & 1 else -value for place, value in enumerate(values))


def mcnemar_exact(worse: int, better: int) -> float:
    """Two-sided p that as many pairs changed one way and the other; exact (McNemar 1947)."""
    n, tail = worse + better, min(worse, better)
    return min(1.0, 2 * sum(comb(n, k) for k in range(tail + 1)) / 2**n) if n else 1.0
