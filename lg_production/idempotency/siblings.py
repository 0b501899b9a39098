"""The calls of one model answer that share a task, as the ledger knows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.steps import Statement, Steps
from . import ledger
from .acquire import claim
from .ledger import Effect, Wanted
from .operation import Ahead
from .questions import Doubts, settle_doubts

UNPAUSE = """
UPDATE lg_production.effects e SET paused_task = NULL
WHERE e.key = ANY(%(keys)s::bytea[]) AND e.paused_task = %(task_id)s
"""


def unpause(keys: Sequence[bytes], task_id: str) -> Statement[None]:
    """These tools interrupted, but LangGraph will show the question of another."""
    params = {"keys": list(keys), "task_id": task_id}
    return Statement(UNPAUSE, params, lambda _: None, repeatable=True)


@dataclass(frozen=True, slots=True)
class Siblings:
    """Keys and call ids of one task, in the order of the calls."""

    task_id: str
    order: Sequence[str]
    wanted: Sequence[Wanted]
    call_of: Mapping[bytes, str]
    shown: Mapping[bytes, tuple[str, Mapping[str, Any]]]
    decided_by: str
    ahead: dict[str, Ahead]
    """What was claimed for the calls together, and that none of them has taken yet."""

    @property
    def rowless(self) -> set[str]:
        """The calls that the ledger knows nothing of: they start anew in every run."""
        return set(self.order) - set(self.call_of.values())

    def look(self) -> Statement[list[Effect]]:
        """The effects that exist, in the order of the calls."""
        return ledger.look(list(self.call_of))

    def claim(self, at_once: int | None) -> Steps[list[Effect]]:
        """Claim what the first `at_once` calls ask for, or all, and look at the rest.

        No more than start at once: what is claimed and has not begun when a worker dies is
        in doubt, though nothing happened. Returns the effects that were there before.
        """
        for ahead in (yield from claim(self.wanted[:at_once])):
            self.ahead[ahead.wanted.tool_call_id or ""] = ahead
        found = [(a.claim, a.wanted.owner) for a in self.ahead.values()]
        known = [e for e, owner in found if isinstance(e, Effect) and e.owner != owner]
        rest = [w.key for w in self.wanted[len(self.ahead) :]]
        return known + ((yield from ledger.look(rest)) if rest else [])

    def release(self) -> Steps[None]:
        """Give back what was claimed and no call has taken."""
        left = [self.ahead.pop(call, None) for call in list(self.ahead)]
        if unused := [ahead.wanted for ahead in left if ahead is not None]:
            yield from ledger.release(unused)  # of others' effects it changes nothing

    def first(self, calls: Collection[str]) -> str:
        """Who of them may ask: those without a row first, then in the order of the calls."""
        return min(calls, key=lambda c: (c not in self.rowless, self.order.index(c)))

    def only_paused(self, asking: str) -> Statement[None]:
        """The others did not get to ask: at the next run they start anew."""
        keys = [key for key, call in self.call_of.items() if call != asking]
        return unpause(keys, self.task_id)

    def ask(self, doubts: Doubts) -> Steps[None]:
        """One question about all of these effects that are in doubt."""
        effects = yield from ledger.look(list(doubts))
        doubtful = [e for e in effects if e.state == "in_doubt"]
        yield from settle_doubts(doubtful, doubts, self.task_id, decided_by=self.decided_by)
