"""A travel agent that books a flight once, whatever crashes, retries or resumes.

model ──> tools ──> model            search_flights: read_only
  └──> confirm ──> tools             book_flight: the airline honours a key
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from graphs.airline import Airline, default_airline
from graphs.database import open_database, shared_database
from graphs.models import chat_model
from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    IdempotentToolNode,
    InjectedIdempotencyKey,
)

POLICIES = {
    "search_flights": EffectPolicy(recovery="read_only"),
    "book_flight": EffectPolicy(recovery="native_key", native_ttl=timedelta(hours=24)),
}


@dataclass(frozen=True)
class Settings:
    """What a run may choose. `model`: "scripted", or any string of `init_chat_model`."""

    model: str = "scripted"


def booking_tools(airline: Airline) -> list[BaseTool]:
    """The tools of the travel agent."""

    @tool
    def search_flights(to: str, date: str) -> list[dict[str, Any]]:
        """Find the flights to a city on a day, with prices in euros."""
        return airline.flights(to, date)

    @tool
    def book_flight(flight: str, key: Annotated[str, InjectedIdempotencyKey()]) -> str:
        """Book one seat on a flight, by its number. This costs money."""
        return f"Booked {flight}, reference {airline.book(flight, key)['reference']}"

    return [search_flights, book_flight]


def builder(database: Database, airline: Airline | None = None) -> StateGraph[Any, Any]:
    """The reference graph. It asks before it books."""
    tools = booking_tools(airline or default_airline())
    return wire(IdempotentToolNode(tools, database, policies=POLICIES))


def wire(tools: ToolNode, *, confirm: bool = True) -> StateGraph[Any, Any]:
    """Model, confirmation and tools as one graph; the tool node is yours to choose."""

    def model(state: MessagesState, runtime: Runtime[Settings]) -> dict[str, Any]:
        name = runtime.context.model if runtime.context else "scripted"
        bound = chat_model(name).bind_tools(list(tools.tools_by_name.values()))
        return {"messages": [bound.invoke(state["messages"])]}

    def route(state: MessagesState) -> Literal["confirm", "tools", "__end__"]:
        calls = calls_of(state["messages"])
        books = any(call["name"] == "book_flight" for call in calls)
        return "confirm" if books and confirm else "tools" if calls else "__end__"

    graph = StateGraph(MessagesState, context_schema=Settings)
    graph.add_node("model", model)
    graph.add_node("confirm", ask_before_booking)
    graph.add_node("tools", tools)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", route)
    graph.add_edge("tools", "model")
    return graph


def ask_before_booking(state: MessagesState) -> Command[Literal["tools", "model"]]:
    """Ask a person about all bookings at once; one "reject" calls off the whole answer.

    A node of its own: it runs again at every resume, so nothing with an effect is in it.
    """
    asked = [call for call in calls_of(state["messages"]) if call["name"] == "book_flight"]
    answer = interrupt({
        "action_requests": [
            {"name": c["name"], "args": c["args"], "description": f"Book {c['args']['flight']}?"}
            for c in asked
        ],
        "review_configs": [
            {"action_name": "book_flight", "allowed_decisions": ["approve", "edit", "reject"]}
        ],
    })  # fmt: skip
    decisions = dict(zip((c["id"] for c in asked), answer["decisions"], strict=True))
    refusals = [d for d in decisions.values() if d["type"] not in ("approve", "edit")]
    if refusals:
        return Command(goto="model", update={"messages": declined(state, refusals[0])})
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    calls = [{**c, **edit_of(decisions.get(c["id"], {}))} for c in last.tool_calls]
    return Command(
        goto="tools", update={"messages": [last.model_copy(update={"tool_calls": calls})]}
    )


def edit_of(decision: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the person changed them, if they did."""
    return {"args": decision["edited_action"]["args"]} if decision.get("type") == "edit" else {}


def declined(state: MessagesState, refusal: dict[str, Any]) -> list[BaseMessage]:
    """What the model is told about every call of its answer when the person said no."""
    text = f"Declined by the traveller. {refusal.get('message') or ''}".strip()
    return [
        ToolMessage(text, name=c["name"], tool_call_id=c["id"], status="error")
        for c in calls_of(state["messages"])
    ]


def calls_of(messages: list[Any]) -> list[Any]:
    """The tool calls that the last message asks for."""
    return messages[-1].tool_calls if isinstance(messages[-1], AIMessage) else []


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
