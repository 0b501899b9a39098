"""Figures, and how they are taken: every variant in every round, in a new order each time."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["at_least", "at_most", "report"]


@dataclass(frozen=True)
class Figure:
    """One line of the table. `low` and `high` are the quartiles of the rounds."""

    section: str
    name: str
    value: float
    low: float
    high: float
    unit: str = "x"
    kind: Kind = "report"
    target: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.kind == "at_least" else self.value <= self.target


Samples: TypeAlias = dict[str, list[float]]


def rounds(variants: Mapping[str, Callable[[], float]], count: int, warm: int = 1) -> Samples:
    """`count` samples of every variant, after `warm` rounds that are thrown away."""
    samples: Samples = {name: [] for name in variants}
    for number in range(count + warm):
        for name in random.sample(list(variants), len(variants)):
            value = variants[name]()
            if number >= warm:
                samples[name].append(value)
    return samples


def timed(function: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def figure(
    section: str,
    name: str,
    values: Sequence[float],
    *,
    unit: str = "x",
    kind: Kind = "report",
    target: float | None = None,
    note: str = "",
) -> Figure:
    """A figure from samples: their median and quartiles."""
    low, middle, high = quartiles(values)
    return Figure(section, name, middle, low, high, unit, kind, target, note)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def blocks(values: Sequence[float], size: int) -> Iterator[float]:
    """Medians of consecutive blocks: a spread that says how sure the median is."""
    for start in range(0, len(values) - size + 1, size):
        yield statistics.median(values[start : start + size])


def faster(floor: Sequence[float], ours: Sequence[float], size: int = 25) -> list[float]:
    """How many times the floor's operations a second, from latencies, block by block."""
    size = min(size, len(floor), len(ours))
    return [f / o for f, o in zip(blocks(floor, size), blocks(ours, size), strict=True)]
