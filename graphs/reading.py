"""How the scripted researchers read: what they search, open and note, from the messages alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from graphs.library import sentences, terms

MOST_READ, MOST_NOTES = 2, 3
Calls: TypeAlias = list[tuple[str, dict[str, Any]]]


def results(messages: Sequence[BaseMessage], name: str) -> list[ToolMessage]:
    """What a tool brought, the latest last."""
    return [m for m in messages if isinstance(m, ToolMessage) and m.name == name]


def hits(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """What the latest search found; nothing, if it was not made."""
    found = results(messages, "search")
    made = [m for m in found if m.status != "error"]
    return json.loads(made[-1].text) if made and made[-1] is found[-1] else []


def good(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hits that are worth reading: nearly as good as the best."""
    return [hit for hit in found if hit["score"] > found[0]["score"] / 2][:MOST_READ]


def noting(messages: Sequence[BaseMessage], question: str) -> Calls:
    """Notes of the sentences that fit the question, of the documents that were read."""
    names = {
        call["id"]: call["args"]["document"]
        for m in messages
        if isinstance(m, AIMessage)
        for call in m.tool_calls
        if call["name"] == "read"
    }
    return [
        ("take_note", {"text": sentence, "document": names[read.tool_call_id]})
        for read in results(messages, "read")
        if read.status != "error"
        for sentence in fitting(read.text, set(terms(question)))
    ]


def fitting(document: str, asked: set[str]) -> list[str]:
    """The sentences with at least half of the words asked for; those of the title count half."""
    title, _, text = document.partition("\n\n")
    given = len(asked & set(terms(title))) / 2
    overlap = {s: len(asked & set(terms(s))) for s in sentences(text)}
    found = [s for s, n in overlap.items() if n and n + given >= len(asked) / 2]
    best = sorted(found, key=lambda s: -overlap[s])[:MOST_NOTES]
    return [s for s in found if s in best]


def concluded(messages: Sequence[BaseMessage]) -> str:
    """The end of a piece of research."""
    notes = [m for m in results(messages, "take_note") if m.status != "error"]
    return f"Done: {len(notes)} notes." if notes else "The library has nothing about this."


def calling(messages: Sequence[BaseMessage], calls: Calls) -> AIMessage:
    """A message that asks for these calls."""
    tool_calls = [
        {"name": name, "args": args, "id": f"call_{len(messages)}_{i}", "type": "tool_call"}
        for i, (name, args) in enumerate(calls)
    ]
    return AIMessage("", tool_calls=tool_calls)
