"""Gates: whether a run is good enough, by the bound of its interval and not by a lucky figure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .comparing import compare
from .results import Report


class Exit(IntEnum):
    """What a program says when it ends, for CI."""

    PASSED = 0
    FAILED = 1
    BAD_INPUT = 2
    NOT_FINISHED = 3


@dataclass(frozen=True, slots=True)
class Gate:
    """What a run must reach, all of it.

    `min_pass_rate`: the lower bound of the pass rate, so that a few lucky cases are not enough.
    `max_drop`: against a run before, the pass rate may surely not have dropped by more: the lower
    bound of the difference is above it. `every`: no case may fail at all.
    """

    min_pass_rate: float | None = None
    max_drop: float | None = None
    every: bool = False
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for share in (self.min_pass_rate, self.max_drop):
            if share is not None and not 0 <= share <= 1:
                raise ValueError("min_pass_rate and max_drop are shares, between 0 and 1")

    def objections(self, report: Report, before: Report | None = None) -> list[str]:
        """Why a run does not pass; empty if it does. Raises `RunsDiffer` for other data."""
        found = []
        rate = report.rate(confidence=self.confidence)
        if self.min_pass_rate is not None and rate.low < self.min_pass_rate:
            found.append(
                f"the pass rate is {rate.value:.1%}, surely no lower than {rate.low:.1%}: "
                f"{self.min_pass_rate:.1%} is asked for"
            )
        failed = [one.id for one in report.results if one.rate < 1]
        if self.every and failed:
            found.append(f"{len(failed)} cases failed: {', '.join(failed[:8])}")
        if self.max_drop is not None and before is not None:
            change = compare(before, report, confidence=self.confidence).difference
            if change.low < -self.max_drop:
                found.append(
                    f"the pass rate changed by {100 * change.value:+.1f} points, perhaps by "
                    f"{100 * change.low:+.1f}: {-100 * self.max_drop:+.1f} is allowed"
                )
        return found

    def exit(self, report: Report, before: Report | None = None) -> Exit:
        """The exit code for a run."""
        if report.stopped:
            return Exit.NOT_FINISHED
        return Exit.FAILED if self.objections(report, before) else Exit.PASSED
