"""One trial: a graph is invoked with a case, its questions are answered, and it is watched."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import is_dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any, TypeAlias
from uuid import uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages
from langchain_core.outputs import LLMResult
from langgraph.types import Command
from pydantic import BaseModel

from ..core.identity import messages_of
from ..errors import TargetUnknown
from .cases import Case
from .outcome import Ended, Outcome, outcome_of, own_of
from .targets import Target, invoker

Price: TypeAlias = Callable[[AIMessage], Decimal | None]
"""What a model's answer cost in US dollars; None if nobody knows."""
INTERRUPT = "__interrupt__"
SAID = (Mapping, BaseMessage, BaseModel, list, tuple, str)
"""What a function may give that runs a case itself, beside an `Outcome` and a dataclass."""


class Watching(BaseCallbackHandler):
    """Notes what models and tools say, in sub-graphs too."""

    run_inline = True

    def __init__(self) -> None:
        self.said: list[BaseMessage] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """A model has answered."""
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
        return [m for m in self.said if not known.intersection(names_of(m))]


def names_of(message: BaseMessage) -> set[str]:
    """By what a message is known: its id, the call that it answers, the calls that it makes."""
    calls = [c["id"] for c in message.tool_calls] if isinstance(message, AIMessage) else []
    named = [message.id, getattr(message, "tool_call_id", None), *calls]
    return {one for one in named if one}


def play(
    target: Target, case: Case, *, price: Price | None = None, timeout: float | None = None
) -> Outcome:
    """Run a case once on a new thread. What it raises is its outcome, and nobody else's.

    After `timeout` seconds the trial has failed; Python can stop no thread, so what it was doing
    goes on in a thread of its own until the process ends.
    """
    if timeout is None:
        return _play(target, case, price)
    done: list[Outcome] = []
    here = copy_context()  # whether it is traced, for one
    worker = threading.Thread(
        target=lambda: done.append(here.run(_play, target, case, price)),
        daemon=True,
        name=f"case {case.id}",
    )
    worker.start()
    worker.join(timeout)
    if done:
        return done[0]
    late = f"TimeoutError: the case took longer than {timeout:g} s"
    return outcome_of({}, seconds=timeout, error=late if worker.is_alive() else "the trial died")


def _play(target: Target, case: Case, price: Price | None) -> Outcome:
    run = Run(case)
    error: BaseException | None = None
    try:
        with target.made(case) as made:
            if not hasattr(made, "invoke"):
                return _told(made, run.began)
            run.drive(made)
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # noqa: BLE001 - a stranger's graph: pytest's Failed is one
        error = raised
    beside, given = run.watching.besides(run.state), run.given_in(run.state)
    final = [m for m in messages_of(run.state, "messages") if isinstance(m, BaseMessage)]
    said = [*beside, *own_of(final, given)]
    return outcome_of(
        run.state, interrupts=run.asked, seconds=time.monotonic() - run.began, error=error,
        ended="error" if error else run.ended, usd=spent(said, price), given=given, seen=beside,
    )  # fmt: skip


def _told(made: Any, began: float) -> Outcome:
    """What a function says that ran the case itself: an outcome that can be stored, or a state."""
    if isinstance(made, Outcome):
        json.dumps(made.stored())
        return made
    if not isinstance(made, SAID) and not is_dataclass(made):
        kind = type(made).__name__
        raise TargetUnknown(f"(it gave {kind}: no graph, no state and no Outcome)")
    return outcome_of(made, seconds=time.monotonic() - began)


class Run:
    """One run of a graph: its state so far, what it has asked, and how it ended."""

    def __init__(self, case: Case) -> None:
        self.case, self.watching, self.began = case, Watching(), time.monotonic()
        self.input, self.ids = with_ids(case.input)
        self.state: Any = {}
        self.asked: list[Any] = []
        self.ended: Ended = "done"

    def drive(self, graph: Any) -> None:
        """Invoke a graph and answer what it asks, until it ends or nobody has an answer left.

        What it raises is raised, after a look at the state that it has left behind.
        """
        config = {"configurable": {"thread_id": uuid4().hex}, "callbacks": [self.watching]}
        try:
            with invoker(graph) as invoke:
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
            if not open_ones:
                return
            if len(open_ones) > len(answers):
                self.ended = "interrupted"
                return
            step = Command(resume={one.id: answers.pop(0) for one in open_ones})  # type: ignore[assignment]

    def given_in(self, state: Any) -> int | frozenset[str]:
        """Which of the final messages were in the input: by id, or as many as begin alike."""
        final = messages_of(state, "messages")
        if self.ids.intersection(getattr(one, "id", None) or "" for one in final):
            return self.ids
        given = self.case.input.get("messages")
        alike = zip(given if isinstance(given, list) else (), final, strict=False)
        return sum(1 for _ in takewhile(lambda pair: is_alike(*pair), alike))


def with_ids(given: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """An input whose messages have ids, so that they are known again wherever they stand."""
    messages = given.get("messages")
    if not isinstance(messages, list):
        return dict(given), frozenset()
    named = [
        {**one, "id": one.get("id") or f"given-{n}"} if isinstance(one, dict) else one
        for n, one in enumerate(messages)
    ]
    ids = frozenset(str(one["id"]) for one in named if isinstance(one, dict))
    return {**given, "messages": named}, ids


def is_alike(given: Any, final: Any) -> bool:
    """Whether a message in the end says what one of the input says."""
    try:
        first, second = convert_to_messages([given, final])
    except (ValueError, TypeError, KeyError, NotImplementedError, AttributeError):
        return bool(given == final)
    return (first.type, first.text) == (second.type, second.text)


def spent(said: Iterable[BaseMessage], price: Price | None) -> Decimal | None:
    """What all answers cost; None if one has no price, or nobody knows prices."""
    if price is None:
        return None
    costs: Sequence[Decimal | None] = [price(m) for m in said if isinstance(m, AIMessage)]
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None
