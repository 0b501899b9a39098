"""Whether a judge has changed: its grades of control items today, beside those of its first day.

When a judge is pinned it grades each control item K times. Later it grades them once more. If it is
still the same, the new grade is one of K+1 of a kind, and any of them could as well be the new one:
a permutation test within items, exact whatever the judge's noise is like, also if it differs by
item. Ten levels and K = 5 find a drift that flips 5 % of the labels with 25 to 40 grades.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from ..errors import BaselineUnusable, RunsDiffer
from .permuting import drawn, least, residuals
from .scale import SCALE, is_grade

LEAST_ITEMS = 8
"""Fewer control items could not show a drift at any p that one would call an alarm."""


@dataclass(frozen=True, slots=True, eq=False)
class Regrades(Mapping[str, int | None]):
    """One grade of each item, of one judge on one day; None where it was unreadable.

    `pin` is the hash of the judge's pin, `data` that of the items: grades of another judge, or of
    other items, are refused wherever they are compared. "" if it is not known.
    """

    grades: Mapping[str, int | None]
    pin: str = ""
    data: str = ""

    def __getitem__(self, name: str) -> int | None:
        return self.grades[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.grades)

    def __len__(self) -> int:
        return len(self.grades)

    @classmethod
    def of(cls, grades: Mapping[str, int | None], pin: str | None = None) -> Self:
        """These grades, with what is known of them. Raises `RunsDiffer` if `pin` is another."""
        if not isinstance(grades, cls):
            return cls(grades, pin or "")
        if pin and grades.pin and pin != grades.pin:
            raise RunsDiffer(f"(they are of judge {grades.pin:.12}, not of {pin:.12})")
        return cls(grades.grades, grades.pin or pin or "", grades.data)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Grades of control items by a judge on the day it was pinned.

    `grades`: for each item by its id, at least two scores from 1 to 10; what could not be read is
    left out. `pin`: the hash of the judge's pin; `data`: that of the control items.
    Raises `BaselineUnusable` for fewer than 8 items with two grades, and for a score that is none.
    """

    pin: str
    data: str
    grades: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        for name, scores in self.grades.items():
            check_grades(f"item {name!r} has", scores)
        usable = sum(len(scores) > 1 for scores in self.grades.values())
        if usable < LEAST_ITEMS:
            raise BaselineUnusable(f"({usable} items have two grades; {LEAST_ITEMS} must)")

    def write(self, file: Path | str) -> Path:
        """Write this as JSON."""
        target = Path(file)
        target.write_text(json.dumps(asdict(self), indent=1, default=list) + "\n", encoding="utf-8")
        return target

    @classmethod
    def read(cls, file: Path | str) -> Self:
        """A baseline from its file. Raises `BaselineUnusable`."""
        try:
            told = json.loads(Path(file).read_text(encoding="utf-8"))
            grades = {str(name): tuple(scores) for name, scores in told["grades"].items()}
            return cls(str(told["pin"]), str(told["data"]), grades)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BaselineUnusable(f"({file}: {type(error).__name__})") from None

    def graded(self, today: Mapping[str, int | None]) -> list[tuple[int, ...]]:
        """The grades of each item that was graded today, and twice before; today's is the last.

        Raises `RunsDiffer` for an item that is not in the baseline, and `BaselineUnusable` if too
        few were graded, for a grade that is none, or if they are of another judge or other items.
        """
        self._refuse_others(Regrades.of(today))
        unknown = sorted(set(today) - set(self.grades))
        if unknown:
            raise RunsDiffer(f"(the baseline has no item {unknown[0]!r})")
        known = {name: score for name, score in today.items() if score is not None}
        for name, score in known.items():
            check_grades(f"today item {name!r} has", (score,))
        found = [
            (*self.grades[name], score)
            for name, score in known.items()
            if len(self.grades[name]) > 1
        ]
        if len(found) < LEAST_ITEMS:
            raise BaselineUnusable(f"({len(found)} items were graded today; {LEAST_ITEMS} must be)")
        return found

    def _refuse_others(self, today: Regrades) -> None:
        for what, ours, theirs in (
            ("judge", self.pin, today.pin),
            ("items", self.data, today.data),
        ):
            if theirs and ours != theirs:
                raise BaselineUnusable(f"(they are of {what} {ours[:12]}, not of {theirs:.12})")

    def residuals(self, today: Mapping[str, int | None]) -> list[tuple[float, ...]]:
        """The residuals of each item that was graded today; today's is the last. As `graded`."""
        return [residuals(row) for row in self.graded(today)]


def check_grades(who: str, scores: Iterable[object]) -> None:
    """Raise `BaselineUnusable` for a score that is no whole number from 1 to 10."""
    for score in scores:
        if not is_grade(score):
            told = f"a grade is a whole number from 1 to {SCALE}"
            raise BaselineUnusable(f"({who} the grade {score!r}; {told})")


@dataclass(frozen=True, slots=True)
class JudgeDrift:
    """What the test said. `shift`: how much higher today's grades are, in levels, on average.

    `p` is the smaller of both statistics' (their direction, and how far they lie apart), times two;
    `p_direction` and `p_dispersion` are theirs. `items` were graded; `missing` are those of the
    baseline that were not, by their ids.
    """

    p: float
    p_direction: float
    p_dispersion: float
    shift: float
    items: int
    alpha: float
    missing: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether the judge is another one than it was; a p of exactly alpha is enough."""
        return self.p <= self.alpha


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """Two-sided tests of direction and dispersion within items, with Bonferroni's correction.

    The chance that a judge which has not changed is said to have is at most `alpha`. Source: exact
    permutation tests (Fisher 1935; Phipson and Smyth 2010: a drawn p is never 0).
    """

    alpha: float = 0.01
    draws: int = 9_999
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or 2 / (self.draws + 1) > self.alpha:
            raise ValueError("alpha is between 0 and 1, and draws at least 2 / alpha")

    def test(
        self, baseline: Baseline, today: Mapping[str, int | None], *, pin: str | None = None
    ) -> JudgeDrift:
        """Compare today's grades, one an item, with the baseline's.

        `regraded` tells by which judge; of a plain mapping, `pin` is the hash of its pin. Raises
        `BaselineUnusable` if it is another judge's than the baseline's, or if no grades at all
        could have been an alarm.
        """
        graded = baseline.graded(Regrades.of(today, pin))
        self._refuse_what_shows_nothing([row[:-1] for row in graded])
        rows = [residuals(row) for row in graded]
        sums = drawn(rows, self.draws, self.seed)
        above = [sum(one[side] >= sums[0][side] - 1e-9 for one in sums) for side in (0, 1)]
        direction, dispersion = (count / len(sums) for count in above)
        p = min(1.0, 2 * min(direction, dispersion))
        shift = fmean(row[-1] for row in rows)
        missing = tuple(name for name in baseline.grades if today.get(name) is None)
        return JudgeDrift(p, direction, dispersion, shift, len(rows), self.alpha, missing)

    def _refuse_what_shows_nothing(self, before: Sequence[tuple[int, ...]]) -> None:
        if (best := 2 * least(before)) > self.alpha:
            raise BaselineUnusable(
                f"({len(before)} items as they were graded come to p = {best:.2g} at best, "
                f"whatever they get today; an alarm takes {self.alpha:g})"
            )


def regraded(judge: Any, items: Mapping[str, Any], data: str = "") -> Regrades:
    """One grade of each item (case, outcome) by a judge, now. `data`: the hash of the items."""
    grades = {name: judge.grade(*item).score for name, item in items.items()}
    return Regrades(grades, judge.pin.hash, data)


def baseline_of(judge: Any, items: Mapping[str, Any], data: str, *, k: int = 5) -> Baseline:
    """A judge's baseline: each control item (case, outcome) graded `k` times, now.

    `data`: the hash of the items. Raises `BaselineUnusable`.
    """
    rounds = [regraded(judge, items) for _ in range(k)]
    grades = {
        name: tuple(score for each in rounds if (score := each[name]) is not None) for name in items
    }
    return Baseline(judge.pin.hash, data, grades)
