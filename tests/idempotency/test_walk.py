"""Every protocol is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
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
from lg_production.core.steps import Call, Steps

from ..walk import Airline, Walk
from ..walk_paths import NoLeases, every_path, every_two_deaths, execute, report, some_threes

NUMBERS = count()
NO_TIME = {"wait": timedelta(0), "barrier_timeout": timedelta(0)}
RUNGS = ("transactional", "native_key", "probe", "surface", "at_least_once")
TOOL_CALLS = ("handle", "ToolWrapper.")


class Scene:
    """One order, one tool, one rung, one airline, and the counts at the end."""

    def __init__(
        self, database: Database, rung: str, calls: int = 1, *, is_coroutine: bool = False
    ) -> None:
        self.database, self.rung, self.is_coroutine = database, rung, is_coroutine
        self.number = next(NUMBERS)
        self.orders = [f"order-{self.number}-{n}" for n in range(calls)]
        self.airline = Airline(honours_keys=rung == "native_key")
        self.tool = self._tool()
        self.policies = {"book": self._policy()}

    def _tool(self) -> BaseTool:
        airline, database = self.airline, self.database

        @tool("book")
        def book(order: str, key: Annotated[str, InjectedIdempotencyKey()] = "") -> str:
            """Book."""
            return airline.book(order, key)

        @tool("book")
        async def book_on_a_loop(
            order: str, key: Annotated[str, InjectedIdempotencyKey()] = ""
        ) -> str:
            """Book, and take a moment for it."""
            await asyncio.sleep(0)
            booked = airline.book(order, key)
            await asyncio.sleep(0)
            return booked

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
        return book_on_a_loop if self.is_coroutine else book

    def _policy(self) -> EffectPolicy:
        match self.rung:
            case "native_key":
                return EffectPolicy(recovery="native_key", native_ttl=timedelta(hours=1))
            case "probe":
                probe = self.aprobe if self.is_coroutine else self.probe
                return EffectPolicy(recovery="probe", probe=probe)
        return EffectPolicy(recovery=self.rung)  # type: ignore[arg-type]

    def probe(self, key: str, arguments: Any) -> Any:
        order = arguments["order"]
        return Happened(f"booked {order}") if self.airline.booked(order) else NotHappened()

    async def aprobe(self, key: str, arguments: Any) -> Any:
        await asyncio.sleep(0)
        return self.probe(key, arguments)

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

    def protocol(self, database: Database) -> Steps[Any]:
        return (self.node_of_calls if len(self.orders) > 1 else self.one_call)(database)

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

    def operate(self, error: Exception) -> None:
        """Whatever there is to be asked is asked where the graph is."""

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
        """The calls of the tool."""
        call = isinstance(effect, Call) and (effect.afunction or effect.function)
        return bool(call) and call.__qualname__.startswith(TOOL_CALLS)

    def bookings(self) -> list[str]:
        if self.rung != "transactional":
            return self.airline.bookings
        return [row[0] for row in execute(self.database, "SELECT name FROM bookings")]

    def harm(self, walk: Walk) -> list[str]:
        """What went wrong: duplicate, lost, false done."""
        found = []
        bookings = self.bookings()
        late = 0 if self.airline.honours_keys else walk.late
        for order in self.orders:
            happened = bookings.count(order)
            if happened > 1 + late and self.rung != "at_least_once":
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
    call: Any = {**request.tool_call, "type": "tool_call"}
    called: Any = request.tool
    return Call(lambda: called.invoke(call), lambda: called.ainvoke(call))


@pytest.mark.parametrize(
    ("rung", "keep_answers"), [*((rung, True) for rung in RUNGS), ("surface", False)]
)
def test_a_call_that_fails_anywhere_happens_once(
    database: Database, rung: str, keep_answers: bool
) -> None:
    """Stopped at every yield, in every way: no duplicate, nothing lost, no false done."""
    harm = every_path(lambda: Scene(database, rung), keep_answers=keep_answers)

    assert [] == harm, report(harm)


@pytest.mark.parametrize("is_coroutine", [False, True])
@pytest.mark.parametrize("rung", RUNGS)
def test_a_call_on_an_event_loop_that_fails_anywhere_happens_once(
    database: Database, rung: str, is_coroutine: bool
) -> None:
    """The same by `adrive`, cancelled by asyncio, with the tool a coroutine or in a thread."""
    harm = every_path(lambda: Scene(database, rung, is_coroutine=is_coroutine), is_async=True)

    assert [] == harm, report(harm)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("rung", RUNGS[1:4])
def test_a_call_that_fails_and_fails_again_happens_once(
    database: Database, rung: str, is_async: bool
) -> None:
    """Two deaths, or three failures, on the way: a second doubt needs a second answer."""

    def make() -> Scene:
        return Scene(database, rung, is_coroutine=is_async)

    harm = every_two_deaths(make, is_async=is_async) + some_threes(make, 7, is_async=is_async)

    assert [] == harm, report(harm)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_node_of_calls_that_fails_anywhere_makes_each_once(
    database: Database, is_async: bool
) -> None:
    """Two calls share a task, and so its interrupts: no answer goes to another call."""

    def make() -> Scene:
        return Scene(database, "surface", calls=2, is_coroutine=is_async)

    harm = every_path(make, is_async=is_async) + some_threes(make, 11, is_async=is_async)

    assert [] == harm, report(harm)
