"""The log-probabilities of the tokens that spell a tool call, in OpenAI's shape."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from json import JSONDecoder
from typing import Any, NamedTuple

from ..core.keys import canonical

WITHIN = ("arguments", "parameters", "args", "input")
"""Where models write a call's arguments when they write the call as one object."""


class Token(NamedTuple):
    """A token as the provider wrote it, and the logarithm of its probability."""

    text: str
    logprob: float


def tokens_of(metadata: Mapping[str, Any]) -> list[Token] | None:
    """The tokens in a message's `response_metadata`, or None if they are not all there."""
    logprobs = metadata.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, Sequence) or isinstance(content, str) or not content:
        return None
    tokens = [_token(entry) for entry in content]
    return None if any(token is None for token in tokens) else [t for t in tokens if t is not None]


def _token(entry: Any) -> Token | None:
    if not isinstance(entry, Mapping):
        return None
    text, logprob = entry.get("token"), entry.get("logprob")
    if not isinstance(text, str) or isinstance(logprob, bool):
        return None
    if not isinstance(logprob, int | float) or math.isnan(logprob) or logprob > 0:
        return None
    return Token(text, float(logprob))


def spelling(tokens: Sequence[Token], name: str, arguments: Mapping[str, Any]) -> Sequence[Token]:
    """The tokens from the tool's name to the end of its arguments; none if they are not there.

    What they spell must be this call, or the tokens are about something else.
    """
    text = "".join(token.text for token in tokens)
    for start in occurrences(text, name):
        opening = text.find("{", start)
        end = ending(text, opening, arguments) if opening >= 0 else None
        if end is not None:
            return between(tokens, start, end)
    return ()


def occurrences(text: str, part: str) -> Iterator[int]:
    """Where a text has a part."""
    at = text.find(part)
    while part and at >= 0:
        yield at
        at = text.find(part, at + 1)


def ending(text: str, opening: int, arguments: Mapping[str, Any]) -> int | None:
    """Where the JSON object ends that opens here, if it is these arguments."""
    try:
        found, end = JSONDecoder().raw_decode(text, opening)
    except json.JSONDecodeError:
        return None
    candidates = [found, *(found.get(key) for key in WITHIN)]
    wanted = canonical(arguments)
    return end if any(canonical(candidate) == wanted for candidate in candidates) else None


def between(tokens: Sequence[Token], start: int, end: int) -> list[Token]:
    """The tokens that have a part in the text from `start` to `end`."""
    found, at = [], 0
    for token in tokens:
        if at < end and at + len(token.text) > start:
            found.append(token)
        at += len(token.text)
    return found
