"""A history of messages without what differs in every run: what a model was really asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from .jsonable import as_json

IDS = frozenset({"id", "call_id", "tool_call_id", "tool_use_id"})
"""Fields of a block of content that hold an id."""


def plain(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as JSON: type, content, calls, name and status, and ids as numbers.

    Ids of messages are left out. Ids of calls become `#0`, `#1` in the order in which they are
    first seen, so that it still shows which answer belongs to which call.
    """
    numbers: dict[str, str] = {}
    return [_plain(message, numbers) for message in messages]


def _plain(message: BaseMessage, numbers: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"type": message.type, "content": _content(message, numbers)}
    calls = [*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ())]
    if calls:
        told["tool_calls"] = [
            {"name": c["name"], "args": as_json(c["args"]), "id": _number(c["id"], numbers)}
            for c in calls
        ]
    for name in ("name", "status"):
        if value := getattr(message, name, None):
            told[name] = value
    if answered := getattr(message, "tool_call_id", None):
        told["tool_call_id"] = _number(answered, numbers)
    return told


def _content(message: BaseMessage, numbers: dict[str, str]) -> Any:
    """Content; where a model's is blocks of text and calls alone, as in some streams, its text."""
    blocks = message.content
    if isinstance(message, AIMessage) and isinstance(blocks, list) and all(map(_is_plain, blocks)):
        return as_json(str(message.text))
    return _numbered(blocks, numbers)


def _is_plain(block: Any) -> bool:
    if isinstance(block, str):
        return True
    kind = block.get("type")
    return kind == "tool_call" or (kind == "text" and set(block) <= {"type", "text", "index", "id"})


def _numbered(content: Any, numbers: dict[str, str]) -> Any:
    """Content with numbers for the ids in it."""
    if isinstance(content, Mapping):
        return {
            str(name): _number(value, numbers)
            if name in IDS and isinstance(value, str)
            else _numbered(value, numbers)
            for name, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [_numbered(part, numbers) for part in content]
    return as_json(content)


def _number(name: Any, numbers: dict[str, str]) -> str:
    return numbers.setdefault(str(name), f"#{len(numbers)}")
