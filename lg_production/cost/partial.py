"""What a run that was stopped leaves behind: a useful message instead of none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage

PARTIAL = "lg_production_partial"
"""In `additional_kwargs` of the last message of a run that was ended before its work was done."""


def ending(text: str, stopped_by: str, reason: str, **marks: Any) -> AIMessage:
    """The last message of such a run: what is done, what stopped it, and a mark for programs."""
    return AIMessage(
        f"{text}\n\nStopped here: {stopped_by}",
        additional_kwargs={PARTIAL: {"reason": reason}, **marks},
    )


def so_far(messages: Sequence[Any]) -> str:
    """What was done: the last thing the model said, and each thing the tools brought once."""
    said = [m.text for m in messages if isinstance(m, AIMessage) and m.text]
    brought = [
        f"- {m.name or 'tool'}: {shortened(m.text)}"
        for m in messages
        if isinstance(m, ToolMessage) and m.status != "error" and m.text
    ]
    parts = ["This is a partial result: the work was ended before it was done."]
    parts += [f"Last said: {shortened(said[-1], 2000)}"] if said else []
    parts += ["Found so far:", *list(dict.fromkeys(brought))[-20:]] if brought else []
    return "\n".join(parts)


def shortened(text: str, length: int = 300) -> str:
    """The beginning of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
