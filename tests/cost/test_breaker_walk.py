"""The breaker is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest

from lg_production.core.database import Database
from lg_production.core.events import Event
from lg_production.core.steps import Call, Emit, Statement, Steps
from lg_production.cost.breaker_policy import BreakerPolicy
from lg_production.cost.breaking import CircuitBreaker
from lg_production.cost.circuits import Listed, circuits

from ..walk import KINDS, Fault, Kind, Walk, let_go
from .circuits_for_tests import EXACT, Line, shift

NUMBERS = count()
POLICY = BreakerPolicy(
    minimum_calls=1, failure_rate=1, initial_interval=1, lag=EXACT, backoff_factor=1
)


class Scene:
    """One circuit, as it was left by others, and an outside world that fails so many times."""

    def __init__(self, database: Database, start: str, failures: int) -> None:
        self.database, self.failures = database, failures
        self.line = Line(database, f"tenant-{next(NUMBERS)}", **POLICY.model_dump())
        self.circuit = self.line.circuit
        self.calls = self.failed = 0
        if start == "due":
            self.line.call("fail")
            self.line.passes(1)

    def protocol(self, database: Database) -> Steps[str]:
        """One attempt of a new worker."""
        breaker = CircuitBreaker(database)
        permit = yield from breaker.admit_steps(self.circuit, POLICY)
        return (yield from breaker.call_steps(permit, Call(self.act, self.aact)))

    def act(self) -> str:
        self.calls += 1
        if self.failed < self.failures:
            self.failed += 1
            raise TimeoutError("the outside world")
        return "made"

    async def aact(self) -> str:
        await asyncio.sleep(0)
        return self.act()

    def acts(self, effect: Any) -> bool:
        return isinstance(effect, Call) and effect.function == self.act

    def answer(self, payload: Any) -> Any:
        raise AssertionError(f"nobody is asked: {payload}")

    def listed(self) -> Listed | None:
        found = self.database.execute(circuits(self.circuit.tenant))
        return found[0] if found else None

    def version(self) -> int:
        sql = "SELECT version FROM lg_production.circuits WHERE tenant = %(tenant)s"
        read = lambda rows: rows[0][0] if rows else 0  # noqa: E731
        return self.database.execute(Statement(sql, {"tenant": self.circuit.tenant}, read))


class CircuitWalk(Walk):
    """Time passes for circuits, and events are heard."""

    scene: Scene
    heard: list[Event]

    def expire(self) -> None:
        shift(self.database, self.scene.circuit.tenant, 61)

    def after(self, effect: Any, fault: Kind | None) -> None:
        if isinstance(effect, Emit):
            self.heard.append(effect.event)
        super().after(effect, fault)


def harm(scene: Scene, walk: CircuitWalk, before: int, faults: list[Fault]) -> list[str]:
    """What went wrong: calls, counts, events, and a circuit that nobody can use any more."""
    found = []
    if scene.calls > walk.runs:
        found.append(f"{scene.calls} calls in {walk.runs} runs")
    listed = scene.listed()
    if listed is not None and listed.state == "closed" and listed.failures > scene.failed:
        found.append(f"{listed.failures} failures counted, {scene.failed} happened")
    changes = [e.name for e in walk.heard if e.name.split(".")[1] in CHANGES]
    transitions = scene.version() - before
    if len(changes) > transitions or (not faults and len(changes) != transitions):
        found.append(f"{transitions} transitions, told of {changes}")
    shift(scene.database, scene.circuit.tenant, 61)
    after = [scene.line.call("ok") for _ in range(3)]
    if after != ["made"] * 3 or scene.line.state() != "closed":
        found.append(f"afterwards {after}, and it is {scene.line.state()}")
    return found


CHANGES = {"opened", "half_open", "closed"}


def walked(scene: Scene, faults: list[Fault], is_async: bool) -> tuple[CircuitWalk, list[str]]:
    """Walk one path: the walk, and the path if it did any harm."""
    walk = CircuitWalk(
        scene.database, scene.protocol, scene.answer, list(faults), scene.acts,
        is_async=is_async, in_graph=False,
    )  # fmt: skip
    walk.scene, walk.heard = scene, []
    before, ours = scene.version(), scene.database.worker
    try:
        walk.settle()
        found = harm(scene, walk, before, faults)
    except RuntimeError as error:
        found = [repr(error)]
    finally:
        scene.database.worker = ours
        let_go()
    return walk, ["\n".join([str(faults), *walk.trace, *found])] if found else []


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("start", "failures"), [("new", 0), ("new", 1), ("due", 0), ("due", 1)])
def test_a_call_that_fails_anywhere_leaves_a_circuit_that_works(
    database: Database, start: str, failures: int, is_async: bool
) -> None:
    """No probe is held for ever, no failure counted twice, no transition told twice."""
    walk, bad = walked(Scene(database, start, failures), [], is_async)
    for at in range(walk.yields):
        for kind in KINDS:
            bad += walked(Scene(database, start, failures), [Fault(at, kind)], is_async)[1]

    assert [] == bad, f"{len(bad)} paths, the first:\n{bad[0]}"


def test_two_failures_on_the_way_leave_a_circuit_that_works(database: Database) -> None:
    """A worker dies, and the one after it as well, or is away."""
    bad = []
    for first in range(6):
        for second in range(first + 1, first + 8):
            for kind in ("died after", "away after"):
                faults = [Fault(first, "died after"), Fault(second, kind)]
                bad += walked(Scene(database, "due", 1), faults, is_async=False)[1]

    assert [] == bad, f"{len(bad)} paths, the first:\n{bad[0]}"
