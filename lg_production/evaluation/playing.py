"""One trial: a graph is invoked with a case, its questions are answered, and it is watched."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langgraph.types import Command
from pydantic import BaseModel

from ..core.identity import messages_of
from ..errors import TargetUnknown
from .cases import Case
from .on_time import OutOfTime, within
from .outcome import Outcome, messages_in, outcome_of, own_of
from .targets import Target, invoker

Price: TypeAlias = Callable[[AIMessage], Decimal | None]
"""What a model's answer cost in US dollars; None if nobody knows."""
INTERRUPT = "__interrupt__"


class Watching(BaseCallbackHandler):
    """Notes what models and tools say, in sub-graphs too, and which models owe an answer."""

    run_inline = True

    def __init__(self) -> None:
        self.said: list[BaseMessage] = []
        self.asked: set[UUID] = set()

    def on_chat_model_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """A model is asked."""
        self.asked.add(run_id)

    on_llm_start = on_chat_model_start

    def on_llm_error(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """A model has failed."""
        self.asked.discard(run_id)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """A model has answered."""
        self.asked.discard(run_id)
        for batch in response.generations:
            self.said += [
                m for g in batch if isinstance(m := getattr(g, "message", None), AIMessage)
            ]

    def on_tool_end(self, output: Any, **_: Any) -> None:
        """A tool has answered."""
        if isinstance(output, ToolMessage):
            self.said.append(output)

    def besides(self, state: Any) -> list[BaseMessage]:
        """What was said and is not in the final state: a message under its id, a call under its."""
        kept = [m for m in messages_of(state, "messages") if isinstance(m, BaseMessage)]
        known = {m.id for m in kept} | {getattr(m, "tool_call_id", None) for m in kept}
        known |= {c["id"] for m in kept if isinstance(m, AIMessage) for c in m.tool_calls}
        return [m for m in list(self.said) if not known.intersection(names_of(m))]


def names_of(message: BaseMessage) -> set[str]:
    """By what a message is known: its id, the call that it answers, the calls that it makes."""
    calls = [c["id"] for c in message.tool_calls] if isinstance(message, AIMessage) else []
    named = [message.id, getattr(message, "tool_call_id", None), *calls]
    return {one for one in named if one}


def play(
    target: Target, case: Case, *, price: Price | None = None, timeout: float | None = None
) -> Outcome:
    """Run a case once on a new thread. What it raises is its outcome, and nobody else's.

    After `timeout` seconds it is given up: that is an error, and what was seen until then is told.
    Python can stop no thread, so what it was doing goes on in a thread of its own until the
    process ends.
    """
    run = Run(case, price)
    try:
        return within(timeout, lambda: _play(target, run), f"case {case.id}")
    except OutOfTime:
        late = TimeoutError(f"the case took longer than {timeout:g} s")
        return run.outcome(late, priced=not run.watching.asked)


def _play(target: Target, run: Run) -> Outcome:
    try:
        with closing(asyncio.Runner()) as loop, target.made(run.case, loop) as made:
            if not hasattr(made, "invoke"):
                return _told(made, run)
            run.drive(made, invoker(made, loop, target.awaited))
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # noqa: BLE001 - a stranger's graph may raise anything
        return run.outcome(raised)
    return run.outcome()


def _told(made: Any, run: Run) -> Outcome:
    """What a function says that ran the case itself: an outcome that can be stored, or a state."""
    if isinstance(made, Outcome):
        json.dumps(made.stored())
        return made
    if not is_state(made):
        raise TargetUnknown(f"(it gave {type(made).__name__}: no graph, no state and no Outcome)")
    run.state = made
    return run.outcome()


def is_state(made: Any) -> bool:
    """Whether a value tells what a run came to: a state with something in it, or an answer."""
    if isinstance(made, list | tuple):
        return bool(made) and len(messages_in(made)) == len(made)
    if isinstance(made, Mapping):
        return bool(made)
    modelled = is_dataclass(made) and not isinstance(made, type)
    return modelled or isinstance(made, str | BaseModel)


class Run:
    """One run of a graph: its state so far, and what it has asked."""

    def __init__(self, case: Case, price: Price | None = None) -> None:
        self.case, self.price = case, price
        self.watching, self.began = Watching(), time.monotonic()
        self.input = identified(case.input)
        self.state: Any = {}
        self.asked: list[Any] = []

    def drive(self, graph: Any, invoke: Callable[..., Any]) -> None:
        """Invoke a graph and answer what it asks, until it ends or nobody has an answer left.

        What it raises is raised, after a look at the state that it has left behind.
        """
        config = {"configurable": {"thread_id": uuid4().hex}, "callbacks": [self.watching]}
        try:
            self._drive(invoke, config)
        except BaseException:
            with suppress(Exception):  # then what it raised is all that is known
                self.state = graph.get_state(config).values
            raise

    def _drive(self, invoke: Callable[..., Any], config: Any) -> None:
        settings: dict[str, Any] = {"context": self.case.context} if self.case.context else {}
        answers, step = list(self.case.answers), self.input
        while True:
            self.state = invoke(step, config, **settings)
            found = self.state.get(INTERRUPT) if isinstance(self.state, Mapping) else None
            open_ones = list(found or ())
            self.asked += open_ones
            if not open_ones or len(open_ones) > len(answers):
                return
            step = Command(resume={one.id: answers.pop(0) for one in open_ones})  # type: ignore[assignment]

    def outcome(self, error: BaseException | None = None, *, priced: bool = True) -> Outcome:
        """What is known of the run now. Not `priced`: a model still owes an answer."""
        state, known = self.state, ids_of(self.input)
        beside, given = self.watching.besides(state), given_in(self.input, state)
        said = [*beside, *own_of(messages_in(messages_of(state, "messages")), given, known)]
        return outcome_of(
            state, interrupts=self.asked, seconds=time.monotonic() - self.began, error=error,
            usd=spent(said, self.price) if priced else None,
            given=given, known=known, seen=beside,
        )  # fmt: skip


def identified(given: Mapping[str, Any]) -> dict[str, Any]:
    """An input whose messages have ids, by which they are known wherever they end up.

    Only a mapping can have one; a text or a pair of role and content stays as it is.
    """
    messages = given.get("messages")
    if not isinstance(messages, list):
        return dict(given)
    return {**given, "messages": [_identified(one) for one in messages]}


def _identified(message: Any) -> Any:
    if not isinstance(message, Mapping) or "content" not in message or message.get("id"):
        return message
    return {**message, "id": str(uuid4())}


def ids_of(given: Mapping[str, Any]) -> set[str]:
    """The ids of the messages of an input."""
    return {one.id for one in messages_in(given.get("messages")) if one.id}


def given_in(given: Mapping[str, Any], state: Any) -> int:
    """How many messages the input has, if the final ones begin with the same; else 0."""
    asked = messages_in(given.get("messages"))
    final = messages_in(messages_of(state, "messages"))[: len(asked)]
    return len(asked) if [*map(_said, asked)] == [*map(_said, final)] else 0


def _said(message: BaseMessage) -> tuple[Any, ...]:
    calls = getattr(message, "tool_calls", None), getattr(message, "tool_call_id", None)
    return (message.type, message.content, *calls)


def spent(said: Iterable[BaseMessage], price: Price | None) -> Decimal | None:
    """What all answers cost; None if one has no price, or nobody knows prices."""
    if price is None:
        return None
    costs: Sequence[Decimal | None] = [price(m) for m in said if isinstance(m, AIMessage)]
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None
