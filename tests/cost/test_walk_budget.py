"""Reserve, call, settle is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import ExecutionInfo

from lg_production.core.database import Database
from lg_production.core.steps import Call, Statement, Steps
from lg_production.cost.budget import Budget, Exhausted
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.cost.tool_limits import Limits

from ..walk import Walk, let_go
from ..walk_paths import every_path, every_two_deaths, execute, report, some_threes

NUMBERS = count()
HELD, TOOK = 40, 25
LATER = "UPDATE lg_production.reservations SET lease_until = now() WHERE lease_until IS NOT NULL"
DRIVERS = pytest.mark.parametrize("is_async", [False, True])


class Scene:
    """One model call, a provider that keeps its own bill, and the books at the end."""

    def __init__(self, database: Database, limit: int) -> None:
        self.database, self.limit, self.name = database, limit, f"walk-{next(NUMBERS)}"
        self.bills: list[int] = []
        self.policy = BudgetPolicy(
            limits=(Limit(scope="task", total_tokens=limit), Limit(scope="user", model_calls=99)),
            wait=timedelta(0),
        )

    def bill(self) -> int:
        self.bills.append(TOOK)
        return TOOK

    async def abill(self) -> int:
        await asyncio.sleep(0)
        took = self.bill()
        await asyncio.sleep(0)
        return took

    def protocol(self, database: Database) -> Steps[str]:
        """As the callback does it: every attempt has a key of its own."""
        budget = Budget(database, self.policy)
        who = budget.who({"configurable": {"task_id": self.name, "user_id": self.name}})
        amounts: dict[Any, int] = {"total_tokens": HELD, "model_calls": 1}
        try:
            held = yield from budget.reserve_steps(uuid4().bytes, who, amounts)
        except Exhausted:
            return "refused"
        try:
            took = yield from Call(self.bill, self.abill)
        except GeneratorExit:
            raise
        except BaseException:
            yield from budget.settle_steps(held)
            raise
        yield from budget.settle_steps(held, {"total_tokens": took, "model_calls": 1})
        return "answered"

    # ------------------------------------------------------------- people and counting

    def answer(self, payload: Any) -> Any:
        raise AssertionError(payload)

    def operate(self, error: Exception) -> None:
        """Nobody needs to do anything."""

    def acts(self, effect: Any) -> bool:
        """The call of the provider."""
        return isinstance(effect, Call) and effect.function == self.bill

    def books(self) -> dict[str, tuple[int, int]]:
        """Used and held, when everybody is gone and time has passed."""
        let_go()
        execute(self.database, LATER + " RETURNING 1")
        Budget(self.database, self.policy).sweep()
        sql = "SELECT scope, used, reserved FROM lg_production.budgets WHERE scope LIKE %(scope)s"
        rows = self.database.execute(Statement(sql, {"scope": f"%{self.name}"}, list))
        return {scope.split(":")[0]: (used, held) for scope, used, held in rows}

    def harm(self, walk: Walk) -> list[str]:
        """What went wrong: spent and not counted, overspent, leaked, counted and not held."""
        (tokens, held), (calls, calls_held) = self.books()["task"], self.books()["user"]
        found = [f"{held} tokens and {calls_held} calls leaked"] if held or calls_held else []
        if not sum(self.bills) <= tokens <= self.limit:
            found.append(f"billed {self.bills}, counted {tokens} of {self.limit}")
        # A call counts as what it took, or as what was held where nobody told: nothing else.
        if tokens not in {TOOK * told + HELD * (calls - told) for told in range(calls + 1)}:
            found.append(f"{calls} calls counted as {tokens} tokens")
        if calls > walk.runs + 1 or calls < len(self.bills):
            found.append(f"{calls} calls counted of {len(self.bills)} in {walk.runs} runs")
        if "answered" in walk.results and not self.bills:
            found.append("false done")
        return found


@DRIVERS
@pytest.mark.parametrize("limit", [10 * HELD, HELD])
def test_a_call_that_fails_anywhere_is_counted_and_never_overspends(
    database: Database, limit: int, is_async: bool
) -> None:
    """Stopped at every yield, in every way: the books hold every bill, and hold nothing back."""
    harm = every_path(lambda: Scene(database, limit), is_async=is_async, in_graph=False)

    assert [] == harm, report(harm)


@DRIVERS
def test_a_call_that_fails_and_fails_again_is_counted(database: Database, is_async: bool) -> None:
    """Two deaths, or three failures, on the way."""

    def make() -> Scene:
        return Scene(database, 10 * HELD)

    options = {"is_async": is_async, "in_graph": False}
    harm = every_two_deaths(make, **options) + some_threes(make, 19, **options)

    assert [] == harm, report(harm)


class ToolScene(Scene):
    """One tool call, of which there may be one."""

    def protocol(self, database: Database) -> Steps[str]:
        """The wrapper's: the same call has the same key in every run."""
        limits = Limits(database, BudgetPolicy(
            limits=(Limit(scope="task", tool_calls=1),), wait=timedelta(0)
        ))  # fmt: skip
        result: Any = yield from limits.steps(self.request(), lambda _: Call(self.bill, self.abill))
        return str(result)

    def request(self) -> ToolCallRequest:
        @tool
        def search(words: str) -> str:
            """Search."""
            raise AssertionError(words)

        call: Any = {"name": "search", "args": {"words": "x"}, "id": "call", "type": "tool_call"}
        state = {"messages": [AIMessage("", id="message", tool_calls=[call])]}
        info = ExecutionInfo("checkpoint", "tools:task", "task", self.name)
        runtime = ToolRuntime(
            state=state, tool_call_id="call", config={"configurable": {"thread_id": self.name}},
            context=None, store=None, stream_writer=lambda _: None, execution_info=info,
        )  # fmt: skip
        return ToolCallRequest(call, search, state, runtime)

    def harm(self, walk: Walk) -> list[str]:
        """However often it runs, it is one call, and it is never refused for itself."""
        found = [f"counted {self.books()}"] if self.books() != {"task": (1, 0)} else []
        return found + [f"told {r}" for r in walk.results if r != str(TOOK)]


@DRIVERS
def test_a_tool_call_that_fails_anywhere_counts_once(database: Database, is_async: bool) -> None:
    """A limit of one call lets one call through, through any failure."""
    harm = every_path(lambda: ToolScene(database, 1), is_async=is_async, in_graph=False)

    assert [] == harm, report(harm)
