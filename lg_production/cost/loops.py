"""LoopPolicy: whether an agent goes in circles, and which answer to that is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from .loop_detectors import WATCHES
from .loop_history import Kind, Mark, Rung, Turn, last_mark, open_calls, turns
from .loop_steps import MOST_CALLS, Finding, Thresholds, alike, found, steps

__all__ = ["Due", "Finding", "LoopPolicy", "Turn", "turns"]


@dataclass(frozen=True, slots=True)
class Due:
    """The rung that is due, and the loop that it answers."""

    rung: Rung
    level: int
    finding: Finding


class LoopPolicy(Thresholds):
    """What counts as a loop (see `Thresholds`), and what is done about it.

    `ladder` is what to do, one rung for each finding, the last one ever again: `tell` the model,
    `block` the calls of the loop, have it `answer` without tools, `interrupt` to ask a person,
    `stop`. Only a ladder that ends with `stop` ends every loop. `recovery` steps with new
    results lead back to its foot, except from `answer`: a call after that is the next rung. So
    is a call that was refused. A person who speaks makes everything start anew; one who answers
    an interrupt makes the counting start anew, and the ladder goes on.
    """

    ladder: Annotated[tuple[Rung, ...], Field(min_length=1)] = ("tell", "block", "answer", "stop")
    recovery: Annotated[int, Field(ge=1, strict=True)] = 3

    def decide(self, history: Sequence[Turn]) -> Finding | None:
        """The loop that the last step goes on with, or None. Linear in the history."""
        watches = [watch(self) for watch in WATCHES]
        hits: list[Finding | None] = []
        for step in steps(self, history):
            hits = [watch(step) for watch in watches]
            if step.refused:
                hits = [found(step.refused[0].refused or "same_call", step, 1, step.refused)]
        return next((hit for hit in hits if hit), None)

    def due(self, messages: Sequence[Any]) -> Due | None:
        """The rung that the last step earned, or None. The same messages, the same rung."""
        mark, history = last_mark(messages), turns(messages)
        if (
            not history
            or open_calls(messages)
            or (mark is not None and history[-1].index < mark.index)
        ):
            return None
        finding = self.decide(history) or defied(mark, history)
        if finding is None:
            return None
        level = self._level(mark, history)
        return Due(self.ladder[level], level, joined(finding, mark if level else None))

    def refuses(self, messages: Sequence[Any], call: Turn) -> Kind | None:
        """The kind of loop for which this call is not to be made, or None."""
        mark = last_mark(messages)
        if mark is None or mark.rung not in ("block", "answer"):
            return None
        if mark.rung == "answer":
            return mark.kind
        history = turns(messages)
        if self.recovered(history, mark):
            return None
        return mark.kind if self._continues(call, mark, history) else None

    def goes_on(self, messages: Sequence[Any], call: Turn) -> Kind | None:
        """The kind of loop that this call would go on with, whatever was said about it."""
        history = turns(messages)
        done = [turn for turn in history if turn.result is not None]
        finding = self.decide(done)
        if finding is None:
            return None
        mark = Mark(0, "block", 0, finding.kind, finding.since, finding.repeats, finding.calls)
        return mark.kind if self._continues(call, mark, done) else None

    def recovered(self, history: Sequence[Turn], mark: Mark) -> bool:
        """Whether enough was new since we spoke."""
        after = (step for step in steps(self, history) if step.index > mark.index)
        return mark.rung != "answer" and sum(s.progress for s in after) >= self.recovery

    def _level(self, mark: Mark | None, history: Sequence[Turn]) -> int:
        if mark is None or self.recovered(history, mark):
            return 0
        return max(0, min(mark.level + 1, len(self.ladder) - 1))

    def _continues(self, call: Turn, mark: Mark, history: Sequence[Turn]) -> bool:
        if call.call in mark.calls:
            return True
        return mark.kind == "near_duplicate" and any(
            turn.call in mark.calls and alike(call, turn, self.similarity) for turn in history
        )


def defied(mark: Mark | None, history: Sequence[Turn]) -> Finding | None:
    """A call that was made although the model was to answer."""
    last = [turn for turn in history if turn.index == history[-1].index and turn.tool]
    if mark is None or mark.rung != "answer" or not last:
        return None
    tools = tuple(sorted({turn.tool for turn in last}))
    return Finding(mark.kind, mark.index, 1, tools, mark.calls)


def joined(finding: Finding, mark: Mark | None) -> Finding:
    """The finding, with what is known of the loop that it goes on with."""
    if mark is None or mark.kind != finding.kind:
        return finding
    calls = tuple(dict.fromkeys((*finding.calls, *mark.calls)))[:MOST_CALLS]
    if finding.repeats > 1:
        return replace(finding, calls=calls)
    return replace(finding, calls=calls, since=mark.since, repeats=mark.repeats + 1)
