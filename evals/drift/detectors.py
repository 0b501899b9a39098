"""What may say that a judge has changed: ours, and what people use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from lg_production.evaluation.agreement import cohen_kappa
from lg_production.evaluation.drift import Baseline, PermutationTest
from lg_production.evaluation.statistics import mcnemar_exact

from .world import Drift, is_moved, item, judge_of

K, ALPHA, DRAWS = 5, 0.01, 999


@dataclass(frozen=True)
class Round:
    """Control items with their first grades, and one of today each."""

    before: Mapping[str, tuple[int, ...]]
    today: Mapping[str, int]


def played(drift: Drift, floor: float, n: int, random: Random) -> Round:
    """One round of `n` control items."""
    old, new = judge_of("none", floor), judge_of(drift, floor)
    before, today = {}, {}
    for name in map(str, range(n)):
        margin, moved = item(random), is_moved(drift, random)
        before[name] = tuple(old.grade(margin, False, random) for _ in range(K))
        today[name] = new.grade(margin, moved, random)
    return Round(before, today)


def ours(found: Round) -> bool:
    """The permutation test within items."""
    test = PermutationTest(ALPHA, DRAWS, seed=0)
    return test.test(Baseline("", "", found.before), found.today).drifted


def labels(found: Round) -> list[tuple[bool, bool]]:
    """Whether each item passed at first, and today."""
    return [(found.before[name][0] > 5, score > 5) for name, score in found.today.items()]


def mcnemar(found: Round) -> bool:
    """McNemar's exact test on labels."""
    pairs = labels(found)
    lost, won = (sum(pair == way for pair in pairs) for way in ((True, False), (False, True)))
    return mcnemar_exact(lost, won) <= ALPHA


def kappa(found: Round) -> bool:
    """Cohen's kappa of labels below 0.8."""
    return cohen_kappa(labels(found)) < 0.8


def points(found: Round) -> bool:
    """The pass rate has moved by more than five points."""
    pairs = labels(found)
    return abs(sum(b for _, b in pairs) - sum(a for a, _ in pairs)) > 0.05 * len(pairs)


DETECTORS: Mapping[str, Callable[[Round], bool]] = {
    "within items, 10 levels, K = 5 (ours)": ours,
    "McNemar on labels": mcnemar,
    "kappa below 0.8": kappa,
    "pass rate moved 5 points": points,
}
