"""What a graph pays: eight calls of one node, and one turn of a small booking agent."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import psycopg
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from psycopg.rows import dict_row

from lg_production import Checkpointer, Database, IdempotentToolNode

from .contenders import Floor, book
from .measure import Figure, blocks, figure, rounds, timed

CALLS, IDS = 8, count()


def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
    """The scripted model: books, then says so."""
    if isinstance(state["messages"][-1], ToolMessage):
        return {"messages": [AIMessage("Your flight is booked.", id=str(uuid4()))]}
    return {"messages": [asking(1)]}


def asking(calls: int) -> AIMessage:
    """A model answer that asks for so many bookings."""
    made = [
        {"name": "book", "args": {"order": str(n)}, "id": f"call_{next(IDS)}", "type": "tool_call"}
        for n in range(calls)
    ]
    return AIMessage("", id=str(uuid4()), tool_calls=made)


def booking(tools: ToolNode, saver: PostgresSaver) -> Any:
    """Model, tool, model."""
    graph = StateGraph(MessagesState)
    graph.add_node("model", answer)
    graph.add_node("tools", tools)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)


def eight(tools: ToolNode, saver: PostgresSaver) -> Any:
    """A node with eight calls, and nothing else."""
    graph = StateGraph(MessagesState)
    graph.add_node("tools", tools)
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    return graph.compile(checkpointer=saver)


def graphs(url: str, database: Database, floor: Floor, count: int) -> Iterator[Figure]:
    """Ours against ToolNode and PostgresSaver as their manuals wire them."""
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row)
    plain = PostgresSaver(connection)
    checkpointer = Checkpointer(database)
    node = IdempotentToolNode([book], database)
    yield from _calls(eight(ToolNode([book]), plain), eight(node, checkpointer), floor, count)
    turns = {
        "plain": booking(ToolNode([book]), plain),
        "saver": booking(ToolNode([book]), checkpointer),
        "ours": booking(node, checkpointer),
    }
    for durability in ("sync", "async"):
        yield from _turns(turns, durability, count)
    connection.close()


def _config() -> Any:
    return {"configurable": {"thread_id": str(uuid4())}}


def _calls(plain: Any, ours: Any, floor: Floor, count: int) -> Iterator[Figure]:
    def sample(graph: Any) -> float:
        asked = {"messages": [asking(CALLS)]}
        return timed(lambda: graph.invoke(asked, _config(), durability="sync"))

    variants = {"floor": floor.one, "plain": lambda: sample(plain), "ours": lambda: sample(ours)}
    samples = rounds(variants, count, warm=5)
    section = "8 parallel calls in one node, latency per call"
    added = [(o - p) / CALLS for p, o in zip(samples["plain"], samples["ours"], strict=True)]
    base = statistics.median(samples["floor"])
    yield figure(section, "hand-written floor", [1e3 * s for s in samples["floor"]], unit="ms")
    yield figure(
        section,
        "IdempotentToolNode over ToolNode",
        [value / base for value in blocks(added, 10)],
        kind="at_most",
        target=0.25,
    )


def _turns(turns: dict[str, Any], durability: str, count: int) -> Iterator[Figure]:
    def sample(graph: Any) -> float:
        asked = {"messages": [HumanMessage("Book it.")]}
        return timed(lambda: graph.invoke(asked, _config(), durability=durability))

    variants = {name: (lambda g=graph: sample(g)) for name, graph in turns.items()}
    samples = rounds(variants, count, warm=5)
    section = f"one turn of a booking graph, durability {durability!r}, latency"
    base = samples["plain"]
    yield figure(section, "ToolNode + PostgresSaver", [1e3 * s for s in base], unit="ms")
    for name, label, target in (
        ("saver", "ToolNode + Checkpointer", None),
        ("ours", "IdempotentToolNode + Checkpointer", 1.3),
    ):
        pairs = zip(blocks(base, 10), blocks(samples[name], 10), strict=True)
        ratios = [ours / plain for plain, ours in pairs]
        yield figure(section, label, ratios, kind="at_most" if target else "report", target=target)
