"""What an answer or a failure of a model tells about what the call took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.outputs import LLMResult

from .policy import Quantity
from .usage import Usage, count_of, usage_of

NEVER_SENT = {"ConnectError", "ConnectTimeout", "ConnectionRefusedError"}
"""Errors of calls that did not reach the server, as httpx and Python name them."""
MAYBE_BILLED = {408, 499}
"""The client gave up, not the server."""
SPOKEN = ("text", "thinking", "reasoning", "partial_json", "input", "args", "arguments")
CONTEXT = ("service_tier", "speed")


def usage_told(response: LLMResult) -> Usage | None:
    """The usage of an answer: in its message, or beside it, as older integrations tell it."""
    return usage_of(message_of(response)) or _beside(response)


def message_of(response: LLMResult) -> Any:
    """The first message of an answer; None where there is none. With n > 1 each tells the total."""
    for generations in response.generations:
        for generation in generations:
            return getattr(generation, "message", None)
    return None


def _beside(response: LLMResult) -> Usage | None:
    told = (response.llm_output or {}).get("token_usage")
    if not isinstance(told, Mapping):
        return None
    asked, answered = count_of(told.get("prompt_tokens")), count_of(told.get("completion_tokens"))
    return None if asked is None or answered is None else Usage(asked, answered)


def model_served(response: LLMResult) -> str | None:
    """The model that answered, where the provider says."""
    return served_by(message_of(response)) or (response.llm_output or {}).get("model_name")


def served_by(message: Any) -> str | None:
    """The model that a message says it is from."""
    told = getattr(message, "response_metadata", None) or {}
    name = told.get("model_name") or told.get("model")
    return str(name) if name else None


def context_of(told: Any) -> dict[str, str]:
    """What changes the prices of a call, by its parameters or by its answer's metadata."""
    if not isinstance(told, Mapping):
        return {}
    return {name: told[name] for name in CONTEXT if isinstance(told.get(name), str)}


def is_cached(message: Any) -> bool:
    """Whether LangChain's cache answered: it says that the call cost nothing."""
    usage = getattr(message, "usage_metadata", None) or {}
    return usage.get("total_cost") == 0


def is_unbilled(error: BaseException) -> bool:
    """Whether a failed call certainly cost nothing: it was refused, or never reached a server.

    What a client did before its last attempt (`max_retries`) is not seen.
    """
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return 400 <= status < 500 and status not in MAYBE_BILLED
    kinds = (kind.__name__ for cause in causes(error) for kind in type(cause).__mro__)
    return any(kind in NEVER_SENT for kind in kinds)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from: OpenAI and Anthropic wrap httpx's."""
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__


def spoken(token: Any, chunk: Any) -> str:
    """The text of a chunk of a stream: words, thoughts, and arguments of tool calls."""
    message = getattr(chunk, "message", None)
    content = token if isinstance(token, str) else getattr(message, "content", token)
    blocks = [] if isinstance(content, str) or not isinstance(content, list) else content
    parts = [content] if isinstance(content, str) else []
    parts += [str(b.get(name) or "") for b in blocks if isinstance(b, dict) for name in SPOKEN]
    if not blocks:
        parts += [c.get("args") or "" for c in getattr(message, "tool_call_chunks", ())]
        extra = getattr(message, "additional_kwargs", None) or {}
        parts.append(str(extra.get("reasoning_content") or ""))
    return "".join(parts)


def spent(amounts: Mapping[Quantity, int], usage: Usage | None) -> str:
    """What a call was measured to take, and the parts of it, as JSON."""
    return json.dumps({**amounts, **details(usage)})


def details(usage: Usage | None) -> Mapping[str, int]:
    """The parts of the tokens that have prices of their own."""
    if usage is None:
        return {}
    parts = {
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "reasoning": usage.reasoning,
    }
    return {name: count for name, count in parts.items() if count}
