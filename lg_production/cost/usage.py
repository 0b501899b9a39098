"""What a model call took, as LangChain's messages tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .policy import MOST, Quantity


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call. Cached tokens are in `input_tokens`, reasoning in `output_tokens`.

    `cache_write_1h` are those of `cache_write` that were written for an hour, which is dearer.
    """

    input_tokens: int
    output_tokens: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cache_write_1h: int = 0


def usage_of(message: Any) -> Usage | None:
    """The usage in a message's `usage_metadata`; None where there is none, or no sense in it.

    Some integrations tell cached or reasoning tokens beside the total and not in it. Parts
    that are more than their total are such, and are added to it.
    """
    told = getattr(message, "usage_metadata", None)
    if not isinstance(told, Mapping):
        return None
    asked, answered = count_of(told.get("input_tokens")), count_of(told.get("output_tokens"))
    if asked is None or answered is None:
        return None
    into, out = _details(told, "input_token_details"), _details(told, "output_token_details")
    hour = into.get("ephemeral_1h_input_tokens", 0)
    # langchain-anthropic sets cache_creation to 0 where it tells the writes by their duration.
    timed = hour + into.get("ephemeral_5m_input_tokens", 0)
    read, written = into.get("cache_read", 0), max(into.get("cache_creation", 0), timed)
    reasoning = out.get("reasoning", 0)
    asked += read + written if read + written > asked else 0
    answered += reasoning if reasoning > answered else 0
    return Usage(asked, answered, read, written, reasoning, hour)


def as_amounts(usage: Usage) -> dict[Quantity, int]:
    """The tokens of a call as quantities of a budget."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _details(told: Mapping[str, Any], name: str) -> dict[str, int]:
    parts = told.get(name)
    if not isinstance(parts, Mapping):
        return {}
    counts = {str(part): count_of(value) for part, value in parts.items()}
    return {part: count for part, count in counts.items() if count is not None}


def count_of(value: Any) -> int | None:
    """A number of tokens that a ledger can hold; bool is none."""
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST // 4
    return value if sane else None
