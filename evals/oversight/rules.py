"""The rules for a threshold that are compared, and what research measured of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lg_production.oversight.thresholds import EscapeRate, Label, SelectiveRisk, curve

from .world import World

ALPHA, DELTA = 0.10, 0.10
Rule: TypeAlias = Callable[[Sequence[Label]], float | None]
Published: TypeAlias = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Contender:
    """A rule, and for each n its published P(error > alpha), mean error and automation."""

    name: str
    rule: Rule
    published: dict[int, Published]
    world: World = field(default_factory=World)
    promise: str = "error"


def fixed(_: Sequence[Label]) -> float | None:
    """What tutorials do."""
    return 0.7


def empirical(labels: Sequence[Label]) -> float | None:
    """The smallest threshold whose labelled cases have at most the allowed error.

    Every score may be one. Published figures fit a grid of hundredths better: of five grids tried
    it came nearest, and breaks 0.57, 0.47 and 0.43 with 100, 300 and 1000 labels.
    """
    kept = [point.value for point in curve(labels) if point.errors <= ALPHA * point.n]
    return kept[-1] if kept else None


def known_good(labels: Sequence[Label]) -> float | None:
    """A conformal quantile of the correct cases: at most alpha of them are held back."""
    good = sorted(label.score for label in labels if label.correct)
    place = math.floor(ALPHA * (len(good) + 1)) - 1
    return good[place] if place >= 0 else None


def strictest(labels: Sequence[Label]) -> float | None:
    """Learn then Test, from the strictest threshold that 22 labels can prove."""
    fewest = SelectiveRisk(ALPHA, DELTA).fewest
    return SelectiveRisk(ALPHA, DELTA, starts=(fewest / len(labels),)).fit(labels).value


def four_starts(labels: Sequence[Label]) -> float | None:
    """The same from four thresholds, a quarter of delta each; where they stood is not published.

    A sequence that reaches the next start hands its delta on, which automates a little more.
    """
    return SelectiveRisk(ALPHA, DELTA, starts=(0.01, 0.25, 0.5, 0.75)).fit(labels).value


def as_shipped(labels: Sequence[Label]) -> float | None:
    """`SelectiveRisk` with its defaults: from the strictest tenth, which was chosen on this world.

    On five others that had little or no part in the choice, it automated more than `strictest`
    in four with 1,000 labels, in all with 3,000, and in none with 300.
    """
    return SelectiveRisk(ALPHA, DELTA).fit(labels).value


def escape_rate(labels: Sequence[Label]) -> float | None:
    """Conformal risk control on what is auto-approved and wrong."""
    return EscapeRate(ALPHA).fit(labels).value


CONTENDERS = (
    Contender("fixed 0.7", fixed, {1000: (1.0, 0.151, 0.69)}),
    Contender("fixed 0.7, over-confident", fixed, {1000: (1.0, 0.236, 0.99)}, World(confidence=4)),
    Contender(
        "empirical error ≤ α",
        empirical,
        {100: (0.60, 0.106, 0.46), 300: (0.51, 0.100, 0.42), 1000: (0.43, 0.098, 0.41)},
    ),
    Contender("quantile of known-good", known_good, {1000: (1.0, 0.19, 0.85)}),
    Contender(
        "LTT, strictest first",
        strictest,
        {300: (0.03, 0.020, 0.07), 1000: (0.01, 0.037, 0.13), 3000: (0.00, 0.064, 0.25)},
    ),
    Contender(
        "LTT, 4 starts",
        four_starts,
        {300: (0.00, 0.009, 0.03), 1000: (0.00, 0.043, 0.15), 3000: (0.00, 0.077, 0.30)},
    ),
    Contender(
        "SelectiveRisk as shipped",
        as_shipped,
        dict.fromkeys((100, 300, 1000, 3000), (None, None, None)),
    ),
    Contender(
        "EscapeRate (CRC)",
        escape_rate,
        {300: (None, 0.144, 0.65), 1000: (None, 0.147, 0.67)},
        promise="escape",
    ),
)
JOINT = {300: 0.095, 1000: 0.099}
"""What research measured of auto-approved and wrong, under `EscapeRate`."""
