"""Simulated judges: items with a latent margin, grades on ten levels, and three ways to drift.

An item's margin is normal with mean 1.2 and deviation 1.5 (a pass rate of 0.79). A grade is the
margin with the judge's noise, cut into ten levels around the border of passing. The noise is such
that two grades of one judge disagree about passing in so many items (the floor); the drift such
that it turns 5 % of the labels: `strict` lowers all margins, `het` those of 30 % of the items,
`sym` turns the sign of 5 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

Drift = Literal["none", "strict", "het", "sym"]
MEAN, DEVIATION, STEP = 1.2, 1.5, 0.6
TURNED, SHARE = 0.05, 0.30
MANY = 40_000


def level(value: float) -> int:
    """A grade from 1 to 10; 6 and more passes."""
    return min(10, max(1, int(value // STEP) + 6))


@dataclass(frozen=True)
class Judge:
    """A judge with its noise, and perhaps a drift."""

    noise: float
    drift: Drift = "none"
    by: float = 0.0

    def grade(self, margin: float, moved: bool, random: Random) -> int:
        """One grade of an item; `moved`: whether the drift is about this one."""
        if self.drift in ("strict", "het") and moved:
            margin -= self.by
        if self.drift == "sym" and moved:
            margin = -margin
        return level(margin + random.gauss(0, self.noise))


def item(random: Random) -> float:
    """An item's margin."""
    return random.gauss(MEAN, DEVIATION)


def is_moved(drift: Drift, random: Random) -> bool:
    """Whether a drift is about an item."""
    share = {"none": 0.0, "strict": 1.0, "het": SHARE, "sym": TURNED}[drift]
    return random.random() < share


@cache
def noise_for(floor: float) -> float:
    """The noise with which two grades disagree about passing in this share of the items."""
    random = Random(1)
    margins = [item(random) for _ in range(MANY)]
    pairs = [(random.gauss(0, 1), random.gauss(0, 1)) for _ in range(MANY)]
    return bisected(
        lambda noise: (
            sum(
                (m + a * noise >= 0) != (m + b * noise >= 0)
                for m, (a, b) in zip(margins, pairs, strict=True)
            )
            / MANY
        ),
        floor,
    )


@cache
def shift_for(share: float, turned: float = TURNED) -> float:
    """How far margins of this share of the items fall if so many of all labels turn."""
    random = Random(2)
    margins = [item(random) for _ in range(MANY)]
    return bisected(lambda by: share * sum(0 <= m < by for m in margins) / MANY, turned)


def bisected(function: object, wanted: float) -> float:
    """Where a function that grows reaches a value."""
    low, high = 0.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < wanted else (low, middle)  # type: ignore[operator]
    return (low + high) / 2


def judge_of(drift: Drift, floor: float) -> Judge:
    """The judge after this drift."""
    by = {"strict": shift_for(1.0), "het": shift_for(SHARE)}.get(drift, 0.0)
    return Judge(noise_for(floor), drift, by)
