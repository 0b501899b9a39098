"""Two CUSUMs for a judge that is watched every night: one for its level, one for its noise.

Each re-grade of a control item adds its residual (today's grade less the item's mean at the pin)
to sums that forget what is ordinary. The one finds a judge that became stricter or milder, the
other one that became erratic. Source: Page 1954.

An item's mean is of a few grades, and what it is wrong by comes back whenever the item does: few
items, graded every night, look like a drift. So thresholds come of simulated control sets: each is
graded for its baseline, which gives its own means and scale, and is then graded again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import sqrt
from random import Random
from statistics import fmean
from typing import Literal, Self

from ..errors import BaselineUnusable
from .drift import Baseline
from .permuting import residuals

ALLOWANCE = 0.5
"""What each step forgets, in standard deviations: half of the shift that is looked for."""
FURTHEST = 2.5
"""What a grade may add to the sums of the level, in standard deviations: one that was given upside
down, today or at the pin, is no drift (as Winsor's). The sum of noise lives on such grades."""
RUNS, ITEMS = 4_000, 2_000
"""Simulated control sets, and the items that they are drawn from."""


@dataclass(frozen=True, slots=True)
class Item:
    """A control item at the pin: its mean, and the sums of its residuals and of their squares."""

    mean: float
    grades: int
    away: float
    squares: float

    @classmethod
    def of(cls, scores: Sequence[float]) -> Self:
        """An item with these scores."""
        rest = residuals(scores)
        return cls(fmean(scores), len(rest), sum(map(abs, rest)), sum(one * one for one in rest))


@dataclass(frozen=True, slots=True)
class Scale:
    """What is ordinary: a residual's standard deviation; its mean distance from 0, and the
    deviation of that.
    """

    deviation: float
    distance: float
    spread: float

    @classmethod
    def of(cls, items: Sequence[Item]) -> Self:
        """The scale of these items, and of a level up and one down that have not been seen."""
        n = 2 + sum(item.grades for item in items)
        square = (2 + sum(item.squares for item in items)) / n
        distance = (2 + sum(item.away for item in items)) / n
        return cls(sqrt(square), distance, sqrt(max(square - distance * distance, 0.01)))

    def step(self, residual: float) -> tuple[float, float, float]:
        """What a residual adds to the sums upwards, downwards and of noise."""
        z = max(-FURTHEST, min(FURTHEST, residual / self.deviation))
        away = (abs(residual) - self.distance) / self.spread
        return z - ALLOWANCE, -z - ALLOWANCE, away - ALLOWANCE


@dataclass(frozen=True, slots=True)
class Monitor:
    """The sums after some re-grades, a frozen value: keep it between the nights.

    `level` and `noise` are the thresholds. `alarm` is None until one is passed, and stays.
    """

    scale: Scale
    level: float
    noise: float
    up: float = 0.0
    down: float = 0.0
    erratic: float = 0.0
    seen: int = 0
    alarm: Literal["stricter", "milder", "erratic"] | None = None

    @classmethod
    def of(
        cls, baseline: Baseline, *, false_alarms: float = 0.01, within: int = 200, seed: int = 0
    ) -> Self:
        """A monitor that calls an unchanged judge changed with this chance within so many grades.

        Each sum has half of that chance. The items are graded in turn, all of them before any is
        graded again. Raises `BaselineUnusable` if they are too few for that: the threshold is one
        that a shift of a standard deviation would not come to.
        """
        rows = [scores for scores in baseline.grades.values() if len(scores) > 1]
        peaks = simulated(rows, within, Random(seed))  # noqa: S311 - no secret
        place = int((1 - false_alarms / 2) * RUNS)
        level, noise = (sorted(side)[place] for side in zip(*peaks, strict=True))
        if max(level, noise) >= (1 - ALLOWANCE) * within:
            raise BaselineUnusable(f"({len(rows)} items cannot be watched for {within} grades)")
        return cls(Scale.of([Item.of(row) for row in rows]), level, noise)

    def after(self, *values: float) -> Self:
        """The monitor after these residuals."""
        now = self
        for value in values:
            now = now._step(value)
        return now

    def _step(self, value: float) -> Self:
        rise, fall, away = self.scale.step(value)
        up, down = max(0.0, self.up + rise), max(0.0, self.down + fall)
        erratic = max(0.0, self.erratic + away)
        alarm = self.alarm
        if alarm is None:
            over = {"milder": up - self.level, "stricter": down - self.level,
                    "erratic": erratic - self.noise}  # fmt: skip
            most = max(over, key=lambda name: over[name])
            alarm = most if over[most] > 0 else None  # type: ignore[assignment]
        return type(self)(
            self.scale, self.level, self.noise, up, down, erratic, self.seen + 1, alarm
        )


def simulated(
    rows: Sequence[Sequence[int]], within: int, random: Random
) -> Iterator[tuple[float, float]]:
    """The highest that both sums come to with control sets like this one, and the same judge."""
    noise = deviations(rows)
    counts = islice(cycle(map(len, rows)), ITEMS)
    items = [Item.of(random.choices(noise, k=count)) for count in counts]
    for _ in range(RUNS):
        some = random.choices(items, k=len(rows))
        scale, nights = Scale.of(some), random.choices(noise, k=within)
        yield _peaks(
            [scale.step(new - i.mean) for new, i in zip(nights, cycle(some), strict=False)]
        )


def deviations(rows: Sequence[Sequence[int]]) -> list[float]:
    """What grades differ by from what they should be, and a level up and down as in `Scale.of`.

    Differences from the mean of a few are smaller than that, so they are stretched.
    """
    found = [1.0, -1.0]
    for row in rows:
        mean, by = fmean(row), sqrt(len(row) / (len(row) - 1))
        found += [(score - mean) * by for score in row]
    return found


def _peaks(steps: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """The highest that both sums come to."""
    up, down, erratic = (_peak(side) for side in zip(*steps, strict=True))
    return max(up, down), erratic


def _peak(steps: Iterable[float]) -> float:
    """The highest that a sum comes to which never falls below 0."""
    now = most = 0.0
    for step in steps:
        now += step
        if now < 0.0:
            now = 0.0
        elif now > most:
            most = now
    return most
