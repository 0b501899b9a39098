"""Ask a person, and never take the answer to another question for the answer to this one.

LangGraph numbers the interrupts of a task by the order of the calls to `interrupt()` and
hands the n-th answer to the n-th call. A task that asks less on its second run than on its
first (because something is already settled) would hand "yes" to the wrong question. So
every question is recorded with its place, and takes the answer at that place only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from .steps import Call, Statement, Steps


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask in this task, and at which slot it was asked before, if it was."""

    payload: dict[str, Any]
    slot: int | None
    record: Callable[[int], Statement[Any]]
    """The statement that remembers the slot, run before the graph pauses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's answer to a question."""

    value: Any
    slot: int


def ask(question: Question, *, start: int = 0) -> Steps[Answer]:
    """The answer, or a `GraphInterrupt` once the question is recorded.

    `start` is the number of interrupts that this task consumed before. Answers at slots
    that are not ours belonged to other questions of the task and are passed over.
    """
    slot = start
    while True:
        try:
            value = yield from Call(lambda: interrupt(question.payload))
        except GraphInterrupt:
            yield from question.record(slot)
            raise
        if slot == question.slot:
            return Answer(value, slot)
        slot += 1


def pass_over(count: int) -> Steps[None]:
    """Consume answers that were given, in this task, to calls that will not be run again."""
    for _ in range(count):
        yield from Call(lambda: interrupt({"replayed": True}))
