"""What a tool gives back, in any of LangGraph's shapes: changed, and noted as that tool's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, TypeAlias, cast

from langchain_core.messages import (
    BaseMessage,
    RemoveMessage,
    ToolMessage,
    convert_to_messages,
)
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command, Overwrite, Send

from ..core.identity import messages_of
from ..core.steps import Steps
from ..core.wrappers import Handler, ToolResult, ToolWrapper, is_refusal
from .channels import LABEL, label_of, noted

Change: TypeAlias = Callable[[BaseMessage], Steps[Any]]


def each(
    request: ToolCallRequest,
    handler: Handler,
    change: Callable[[ToolMessage], Steps[Any]],
    messages_key: str = "messages",
) -> Steps[ToolResult]:
    """Make the call, and change every tool message that it gives; of a `Command`, all it gives on.

    The messages of the state, which a handoff gives back, stay as they are.
    """
    before = messages_of(request.state, messages_key)
    result = yield from handler(request)

    def changed(message: BaseMessage) -> Steps[Any]:
        return (yield from change(message)) if isinstance(message, ToolMessage) else message

    return cast("ToolResult", (yield from _each(result, _new(changed, before), messages_key)))


def at_once(
    result: Any,
    change: Callable[[BaseMessage], BaseMessage],
    messages_key: str,
    before: Sequence[Any],
) -> ToolResult:
    """As `each`, of all messages, by a change that waits for nothing."""

    def changed(message: BaseMessage) -> Steps[Any]:
        yield from ()
        return change(message)

    try:
        next(_each(result, _new(changed, before), messages_key))
    except StopIteration as done:
        return cast("ToolResult", done.value)
    raise AssertionError("nothing here waits for an effect")


def _new(change: Change, before: Iterable[Any]) -> Change:
    """The change, for all but what stood in the state before, and is the same."""
    known = {one.id: one for one in before if isinstance(one, BaseMessage) and one.id}

    def changed(message: BaseMessage) -> Steps[Any]:
        if message.id in known and _is_same(known[message.id], message):
            return message
        return (yield from change(message))

    return changed


def _is_same(one: BaseMessage, other: BaseMessage) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:  # noqa: BLE001 - an artifact may be anything, and unlike all else
        return False


def _each(result: Any, change: Change, key: str) -> Steps[Any]:
    """The result of a tool with every message in it changed, whatever shape it has."""
    if isinstance(result, BaseMessage):
        return (yield from change(result))
    if isinstance(result, list):
        return (yield from _all(result, change, key))
    if isinstance(result, Command):
        update = yield from _update(result.update, change, key)
        return replace(result, update=update, goto=(yield from _goto(result.goto, change, key)))
    return result


def _all(results: Sequence[Any], change: Change, key: str) -> Steps[list[Any]]:
    new = []
    for one in results:
        new += [(yield from _each(one, change, key))]
    return new


def _goto(goto: Any, change: Change, key: str) -> Steps[Any]:
    """Where a command goes, with the messages changed that another node is sent."""
    if isinstance(goto, list | tuple):
        several = []
        for one in goto:
            several += [(yield from _goto(one, change, key))]
        return type(goto)(several)
    if not isinstance(goto, Send):
        return goto
    arg = goto.arg
    if isinstance(arg, list | tuple) and not all(isinstance(one, BaseMessage) for one in arg):
        return goto  # the calls of a ToolNode
    sent = copy(goto)
    sent.arg = yield from _update(arg, change, key)
    return sent


def _update(update: Any, change: Change, key: str) -> Steps[Any]:
    """An update in any shape that LangGraph takes: a map, pairs, an object, or messages alone."""
    if isinstance(update, Mapping):
        if key not in update:
            return update
        return {**update, key: (yield from _messages(update[key], change))}
    if isinstance(update, list | tuple) and all(map(_is_pair, update)):
        pairs = []
        for name, value in update:
            pairs.append((name, (yield from _messages(value, change)) if name == key else value))
        return pairs
    if isinstance(update, list | tuple | BaseMessage):
        return (yield from _messages(update, change))
    if getattr(update, key, None) is None:
        return update
    own = copy(update)
    object.__setattr__(own, key, (yield from _messages(getattr(update, key), change)))
    return own


def _is_pair(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str)


def _messages(given: Any, change: Change) -> Steps[Any]:
    """Messages for a channel: in every spelling that `add_messages` takes, or to overwrite it."""
    if given is None:
        return None
    if isinstance(given, Overwrite):
        return Overwrite((yield from _messages(given.value, change)))
    several = isinstance(given, list) or (isinstance(given, tuple) and not _is_pair(given))
    new = []
    for message in convert_to_messages(list(given) if several else [given]):
        new += [(yield from change(message))]
    return new if several else new[0]


class Attributed(ToolWrapper):
    """What a tool says of itself is not believed, where no gate stands that would see to it."""

    def __init__(self, messages_key: str = "messages") -> None:
        self.messages_key = messages_key

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Make the call, and note all that it gives back as the tool's."""
        before = messages_of(request.state, self.messages_key)
        result = yield from handler(request)
        return attributed(request.tool_call, result, self.messages_key, before=before)


def attributed(
    call: Mapping[str, Any],
    result: Any,
    messages_key: str = "messages",
    *,
    before: Sequence[Any] = (),
) -> ToolResult:
    """The result of a call with all that it says noted as this tool's.

    A tool may say that it gives a `document`; that it speaks for the user, that its answer is
    data, that a person approved it, that it has not run, or that it is another tool, it may not. A
    message that it adds beside its answer is its own, too, and so is one that it sends to another
    node. `before`: the messages of the state, which a handoff gives back as they were.
    """

    def told(message: BaseMessage) -> BaseMessage:
        return message if isinstance(message, RemoveMessage) else _told_by(call, message)

    return at_once(result, told, messages_key, before)


def noting(
    pairs: Sequence[tuple[str, str]],
    result: Any,
    messages_key: str = "messages",
    *,
    before: Sequence[Any] = (),
) -> ToolResult:
    """A result with the values that a person approved for it, noted for later calls."""
    approved = [list(pair) for pair in pairs]

    def told(message: BaseMessage) -> BaseMessage:
        answers = isinstance(message, ToolMessage) and approved
        return noted(message, approved=approved) if answers else message

    return at_once(result, told, messages_key, before)


def _told_by(call: Mapping[str, Any], message: BaseMessage) -> BaseMessage:
    """The message as this tool's; the same object if that is all that it says."""
    answers = isinstance(message, ToolMessage)
    mine = isinstance(message, ToolMessage) and message.tool_call_id == call["id"]
    document = label_of(message).get("channel") == "document"
    label: dict[str, Any] = {"held": True} if mine and is_refusal(message) else {}
    if document or not answers:
        label |= {"channel": "document" if document else "tool_output", "origin": call["name"]}
    if label == dict(label_of(message)) and (not answers or message.name == call["name"]):
        return message
    extra = {k: v for k, v in message.additional_kwargs.items() if k != LABEL}
    named = {"name": call["name"]} if answers else {}
    extra = {**extra, LABEL: label} if label else extra
    return message.model_copy(update={"additional_kwargs": extra, **named})
