"""Nothing is called once the button is pressed, on any surface, until it is lifted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, tool
from langgraph.errors import GraphDrained
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import RunControl
from langgraph.types import RetryPolicy

from lg_production import Checkpointer, Database, Idempotent, tool_node, wrapped_model
from lg_production.core.events import Event
from lg_production.core.steps import Statement
from lg_production.errors import DatabaseUnavailable, Stopped
from lg_production.oversight import stops
from lg_production.oversight.stop import StopButton

from ..graphs_for_tests import ASK, agent, call, says, thread
from ..walk_paths import execute

NOW = timedelta(0)
DRIVERS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
WHY = {"by": "ann", "reason": "it books too much"}


class World:
    """What was called, and a button that can be pressed by what is called."""

    def __init__(self, database: Database, **options: Any) -> None:
        self.database, self.called, self.events = database, list[str](), list[Event]()
        self.button = StopButton(
            database, **{"max_age": NOW, "observers": [self.events.append], **options}
        )
        self.press: str | None = None

    def tool(self) -> BaseTool:
        @tool
        def book(flight: str) -> str:
            """Book."""
            self.called.append(flight)
            if self.press and len(self.called) == 1:
                self.button.press(self.press, **WHY)
            return f"booked {flight}"

        return book


class Model(GenericFakeChatModel):
    """Asks for flights, one after the other."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def model(*flights: str) -> Model:
    asked = [AIMessage("", tool_calls=[call("book", flight=f)]) for f in flights]
    return Model(messages=iter([*asked, AIMessage("done")]))


class Both(AgentMiddleware):
    """The button before models and tools."""

    def __init__(self, button: StopButton) -> None:
        super().__init__()
        self.button = button

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.button.wrap_model_call(request, handler)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await self.button.awrap_model_call(request, handler)

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self.button.wrap_tool_call(request, handler)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await self.button.awrap_tool_call(request, handler)


def with_tool_node(world: World, *flights: str) -> Any:
    bound = model(*flights)
    node = tool_node([world.tool()], world.button, Idempotent(world.database))
    return agent(lambda s: {"messages": [bound.invoke(s["messages"])]}, node)


def with_plain_tool_node(world: World, *flights: str) -> Any:
    bound, button = model(*flights), world.button
    node = ToolNode(
        [world.tool()],
        handle_tool_errors=True,
        wrap_tool_call=button.wrap_tool_call,
        awrap_tool_call=button.awrap_tool_call,
    )
    return agent(lambda s: {"messages": [bound.invoke(s["messages"])]}, node)


def with_wrapped_model(world: World, *flights: str) -> Any:
    bound = wrapped_model(model(*flights), world.button)
    builder = StateGraph(MessagesState)

    def sync(state: Any) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    async def on_loop(state: Any) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    builder.add_node("model", RunnableLambda(sync, on_loop), retry_policy=RetryPolicy())
    return loop(builder, world)


def with_node(world: World, *flights: str) -> Any:
    bound = model(*flights)
    builder = StateGraph(MessagesState)
    builder.add_node("stop", world.button, destinations=("model",))
    builder.add_node("model", lambda s: {"messages": [bound.invoke(s["messages"])]})
    return loop(builder, world, first="stop")


def loop(builder: Any, world: World, first: str = "model") -> Any:
    builder.add_node("tools", ToolNode([world.tool()]))
    builder.add_edge(START, first)
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", first)
    return builder


SURFACES: dict[str, Callable[..., Any]] = {
    "tool_node": with_tool_node,
    "ToolNode": with_plain_tool_node,
    "wrapped_model": with_wrapped_model,
    "node": with_node,
}


def compiled(surface: str, world: World, *flights: str) -> Any:
    saver = Checkpointer(world.database)
    if surface == "create_agent":
        return create_agent(
            model(*flights), [world.tool()], middleware=[Both(world.button)], checkpointer=saver
        )
    return SURFACES[surface](world, *flights).compile(checkpointer=saver)


def run(graph: Any, given: Any, config: Any, is_async: bool, **options: Any) -> Any:
    if is_async:
        return asyncio.run(graph.ainvoke(given, config, **options))
    return graph.invoke(given, config, **options)


@DRIVERS
@pytest.mark.parametrize("surface", [*SURFACES, "create_agent"])
def test_no_other_call_is_made_once_it_is_pressed_until_it_is_lifted(
    database: Database, surface: str, is_async: bool
) -> None:
    """Pressed by the first call, before the second; lifted, the thread goes on with that one."""
    world, config = World(database, agent="booking", then="model"), thread()
    world.press = "agent:booking"
    graph = compiled(surface, world, "LH1", "LH2")

    with pytest.raises(Stopped) as stopped:
        run(graph, ASK, config, is_async)
    held = list(world.called)
    with pytest.raises(Stopped):
        run(graph, None, config, is_async)
    again = list(world.called)
    world.button.lift("agent:booking", by="ann")
    state = run(graph, None, config, is_async)

    assert ["LH1"] == held == again
    assert ["LH1", "LH2"] == world.called
    assert "done" == state["messages"][-1].content
    assert "agent:booking" in str(stopped.value)
    assert "books too much" not in str(stopped.value)
    assert {"stop.held"} == {event.name for event in world.events}


@pytest.mark.parametrize("scope", ["all", "thread", "tenant:acme", "agent:booking", "tool:book"])
def test_it_stops_what_it_names(database: Database, scope: str) -> None:
    """A thread, an agent, a tenant, a tool, or everything."""
    world, config = World(database, agent="booking", tenant="acme"), thread()
    scope = f"thread:{config['configurable']['thread_id']}" if scope == "thread" else scope
    world.button.press(scope, **WHY)

    with pytest.raises(Stopped):
        run(compiled("tool_node", world, "LH1"), ASK, config, is_async=False)

    assert [] == world.called


@pytest.mark.parametrize("scope", ["thread:x", "tenant:other", "agent:research", "tool:search"])
def test_it_does_not_stop_others(database: Database, scope: str) -> None:
    """And a stop of all is lifted without the others."""
    world = World(database, agent="booking", tenant="acme")
    world.button.press(scope, **WHY)
    world.button.press("all", **WHY)
    world.button.lift("all", by="bob")

    run(compiled("tool_node", world, "LH1"), ASK, thread(), is_async=False)

    assert ["LH1"] == world.called
    assert [scope] == [stop.scope for stop in world.button.standing()]


def test_a_run_that_names_its_tenant_is_that_tenants(database: Database) -> None:
    """Before the button's own."""
    world = World(database, tenant="acme")
    world.button.press("tenant:other", **WHY)

    with pytest.raises(Stopped):
        run(compiled("tool_node", world, "LH1"), ASK, thread(tenant_id="other"), is_async=False)

    assert [] == world.called


@DRIVERS
def test_the_run_is_asked_to_drain(database: Database, is_async: bool) -> None:
    """Whoever holds the RunControl sees it; and Stopped is what LangGraph calls drained."""
    world, control = World(database), RunControl()
    world.button.press("all", **WHY)
    graph = compiled("tool_node", world, "LH1")

    with pytest.raises(GraphDrained):
        run(graph, ASK, thread(), is_async, control=control)

    assert "stopped: all" == control.drain_reason


def test_a_node_that_keeps_the_stop_to_itself_ends_the_run_all_the_same(database: Database) -> None:
    """It is drained before its next step."""
    world, control, reached = World(database), RunControl(), list[str]()
    world.button.press("all", **WHY)
    builder = StateGraph(MessagesState)

    def keeps_it(state: Any) -> Any:
        with pytest.raises(Stopped):
            wrapped_model(model(), world.button).invoke("hello")
        return {}

    builder.add_node("first", keeps_it)
    builder.add_node("second", lambda _: reached.append("second") or {})
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")

    with pytest.raises(GraphDrained):
        builder.compile().invoke({"messages": []}, control=control)

    assert [] == reached


def test_what_was_stopped_took_no_key(database: Database) -> None:
    """Inside of Idempotent the claim is released: nothing is in doubt, and the call is made once."""
    config, world = thread(), World(database)
    world.button.press("all", **WHY)
    node = tool_node([world.tool()], Idempotent(database), world.button)
    builder = agent(says(call("book", "c", flight="LH1")), node)
    graph = builder.compile(checkpointer=Checkpointer(database))

    with pytest.raises(Stopped):
        graph.invoke(ASK, config)
    states = execute(database, "SELECT state FROM lg_production.effects")
    world.button.lift("all", by="ann")
    graph.invoke(None, config)

    assert "in_doubt" not in {state for (state,) in states}
    assert ["LH1"] == world.called


# ------------------------------------------------------------------------- how it is read


class Away:
    """A database that cannot be reached while it is away; counts what is asked of it."""

    def __init__(self, database: Database) -> None:
        self.database, self.away, self.read = database, False, 0

    def execute(self, statement: Statement[Any]) -> Any:
        self.read += 1
        if self.away:
            raise DatabaseUnavailable
        return self.database.execute(statement)


def ask(button: StopButton) -> str:
    answered = wrapped_model(model(), button).invoke([HumanMessage("hello")])
    return str(answered.content)


def test_a_button_that_cannot_be_read_stops(database: Database) -> None:
    """Nobody could stop what goes on now."""
    away = Away(database)
    button = StopButton(away, max_age=NOW)  # type: ignore[arg-type]
    before = ask(button)
    away.away = True

    with pytest.raises(Stopped, match="cannot be read"):
        ask(button)

    assert "done" == before


def test_a_button_may_be_told_to_go_on_with_what_it_last_read(database: Database) -> None:
    """What was stopped stays so; observers are told."""
    away, events = Away(database), list[Event]()
    going = StopButton(away, max_age=NOW, unreadable="go_on", observers=[events.append])  # type: ignore[arg-type]
    held = StopButton(away, max_age=NOW, unreadable="go_on", agent="held")  # type: ignore[arg-type]
    going.press("agent:held", **WHY)
    ask(going)
    with pytest.raises(Stopped):
        ask(held)
    away.away = True

    assert "done" == ask(going)
    assert ["stop.unreadable"] == [event.name for event in events]
    with pytest.raises(Stopped):
        ask(held)


def test_the_stops_are_read_once_for_all_calls_of_a_second(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again when they are older; the same process knows at once what it pressed itself."""
    clock, counted = [100.0], Away(database)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    button = StopButton(counted, agent="a")  # type: ignore[arg-type]
    other = StopButton(database)
    ask(button)
    ask(button)
    once = counted.read
    other.press("all", **WHY)
    clock[0] += 0.9
    late = ask(button)
    clock[0] += 0.1

    with pytest.raises(Stopped):
        ask(button)

    assert (1, "done", 2) == (once, late, counted.read)


def test_the_button_that_is_pressed_knows_at_once(database: Database) -> None:
    """It forgets what it read."""
    button = StopButton(database)
    ask(button)
    button.press("all", **WHY)

    with pytest.raises(Stopped):
        ask(button)


def test_many_who_press_at_once_press_once(database: Database) -> None:
    """The first reason stands, and everybody is told which."""
    button = StopButton(database)

    with ThreadPoolExecutor(8) as threads:
        names = [f"r{n}" for n in range(16)]
        found = list(threads.map(lambda by: button.press("all", by=by, reason=by), names))

    assert 1 == len(button.standing()) == len({stop.id for stop in found})


def test_who_lifted_it_stays_known(database: Database) -> None:
    """A stop is never deleted; lifting what is not stopped says so."""
    button = StopButton(database)
    button.press("all", **WHY)

    lifted, again = button.lift("all", by="bob"), button.lift("all", by="eve")
    rows = execute(database, "SELECT stopped_by, lifted_by FROM lg_production.stops")

    assert (True, False) == (lifted, again)
    assert [("ann", "bob")] == rows


@pytest.mark.parametrize("scope", ["", "everything", "thread:", "thread", "user:ada", "ALL"])
def test_a_scope_that_would_stop_nothing_is_refused(scope: str) -> None:
    """Whoever presses in a hurry must not believe that it worked."""
    with pytest.raises(ValueError, match="is no scope"):
        stops.lift(scope, by="ann")


@pytest.mark.parametrize("seconds", [-1, 1.5])
def test_a_button_that_is_late_is_refused(database: Database, seconds: float) -> None:
    """A second at most."""
    with pytest.raises(ValueError, match="0 to 1 second"):
        StopButton(database, max_age=timedelta(seconds=seconds))
