"""Compensation is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import ExecutionInfo

from lg_production import Database, EffectPolicy, Idempotent, effects_cli
from lg_production.core.steps import Call, Steps, drive
from lg_production.idempotency import maintenance
from lg_production.idempotency.acquire import CannotAsk
from lg_production.idempotency.compensation import _undo_all

from ..walk import Airline, Walk, in_task
from ..walk_paths import (
    BOOLEANS,
    NoLeases,
    every_path,
    every_two_deaths,
    mostly,
    report,
    some_threes,
    walked,
)

NUMBERS = count()
KINDS_OF_UNDOING = mostly(
    "rung, is_async",
    [("surface", False), ("native_key", True)],
    ["surface", "native_key"],
    BOOLEANS,
)


class Scene:
    """A thread that booked a flight and then a hotel, and the desk that takes bookings back."""

    def __init__(self, database: Database, rung: str, *, is_async: bool) -> None:
        self.database, self.number = database, next(NUMBERS)
        self.thread = f"thread-{self.number}"
        self.orders = {tool: f"{tool}-{self.number}" for tool in ("flight", "hotel")}
        self.desk = Airline(honours_keys=rung == "native_key")
        policy = EffectPolicy(
            recovery=rung,  # type: ignore[arg-type]
            native_ttl=timedelta(hours=1) if rung == "native_key" else None,
            compensate=self.aundo if is_async else self.undo,
        )
        self.policies = dict.fromkeys(self.orders, policy)
        self.wrong: list[str] = []
        for name, order in self.orders.items():
            with in_task():
                drive(self.booking(name, order), database)

    def idempotent(self, database: Database) -> Idempotent:
        idempotent = Idempotent(database, policies=self.policies, barrier=False, wait=timedelta(0))
        idempotent.leases = NoLeases()  # type: ignore[assignment]
        return idempotent

    def booking(self, name: str, order: str) -> Steps[Any]:
        """One tool call, which goes well."""
        call: Any = {"name": name, "args": {"order": order}, "id": order, "type": "tool_call"}
        state = {"messages": [AIMessage("", id=order, tool_calls=[call])]}

        @tool(name)
        def book(order: str) -> str:
            """Book."""
            return f"booked {order}"

        info = ExecutionInfo("checkpoint", "tools:task", f"task-{order}", self.thread)
        runtime = ToolRuntime(
            state=state, tool_call_id=order, config={}, context=None, store=None,
            stream_writer=lambda _: None, execution_info=info,
        )  # fmt: skip
        request = ToolCallRequest(call, book, state, runtime)
        invoke: Any = lambda r: Call(lambda: r.tool.invoke(call))  # noqa: E731 - for its type
        return self.idempotent(self.database).steps(request, invoke)

    # ----------------------------------------------------------------- undoing

    def undo(self, key: str, arguments: Any, result: Any) -> str:
        if result.content != f"booked {arguments['order']}":
            self.wrong.append(f"undoes {arguments} of {result!r}")
        return self.desk.book(arguments["order"], key)

    async def aundo(self, key: str, arguments: Any, result: Any) -> str:
        await asyncio.sleep(0)
        undone = self.undo(key, arguments, result)
        await asyncio.sleep(0)
        return undone

    def protocol(self, database: Database) -> Steps[list[str]]:
        """Compensate; when it says that it is done, it is done."""
        undone = yield from _undo_all(self.idempotent(database), self.thread)
        if not all(map(self.desk.booked, self.orders.values())):
            self.wrong.append(f"false done {undone}")
        return undone

    # ------------------------------------------------------------- people and counting

    def answer(self, payload: Any) -> Any:
        """Compensation runs outside of a graph: there is nobody to ask."""
        raise AssertionError(payload)

    def operate(self, error: Exception) -> None:
        """An operator looks it up at the desk, and settles it on the command line."""
        if not isinstance(error, CannotAsk):
            return
        [doubtful] = self.database.execute(maintenance.entry(error.key.hex()))
        [effect] = self.database.execute(maintenance.entry(doubtful.evidence["compensates"]))
        undone = self.desk.booked(effect.arguments["order"])
        context: Any = SimpleNamespace(find_root=lambda: SimpleNamespace(obj=self.database))
        effects_cli.resolve(
            context, error.key.hex(), "respond" if undone else "approve",
            version=doubtful.effect.version, reason="looked it up",
            message="cancelled" if undone else "", by="ann",
        )  # fmt: skip

    def acts(self, effect: Any) -> bool:
        """The calls of the declared compensation."""
        return isinstance(effect, Call) and effect.function.__qualname__.startswith("_run.")

    def harm(self, walk: Walk) -> list[str]:
        """What went wrong: undone twice, in the wrong order, not at all, or not in the ledger."""
        found = list(self.wrong)
        late = 0 if self.desk.honours_keys else walk.late
        if len(self.desk.bookings) > 2 + late:
            found.append(f"undone {self.desk.bookings}")
        reverse = [self.orders["hotel"], self.orders["flight"]]
        if list(dict.fromkeys(self.desk.bookings)) != reverse:
            found.append(f"in this order: {self.desk.bookings}")
        # Each run tells what was left for it to undo, and the last ones are always left.
        told = [["hotel", "flight"][n:] for n in range(3)]
        found += [f"told {result}" for result in walk.results if result not in told]
        entries = self.database.execute(maintenance.entries(thread_id=self.thread))
        states = {entry.effect.tool: entry.effect.state for entry in entries}
        if states != dict.fromkeys(self.orders, "compensated"):
            found.append(f"recorded {states}")
        return found


@KINDS_OF_UNDOING
def test_a_compensation_undoes_the_last_first(
    database: Database, rung: str, is_async: bool
) -> None:
    """Without a failure one call undoes all and says so, and a second finds nothing to do."""
    scene = Scene(database, rung, is_async=is_async)
    first, harm = walked(scene, [], is_async=is_async, in_graph=False)
    second, more_harm = walked(scene, [], is_async=is_async, in_graph=False)

    assert [["hotel", "flight"], []] == first.results + second.results
    assert [] == harm + more_harm


@KINDS_OF_UNDOING
def test_a_compensation_that_fails_anywhere_undoes_each_once(
    database: Database, rung: str, is_async: bool
) -> None:
    """Stopped at every yield, in every way: nothing undone twice, out of order, or not at all."""
    harm = every_path(
        lambda: Scene(database, rung, is_async=is_async), is_async=is_async, in_graph=False
    )

    assert [] == harm, report(harm)


@KINDS_OF_UNDOING
def test_a_compensation_that_fails_and_fails_again_undoes_each_once(
    database: Database, rung: str, is_async: bool
) -> None:
    """Two deaths, or three failures, on the way."""

    def make() -> Scene:
        return Scene(database, rung, is_async=is_async)

    harm = every_two_deaths(make, is_async=is_async, in_graph=False) + some_threes(
        make, 17, is_async=is_async, in_graph=False
    )

    assert [] == harm, report(harm)
