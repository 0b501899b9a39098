"""Calls that nobody answered: their user has gone on with something else."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

SAYS = (
    "{} has no answer: the conversation went on while it waited for a person, or was cut off. It "
    "may have been carried out, or not: look before you ask for it again."
)


def answered(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages as a model may be given them: after each call, what became of it.

    Providers refuse a call without an answer.
    """
    given = {getattr(message, "tool_call_id", None) for message in messages}
    shown: list[BaseMessage] = []
    for message in messages:
        shown.append(message)
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        shown += [unanswered(call["name"], call["id"]) for call in calls if call["id"] not in given]
    return shown


def unanswered(name: str, call_id: str | None) -> ToolMessage:
    """What the model is told of a call whose end it will not hear."""
    said = SAYS.format(name)
    return ToolMessage(said, name=name, tool_call_id=call_id or "", status="error")
