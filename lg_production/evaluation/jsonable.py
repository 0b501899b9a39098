"""Values as plain JSON, whatever they are: an outcome outlives the process it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage, message_to_dict
from pydantic import BaseModel

MOST_LEVELS = 60
"""LangGraph's serializer refuses what is nested some 250 deep."""
CUT = "…"
"""What stands for a value that is nested too deep, or in itself."""


def as_json(value: Any, *, around: tuple[int, ...] = ()) -> Any:
    """`value` as dict, list, str, int, float, bool and None; never raises for what it is.

    Numbers that JSON has no word for, decimals, dates and identifiers become text; half a
    surrogate pair becomes U+FFFD; what nobody can spell is its type in angle brackets.
    """
    if isinstance(value, str):
        return whole(str(value))
    if value is None or isinstance(value, bool | int):
        return value if value is None or isinstance(value, bool) else int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if len(around) >= MOST_LEVELS or id(value) in around:
        return CUT
    return _spelled(value, (*around, id(value)))


def whole(text: str) -> str:
    """The text without halves of surrogate pairs: those are no characters, and no UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _spelled(value: Any, around: tuple[int, ...]) -> Any:
    parts = _parts(value)
    if isinstance(parts, Mapping):
        return {_name(key): as_json(part, around=around) for key, part in parts.items()}
    if isinstance(parts, list | tuple):
        return [as_json(part, around=around) for part in parts]
    return parts if isinstance(parts, str) else as_json(parts, around=around)


def _parts(value: Any) -> Any:
    match value:
        case Mapping() | list() | tuple():
            return value
        case BaseMessage():
            return message_to_dict(value)
        case BaseModel():
            return {name: getattr(value, name, None) for name in type(value).model_fields}
        case Enum():
            return value.value
        case date() | time():
            return value.isoformat()
        case Decimal() | UUID() | timedelta():
            return str(value)
        case AbstractSet():
            return sorted((as_json(part) for part in value), key=repr)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _name(key: Any) -> str:
    return whole(key) if isinstance(key, str) else str(as_json(key))
