"""A travel agent that books a flight once, whatever crashes, retries or resumes.

model ──> router ──> tools ──> model     search_flights: read_only
            └──> review ──> tools        book_flight: the airline honours a key
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from langchain_core.messages import SystemMessage
from langchain_core.tools import BaseTool, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime

from graphs.airline import Airline, default_airline
from graphs.booking_review import Guards, oversight, review_policy
from graphs.database import open_database, shared_database
from graphs.models import chat_model
from graphs.refusals import told
from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    Idempotent,
    InjectedIdempotencyKey,
    ModelWrapper,
    StopButton,
    tool_node,
    wrapped_model,
)

PROMPT = """You book flights. When you call a tool that books or cancels, write beside it how \
likely it is that this is exactly what the traveller wants, as a line `confidence: N`, N from 0 \
to 100."""

POLICIES = {
    "search_flights": EffectPolicy(recovery="read_only"),
    "book_flight": EffectPolicy(recovery="native_key", native_ttl=timedelta(hours=24)),
    "cancel_booking": EffectPolicy(recovery="at_least_once"),
}


@dataclass(frozen=True)
class Settings:
    """What a run may choose. `model`: "scripted", or any string of `init_chat_model`.

    `reviewer` is who answers its questions, where no server knows who that is.
    """

    model: str = "scripted"
    reviewer: str = ""


def booking_tools(airline: Airline) -> list[BaseTool]:
    """The tools of the travel agent."""

    @tool
    def search_flights(to: str, date: str) -> list[dict[str, Any]]:
        """Find the flights to a city on a day, with prices in euros; null is an unknown price."""
        return airline.flights(to, date)

    @tool
    def book_flight(flight: str, key: Annotated[str, InjectedIdempotencyKey()]) -> str:
        """Book one seat on a flight, by its number. This costs money."""
        return f"Booked {flight}, reference {airline.book(flight, key)['reference']}"

    @tool
    def cancel_booking(reference: str) -> str:
        """Give a seat back, by its reference. The money is lost, and the seat is gone."""
        return f"Cancelled {airline.cancel(reference)['cancels']}"

    return [search_flights, book_flight, cancel_booking]


def builder(
    database: Database, airline: Airline | None = None, *, sample_rate: float = 0.05
) -> StateGraph[Any, Any]:
    """The reference graph. It asks before it books what is dear or doubtful."""
    airline = airline or default_airline()
    tools = booking_tools(airline)
    people = oversight(database, review_policy(airline, sample_rate=sample_rate), tools)
    button, once = StopButton(database, agent="booking"), Idempotent(database, policies=POLICIES)
    guarded = tool_node(tools, button, people.review, once, handle_tool_errors=told)
    return wire(guarded, people.guards, button)


def wire(
    tools: ToolNode, guards: Guards | None = None, *around_model: ModelWrapper
) -> StateGraph[Any, Any]:
    """Model and tools as one graph; the tool node, and what stands before it, is yours to choose.

    The model goes on to the first of the guards.
    """

    def model(state: MessagesState, runtime: Runtime[Settings]) -> dict[str, Any]:
        name = runtime.context.model if runtime.context else "scripted"
        bound = chat_model(name).bind_tools(list(tools.tools_by_name.values()))
        asked = [SystemMessage(PROMPT), *state["messages"]]
        return {"messages": [wrapped_model(bound, *around_model).invoke(asked)]}

    graph = StateGraph(MessagesState, context_schema=Settings)
    graph.add_node("model", model)
    for name, (guard, destinations) in (guards or {}).items():
        graph.add_node(name, guard, destinations=destinations)
    graph.add_node("tools", tools)
    graph.add_edge(START, "model")
    if guards:
        graph.add_edge("model", next(iter(guards)))
    else:
        graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph


def graph() -> CompiledStateGraph[Any, Any]:
    """For Studio, which brings its own checkpointer."""
    return builder(shared_database()).compile()


@contextmanager
def standalone(airline: Airline | None = None) -> Iterator[CompiledStateGraph[Any, Any]]:
    """For a program of your own: the graph on a database, with its checkpoints."""
    with open_database() as database:
        checkpointer = Checkpointer(database)
        checkpointer.setup()
        yield builder(database, airline).compile(checkpointer=checkpointer)
