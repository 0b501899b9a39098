"""Calls that nobody answered: their user has gone on with something else."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage

from lg_production.core.wrappers import in_place_of

SAYS = "It was not carried out: it waited for a person, and the conversation went on."


def answered(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages as a model may be given them: after each call, what became of it.

    Providers refuse a call without an answer.
    """
    given = {getattr(message, "tool_call_id", None) for message in messages}
    shown: list[BaseMessage] = []
    for message in messages:
        shown.append(message)
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        shown += [in_place_of(call, SAYS) for call in calls if call["id"] not in given]
    return shown
