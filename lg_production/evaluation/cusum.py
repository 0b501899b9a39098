"""Two CUSUMs for a judge that is watched every night: one for its level, one for its noise.

Each re-grade of a control item adds its residual (today's grade less the item's mean at the pin)
to sums that forget what is ordinary. The one finds a judge that became stricter or milder, the
other one that became erratic. Source: Page 1954. Thresholds are simulated from the baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, pstdev
from typing import Literal, Self

from .drift import Baseline
from .permuting import residuals

ALLOWANCE = 0.5
"""What each step forgets, in standard deviations: half of the shift that is looked for."""
RUNS = 4_000


@dataclass(frozen=True, slots=True)
class Scale:
    """What is ordinary: mean and standard deviation of a residual, and of its distance from 0."""

    mean: float
    deviation: float
    distance: float
    spread: float

    @classmethod
    def of(cls, pool: Sequence[float]) -> Self:
        """The scale of these residuals; of a judge without any noise, a tenth of a level."""
        away = [abs(one) for one in pool]
        return cls(fmean(pool), pstdev(pool) or 0.1, fmean(away), pstdev(away) or 0.1)

    def step(self, value: float) -> tuple[float, float, float]:
        """What a residual adds to the sums upwards, downwards and of noise."""
        z = (value - self.mean) / self.deviation
        away = (abs(value) - self.distance) / self.spread
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

        Each sum has half of that chance.
        """
        pool = [
            r for scores in baseline.grades.values() if len(scores) > 1 for r in residuals(scores)
        ]
        scale, random = Scale.of(pool), Random(seed)  # noqa: S311 - no secret
        steps = [scale.step(value) for value in pool]
        peaks = [_peaks(random.choices(steps, k=within)) for _ in range(RUNS)]
        place = int((1 - false_alarms / 2) * RUNS)
        level, noise = (sorted(side)[place] for side in zip(*peaks, strict=True))
        return cls(scale, level, noise)

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
