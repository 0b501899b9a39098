# ruff: noqa: S311 - what is drawn here is no secret
"""What a few runs say about all: shares and differences with intervals, and passing every time.

Everything is deterministic: what draws takes a seed. Intervals are of the cases, since other cases
of the kind are what one wants to know about; repetitions of a case are no further cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from random import Random
from statistics import fmean

from ..core.intervals import wilson

DRAWS = 2_000


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


def bootstrap(
    values: Sequence[float], *, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of one value for each case, with the percentile bootstrap's interval over cases.

    Raises `ValueError` without cases. Source: Efron and Tibshirani 1993, chapter 13.
    """
    if not values:
        raise ValueError("a mean of no cases is none")
    random, n = Random(seed), len(values)
    means = sorted(fmean(random.choices(values, k=n)) for _ in range(draws))
    low, high = _tails(means, confidence)
    return Interval(fmean(values), low, high, n, confidence)


def paired_bootstrap(
    old: Sequence[float], new: Sequence[float], *, confidence: float = 0.95, draws: int = DRAWS,
    seed: int = 0,
) -> Interval:  # fmt: skip
    """The mean difference new - old, both of the same cases in the same order, with its interval.

    A case that is hard for both says nothing about the difference: pairs are drawn, not sides.
    Raises `ValueError` without cases, or for sides of different lengths.
    """
    differences = [after - before for before, after in zip(old, new, strict=True)]
    found = bootstrap(differences, confidence=confidence, draws=draws, seed=seed)
    if any(differences):
        return found
    wide = wilson(0, len(differences), confidence).high  # no case differs: others still may
    return replace(found, low=-wide, high=wide)


def _tails(ordered: Sequence[float], confidence: float) -> tuple[float, float]:
    skip = int((1 - confidence) / 2 * len(ordered))
    return ordered[skip], ordered[len(ordered) - 1 - skip]


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
