"""@idempotent_step is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from langgraph.config import get_config
from langgraph.runtime import ExecutionInfo, Runtime

from lg_production import Database, EffectPolicy, Happened, Idempotent, NotHappened, current_effect
from lg_production.core.steps import Call, Steps
from lg_production.idempotency.step import _Step

from ..walk import Airline, Walk
from ..walk_paths import NoLeases, every_path, every_two_deaths, report, some_threes

NUMBERS = count()
RUNGS = ("native_key", "probe", "surface")
DRIVERS = pytest.mark.parametrize("is_async", [False, True])


class Scene:
    """One order, one node function that books it, one airline, and the counts at the end."""

    def __init__(self, database: Database, rung: str, *, is_async: bool) -> None:
        self.database, self.number = database, next(NUMBERS)
        self.order = f"order-{self.number}"
        self.airline = Airline(honours_keys=rung == "native_key")
        self.policy = EffectPolicy(
            recovery=rung,  # type: ignore[arg-type]
            native_ttl=timedelta(hours=1) if rung == "native_key" else None,
            probe=self.probe if rung == "probe" else None,
        )
        self.function: Callable[..., Any] = self.abook if is_async else self.book

    def book(self, state: Any) -> Any:
        current = current_effect()
        assert current is not None
        self.airline.book(state["order"], current.native_key)
        return {"booked": state["order"]}

    async def abook(self, state: Any, runtime: Any) -> Any:
        await asyncio.sleep(0)
        booked = self.book(state)
        await asyncio.sleep(0)
        return {**booked, "task": runtime.execution_info.task_id}

    def probe(self, key: str, arguments: Any) -> Any:
        happened = self.airline.booked(arguments["key"])
        return Happened({"booked": arguments["key"]}) if happened else NotHappened()

    def protocol(self, database: Database) -> Steps[Any]:
        """One run of the node in its task."""
        idempotent = Idempotent(database, barrier=False, wait=timedelta(0))
        idempotent.leases = NoLeases()  # type: ignore[assignment]
        step = _Step(idempotent, self.policy, lambda s: s["order"], "book", self.function)
        info = ExecutionInfo(
            "checkpoint", "book:task", f"task-{self.number}", f"thread-{self.number}"
        )
        runtime = Runtime(execution_info=info)
        return step._steps({"order": self.order}, get_config(), runtime)

    # ------------------------------------------------------------- people and counting

    def answer(self, payload: Any) -> Any:
        """A person looks it up: respond with the state update if it happened, else approve."""
        [asked] = payload["action_requests"]
        order = asked["args"]["key"]
        if self.airline.booked(order):
            return {"type": "respond", "message": json.dumps({"booked": order})}
        return {"type": "approve"}

    def operate(self, error: Exception) -> None:
        """Whatever there is to be asked is asked where the graph is."""

    def acts(self, effect: Any) -> bool:
        """The calls of the node function."""
        return isinstance(effect, Call) and effect.function.__qualname__.startswith("_Step._run")

    def harm(self, walk: Walk) -> list[str]:
        """What went wrong: duplicate, lost, false done."""
        happened = self.airline.bookings.count(self.order)
        late = 0 if self.airline.honours_keys else walk.late
        found = [f"{happened} bookings"] if not 1 <= happened <= 1 + late else []
        return found + [f"told {r!r}" for r in walk.results if r.get("booked") != self.order]


@DRIVERS
@pytest.mark.parametrize("rung", RUNGS)
def test_a_step_that_fails_anywhere_acts_once(
    database: Database, rung: str, is_async: bool
) -> None:
    """Stopped at every yield, in every way: no duplicate, nothing lost, the update told."""
    harm = every_path(lambda: Scene(database, rung, is_async=is_async), is_async=is_async)

    assert [] == harm, report(harm)


@DRIVERS
@pytest.mark.parametrize("rung", ["native_key", "surface"])
def test_a_step_that_fails_and_fails_again_acts_once(
    database: Database, rung: str, is_async: bool
) -> None:
    """Two deaths, or three failures, on the way."""

    def make() -> Scene:
        return Scene(database, rung, is_async=is_async)

    harm = every_two_deaths(make, is_async=is_async) + some_threes(make, 13, is_async=is_async)

    assert [] == harm, report(harm)
