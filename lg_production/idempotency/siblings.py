"""The calls of one model answer that share a task, as the ledger knows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.steps import Statement, Steps
from . import ledger
from .ledger import Effect
from .questions import Doubts, settle_doubts


@dataclass(frozen=True, slots=True)
class Siblings:
    """Keys and call ids of one task, in the order of the calls."""

    task_id: str
    order: Sequence[str]
    call_of: Mapping[bytes, str]
    shown: Mapping[bytes, tuple[str, Mapping[str, Any]]]
    decided_by: str

    @property
    def rowless(self) -> set[str]:
        """The calls that the ledger knows nothing of: they start anew in every run."""
        return set(self.order) - set(self.call_of.values())

    def look(self) -> Statement[list[Effect]]:
        """The effects that exist, in the order of the calls."""
        return ledger.look(list(self.call_of))

    def first(self, calls: Collection[str]) -> str:
        """Who of them may ask: those without a row first, then in the order of the calls."""
        return min(calls, key=lambda c: (c not in self.rowless, self.order.index(c)))

    def only_paused(self, asking: str) -> Statement[None]:
        """The others did not get to ask: at the next run they start anew."""
        keys = [key for key, call in self.call_of.items() if call != asking]
        return ledger.unpause(keys, self.task_id)

    def ask(self, doubts: Doubts) -> Steps[None]:
        """One question about all of these effects that are in doubt."""
        effects = yield from ledger.look(list(doubts))
        doubtful = [e for e in effects if e.state == "in_doubt"]
        yield from settle_doubts(doubtful, doubts, self.task_id, decided_by=self.decided_by)
