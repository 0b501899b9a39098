"""Validated: a tool gets the arguments that it declares and no others, and answers as declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from ..core.events import Event, Observer
from ..core.keys import NOT_UTF8
from ..core.steps import Emit, Steps
from ..core.wrappers import Handler, ToolResult, ToolWrapper, in_place_of
from ..errors import OutputRejected
from .channels import channel_of, labelled, parsed
from .results import each

MOST_TEXT = 1_000_000
MOST_DEPTH = 64
SHOWN = 10


class Validated(ToolWrapper):
    """Validates a tool's arguments before it runs, and its answer before the model reads it.

    Arguments: none that the tool does not declare, none that its schema refuses, at most
    `most_text` characters and `most_depth` levels in all. What is wrong is told to the model by
    the names of the fields, so that it can do better. Of a JSON Schema (an MCP tool) only the
    names of the arguments are checked: the tool's own server does the rest.

    `outputs` maps a tool to the type of its answer, anything that pydantic takes. An answer that
    has an artifact is judged by that, any other by its JSON, or as text where the type is `str`.
    Of one that fits the fields that its type declares are data, and can anchor a value: others
    that it has are not, and no part of what fits as a text (`str`) or is declared as anything.
    One that does not raises `OutputRejected`; with `on_rejected="message"` the model is told that
    there is no answer. Nothing here quotes a value. Emits `schema.rejected`.
    """

    def __init__(
        self,
        outputs: Mapping[str, Any] | None = None,
        *,
        on_rejected: Literal["error", "message"] = "error",
        most_text: int = MOST_TEXT,
        most_depth: int = MOST_DEPTH,
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.outputs: dict[str, TypeAdapter[Any]] = {
            name: TypeAdapter(declared) for name, declared in (outputs or {}).items()
        }
        self.on_rejected, self.most_text, self.most_depth = on_rejected, most_text, most_depth
        self.messages_key, self.observers = messages_key, observers

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Validate, call, validate."""
        call = request.tool_call
        problems = list(self._inputs(request))
        if problems:
            yield Emit(rejected(call["name"], "input", problems))
            return in_place_of(
                call, f"The arguments of {call['name']} do not fit: {said(problems)}."
            )
        result = yield from handler(request)
        return (yield from each(result, partial(self._answered, call), self.messages_key))

    def _inputs(self, request: ToolCallRequest) -> Iterator[str]:
        """What is wrong with the arguments, field by field."""
        arguments, tool = request.tool_call["args"], request.tool
        size = measured(arguments, self.most_text, self.most_depth)
        if size or tool is None:
            yield from filter(None, [size])
            return
        schema = tool.tool_call_schema
        if isinstance(schema, dict):
            yield from by_names(arguments, schema)
            return
        model = cast("type[BaseModel]", schema)
        known = {*model.model_fields, *(f.alias for f in model.model_fields.values() if f.alias)}
        if model.model_config.get("extra") != "allow":
            yield from (f"{name[:64]!r} is unknown" for name in arguments if name not in known)
        try:
            model.model_validate(arguments)
        except ValidationError as error:
            yield from problems_of(error)

    def _answered(self, call: Any, message: ToolMessage) -> Steps[Any]:
        adapter = self.outputs.get(call["name"])
        ours = message.tool_call_id == call["id"] and message.status != "error"
        if adapter is None or not ours:
            return message
        return (yield from self._output(call, message, adapter))

    def _output(self, call: Any, message: ToolMessage, adapter: TypeAdapter[Any]) -> Steps[Any]:
        problems, fields = self._read(message, adapter)
        if not problems:
            return labelled(message, channel_of(message), structured=fields)
        yield Emit(rejected(call["name"], "output", problems))
        if self.on_rejected == "error":
            reasons = tuple(problems[:SHOWN])
            raise OutputRejected(
                f"({call['name']}: {said(problems)})", source=call["name"], reasons=reasons
            )
        said_instead = f"{call['name']} gave an answer that cannot be used."
        return ToolMessage(
            said_instead, name=call["name"], tool_call_id=message.tool_call_id, status="error"
        )

    def _read(self, message: ToolMessage, adapter: TypeAdapter[Any]) -> tuple[list[str], Any]:
        """What is wrong with an answer, and what of it is data."""
        if message.artifact is None and len(message.text) > self.most_text:
            return ["too long"], False
        value = value_of(message)
        size = measured(value, self.most_text, self.most_depth)
        if size:
            return [size], False
        try:
            return [], fields_in(message, value, adapter)
        except ValidationError as error:
            return list(problems_of(error)), False


def value_of(message: ToolMessage) -> Any:
    """What an answer gives: its artifact, its JSON, or its text."""
    if message.artifact is not None:
        return message.artifact
    value = parsed(message.text)
    return message.text if value is None else value


def fields_in(message: ToolMessage, value: Any, adapter: TypeAdapter[Any]) -> Any:
    """What of an answer is data: True is all of it, False nothing, else `{"fields": …}`.

    Raises `ValidationError` if it does not fit. A type that takes any text takes text that looks
    like JSON, and who wrote the text wrote that.
    """
    if message.artifact is None and takes(adapter, message.text):
        return False
    fitting = adapter.validate_python(value)
    if takes(adapter, object()):  # anything: nothing is declared
        return False
    try:
        fields = adapter.dump_python(fitting, mode="json", by_alias=True, warnings=False)
    except PydanticSerializationError:
        return False
    return True if fields == value else {"fields": fields}


def takes(adapter: TypeAdapter[Any], value: object) -> bool:
    """Whether a type takes this as what it is."""
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def measured(value: Any, most_text: int, most_depth: int) -> str:
    """Why a value is too large to be looked at; "" if it is not. Takes any depth."""
    waiting, length = [(value, 1)], 0
    while waiting:
        one, depth = waiting.pop()
        if depth > most_depth:
            return "too deep"
        match one:
            case Mapping():
                waiting += [(item, depth + 1) for item in one.values()]
                length += sum(len(str(key)) for key in one)
            case list() | tuple() | set() | frozenset():
                waiting += [(item, depth + 1) for item in one]
            case str() | bytes():
                length += len(one)
        length += 1
        if length > most_text:
            return "too long"
    return ""


def by_names(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the names of arguments by a JSON Schema."""
    known = schema.get("properties")
    if isinstance(known, Mapping) and not schema.get("additionalProperties"):
        yield from (f"{name[:64]!r} is unknown" for name in arguments if name not in known)
    for name in schema.get("required") or ():
        if name not in arguments:
            yield f"{name!r} is missing"


def problems_of(error: ValidationError) -> Iterator[str]:
    """Fields and kinds of errors, never a value; a key that the caller chose is one, and is cut."""
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part)[:64] for part in one["loc"][:8]) or "the whole"
        remedy = f" ({NOT_UTF8})" if one["type"] == "string_unicode" else ""
        yield f"{where}: {one['type']}{remedy}"


def said(problems: Sequence[str]) -> str:
    """The first problems in a line."""
    more = len(problems) - SHOWN
    return "; ".join(problems[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def rejected(tool: str, side: str, problems: Sequence[str]) -> Event:
    """`schema.rejected`: which tool, its input or output, and how many problems."""
    return Event("schema.rejected", {"tool": tool, "side": side, "problems": len(problems)})
