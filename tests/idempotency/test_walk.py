"""Every protocol is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from random import Random
from typing import Annotated, Any

import psycopg
import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.config import get_config
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import ExecutionInfo, Runtime

from lg_production import (
    Database,
    EffectPolicy,
    Happened,
    Idempotent,
    IdempotentToolNode,
    InjectedConnection,
    InjectedIdempotencyKey,
    NotHappened,
)
from lg_production.core import wrappers
from lg_production.core.steps import Call, Statement, Steps
from lg_production.idempotency import transactional

from ..walk import DEATHS, KINDS, Airline, Fault, Walk, let_go

NUMBERS = count()
NO_TIME = {"wait": timedelta(0), "barrier_timeout": timedelta(0)}
RUNGS = ("transactional", "native_key", "probe", "surface", "at_least_once")
SAMPLE = 12


TOOL_CALLS = ("handle", "ToolWrapper.wrap_tool_call")


class NoLeases:
    """The walk lets leases run out itself."""

    def hold(self, owner: Any, key: Any) -> None: ...
    def drop(self, owner: Any) -> None: ...


class Scene:
    """One order, one tool, one rung, one airline, and the counts at the end."""

    def __init__(self, database: Database, rung: str, calls: int = 1) -> None:
        self.database, self.rung = database, rung
        self.number = next(NUMBERS)
        self.orders = [f"order-{self.number}-{n}" for n in range(calls)]
        self.airline = Airline(honours_keys=rung == "native_key")
        self.tool = self._tool()
        self.policies = {"book": self._policy()}
        self.node: IdempotentToolNode | None = None

    def _tool(self) -> BaseTool:
        airline, database = self.airline, self.database

        @tool("book")
        def book(order: str, key: Annotated[str, InjectedIdempotencyKey()] = "") -> str:
            """Book."""
            return airline.book(order, key)

        @tool("book")
        def book_here(
            order: str, connection: Annotated[psycopg.Connection[Any], InjectedConnection()]
        ) -> str:
            """Book in our own database."""
            connection.execute("INSERT INTO bookings VALUES (%s)", (order,))
            return f"booked {order}"

        if self.rung == "transactional":
            execute(database, "CREATE TABLE IF NOT EXISTS bookings (name text)")
            return book_here
        return book

    def _policy(self) -> EffectPolicy:
        match self.rung:
            case "native_key":
                return EffectPolicy(recovery="native_key", native_ttl=timedelta(hours=1))
            case "probe":
                return EffectPolicy(recovery="probe", probe=self.probe)
        return EffectPolicy(recovery=self.rung)  # type: ignore[arg-type]

    def probe(self, key: str, arguments: Any) -> Any:
        order = arguments["order"]
        return Happened(f"booked {order}") if self.airline.booked(order) else NotHappened()

    # ----------------------------------------------------------------- the protocols

    def requests(self) -> list[ToolCallRequest]:
        calls = [
            {"name": "book", "args": {"order": o}, "id": f"call-{o}", "type": "tool_call"}
            for o in self.orders
        ]
        state = {"messages": [AIMessage("", id=f"ai-{self.number}", tool_calls=calls)]}
        info = ExecutionInfo(
            "checkpoint", "tools:task", f"task-{self.number}", f"thread-{self.number}"
        )
        runtime = ToolRuntime(
            state=state, tool_call_id="", config={}, context=None, store=None,
            stream_writer=lambda _: None, execution_info=info,
        )  # fmt: skip
        return [ToolCallRequest(c, self.tool, state, runtime) for c in calls]  # type: ignore[arg-type]

    def one_call(self, database: Database) -> Steps[Any]:
        """The tool wrapper around one call."""
        idempotent = Idempotent(database, policies=self.policies, barrier=False, **NO_TIME)
        idempotent.leases = NoLeases()  # type: ignore[assignment]
        return idempotent.steps(self.requests()[0], handle)

    def node_of_calls(self, database: Database) -> Steps[Any]:
        """IdempotentToolNode with several calls, one at a time."""
        node = IdempotentToolNode(
            [self.tool], database, policies=self.policies, barrier=False, **NO_TIME
        )
        node.idempotent.leases = NoLeases()  # type: ignore[assignment]
        request = self.requests()[0]
        config = {**get_config(), "max_concurrency": 1}
        runtime = Runtime(execution_info=request.runtime.execution_info)
        ended = yield from node._node(request.state, config, runtime)
        return ended["messages"]

    # ------------------------------------------------------------- people and counting

    def answer(self, payload: Any) -> Any:
        """A person looks it up: respond if it happened, approve if it did not."""
        decisions = []
        for action in payload["action_requests"]:
            order = action["args"]["order"]
            happened = self.airline.booked(order)
            answer = {"type": "respond", "message": f"booked {order}"}
            decisions.append(answer if happened else {"type": "approve"})
        return {"decisions": decisions}

    def acts(self, effect: Any) -> bool:
        """The calls of the tool that the airline would not recognise as repeated."""
        tool = isinstance(effect, Call) and effect.function.__qualname__.startswith(TOOL_CALLS)
        return tool and self.rung != "native_key"

    def bookings(self) -> list[str]:
        if self.rung != "transactional":
            return self.airline.bookings
        return [row[0] for row in execute(self.database, "SELECT name FROM bookings")]

    def harm(self, walk: Walk) -> list[str]:
        """What went wrong: duplicate, lost, false done."""
        found = []
        bookings = self.bookings()
        for order in self.orders:
            happened = bookings.count(order)
            if happened > 1 + walk.late and self.rung != "at_least_once":
                found.append(f"{happened} bookings")
            if happened == 0:
                found.append("lost")
        for result in walk.results:
            for order, message in zip(
                self.orders, result if isinstance(result, list) else [result], strict=True
            ):
                if not isinstance(message, ToolMessage) or message.content != f"booked {order}":
                    found.append(f"told {message!r}")
        return found


def handle(request: ToolCallRequest) -> Call[Any]:
    """What ToolNode does with a call, less its error handling."""
    return Call(lambda: request.tool.invoke({**request.tool_call, "type": "tool_call"}))  # type: ignore[union-attr]


def execute(database: Database, sql: Any) -> list[Any]:
    return database.execute(Statement(sql, {}, list))


def walked(scene: Scene, protocol: Any, faults: list[Fault], **options: Any) -> Walk:
    """Walk one path and fail, with the path, on any harm."""
    walk = Walk(scene.database, protocol, scene.answer, faults, scene.acts, **options)
    drives = transactional.drive, wrappers.drive
    transactional.drive = walk.drive_inside
    wrappers.drive = lambda steps, *_: walk.perform_all(steps)
    try:
        walk.settle()
        harm = scene.harm(walk)
    except (RuntimeError, AssertionError, KeyError) as error:
        harm = [repr(error)]
    finally:
        transactional.drive, wrappers.drive = drives
        let_go()
    walk.harm = harm  # type: ignore[attr-defined]
    walk.path = "\n".join([str(faults), *walk.trace, *harm])  # type: ignore[attr-defined]
    return walk


def every_path(make: Callable[[], tuple[Scene, Any]], **options: Any) -> list[str]:
    """All paths with one fault: those that did harm."""
    scene, protocol = make()
    length = walked(scene, protocol, [], **options).yields
    bad = []
    for at in range(length):
        for kind in KINDS:
            walk = walked(*make(), [Fault(at, kind)], **options)
            bad += [walk.path] if walk.harm else []
    return bad


def every_two_deaths(make: Callable[[], tuple[Scene, Any]]) -> list[str]:
    """All paths with two deaths (dying before an effect is dying after the last): the harmful."""
    bad = []
    for first in range(6):
        second, walk = first, None
        while walk is None or walk.yields > second:
            second += 1
            walk = walked(*make(), [Fault(first, "died after"), Fault(second, "died after")])
            bad += [walk.path] if walk.harm else []
    return bad


def some_threes(make: Callable[[], tuple[Scene, Any]], seed: int) -> list[str]:
    """A sample of the paths with two deaths after a first fault: those that did harm."""
    random, bad = Random(seed), []
    for _ in range(SAMPLE):
        faults = [Fault(random.randrange(6), random.choice(KINDS))]
        for _ in range(2):
            faults.append(Fault(faults[-1].at + random.randrange(1, 12), random.choice(DEATHS)))
        walk = walked(*make(), faults)
        bad += [walk.path] if walk.harm else []
    return bad


@pytest.mark.parametrize(
    ("rung", "keep_answers"), [*((rung, True) for rung in RUNGS), ("surface", False)]
)
def test_a_call_that_fails_anywhere_happens_once(
    database: Database, rung: str, keep_answers: bool
) -> None:
    """Stopped at every yield, in every way: no duplicate, nothing lost, no false done."""

    def make() -> tuple[Scene, Any]:
        scene = Scene(database, rung)
        return scene, scene.one_call

    harm = every_path(make, keep_answers=keep_answers)

    assert [] == harm, f"{len(harm)} paths, the first:\n{harm[0]}"


@pytest.mark.parametrize("rung", RUNGS[1:4])
def test_a_call_that_fails_and_fails_again_happens_once(database: Database, rung: str) -> None:
    """Two deaths, or three failures, on the way: a second doubt needs a second answer."""

    def make() -> tuple[Scene, Any]:
        scene = Scene(database, rung)
        return scene, scene.one_call

    harm = every_two_deaths(make) + some_threes(make, 7)

    assert [] == harm, f"{len(harm)} paths, the first:\n{harm[0]}"


@pytest.mark.parametrize("rung", ["surface"])
def test_a_node_of_calls_that_fails_anywhere_makes_each_once(database: Database, rung: str) -> None:
    """Two calls share a task, and so its interrupts: no answer goes to another call."""

    def make() -> tuple[Scene, Any]:
        scene = Scene(database, rung, calls=2)
        return scene, scene.node_of_calls

    harm = every_path(make) + some_threes(make, 11)

    assert [] == harm, f"{len(harm)} paths, the first:\n{harm[0]}"
