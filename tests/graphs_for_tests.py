"""Small graphs and a scripted model, for tests of every surface."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition
from langgraph.types import Send


def call(name: str, call_id: str | None = None, /, **arguments: Any) -> dict[str, Any]:
    """A tool call of the model."""
    return {"name": name, "args": arguments, "id": call_id or f"call-{uuid4()}"}


def says(*calls: dict[str, Any]) -> Any:
    """A model that asks for these calls once, then says it is done."""

    def model(state: MessagesState) -> dict[str, Any]:
        if isinstance(state["messages"][-1], HumanMessage):
            return {"messages": [AIMessage("", tool_calls=list(calls))]}
        return {"messages": [AIMessage("done")]}

    return model


def agent(model: Any, tools: Any, *, send: bool = False) -> StateGraph:
    """Model and tools in a loop; with `send`, one task for each call."""
    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    if send:

        def each(state: MessagesState) -> Any:
            calls = state["messages"][-1].tool_calls
            return [Send("tools", [c]) for c in calls] or "__end__"

        builder.add_conditional_edges("model", each, ["tools", "__end__"])
    else:
        builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder


def thread(**configurable: Any) -> dict[str, Any]:
    """The configuration of a new thread."""
    return {"configurable": {"thread_id": str(uuid4()), **configurable}}


ASK = {"messages": [("user", "go")]}
