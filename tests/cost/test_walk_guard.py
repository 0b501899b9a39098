"""The guard and the callback are stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import ExecutionInfo

from lg_production.core.database import Database
from lg_production.core.steps import Call, Statement, Steps
from lg_production.cost.budget import Budget, Exhausted
from lg_production.cost.guard import BudgetGuard
from lg_production.cost.metering import BudgetCallback
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.cost.surfaces import Surfaced

from ..walk import Walk, let_go
from ..walk_paths import every_path, every_two_deaths, execute, report, some_threes

NUMBERS = count()
ASKED, MOST, TOOK = 20, 30, 25
HELD = ASKED + MOST
LATER = "UPDATE lg_production.reservations SET lease_until = now() WHERE state = 'reserved'"
DRIVERS = pytest.mark.parametrize("is_async", [False, True])
TIME = pytest.mark.parametrize("passes", [False, True], ids=["at once", "after the lease"])


def usage(took: int) -> Any:
    return {"input_tokens": ASKED, "output_tokens": took - ASKED, "total_tokens": took}


class Scene:
    """What both have in common: limits, time, and the books at the end."""

    def __init__(self, database: Database, *limits: Limit, passes: bool = True) -> None:
        self.database, self.name, self.passes = database, f"walk-{next(NUMBERS)}", passes
        self.policy = BudgetPolicy(limits=limits, wait=timedelta(0), max_tokens=MOST)
        self.runs = 0

    def protocol(self, database: Database) -> Steps[Any]:
        """Behind a first run, the dead are counted, and so are those who took too long."""
        self.runs += 1
        if self.runs > 1 and self.passes:
            self.sweep()
        return self.steps(database)

    def steps(self, database: Database) -> Steps[Any]:
        raise NotImplementedError

    def sweep(self) -> None:
        execute(self.database, LATER + " RETURNING 1")
        Budget(self.database, self.policy).sweep()

    def answer(self, payload: Any) -> Any:
        raise AssertionError(payload)

    def operate(self, error: Exception) -> None:
        """Nobody needs to do anything."""

    def acts(self, effect: Any) -> bool:
        """Whether it reaches the provider."""
        return False

    def books(self) -> dict[str, tuple[int, int]]:
        """Used and held, by quantity, of this path."""
        sql = "SELECT quantity, used, reserved FROM lg_production.budgets WHERE scope = %(scope)s"
        rows = self.database.execute(Statement(sql, {"scope": f"thread:{self.name}"}, list))
        return {quantity: (used, held) for quantity, used, held in rows}


# ------------------------------------------------------------------------------- guard

FIRST = [HumanMessage("find it", id="q")]
SAID = AIMessage("it", id="a", usage_metadata=usage(TOOK))
SECOND = [*FIRST, SAID, HumanMessage("and that", id="r")]
NO_IDS = [m.model_copy(update={"id": None}) for m in SECOND]


class GuardScene(Scene):
    """The second step of a thread, begun again until the guard lets it go on."""

    def __init__(self, database: Database, messages: list[Any], **options: Any) -> None:
        steps = options.pop("limit", 9)
        super().__init__(
            database,
            Limit(scope="thread", steps=steps, model_calls=steps, total_tokens=1000),
            passes=options.pop("passes", True),
        )
        self.messages, self.options = messages, options
        self.within(lambda: self.guard().admit({"messages": messages[:1]}, self.runtime("first")))

    def guard(self) -> BudgetGuard:
        return BudgetGuard(
            self.database, self.policy, then="model", counter=lambda *_: ASKED, **self.options
        )

    def runtime(self, task: str) -> Any:
        return SimpleNamespace(execution_info=ExecutionInfo("c", "guard:task", task, self.name))

    def within(self, act: Callable[[], Any]) -> Any:
        """Do it in a task of LangGraph's."""
        token = var_child_runnable_config.set({"configurable": {"thread_id": self.name}})
        try:
            return act()
        finally:
            var_child_runnable_config.reset(token)

    def begin(self) -> Steps[Any]:
        """What the node does."""
        return self.guard()._admit({"messages": self.messages}, self.runtime("second"))

    def steps(self, database: Database) -> Steps[str]:
        """It, each time in the same task of LangGraph's."""
        protocol = self.begin()
        resume: Callable[[], Any] = lambda: next(protocol)  # noqa: E731 - it changes
        while True:
            try:
                effect = self.within(resume)
            except StopIteration as stop:
                return "refused" if stop.value else "admitted"
            try:
                resume = partial(protocol.send, (yield effect))
            except GeneratorExit:
                protocol.close()
                raise
            except BaseException as error:
                resume = partial(protocol.throw, error)

    def harm(self, walk: Walk) -> list[str]:
        """Its one answer comes and is settled; each step and call of the two is counted once."""
        told = [*self.messages, SAID.model_copy(update={"id": None})]
        self.within(lambda: self.guard().settle({"messages": told}))
        let_go()
        self.sweep()
        found = [] if set(walk.results) == {"admitted"} else [f"it was {walk.results}"]
        # A record that may be lost may leave the first call at its worst case, and says so.
        lost = any("budget.unrecorded" in line for line in walk.trace)
        worst = lost and self.books().get("total_tokens") == (TOOK + HELD, 0)
        took = TOOK + HELD if worst else 2 * TOOK
        wanted = {"steps": (2, 0), "model_calls": (2, 0), "total_tokens": (took, 0)}
        if not self.options.get("accounting", True):
            wanted = {"steps": (2, 0)}  # the callback counts the rest
        books = {quantity: both for quantity, both in self.books().items() if any(both)}
        return found + ([f"counted {books}"] if books != wanted else [])


@DRIVERS
@TIME
@pytest.mark.parametrize("messages", [SECOND, NO_IDS], ids=["ids", "no ids"])
@pytest.mark.parametrize("limit", [9, 2], ids=["room", "the last step"])
def test_a_step_that_fails_anywhere_is_one_step_and_one_call(
    database: Database, messages: list[Any], limit: int, passes: bool, is_async: bool
) -> None:
    """Stopped at every yield, in every way: it goes on, and is never refused for itself."""

    def make() -> GuardScene:
        return GuardScene(database, messages, passes=passes, limit=limit)

    harm = every_path(make, is_async=is_async, in_graph=False)

    assert [] == harm, report(harm)


@DRIVERS
@TIME
@pytest.mark.parametrize("limit", [9, 2], ids=["room", "the last step"])
def test_a_step_beside_a_callback_counts_once(
    database: Database, limit: int, passes: bool, is_async: bool
) -> None:
    """accounting=False: the same for a guard that counts nothing but steps."""

    def make() -> GuardScene:
        return GuardScene(database, SECOND, passes=passes, limit=limit, accounting=False)

    harm = every_path(make, is_async=is_async, in_graph=False)

    assert [] == harm, report(harm)


@DRIVERS
def test_a_step_that_fails_and_fails_again_counts_once(database: Database, is_async: bool) -> None:
    """Two deaths, or three failures, on the way."""

    def make() -> GuardScene:
        return GuardScene(database, SECOND)

    options = {"is_async": is_async, "in_graph": False}
    harm = every_two_deaths(make, **options) + some_threes(make, 23, **options)

    assert [] == harm, report(harm)


class RoutedScene(GuardScene):
    """A step of a run that is routed elsewhere."""

    def begin(self) -> Steps[Any]:
        """Only the step is counted."""
        return self.guard()._count_step({"messages": self.messages}, self.runtime("second"))

    def harm(self, walk: Walk) -> list[str]:
        """The first step's call is settled by hand; the second made none."""
        self.within(lambda: self.guard().settle({"messages": self.messages[:2]}))
        let_go()
        self.sweep()
        wanted = {"steps": (2, 0), "model_calls": (1, 0), "total_tokens": (TOOK, 0)}
        return [f"counted {self.books()}"] if self.books() != wanted else []


@DRIVERS
@TIME
def test_a_routed_step_that_fails_anywhere_is_one_step(
    database: Database, passes: bool, is_async: bool
) -> None:
    """However often it begins again."""
    harm = every_path(
        lambda: RoutedScene(database, SECOND, passes=passes), is_async=is_async, in_graph=False
    )

    assert [] == harm, report(harm)


# ---------------------------------------------------------------------------- callback


class CallScene(Scene):
    """One model call as LangChain tells a callback of it, and the provider's own bill."""

    chunks = 0

    def __init__(self, database: Database, **options: Any) -> None:
        limit = options.pop("limit", 1000)
        super().__init__(
            database, Limit(scope="thread", total_tokens=limit, model_calls=99), **options
        )
        self.bills: list[int] = []

    def bill(self) -> int:
        self.bills.append(ASKED if self.chunks else TOOK)
        return self.bills[-1]

    async def abill(self) -> int:
        await asyncio.sleep(0)
        took = self.bill()
        await asyncio.sleep(0)
        return took

    def acts(self, effect: Any) -> bool:
        """The call of the provider."""
        return isinstance(effect, Call) and effect.function == self.bill

    def steps(self, database: Database) -> Steps[str]:
        """LangChain tells of errors of the model, and of no others; a run id is new in each run."""
        callback = BudgetCallback(Budget(database, self.policy), counter=lambda *_: ASKED)
        run_id, asked = uuid4(), [[HumanMessage("find it", id="q")]]
        told = {"thread_id": self.name, "ls_model_name": "gpt-4o-mini"}
        try:
            yield from callback._start(run_id, asked, told, {})
        except Exhausted:
            return "refused"
        try:
            took = yield from Call(self.bill, self.abill)
            for _ in range(self.chunks):
                self.bills[-1] += 1
                took += 1
                chunk = ChatGenerationChunk(message=AIMessageChunk("x"))
                yield from of(BudgetCallback.on_llm_new_token)(
                    callback, "x", chunk=chunk, run_id=run_id
                )
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from of(BudgetCallback.on_llm_error)(callback, error, run_id=run_id)
            raise
        message = AIMessage("it", usage_metadata=usage(took))
        answer = LLMResult(generations=[[ChatGeneration(message=message)]])
        yield from of(BudgetCallback.on_llm_end)(callback, answer, run_id=run_id)
        return "answered"

    def harm(self, walk: Walk) -> list[str]:
        """What went wrong: billed and not counted, leaked, or counted though never held."""
        let_go()
        self.sweep()
        (tokens, held), (calls, calls_held) = (
            self.books()[quantity] for quantity in ("total_tokens", "model_calls")
        )
        found = [f"{held} tokens and {calls_held} calls leaked"] if held or calls_held else []
        # A stream is told of a chunk when it is there: of each that ended badly, one may be lost.
        if not sum(self.bills) <= tokens + bool(self.chunks) * (walk.runs - 1):
            found.append(f"billed {self.bills}, counted {tokens}")
        # A run is a call; an away worker and the one that took over for it are two.
        if not len(self.bills) <= calls <= walk.runs:
            found.append(f"{calls} calls counted of {len(self.bills)} in {walk.runs} runs")
        if "answered" in walk.results and not self.bills:
            found.append("false done")
        return found


def of(method: Any) -> Callable[..., Steps[None]]:
    """The steps of a callback's method."""
    assert isinstance(method, Surfaced)
    return method.steps


class StreamScene(CallScene):
    """The answer streams past what is held for it, twice."""

    chunks = MOST + 70


@DRIVERS
@TIME
@pytest.mark.parametrize("scene", [CallScene, StreamScene])
def test_a_call_that_fails_anywhere_is_counted(
    database: Database, scene: type[CallScene], passes: bool, is_async: bool
) -> None:
    """Stopped at every yield, in every way: every bill is in the books, and nothing stays held."""
    harm = every_path(lambda: scene(database, passes=passes), is_async=is_async, in_graph=False)

    assert [] == harm, report(harm)


@DRIVERS
def test_a_call_that_fails_and_fails_again_is_counted(database: Database, is_async: bool) -> None:
    """Two deaths, or three failures, on the way."""
    options = {"is_async": is_async, "in_graph": False}
    harm = every_two_deaths(lambda: CallScene(database), **options)
    harm += some_threes(lambda: StreamScene(database), 29, **options)

    assert [] == harm, report(harm)
