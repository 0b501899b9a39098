"""A question before every booking, as people write it with LangGraph alone."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.graph import END, MessagesState
from langgraph.types import Command, interrupt


def ask_before_booking(state: MessagesState) -> Command[Any]:
    """Ask a person about all bookings at once; one "reject" calls off the whole answer.

    A node of its own: it runs again at every resume, so nothing with an effect is in it.
    """
    calls = calls_of(state["messages"])
    asked = [call for call in calls if call["name"] == "book_flight"]
    if not asked:
        return Command(goto="tools" if calls else END)
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
    edited = [{**c, **edit_of(decisions.get(c["id"], {}))} for c in last.tool_calls]
    return Command(
        goto="tools", update={"messages": [last.model_copy(update={"tool_calls": edited})]}
    )


def edit_of(decision: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the person changed them, if they did."""
    return {"args": decision["edited_action"]["args"]} if decision.get("type") == "edit" else {}


def declined(state: MessagesState, refusal: dict[str, Any]) -> list[BaseMessage]:
    """What the model is told about every call of its answer when the person said no."""
    text = f"It was not carried out: the traveller declined. {refusal.get('message') or ''}".strip()
    return [
        ToolMessage(text, name=c["name"], tool_call_id=c["id"], status="error")
        for c in calls_of(state["messages"])
    ]


def calls_of(messages: list[Any]) -> list[Any]:
    """The tool calls that the last message asks for."""
    return messages[-1].tool_calls if isinstance(messages[-1], AIMessage) else []
