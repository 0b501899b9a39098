"""Every guard of cost control inside `create_agent`, sync and async."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolErrorMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.types import Command

from lg_production import (
    Breaker,
    BreakerPolicy,
    Budget,
    Budgeted,
    BudgetGuard,
    BudgetPolicy,
    Checkpointer,
    Database,
    Idempotent,
    Limit,
    Limits,
    LoopBreaker,
    LoopGuard,
    ModelBreaker,
    Review,
    ReviewPolicy,
    Stakes,
    StopButton,
)
from lg_production.errors import Stopped
from lg_production.middleware import as_middleware
from tests.cost.models_for_tests import books, model

RUN: Any = {"configurable": {"thread_id": "t"}}
ASK: Any = {"messages": [("user", "go")]}


def asks(number: int, words: str = "x") -> list[Any]:
    """The calls of an answer."""
    return [{"name": "search", "args": {"words": words}, "id": f"c{number}"}]


@pytest.fixture(params=["invoke", "ainvoke"])
def run(request: pytest.FixtureRequest) -> Any:
    """Run an agent either way."""
    if request.param == "invoke":
        return lambda agent: agent.invoke(ASK, RUN)
    return lambda agent: asyncio.run(agent.ainvoke(ASK, RUN))


def agent_of(
    database: Database, answers: list[Any], guards: list[Any], body: Any, *others: Any
) -> Any:
    """An agent whose model asks for these calls, and then says "an answer"."""

    @tool
    def search(words: str) -> str:
        """Search."""
        return str(body(words))

    return create_agent(
        model(tool_calls=answers), [search], middleware=[*others, *as_middleware(*guards)],
        checkpointer=Checkpointer(database),
    )  # fmt: skip


def test_a_budget_ends_an_agent_with_what_it_has(database: Database, run: Any) -> None:
    """The guard says that there is no room, the wrapper counts each call once."""
    policy = BudgetPolicy(
        limits=(Limit(scope="thread", model_calls=2),), wait=timedelta(0), max_tokens=50
    )
    budget = Budget(database, policy)
    guards = [BudgetGuard(database, policy, then="model", accounting=False), Budgeted(budget)]
    answers = [asks(n, f"words {n}") for n in range(9)]

    ended = run(agent_of(database, answers, guards, lambda words: f"about {words}"))

    assert "about words 1" in ended["messages"][-1].text
    assert {"model_calls": (2, 0)} == books(database)


def test_a_guard_that_counts_itself_counts_the_last_call(database: Database, run: Any) -> None:
    """It is settled behind the model, at what its answer says, and nothing stays held."""
    policy = BudgetPolicy(limits=(Limit(scope="thread", total_tokens=10**6, steps=9),))
    guards = [BudgetGuard(database, policy, then="model")]

    run(agent_of(database, [asks(1)], guards, lambda words: words))

    assert {"total_tokens": (30, 0), "steps": (2, 0)} == books(database)


def test_tool_limits_and_loops_are_kept(database: Database, run: Any) -> None:
    """A limit tells the model, a loop ends the run."""
    made: list[str] = []
    policy = BudgetPolicy(limits=(Limit(scope="task", tool="search", tool_calls=2),))
    guards = [LoopGuard(), LoopBreaker(), Limits(database, policy)]

    ended = run(agent_of(database, [asks(n) for n in range(20)], guards, made.append))

    results = [m for m in ended["messages"] if isinstance(m, ToolMessage)]
    assert ["x", "x"] == made
    assert "limit is reached" in results[2].text
    assert "Stopped here" in ended["messages"][-1].text


def test_a_broken_tool_is_left_alone(database: Database, run: Any) -> None:
    """The circuit opens, and the model hears that the tool is not available."""
    made: list[str] = []

    def broken(words: str) -> str:
        made.append(words)
        raise ConnectionError(words)

    policy = BreakerPolicy(minimum_calls=2, lag=timedelta(0))
    guards = [ModelBreaker(database, policy), Breaker(database, policy)]
    answers = [asks(n, f"words {n}") for n in range(4)]
    told_of_errors = ToolErrorMiddleware(lambda error, _: f"failed: {type(error).__name__}")

    ended = run(agent_of(database, answers, guards, broken, told_of_errors))

    told = [m.text for m in ended["messages"] if isinstance(m, ToolMessage)]
    assert ["words 0", "words 1"] == made
    assert all("not available" in text for text in told[2:])
    assert "an answer" == ended["messages"][-1].text


def test_what_is_no_guard_is_refused() -> None:
    """At construction, not at the first call."""
    with pytest.raises(TypeError, match="no guard"):
        as_middleware(object())  # type: ignore[arg-type]


def test_a_stop_button_stands_before_models_and_before_tools(database: Database, run: Any) -> None:
    """One middleware, both kinds of call: pressed inside a tool, the next model is not asked."""
    button = StopButton(database, then="model", max_age=timedelta(0))
    asked: list[str] = []

    def body(words: str) -> str:
        asked.append(words)
        button.press("all", by="anna", reason="drill")
        return words

    agent = agent_of(database, [asks(n, f"words {n}") for n in range(3)], [button], body)
    with pytest.raises(Stopped):
        run(agent)

    assert ["words 0"] == asked


def test_a_review_in_an_agent_asks_and_runs_what_was_approved(database: Database, run: Any) -> None:
    """`create_agent` with `Review` outside of `Idempotent`: nothing runs before the answer."""
    policy = ReviewPolicy(tools={"search": Stakes(tier="high")})
    guards = [Review(database, policy), Idempotent(database)]
    searched: list[str] = []
    agent = agent_of(database, [asks(0), []], guards, lambda words: searched.append(words) or "ok")

    asked = run(agent)["__interrupt__"]
    before = list(searched)
    agent.invoke(Command(resume={"type": "approve"}), RUN)

    assert 1 == len(asked)
    assert ([], ["x"]) == (before, searched)
