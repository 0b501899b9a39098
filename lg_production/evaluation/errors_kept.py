"""Errors as JSON, and JSON as errors of the same name and text."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from .jsonable import as_json, whole

SCALARS = (str, int, float, bool, type(None))


class TapedError(Exception):
    """What was raised when it was recorded, where its class is not known or cannot be rebuilt."""


def kept(error: Exception) -> dict[str, Any]:
    """An error as JSON: its class, text, arguments, and what is simple of its attributes."""
    told = {"class": f"{type(error).__module__}:{type(error).__qualname__}"}
    arguments = [as_json(value) for value in _arguments(error)]
    simple = {name: value for name, value in vars(error).items() if isinstance(value, SCALARS)}
    return {**told, "text": whole(str(error)), "args": arguments, "attributes": as_json(simple)}


def _arguments(error: Exception) -> tuple[Any, ...]:
    """What it was made of; the file of an `OSError` is not among its `args`."""
    made: Any = error.__reduce__()
    told = made[1] if isinstance(made, tuple) and made[0] is type(error) else None
    return told if isinstance(told, tuple) else error.args


def rebuilt(told: dict[str, Any]) -> Exception:
    """The error again, without its `__init__`; nothing is imported for it."""
    with suppress(Exception):  # whatever a class does that was not made for this
        kind = _loaded(told["class"])
        error: Exception = kind.__new__(kind, *told["args"])
        error.__dict__.update(told["attributes"])
        if isinstance(error, kind) and str(error) == told["text"]:
            return error
    name = told["class"].rpartition(":")[2].rpartition(".")[2]
    other: type[TapedError] = type(name, (TapedError,), {})
    return other(told["text"])


def _loaded(name: str) -> type[Exception]:
    module, _, path = name.partition(":")
    found: Any = sys.modules[module]
    for part in path.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        raise TypeError(name)
    return found
