"""A message in pieces, as a provider would stream it; together they are the message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

WORDS = re.compile(r"\s*\S+\s*|\s+")
ARGUMENTS, ALL = re.compile(r".{1,16}", re.DOTALL), re.compile(r".+", re.DOTALL)


def chunks_of(message: AIMessage, *, words: bool = True) -> Iterator[ChatGenerationChunk]:
    """The text word by word, then each call piece by piece; the last chunk tells the usage.

    Without `words` it is one chunk. Content that is no text stays whole.
    """
    text, calls = message.content, list(_calls(message, ARGUMENTS if words else ALL))
    pieces: list[Any] = WORDS.findall(text) if isinstance(text, str) else [text]
    parts: list[dict[str, Any]] = [{"content": piece} for piece in pieces]
    parts += [{"tool_call_chunks": [call]} for call in calls]
    if not words:
        parts = [{"content": text, "tool_call_chunks": calls}]
    for part in parts[:-1]:
        yield _chunk(message, **part)
    yield _chunk(
        message, **(parts or [{}])[-1], additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata, usage_metadata=message.usage_metadata,
        chunk_position="last",
    )  # fmt: skip


def _calls(message: AIMessage, pieces: re.Pattern[str]) -> Iterator[ToolCallChunk]:
    """Calls in pieces: name and id stand in the first. What is no JSON is as it was said."""
    for index, call in enumerate([*message.tool_calls, *message.invalid_tool_calls]):
        args = call["args"] if isinstance(call["args"], str | None) else json.dumps(call["args"])
        first, *others = pieces.findall(args or "") or [""]
        yield tool_call_chunk(name=call["name"], args=first, id=call["id"], index=index)
        for piece in others:
            yield tool_call_chunk(args=piece, index=index)


def _chunk(message: AIMessage, content: Any = "", **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(
        message=AIMessageChunk(content=content, id=message.id, name=message.name, **fields)
    )
