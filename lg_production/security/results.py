"""What a tool gives back, in any of LangGraph's shapes: each message of it changed by steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import ToolMessage
from langgraph.types import Command

from ..core.steps import Steps
from ..core.wrappers import ToolResult


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
