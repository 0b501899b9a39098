"""Two runs of the same data: is the agent better, worse, or is there no evidence of either?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import RunsDiffer
from .results import CaseResult, Report
from .statistics import Interval, paired


@dataclass(frozen=True, slots=True)
class Change:
    """A case in both runs: the shares of its trials that passed."""

    id: str
    split: str
    before: float
    after: float
    why: str = ""

    @property
    def difference(self) -> float:
        """Above 0 if it passes more often now."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs say about their agents.

    `difference` is that of the pass rates, new less old, over cases, with its interval; `p` how
    likely such a one is by chance (sign-flip test). Both say the same of no difference: that of an
    agent and itself is called one with a chance of at most 1 - confidence. `left_out` are cases
    that differ in the data, or that only one run has; `notes` say what else was not the same.
    """

    difference: Interval
    p: float
    changes: tuple[Change, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["better", "worse", "no evidence"]:
        """What the interval allows to say, and p with it."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "no evidence"

    def by_split(self) -> dict[str, Interval]:
        """The difference in each split. Several are looked at: one of them may differ by chance."""
        found: dict[str, list[Change]] = {}
        for change in self.changes:
            found.setdefault(change.split, []).append(change)
        confidence = self.difference.confidence
        return {name: difference(some, confidence=confidence)[0] for name, some in found.items()}


def difference(
    changes: Sequence[Change], *, confidence: float = 0.95, seed: int = 0
) -> tuple[Interval, float]:
    """The mean difference over cases, new less old, with its paired interval and p."""
    before, after = [one.before for one in changes], [one.after for one in changes]
    found, p = paired(before, after, confidence=confidence, seed=seed)
    return replace(found, low=max(-1.0, found.low), high=min(1.0, found.high)), p


def compare(
    old: Report, new: Report, *, allow_different_data: bool = False, confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare two runs, case by case.

    Raises `RunsDiffer` if their data differ, naming cases that do; with `allow_different_data` only
    the cases are compared that are the same in both, and the others are named.
    """
    before, after = {r.id: r for r in old.results}, {r.id: r for r in new.results}
    differing = _differing(old, new)
    if (old.hash != new.hash or differing) and not allow_different_data:
        raise RunsDiffer(
            f"({old.suite} {old.version} {old.hash[:8]} and {new.suite} {new.version} "
            f"{new.hash[:8]} differ in {_named(differing)}; allow_different_data compares the rest)"
        )
    common = [name for name in before if name in after and name not in differing]
    if not common:
        raise RunsDiffer("(they have no case in common)")
    changes = tuple(_change(before[name], after[name]) for name in common)
    found, p = difference(changes, confidence=confidence, seed=seed)
    return Comparison(found, p, changes, tuple(sorted(differing)), _notes(old, new))


def _notes(old: Report, new: Report) -> tuple[str, ...]:
    """What may have made a difference, although the agents are the same."""
    if old.words == new.words:
        return ()
    was, now = (one.words[:12] or "unknown" for one in (old, new))
    told = "claims_only_done knew claims by other words"
    return (f"{told}: the list was {was}, and now is {now}",)


def _differing(old: Report, new: Report) -> set[str]:
    """The cases that are not the same in both, or that one run has not."""
    before, after = _cases(old), _cases(new)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _cases(report: Report) -> dict[str, Mapping[str, Any]]:
    tried = {result.id for result in report.results}
    return {case["id"]: case for case in report.cases if case["id"] in tried}


def _change(old: CaseResult, new: CaseResult) -> Change:
    why = next(iter(new.failures.items()), None) if new.rate < old.rate else None
    return Change(old.id, old.split, old.rate, new.rate, f"{why[0]}: {why[1]}" if why else "")


def _named(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:8]) or "what was run"
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
