"""@idempotent_step, compensation and the middleware."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from lg_production import (
    Checkpointer,
    EffectPolicy,
    IdempotentToolNode,
    compensate,
    current_effect,
    idempotent_step,
)
from lg_production.errors import EffectFailed, OutcomeUnknown
from lg_production.idempotency import acompensate, maintenance
from lg_production.middleware import IdempotentMiddleware
from tests.graphs_for_tests import ASK, agent, call, thread


class Mail(TypedDict, total=False):
    to: str
    sent: str


def mailing(database, send: Any, **options: Any) -> Any:
    node = idempotent_step(database, key=lambda state: state["to"], **options)(send)
    builder = StateGraph(Mail)
    builder.add_node("send", node)
    builder.add_edge(START, "send")
    return builder.compile(checkpointer=Checkpointer(database))


def rerun(graph: Any, config: Any) -> Any:
    before = next(s for s in graph.get_state_history(config) if s.next == ("send",))
    return graph.invoke(None, before.config)


def test_a_step_acts_once_and_replays_its_update(database):
    """Time travel to before the step serves the recorded state update."""
    sent = []

    def send(state: Mail) -> Mail:
        sent.append((state["to"], current_effect().native_key))
        return {"sent": f"to {state['to']}"}

    graph, config = mailing(database, send), thread()
    first = graph.invoke({"to": "ann"}, config)

    assert first == rerun(graph, config)
    assert ["ann"] == [to for to, _ in sent]
    assert 64 == len(sent[0][1])


def test_an_async_step_acts_once_too(database):
    """A coroutine function stays one."""
    sent = []

    async def send(state: Mail, runtime: Any) -> Mail:
        sent.append(runtime.execution_info.thread_id)
        return {"sent": "yes"}

    graph, config = mailing(database, send), thread()

    async def twice():
        await graph.ainvoke({"to": "ann"}, config)
        history = [s async for s in graph.aget_state_history(config)]
        before = next(s for s in history if s.next == ("send",))
        return await graph.ainvoke(None, before.config)

    assert "yes" == asyncio.run(twice())["sent"]
    assert [config["configurable"]["thread_id"]] == sent


def test_another_thread_acts_for_itself(database):
    """The key of a step holds within its thread."""
    sent = []
    graph = mailing(database, lambda state: sent.append(state["to"]), name="send")
    for _ in range(2):
        graph.invoke({"to": "ann"}, thread())

    assert ["ann", "ann"] == sent


@pytest.mark.parametrize("approve", [True, False])
def test_a_step_in_doubt_asks_and_takes_json(database, approve):
    """respond carries the state update; anything else is an error with a reason."""

    def send(state: Mail) -> Mail:
        raise TimeoutError

    graph, config = mailing(database, send), thread()
    asked = graph.invoke({"to": "ann"}, config)["__interrupt__"][0].value
    assert "send" == asked["action_requests"][0]["name"]

    message = '{"sent": "found it"}' if approve else "found it"
    answer = Command(resume={"type": "respond", "message": message})
    if approve:
        assert {"to": "ann", "sent": "found it"} == graph.invoke(answer, config)
    else:
        with pytest.raises(EffectFailed, match="JSON"):
            graph.invoke(answer, config)


@pytest.mark.parametrize(
    "policy", [EffectPolicy(recovery="read_only"), EffectPolicy(window=timedelta(1))]
)
def test_a_policy_for_tools_is_refused(database, policy):
    """At decoration, not at the first crash."""
    with pytest.raises(ValueError, match="step"):
        idempotent_step(database, key=str, policy=policy)


# ------------------------------------------------------------------------ compensation


@pytest.fixture
def trip(database) -> Any:
    """A thread that booked a flight and a hotel, and what was undone."""
    undone: list[tuple[str, str]] = []
    failures: list[Exception] = []

    def undo(kind):
        def compensation(key, arguments, result):
            if failures:
                raise failures.pop()
            undone.append((kind, arguments["name"], result.content, key))
            return "cancelled"

        return compensation

    @tool
    def flight(name: str) -> str:
        """Book a flight."""
        return f"flight {name}"

    @tool
    def hotel(name: str) -> str:
        """Book a hotel."""
        return f"hotel {name}"

    policies = {n: EffectPolicy(compensate=undo(n)) for n in ("flight", "hotel")}
    node = IdempotentToolNode([flight, hotel], database, policies=policies)

    def model(state):
        done = [m for m in state["messages"] if isinstance(m, ToolMessage)]
        plan = [call("flight", name="LIS"), call("hotel", name="Ritz")]
        return {"messages": [AIMessage("", tool_calls=plan[len(done) : len(done) + 1])]}

    graph = agent(model, node).compile(checkpointer=Checkpointer(database))
    config = thread()
    graph.invoke(ASK, config)
    return node.idempotent, config["configurable"]["thread_id"], undone, failures


def states(database) -> dict[str, str]:
    return {e.effect.tool: e.effect.state for e in database.execute(maintenance.entries())}


def test_effects_are_undone_in_reverse_order_and_once(database, trip):
    """The hotel before the flight, each under a key of its own, and never again."""
    idempotent, thread_id, undone, _ = trip

    first = compensate(idempotent, thread_id)
    second = compensate(idempotent, thread_id)

    assert (["hotel", "flight"], []) == (first, second)
    assert [("hotel", "Ritz", "hotel Ritz"), ("flight", "LIS", "flight LIS")] == [
        u[:3] for u in undone
    ]
    assert 2 == len({u[3] for u in undone})
    assert {"compensated"} == {s for t, s in states(database).items() if ":" not in t}


def test_a_compensation_in_doubt_stops_and_goes_on_when_settled(database, trip):
    """Nobody knows whether it was undone: an operator settles it, and the rest follows."""
    idempotent, thread_id, undone, failures = trip
    failures.append(TimeoutError())
    with pytest.raises(OutcomeUnknown):
        asyncio.run(acompensate(idempotent, thread_id))

    assert ("compensating", "succeeded", "in_doubt") == tuple(
        states(database)[t] for t in ("hotel", "flight", "hotel:compensate")
    )
    assert [] == undone


# -------------------------------------------------------------------------- middleware


class Scripted(GenericFakeChatModel):
    """A fake that takes tools."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


@pytest.mark.parametrize("is_async", [False, True])
def test_create_agent_books_once(database, is_async):
    """The same guard as a middleware: a replayed call is served from the record."""
    booked = []

    @tool
    def book(flight: str) -> str:
        """Book a flight."""
        booked.append(flight)
        return f"booked {flight}"

    replies = [AIMessage("", tool_calls=[call("book", flight="LIS")])] + [AIMessage("done")] * 3
    model = Scripted(messages=iter(replies))
    graph = create_agent(
        model,
        [book],
        middleware=[IdempotentMiddleware(database)],
        checkpointer=Checkpointer(database),
    )
    config = thread()

    async def run(state, config):
        return await graph.ainvoke(state, config) if is_async else graph.invoke(state, config)

    async def twice():
        await run(ASK, config)
        history = list(graph.get_state_history(config))
        before = next(s for s in history if s.next == ("tools",))
        return await run(None, before.config)

    result = asyncio.run(twice())

    assert ["LIS"] == booked
    assert [True] == [
        m.additional_kwargs["lg_production"]["replayed"]
        for m in result["messages"]
        if isinstance(m, ToolMessage)
    ]
