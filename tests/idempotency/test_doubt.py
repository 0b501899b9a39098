"""Doubt is not undone by what comes after it, and not made up where there is none."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import httpx
import psycopg
import pytest
from langchain_core.tools import tool
from langgraph.graph import MessagesState
from pydantic import BaseModel

from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    IdempotentToolNode,
    InjectedConnection,
    RetryPolicy,
)
from lg_production.core.keys import digest
from lg_production.errors import IdempotencyConflict, NotDurable
from lg_production.idempotency.decisions import record_edit
from lg_production.idempotency.failures import judge
from lg_production.idempotency.key import canonical
from tests.graphs_for_tests import ASK, agent, call, says, thread
from tests.idempotency.test_tool import answers, compiled, states

REQUEST = httpx.Request("POST", "http://airline")
LATE = httpx.ReadTimeout("", request=REQUEST)
DOWN = httpx.ConnectError("", request=REQUEST)


def refused(code: int) -> httpx.HTTPStatusError:
    response = httpx.Response(code, request=REQUEST)
    return httpx.HTTPStatusError("", request=REQUEST, response=response)


def failing(*errors: Exception | None) -> Any:
    """A tool that fails so, one try after the other, and what it was asked to do."""
    runs, plan = [], list(errors)

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        runs.append(amount)
        error = plan.pop(0) if plan else None
        if error is not None:
            raise error
        return "paid"

    return pay, runs


def test_an_answer_that_does_not_parse_is_no_fault_of_the_model(database):
    """A ValidationError after the request is in doubt, though LangGraph blames the arguments."""

    class Receipt(BaseModel):
        number: int

    runs = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        runs.append(amount)
        return str(Receipt.model_validate({"id": 1}).number)

    graph = compiled(database, IdempotentToolNode([pay], database), call("pay", amount=1))

    assert "__interrupt__" in graph.invoke(ASK, thread())
    assert [1] == runs


@pytest.mark.parametrize("last", [DOWN, refused(401)])
def test_a_refusal_does_not_undo_an_earlier_doubt(database, last):
    """Time-out, then refused: the first request may have paid."""
    pay, runs = failing(LATE, last)
    policy = EffectPolicy(
        recovery="native_key",
        native_ttl=timedelta(hours=1),
        retry=RetryPolicy(max_attempts=2, initial_interval=0.001),
    )
    node = IdempotentToolNode([pay], database, policies={"pay": policy})
    with pytest.raises(type(last)):
        compiled(database, node, call("pay", amount=1)).invoke(ASK, thread())

    assert (2, ["in_doubt"]) == (len(runs), states(database))


def test_a_doubt_outlives_a_resume_that_was_refused(database):
    """Time-out; resume while the provider is down; the key is forgotten: a person is asked."""
    pay, runs = failing(LATE, DOWN)
    policy = EffectPolicy(
        recovery="native_key",
        native_ttl=timedelta(seconds=2),
        retry=RetryPolicy(max_attempts=1),
    )
    node = IdempotentToolNode([pay], database, policies={"pay": policy})
    graph, config = compiled(database, node, call("pay", amount=1)), thread()
    for error in (httpx.ReadTimeout, httpx.ConnectError):
        with pytest.raises(error):
            graph.invoke(None if error is httpx.ConnectError else ASK, config)
    age = "UPDATE lg_production.effects SET created_at = now() - interval '1 hour'"
    with database.connection() as connection:
        connection.execute(age)

    assert "__interrupt__" in graph.invoke(None, config)
    assert 2 == len(runs)


def test_a_refused_connection_may_hide_an_earlier_time_out():
    """What was being handled when the connection was refused is an earlier failure."""
    with pytest.raises(httpx.ConnectError) as caught:
        try:
            raise LATE
        except httpx.ReadTimeout:
            raise DOWN

    assert "in_doubt" == judge(caught.value)


def test_a_refused_connection_is_not_sent_for_every_client():
    """httpx and requests wrap the same refusal differently."""
    requests = pytest.importorskip("requests")
    for post, kind in ((httpx.post, httpx.ConnectError), (requests.post, requests.ConnectionError)):
        with pytest.raises(kind) as caught:
            post("http://127.0.0.1:1")

        assert "not_sent" == judge(caught.value)


def test_a_graph_inside_a_tool_has_its_own_calls(database):
    """Two sub-agents whose models number their calls alike: each call is its own."""
    booked = []

    @tool
    def book(flight: str) -> str:
        """Book."""
        booked.append(flight)
        return f"booked {flight}"

    inner_node = IdempotentToolNode([book], database)

    @tool
    def delegate(flight: str) -> str:
        """Let a sub-agent book."""
        inner = agent(says(call("book", "functions.book:0", flight=flight)), inner_node).compile()
        return answers(inner.invoke(ASK))[0]

    policies = {"delegate": EffectPolicy(recovery="at_least_once")}
    node = IdempotentToolNode([delegate, book], database, policies=policies)
    calls = [
        call("delegate", flight="LIS"),
        call("delegate", flight="OPO"),
        call("book", flight="X"),
    ]
    result = compiled(database, node, *calls).invoke(ASK, thread())

    assert ["booked LIS", "booked OPO", "booked X"] == answers(result)
    assert {"LIS", "OPO", "X"} == set(booked)


def test_many_transactions_at_once_leave_connections_for_the_rest(database_url):
    """Twelve transactional calls on four connections, on one event loop."""

    @tool
    def add(n: int, connection: Annotated[psycopg.Connection, InjectedConnection()]) -> str:
        """Add a row."""
        connection.execute("INSERT INTO added VALUES (%s)", (n,))
        return "added"

    with Database(database_url, max_connections=4) as database:
        with database.connection() as connection:
            connection.execute("CREATE TABLE added (n int)")
        policies = {"add": EffectPolicy(recovery="transactional")}
        node = IdempotentToolNode([add], database, policies=policies)
        graph = compiled(database, node, *[call("add", n=n) for n in range(3)])

        async def all_at_once() -> None:
            await asyncio.gather(*[graph.ainvoke(ASK, thread()) for _ in range(4)])

        asyncio.run(all_at_once())
        with database.connection() as connection:
            count = connection.execute("SELECT count(*) FROM added").fetchone()

    assert (12,) == count


def test_bad_arguments_are_the_models_to_correct_under_a_business_key(database):
    """What names the action is missing: the tool says so, and the corrected call runs."""

    @tool
    def order(order_id: str, amount: int) -> str:
        """Order."""
        return f"ordered {order_id} for {amount}"

    def model(state: MessagesState) -> Any:
        tries = [{"amount": 1}, {"order_id": "A", "amount": "one"}, {"order_id": "A", "amount": 1}]
        done = sum(m.type == "tool" for m in state["messages"])
        return says(*[call("order", **a) for a in tries[done : done + 1]])(
            {"messages": [*state["messages"][:1]]}
        )

    business = EffectPolicy(business=lambda a: a["order_id"])
    node = IdempotentToolNode([order], database, policies={"order": business})
    result = agent(model, node).compile(checkpointer=Checkpointer(database)).invoke(ASK, thread())

    assert 3 == len(answers(result))
    assert "ordered A for 1" == answers(result)[-1]


def test_an_edit_that_is_recorded_makes_a_new_action(database):
    """The same call with other arguments is a conflict until somebody explains it."""
    pay, runs = failing()
    graph = compiled(database, IdempotentToolNode([pay], database), call("pay", "c", amount=1))
    config = thread()
    state = graph.invoke(ASK, config)
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))
    asked = state["messages"][1].model_copy(update={"tool_calls": [call("pay", "c", amount=2)]})
    edited = graph.update_state(before.config, {"messages": [asked]})
    with pytest.raises(IdempotencyConflict, match="effects edit"):
        graph.invoke(None, edited)

    from uuid import uuid4

    from lg_production.idempotency import maintenance

    (entry,) = database.execute(maintenance.entries())
    explained = digest(canonical({"amount": 2}))
    database.execute(
        record_edit(entry.effect.key, 2, explained, decision_id=uuid4(), by="ann", reason="typo")
    )
    graph.invoke(None, edited)

    assert [1, 2] == runs


def test_a_database_without_checkpoints_says_what_to_do(server_url):
    """Our schema alone is not enough: LangGraph's tables are named, with the remedy."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare")
    pay, runs = failing()
    with Database(server_url.replace("/postgres?", "/bare?")) as database:
        database.migrate()
        from langgraph.checkpoint.memory import InMemorySaver

        node = IdempotentToolNode([pay], database)
        graph = agent(says(call("pay", amount=1)), node).compile(checkpointer=InMemorySaver())
        with pytest.raises(NotDurable, match=r"setup\(\)"):
            graph.invoke(ASK, thread())

    assert [] == runs
