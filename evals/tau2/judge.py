"""What became of the tasks: the environment's word, and what the model was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import ToolMessage

from lg_production import Checkpointer, Database

from .campaign import Trouble
from .world import Client

Told = Sequence[tuple[str, str]]
"""For each action of a task, the status and the text of its answer."""


@dataclass
class Result:
    """One column, or one domain of it."""

    tasks: int = 0
    diverging: int = 0
    writes: int = 0
    effects: int = 0
    """Writes, and what tau2 does not call one: handing the customer over to a person."""
    delivered: int = 0
    """Effects whose tools node came to its end at least twice."""
    executed: int = 0
    """Effects carried out by the environment, not counting what it refused."""
    wanted: int = 0
    """The same, had every effect been asked for once."""
    duplicates: int = 0
    false_errors: int = 0
    errors: int = 0
    extra_errors: int = 0
    other_answers: int = 0
    questions: int = 0
    trouble: Trouble = field(default_factory=Trouble)
    looks: Mapping[str, int] = field(default_factory=dict)

    @property
    def harmed(self) -> int:
        """Writes with a duplicate effect, or reported as failed although they were done."""
        return self.duplicates + self.false_errors

    @property
    def is_clean(self) -> bool:
        """Everything once, and the model was told what it would have been told anyway."""
        wrong = (self.diverging, self.harmed, self.extra_errors, self.other_answers)
        return not any(wrong) and self.executed == self.wanted


class Judge:
    """Compares a column with the gold environments and with the run without trouble."""

    def __init__(self, database_url: str, world: Client) -> None:
        self.url, self.world = database_url, world
        self.writes = {
            tool["name"]: tool["writes"]
            for domain in ("airline", "retail")
            for tool in world.ask("tools", domain=domain)
            if tool["effect"]
        }
        self.calm: dict[str, Told] = {}

    def told(self, places: Sequence[str]) -> dict[str, Told]:
        """What the checkpoints say was told, by domain/task."""
        with Database(self.url) as database:
            saver = Checkpointer(database)
            return {p.split("/", 1)[1]: _told(saver, p) for p in places}

    def judge(self, places: Sequence[str], into: Mapping[str, Result]) -> None:
        """Add every task of a column to the result of its domain."""
        told = self.told(places)
        for place in places:
            _, domain, _ = place.split("/")
            self._add(into[domain], place, told[place.split("/", 1)[1]])

    def _add(self, result: Result, place: str, told: Told) -> None:
        calm, verdict = self.calm[place.split("/", 1)[1]], self.world.ask("verdict", place=place)
        actions = self.world.ask("actions", place=place)
        result.tasks += 1
        result.diverging += verdict["diverges"]
        result.questions += verdict["questions"]
        result.writes += sum(self.writes.get(a["name"], False) for a in actions)
        result.delivered += sum(n >= 2 for n in verdict["deliveries"])
        result.errors += sum(status == "error" for status, _ in told)
        result.extra_errors += sum(
            now == "error" and before != "error"
            for (now, _), (before, _) in zip(told, calm, strict=False)
        )
        result.other_answers += told != calm
        effects = [n for n, a in enumerate(actions) if a["name"] in self.writes]
        result.effects += len(effects)
        result.wanted += sum(calm[n][0] != "error" for n in effects)
        result.executed += sum(not entry["refused"] for entry in verdict["journal"])
        for executions in _by_write(verdict["journal"], len(effects)):
            accepted = [e for e in executions if not e["refused"]]
            if any(e["changed"] for e in accepted[1:]):
                result.duplicates += 1
            elif accepted and executions[-1]["refused"]:
                result.false_errors += 1


def _by_write(
    journal: Sequence[Mapping[str, Any]], effects: int
) -> Iterator[list[Mapping[str, Any]]]:
    """The executions of each write: by key; without keys, all as often, one after the other."""
    keys = dict.fromkeys(entry["key"] for entry in journal)
    if None not in keys:
        yield from ([e for e in journal if e["key"] == key] for key in keys)
        return
    times = len(journal) // effects
    for n in range(0, len(journal), times):
        executions = list(journal[n : n + times])
        assert len({e["tool"] for e in executions}) == 1
        yield executions


def _told(saver: Checkpointer, place: str) -> Told:
    found = saver.get_tuple({"configurable": {"thread_id": place}})
    assert found is not None
    messages = found.checkpoint["channel_values"]["messages"]
    return [(m.status, str(m.content)) for m in messages if isinstance(m, ToolMessage)]
