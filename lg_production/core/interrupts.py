"""Ask a person, and never take the answer to another question for the answer to this one.

LangGraph keeps one list of answers for a task and hands its n-th entry to the n-th call of
`interrupt()`. A task that calls less often on its second run than on its first, because
something is settled by then, would hand "yes" to the wrong question. So a question is
remembered with its place in that list, and the places before it are passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.types import Interrupt, interrupt

from .steps import Call, Statement, Steps

# LangGraph publishes a task's answers only under this key of the configuration.
SCRATCHPAD = "__pregel_scratchpad"
RESUME_MAP = "__pregel_resume_map"


class Place(NamedTuple):
    """Where the running task stands: answers it has, and calls of `interrupt()` so far.

    `pending`: an answer has come that no call has taken yet.
    """

    answers: int
    calls: int
    pending: bool = False

    @property
    def start(self) -> int:
        """Where the answers of a tool that runs now begin."""
        return min(self.answers, self.calls)


def place() -> Place:
    """The place of the running task. The counter can be read only through its repr."""
    scratchpad = get_config()["configurable"][SCRATCHPAD]
    counter = getattr(scratchpad.interrupt_counter, "_counter", None)
    calls = 0 if counter is None else int(repr(counter.__self__)[len("count(") : -1])
    return Place(len(scratchpad.resume), calls, scratchpad.get_null_resume() is not None)


def was_for_another() -> bool:
    """Whether the newest answer was addressed to the first question of this task.

    LangGraph takes the id of a task's first interrupt as an alias for its next one, so a
    resume that is sent twice would answer the question after the one it was meant for.
    """
    conf = get_config()["configurable"]
    first = Interrupt.from_ns(None, ns=conf["checkpoint_ns"]).id
    return first in (conf.get(RESUME_MAP) or {})


def pass_over(slot: int | None = None) -> Steps[None]:
    """Consume the answers before `slot`, or all: those who asked for them will not ask again.

    A run that died has lost the answers it was given: there may be fewer than were counted.
    """
    here = yield from Call(place)
    until = here.answers if slot is None else min(slot, here.answers + here.pending)
    for _ in range(until - here.calls):
        yield from Call(lambda: interrupt({"passed_over": True}))


def ask(
    payload: dict[str, Any], slot: int | None, record: Callable[[int], Statement[Any]]
) -> Steps[Any]:
    """The answer, or a `GraphInterrupt` while there is none.

    `slot` is where this question was asked in an earlier run of the task, None if it was
    not; `record` remembers it before the graph pauses. An answer that is already there
    when a question is first asked was given to another.
    """
    yield from pass_over(slot)
    while True:
        try:
            answer = yield from Call(lambda: interrupt(payload))
        except GraphInterrupt:
            yield from record((yield from Call(place)).answers)
            raise
        if slot and (yield from Call(was_for_another)):
            slot = None
        if slot is not None:
            return answer
