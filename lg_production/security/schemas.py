"""Validated: a tool gets the arguments that it declares and no others, and answers as declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticSerializationError

from ..core.events import Event, Observer
from ..core.keys import NOT_UTF8
from ..core.steps import Emit, Steps
from ..core.wrappers import Handler, ToolResult, ToolWrapper, in_place_of, is_refusal
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
    Of one that fits the fields that its type declares are data, and can anchor a value. Others are
    not, whatever the type lets pass (`extra="allow"`, `dict`, `Any`): neither what is under a key
    that nobody declared, nor what is declared as anything, nor what fits as a text (`str`). A type
    without a JSON Schema declares nothing. An answer that does not fit raises `OutputRejected`;
    with `on_rejected="message"` the model is told that there is no answer. Nothing here quotes a
    value. Emits `schema.rejected`.
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
            name: TypeAdapter(kind) for name, kind in (outputs or {}).items()
        }
        self.declared = {name: declared(adapter) for name, adapter in self.outputs.items()}
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
        change = partial(self._answered, call)
        return (yield from each(request, handler, change, self.messages_key))

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
        if adapter is None or not ours or is_refusal(message):  # or a person's answer for the tool
            return message
        return (yield from self._output(call, message, adapter))

    def _output(self, call: Any, message: ToolMessage, adapter: TypeAdapter[Any]) -> Steps[Any]:
        problems, fields = self._read(message, adapter, self.declared[call["name"]])
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

    def _read(
        self, message: ToolMessage, adapter: TypeAdapter[Any], schema: Mapping[str, Any]
    ) -> tuple[list[str], Any]:
        """What is wrong with an answer, and what of it is data."""
        if message.artifact is None and len(message.text) > self.most_text:
            return ["too long"], False
        value = value_of(message)
        size = measured(value, self.most_text, self.most_depth)
        if size:
            return [size], False
        try:
            return [], fields_in(message, value, adapter, schema)
        except ValidationError as error:
            return list(problems_of(error)), False
        except Exception as error:  # noqa: BLE001 - a validator that has not reckoned with this
            return [f"the whole: {type(error).__name__}"], False


def value_of(message: ToolMessage) -> Any:
    """What an answer gives: its artifact, its JSON, or its text."""
    if message.artifact is not None:
        return message.artifact
    value = parsed(message.text)
    return message.text if value is None else value


def fields_in(
    message: ToolMessage, value: Any, adapter: TypeAdapter[Any], schema: Mapping[str, Any]
) -> Any:
    """What of an answer is data: True is all of it, False nothing, else `{"fields": …}`.

    Raises `ValidationError` if it does not fit. A type that takes any text takes text that looks
    like JSON, and who wrote the text wrote that.
    """
    if message.artifact is None and takes(adapter, message.text):
        return False
    fitting = adapter.validate_python(value)
    try:
        dumped = adapter.dump_python(fitting, mode="json", by_alias=True, warnings=False)
    except PydanticSerializationError:
        return False
    fields = only_declared(dumped, schema, schema.get("$defs", {}))
    if fields is NOTHING:
        return False
    return True if fields == value else {"fields": fields}


def takes(adapter: TypeAdapter[Any], value: object) -> bool:
    """Whether a type takes this as what it is."""
    try:
        adapter.validate_python(value, strict=True)
    except Exception:  # noqa: BLE001 - a validator of the user's may expect something else
        return False
    return True


NOTHING: Any = object()
"""What nobody has declared."""
SCALARS = frozenset({"string", "integer", "number", "boolean"})


def declared(adapter: TypeAdapter[Any]) -> Mapping[str, Any]:
    """A type's JSON Schema (2020-12), of what it is written as; an empty one says nothing."""
    try:
        return adapter.json_schema(by_alias=True, mode="serialization")
    except PydanticInvalidForJsonSchema:
        return {}


def only_declared(value: Any, schema: Any, defs: Mapping[str, Any], depth: int = 0) -> Any:
    """A value without what its JSON Schema lets pass and does not name; `NOTHING` if that is all.

    A map whose keys are anything keeps what its values declare themselves, and no text or number:
    whoever writes such a map writes its keys.
    """
    if not isinstance(schema, Mapping) or depth > MOST_DEPTH:
        return NOTHING
    if isinstance(ref := schema.get("$ref"), str):
        return only_declared(value, defs.get(ref.rpartition("/")[2]), defs, depth + 1)
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if branches:
        return _merged([only_declared(value, one, defs, depth + 1) for one in branches])
    match value:
        case Mapping():
            return _of_map(value, schema, defs, depth)
        case list():
            return _of_list(value, schema, defs, depth)
        case None:
            return None if schema.get("type") == "null" else NOTHING
    named = schema.get("type") in SCALARS or "const" in schema or "enum" in schema
    return value if named else NOTHING


def _of_map(value: Mapping[str, Any], schema: Mapping[str, Any], defs: Any, depth: int) -> Any:
    known, other = schema.get("properties", {}), schema.get("additionalProperties")
    kept = {}
    for key, item in value.items():
        if key in known or isinstance(item, Mapping | list):
            kept[key] = only_declared(item, known.get(key, other), defs, depth + 1)
    kept = {key: item for key, item in kept.items() if item is not NOTHING}
    return kept if kept or (schema.get("type") == "object" and not value) else NOTHING


def _of_list(value: list[Any], schema: Mapping[str, Any], defs: Any, depth: int) -> Any:
    first, rest = schema.get("prefixItems", ()), schema.get("items")
    kinds = [*first[: len(value)], *[rest] * (len(value) - len(first))]
    kept = [only_declared(v, kind, defs, depth + 1) for v, kind in zip(value, kinds, strict=True)]
    kept = [item for item in kept if item is not NOTHING]
    return kept if kept or (schema.get("type") == "array" and not value) else NOTHING


def _merged(found: Sequence[Any]) -> Any:
    """What one branch or another declares."""
    some = [one for one in found if one is not NOTHING]
    if some and all(isinstance(one, Mapping) for one in some):
        return {key: item for one in some for key, item in one.items()}
    return max(some, key=lambda one: len(one) if isinstance(one, list) else 0, default=NOTHING)


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
