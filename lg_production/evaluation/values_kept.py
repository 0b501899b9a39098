"""What a tool gave as JSON, and back: plain values, messages, Commands and Sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from langgraph.types import Command, Send

from .jsonable import as_json, whole

MESSAGE, COMMAND, SEND, TUPLE, PLAIN = "$message", "$command", "$send", "$tuple", "$plain"


def kept(value: Any) -> Any:
    """`value` as JSON. What JSON cannot hold becomes the text that a model would be shown."""
    if type(value) is tuple:  # content and artifact, for one
        return {TUPLE: [kept(part) for part in value]}
    try:
        return _spelled(value)
    except (TypeError, ValueError, RecursionError):
        return whole(str(value))


def rebuilt(told: Any) -> Any:
    """The value again."""
    match told:
        case {"$message": message, **nothing} if not nothing:
            return messages_from_dict([message])[0]
        case {"$command": command, **nothing} if not nothing:
            return Command(**{name: rebuilt(part) for name, part in command.items()})
        case {"$send": [node, given], **nothing} if not nothing:
            return Send(node, rebuilt(given))
        case {"$plain": parts, **nothing} if not nothing:
            return {name: rebuilt(part) for name, part in parts.items()}
        case {"$tuple": parts, **nothing} if not nothing:
            return tuple(map(rebuilt, parts))
        case dict():
            return {name: rebuilt(part) for name, part in told.items()}
        case list():
            return list(map(rebuilt, told))
    return told


def _spelled(value: Any) -> Any:
    match value:
        case str():
            return whole(value)
        case BaseMessage():
            return {MESSAGE: as_json(message_to_dict(value))}
        case Command():
            told = {one.name: getattr(value, one.name) for one in fields(value)}
            return {COMMAND: {name: _spelled(part) for name, part in told.items() if part}}
        case Send():
            return {SEND: [value.node, _spelled(value.arg)]}
        case tuple() if type(value) is tuple:
            return {TUPLE: list(map(_spelled, value))}
        case list():
            return list(map(_spelled, value))
        case Mapping() if all(isinstance(name, str) for name in value):
            told = {whole(name): _spelled(part) for name, part in value.items()}
            return {PLAIN: told} if any(name[:1] == "$" for name in told) else told
    return json.loads(json.dumps(value, allow_nan=False))
