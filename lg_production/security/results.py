"""What a tool gives back, in any of LangGraph's shapes: changed, and noted as that tool's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import BaseMessage, RemoveMessage, ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from ..core.steps import Steps
from ..core.wrappers import Handler, ToolResult, ToolWrapper
from .channels import LABEL, label_of


def each(
    result: Any, change: Callable[[ToolMessage], Steps[Any]], messages_key: str = "messages"
) -> Steps[ToolResult]:
    """The result with every tool message in it changed; of a `Command`, those of its update."""
    return cast("ToolResult", (yield from _each(result, change, messages_key)))


def _each(result: Any, change: Callable[[ToolMessage], Steps[Any]], key: str) -> Steps[Any]:
    if isinstance(result, ToolMessage):
        return (yield from change(result))
    if isinstance(result, list):
        new = []
        for one in result:
            new += [(yield from _each(one, change, key))]
        return new
    if isinstance(result, Command) and isinstance(result.update, Mapping):
        messages = result.update.get(key)
        if isinstance(messages, list):
            changed = yield from _each(messages, change, key)
            return replace(result, update={**result.update, key: changed})
    return result


class Attributed(ToolWrapper):
    """What a tool says of itself is not believed, where no gate stands that would see to it."""

    def __init__(self, messages_key: str = "messages") -> None:
        self.messages_key = messages_key

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Make the call, and note all that it gives back as the tool's."""
        return attributed(request.tool_call, (yield from handler(request)), self.messages_key)


def attributed(call: Mapping[str, Any], result: Any, messages_key: str = "messages") -> ToolResult:
    """The result of a call with all that it says noted as this tool's.

    A tool may say that it gives a `document`; that it speaks for the user, that its answer is
    data, that a person approved it, or that it is another tool, it may not. A message that it
    adds beside its answer is its own, too.
    """
    return cast("ToolResult", _attributed(call, result, messages_key))


def _attributed(call: Mapping[str, Any], result: Any, key: str) -> Any:
    if isinstance(result, BaseMessage):
        return result if isinstance(result, RemoveMessage) else _told_by(call, result)
    if isinstance(result, list):
        return [_attributed(call, one, key) for one in result]
    if isinstance(result, Command):
        update = result.update
        if isinstance(update, Mapping) and key in update:
            update = {**update, key: _attributed(call, update[key], key)}
        elif isinstance(update, list):
            update = _attributed(call, update, key)
        return replace(result, update=update)
    return result


def _told_by(call: Mapping[str, Any], message: BaseMessage) -> BaseMessage:
    """The message as this tool's; the same object if that is all that it says."""
    answers = isinstance(message, ToolMessage)
    mine = isinstance(message, ToolMessage) and message.tool_call_id == call["id"]
    document = label_of(message).get("channel") == "document"
    label: dict[str, Any] = {"held": True} if mine and label_of(message).get("held") else {}
    if document or not answers:
        label |= {"channel": "document" if document else "tool_output", "origin": call["name"]}
    if label == dict(label_of(message)) and (not answers or message.name == call["name"]):
        return message
    extra = {k: v for k, v in message.additional_kwargs.items() if k != LABEL}
    named = {"name": call["name"]} if answers else {}
    extra = {**extra, LABEL: label} if label else extra
    return message.model_copy(update={"additional_kwargs": extra, **named})
