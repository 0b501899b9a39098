"""The calls of one answer are claimed together, and none keeps a claim that it does not use."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from langchain_core.tools import tool

from lg_production import Checkpointer, Database, EffectPolicy, IdempotentToolNode
from lg_production.core.steps import Statement

from ..graphs_for_tests import ASK, agent, call, says, thread


def states(database: Database) -> Counter[str]:
    sql = "SELECT state FROM lg_production.effects"
    return Counter(row[0] for row in database.execute(Statement(sql, {}, list)))


class Counted:
    """Counts the claims that are sent, one or many rows each."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        send = database._combiner._run

        def run(statement: Any) -> Any:
            if "inserted AS" in statement.sql:
                self.rows.append(statement.params["key"].count("\\\\x"))
            return send(statement)

        monkeypatch.setattr(database._combiner, "_run", run)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_calls_of_one_answer_are_claimed_in_one_statement(
    database: Database, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """One round trip and one fsync for all of them."""
    booked: Counter[str] = Counter()

    @tool
    def book(order: str) -> str:
        """Book."""
        booked[order] += 1
        return f"booked {order}"

    claims = Counted(database, monkeypatch)
    model = says(*(call("book", order=str(n)) for n in range(3)))
    node = IdempotentToolNode([book], database)
    graph = agent(model, node).compile(checkpointer=Checkpointer(database))

    if asynchronous:
        asyncio.run(graph.ainvoke(ASK, thread(), durability="sync"))
    else:
        graph.invoke(ASK, thread(), durability="sync")

    assert [3] == claims.rows
    assert Counter({"0": 1, "1": 1, "2": 1}) == booked


def test_no_more_is_claimed_than_starts_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that waits for its turn when the worker dies has not happened, and is no doubt."""
    seen: list[Counter[str]] = []

    @tool
    def book(order: str) -> str:
        """Book."""
        seen.append(states(database))
        return f"booked {order}"

    claims = Counted(database, monkeypatch)
    model = says(*(call("book", order=str(n)) for n in range(3)))
    graph = agent(model, IdempotentToolNode([book], database)).compile(
        checkpointer=Checkpointer(database)
    )

    graph.invoke(ASK, {**thread(), "max_concurrency": 1}, durability="sync")

    assert [1, 1, 1] == claims.rows
    assert [1, 1, 1] == [states_then["claimed"] for states_then in seen]


def test_a_call_that_is_not_made_gives_its_claim_back(database: Database) -> None:
    """Something stops the node between the claim and the calls: all of them are free again."""

    class Refusing(IdempotentToolNode):
        refuse = True

        def _run_one(self, call: Any, input_type: Any, tool_runtime: Any) -> Any:
            if self.refuse:
                raise ConnectionError("not today")
            return super()._run_one(call, input_type, tool_runtime)

    booked: list[str] = []

    @tool
    def book(order: str) -> str:
        """Book."""
        booked.append(order)
        return f"booked {order}"

    node = Refusing([book], database)
    model = says(call("book", order="a"), call("book", order="b"))
    graph = agent(model, node).compile(checkpointer=Checkpointer(database))
    config = thread()
    with pytest.raises(ConnectionError):
        graph.invoke(ASK, config, durability="sync")
    freed = states(database)
    node.refuse = False

    graph.invoke(None, config, durability="sync")

    assert Counter(ready=2) == freed
    assert ["a", "b"] == sorted(booked)


def test_a_user_s_wrapper_that_refuses_a_call_leaves_no_row(database: Database) -> None:
    """What stands outside of idempotency decides first: a rejection takes no key."""

    @tool
    def book(order: str) -> str:
        """Book."""
        return f"booked {order}"

    def refuse(request: Any, handler: Any) -> Any:
        raise PermissionError(request.tool_call["args"]["order"])

    node = IdempotentToolNode(
        [book], database, wrap_tool_call=refuse, handle_tool_errors=(PermissionError,)
    )
    model = says(call("book", order="a"), call("book", order="b"))
    graph = agent(model, node).compile(checkpointer=Checkpointer(database))

    messages = graph.invoke(ASK, thread(), durability="sync")["messages"]

    assert ["error", "error"] == [m.status for m in messages if m.type == "tool"]
    assert Counter() == states(database)


def test_a_call_whose_arguments_cannot_name_the_action_is_told_so(database: Database) -> None:
    """Beside a sibling as alone: the model hears what was wrong, and the sibling books."""

    @tool
    def book(order: str) -> str:
        """Book."""
        return f"booked {order}"

    policies = {"book": EffectPolicy(business=lambda a: a["order"])}
    node = IdempotentToolNode([book], database, policies=policies)
    model = says(call("book", "bad", flight="?"), call("book", "good", order="b"))
    graph = agent(model, node).compile(checkpointer=Checkpointer(database))

    messages = graph.invoke(ASK, thread(), durability="sync")["messages"]

    assert ["error", "success"] == [m.status for m in messages if m.type == "tool"]
    assert Counter(succeeded=1) == states(database)
