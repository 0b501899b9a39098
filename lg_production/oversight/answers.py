"""What a person's answer means about a review: one decision, and arguments that fit the tool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import ValidationError

from ..core import answers
from ..core.answers import Answer, Unreadable
from .records import Recorded

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list,
    "object": dict, "null": type(None),
}  # fmt: skip


def read_answer(answer: Any, row: Recorded, tool: BaseTool | None = None) -> Answer | Unreadable:
    """The decision in a resume value, about this row. An edit fits the tool."""
    names = {"idempotency_key": row.key.hex(), "digest": row.digest.hex()}
    read = answers.read_answer(answer, row.tool, names)
    if isinstance(read, Unreadable) or read.arguments is None:
        return read
    arguments = coerce(read.arguments, row.proposed, tool)
    return arguments if isinstance(arguments, Unreadable) else replace(read, arguments=arguments)


def given_by(answer: Any) -> str:
    """Who an answer says gave it. That proves nothing; a contradiction does."""
    entries = answer.get("decisions", [answer]) if isinstance(answer, Mapping) else answer
    said = [answer, *(entries if isinstance(entries, list) else [])]
    names = [one.get("reviewer") for one in said if isinstance(one, Mapping)]
    return next((str(name) for name in names if name), "")


def coerce(
    edited: Mapping[str, Any], shown: Mapping[str, Any], tool: BaseTool | None
) -> dict[str, Any] | Unreadable:
    """Edited arguments as the tool takes them: form fields come back as text.

    A text that only spells what was shown is what was shown. Any other is read by the tool's
    schema; without one, as the kind of value that stood there.
    """
    given = {k: unchanged(v, shown.get(k)) for k, v in edited.items()}
    schema: Any = tool.tool_call_schema if tool is not None else None
    if schema is None:
        return {k: like(v, shown.get(k)) for k, v in given.items()}
    if isinstance(schema, dict):
        return by_json_schema(given, schema)
    return by_model(given, schema)


def unchanged(value: Any, shown: Any) -> Any:
    """What was shown, if this text is only a way to write it."""
    if isinstance(value, str) and not isinstance(shown, str):
        spellings = {str(shown), json.dumps(shown, default=str)}
        return shown if shown is not None and value in spellings else value
    return value


def like(value: Any, shown: Any) -> Any:
    """A text as JSON, where something else than a text stood."""
    reads = isinstance(value, str) and shown is not None and not isinstance(shown, str)
    return as_value(value) if reads else value


def as_value(text: str) -> Any:
    """A text as the JSON value that it spells, else as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False}.get(text, text)


def by_model(given: Mapping[str, Any], model: Any) -> dict[str, Any] | Unreadable:
    """By a tool's pydantic model. Texts that do not fit are read as JSON, once."""
    names = {n for f, i in model.model_fields.items() for n in (f, i.alias) if n}
    unknown = sorted(set(given) - names)
    if unknown and model.model_config.get("extra") != "allow":
        return Unreadable(f"the tool takes no {', '.join(unknown)}")
    try:
        return fitted(model, given)
    except ValidationError as error:
        wrong = {str(e["loc"][0]) for e in error.errors() if e["loc"]}
    again = {k: as_value(v) if k in wrong and isinstance(v, str) else v for k, v in given.items()}
    try:
        return fitted(model, again)
    except ValidationError as error:
        told = {".".join(map(str, e["loc"])): e["msg"] for e in error.errors()}
        return Unreadable("; ".join(f"{place}: {text}" for place, text in told.items()))


def fitted(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the model makes of them, as JSON can say it, without its defaults."""
    valid = model.model_validate(dict(given))
    dumped: dict[str, Any] = valid.model_dump(mode="json", exclude_unset=True, by_alias=True)
    return dumped


def by_json_schema(
    given: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, Any] | Unreadable:
    """By the JSON schema of a tool from elsewhere: names and types, as far as it states them."""
    properties = schema.get("properties", {})
    if unknown := sorted(set(given) - set(properties)):
        return Unreadable(f"the tool takes no {', '.join(unknown)}")
    if missing := sorted(set(schema.get("required", ())) - set(given)):
        return Unreadable(f"the tool needs {', '.join(missing)}")
    read = {
        name: value if fits(value, properties[name]) or not isinstance(value, str)
        else as_value(value)
        for name, value in given.items()
    }  # fmt: skip
    if wrong := sorted(n for n, v in read.items() if not fits(v, properties[n])):
        return Unreadable(f"not of the type that the tool takes: {', '.join(wrong)}")
    return read


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is of a type that its schema names, or it names none."""
    named = schema.get("type", [])
    kinds = [TYPES[n] for n in ([named] if isinstance(named, str) else named) if n in TYPES]
    truth = isinstance(value, bool) and bool not in kinds
    return not kinds or (not truth and any(isinstance(value, kind) for kind in kinds))
