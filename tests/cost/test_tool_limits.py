"""Limits: so many tool calls and no more, whoever runs, resumes or repeats."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt

from lg_production import BudgetPolicy, Checkpointer, Database, Limit, Limits, tool_node
from lg_production.errors import StepLimitExceeded
from lg_production.middleware import as_middleware

from .models_for_tests import books, model

RUN: Any = {"configurable": {"thread_id": "t"}}


def policy(*limits: Limit) -> BudgetPolicy:
    return BudgetPolicy(limits=limits)


class World:
    """Two tools that keep a record, one of which asks a person first if told to."""

    def __init__(self, *, asks: bool = False) -> None:
        self.made: list[str] = []

        @tool
        def search(words: str) -> str:
            """Search."""
            if asks:
                interrupt("May I?")
            self.made.append(f"search {words}")
            return "found"

        @tool
        def read(words: str) -> str:
            """Read."""
            self.made.append(f"read {words}")
            return "read"

        self.tools = [search, read]


def calls(*names: str, ids: str = "") -> list[Any]:
    return [
        {"name": name, "args": {"words": str(n)}, "id": ids or f"c{n}", "type": "tool_call"}
        for n, name in enumerate(names)
    ]


def twins(count: int) -> list[Any]:
    """Calls that share id, name and arguments."""
    return [call for _ in range(count) for call in calls("search", ids="same")]


def graph(database: Database, node: Any, *answers: list[Any], send: bool = False) -> Any:
    """One answer of tool calls after the other, then the end."""

    def model(state: MessagesState) -> dict[str, Any]:
        asked = sum(isinstance(m, AIMessage) for m in state["messages"])
        given = answers[asked] if asked < len(answers) else []
        return {"messages": [AIMessage("", id=f"m{asked}", tool_calls=given)]}

    def route(state: MessagesState) -> Any:
        asked = state["messages"][-1].tool_calls  # type: ignore[union-attr]
        if send:
            return [Send("tools", {"messages": [state["messages"][-1].model_copy(
                update={"tool_calls": [call]})]}) for call in asked] or "__end__"  # fmt: skip
        return "tools" if asked else "__end__"

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", node)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "__end__"])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=Checkpointer(database))


def run(graph: Any, given: Any, is_async: bool) -> Any:
    return asyncio.run(graph.ainvoke(given, RUN)) if is_async else graph.invoke(given, RUN)


ASK: Any = {"messages": [("user", "go")]}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("surface", ["tool_node", "ToolNode", "Send"])
def test_no_more_calls_than_allowed_are_made(
    database: Database, surface: str, is_async: bool
) -> None:
    """Of all tools, and of one; the model is told what it cannot have."""
    world = World()
    limits = Limits(database, policy(
        Limit(scope="task", tool_calls=4), Limit(scope="task", tool="search", tool_calls=2)
    ))  # fmt: skip
    node = tool_node(world.tools, limits)
    if surface == "ToolNode":
        node = ToolNode(world.tools, wrap_tool_call=limits.wrap_tool_call,
                        awrap_tool_call=limits.awrap_tool_call)  # fmt: skip
    asked = calls("search", "search", "search", "read"), calls("read", "read")

    ended = run(graph(database, node, *asked, send=surface == "Send"), ASK, is_async)

    told = [m.text for m in ended["messages"] if isinstance(m, ToolMessage) and m.status == "error"]
    assert (2, 2) == (sum("search" in m for m in world.made), sum("read" in m for m in world.made))
    assert 2 == len(told)
    assert all("limit is reached" in text for text in told)


def test_an_interrupt_and_its_resume_are_one_call(database: Database) -> None:
    """However often the tool runs for it; and a limit that is used up stays used up."""
    world = World(asks=True)
    node = tool_node(world.tools, Limits(database, policy(Limit(scope="task", tool_calls=2))))
    asked = [calls("search", ids=f"c{n}") for n in range(4)]
    agent = graph(database, node, *asked)

    agent.invoke(ASK, RUN)
    for _ in range(2):
        agent.invoke(Command(resume=True), RUN)

    assert 2 == len(world.made)
    assert {"tool_calls": (2, 0)} == books(database)


def test_calls_that_share_an_id_count_each(database: Database) -> None:
    """A provider that numbers its calls badly gives nobody more of them."""
    world = World()
    node = tool_node(world.tools, Limits(database, policy(Limit(scope="task", tool_calls=3))))

    graph(database, node, calls(*["read"] * 5, ids="same")).invoke(ASK, RUN)

    assert 3 == len(world.made)


@pytest.mark.parametrize("is_async", [False, True])
def test_calls_that_share_everything_survive_an_interrupt(
    database: Database, is_async: bool
) -> None:
    """Their places among each other tell them apart, and stay the same."""
    world = World(asks=True)
    node = tool_node(world.tools, Limits(database, policy(Limit(scope="task", tool_calls=9))))
    agent = graph(database, node, twins(3))

    paused = run(agent, ASK, is_async)  # how many of them have begun by then is a matter of time
    while questions := paused.get("__interrupt__"):
        paused = run(agent, Command(resume={questions[0].id: True}), is_async)

    assert {"tool_calls": (3, 0)} == books(database)


@pytest.mark.parametrize("is_async", [False, True])
def test_limits_stand_inside_create_agent(database: Database, is_async: bool) -> None:
    """Which sends every call by itself: also calls that share everything are told apart."""
    world = World(asks=True)
    limits = Limits(database, policy(Limit(scope="task", tool_calls=3)))
    agent = create_agent(
        model(tool_calls=[twins(5)]), world.tools, middleware=as_middleware(limits),
        checkpointer=Checkpointer(database),
    )  # fmt: skip

    paused = run(agent, ASK, is_async)
    held = books(database)
    for question in paused["__interrupt__"]:
        ended = run(agent, Command(resume={question.id: True}), is_async)

    assert {"tool_calls": (0, 3)} == held
    assert {"tool_calls": (3, 0)} == books(database)
    assert 3 == len(world.made)
    assert 2 == sum(m.type == "tool" and m.status == "error" for m in ended["messages"])


def test_calls_that_share_an_id_count_each_when_they_are_sent(database: Database) -> None:
    """Their task does not see the others, but knows which one it is."""
    world = World()
    node = tool_node(world.tools, Limits(database, policy(Limit(scope="task", tool_calls=3))))
    asked = calls(*["read"] * 4, ids="same")

    graph(database, node, asked, send=True).invoke(ASK, RUN)

    assert 3 == len(world.made)


def test_a_call_that_is_replayed_counts_once(database: Database) -> None:
    """From an older checkpoint the same call of the same answer comes again."""
    world = World()
    node = tool_node(world.tools, Limits(database, policy(Limit(scope="thread", tool_calls=2))))
    agent = graph(database, node, calls("read"), calls("search", ids="later"))
    agent.invoke(ASK, RUN)
    history = [*agent.get_state_history(RUN)]
    before = next(s.config for s in reversed(history) if s.next == ("tools",))

    agent.invoke(None, before)

    assert ["read 0", "search 0"] * 2 == world.made
    assert {"tool_calls": (2, 0)} == books(database)


def test_an_edited_call_is_another_call(database: Database) -> None:
    """A person who has the agent do something else meanwhile gets no error for it."""
    world = World(asks=True)
    node = tool_node(world.tools, Limits(database, policy(Limit(scope="task", tool_calls=2))))
    agent = graph(database, node, calls("search"))
    agent.invoke(ASK, RUN)
    edited = AIMessage("", id="m0", tool_calls=calls("read"))

    agent.update_state(RUN, {"messages": [edited]}, as_node="model")
    agent.invoke(None, RUN)

    assert ["read 0"] == world.made


def test_a_tool_that_fails_is_counted(database: Database) -> None:
    """It was called."""

    @tool
    def broken() -> str:
        """Fail."""
        raise KeyError

    limits = Limits(database, policy(Limit(scope="task", tool_calls=2)))
    asked = [{**calls("broken")[0], "args": {}}]

    with pytest.raises(KeyError):
        graph(database, tool_node([broken], limits), asked).invoke(ASK, RUN)

    assert {"tool_calls": (1, 0)} == books(database)


def test_a_limit_can_be_raised(database: Database) -> None:
    """`then="error"` ends the run where it should not go on without the tool."""
    world = World()
    limits = Limits(database, policy(Limit(scope="task", tool_calls=1)), then="error")

    with pytest.raises(StepLimitExceeded):
        graph(database, tool_node(world.tools, limits), calls("read", "read")).invoke(ASK, RUN)

    assert 1 == len(world.made)
