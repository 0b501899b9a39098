"""What a script says at one place of a conversation, as functions of the history alone."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Self, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel

from ..core.keys import canonical, digest
from ..errors import ScriptExhausted
from .histories import plain
from .jsonable import as_json

Answer: TypeAlias = Any
"""A text, an `AIMessage`, a call (`{"name": …, "args": …}`), a list of texts and calls, a pydantic
object or a mapping (for structured output), or an exception to raise."""
Script: TypeAlias = (
    Sequence[Answer]
    | Mapping[str, Sequence[Answer] | Callable[[Sequence[BaseMessage]], Answer]]
    | Callable[[Sequence[BaseMessage]], Answer]
)
SHOWN = 80
"""Characters of a message in an error."""
CALL = {"name", "args", "id", "type"}


def checked(script: Script) -> Script:
    """A script that can be used. Raises ValueError for what is none.

    One text is a sequence of letters, and an iterator is used up by whoever comes first.
    """
    if callable(script):
        return script
    if isinstance(script, Mapping):
        return {_pattern(one): checked(part) for one, part in script.items()}  # type: ignore[misc]
    if isinstance(script, str | bytes) or not isinstance(script, Sequence):
        told = type(script).__name__
        raise ValueError(  # noqa: TRY004 - pydantic reports a ValueError
            f"a script is a list, a mapping or a function, and not a {told}"
        )
    return tuple(script)


def _pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as wrong:
        raise ValueError(f"{pattern!r} is no regular expression: {wrong}") from None
    return pattern


def said_at(script: Script, place: int, messages: Sequence[BaseMessage]) -> Answer:
    """The answer of the script here. Raises `ScriptExhausted` where it has none."""
    if callable(script):
        return script(messages)
    if isinstance(script, Mapping):
        asked = next((m.text for m in reversed(messages) if isinstance(m, HumanMessage)), "")
        found = next((part for pattern, part in script.items() if re.search(pattern, asked)), None)
        if found is None:
            told = f"(index {place}: none of its {len(script)} patterns is in {_cut(asked)})"
            raise ScriptExhausted(told)
        return said_at(found, place, messages)
    if place >= len(script):
        after = f"{messages[-1].type}: {messages[-1].text}" if messages else "nothing"
        raise ScriptExhausted(f"(index {place}, length {len(script)}; it follows {_cut(after)})")
    return script[place]


def place_in(messages: Sequence[BaseMessage], *, since_user: bool = True) -> int:
    """How often a model has spoken, since the user's last message or since the beginning."""
    place = 0
    for message in reversed(messages):
        if since_user and isinstance(message, HumanMessage):
            break
        place += isinstance(message, AIMessage)
    return place


def conversation(messages: Sequence[BaseMessage]) -> str:
    """What names a history, in hex: equal for equal words and calls, whatever their ids.

    System messages do not count: they often tell the time.
    """
    heard = [message for message in messages if not isinstance(message, SystemMessage)]
    return digest(canonical(plain(heard))).hex()


def message_of(answer: Answer, key: str, offered: Iterable[str] = (), form: str = "") -> AIMessage:
    """An answer of a script as a message, whose ids its conversation `key` decides.

    A pydantic object is a call of the tool that is named like its class, or of `form`, if that
    is `offered`, and else JSON. A mapping that is no call is a call of `form`.
    """
    if isinstance(answer, AIMessage):
        message = answer.model_copy(deep=True)
    else:
        parts = list(answer) if isinstance(answer, list | tuple) else [answer]
        read = [_part(part, {*offered}, form) for part in parts]
        calls = [part for part in read if not isinstance(part, str)]
        message = AIMessage("".join(part for part in read if isinstance(part, str)))
        message.tool_calls = calls
    told = [message.content, [[c["name"], c["args"]] for c in message.tool_calls]]
    name = digest(key, canonical(as_json(told))).hex()[:24]
    message.id = message.id or f"ai_{name}"
    for n, call in enumerate(message.tool_calls):
        call["id"] = call["id"] or f"call_{name}_{n}"
    return message


def _part(part: Any, offered: set[str], form: str) -> Any:
    """A text or a call."""
    if isinstance(part, str):
        return part
    if isinstance(part, BaseModel):
        name = form or type(part).__name__
        if name not in offered:
            return part.model_dump_json()
        part = {"name": name, "args": part.model_dump(mode="json")}
    if not isinstance(part, Mapping):
        raise ValueError(  # noqa: TRY004 - as of any other answer that is none
            f"a script cannot say a {type(part).__name__}"
        )
    if not (set(part) <= CALL and isinstance(part.get("name"), str) and "args" in part):
        if not form:
            raise ValueError(f"a call is {{'name': …, 'args': {{…}}}}, and not {_cut(part)}")
        part = {"name": form, "args": part}
    args = deepcopy(dict(part["args"]))
    return {"name": part["name"], "args": args, "id": part.get("id"), "type": "tool_call"}


def tokens_in(messages: Iterable[BaseMessage]) -> int:
    """Tokens of some messages, at four characters each."""
    counted = 0
    for message in messages:
        calls = [as_json(call["args"]) for call in getattr(message, "tool_calls", ())]
        counted += len(message.text) + sum(len(json.dumps(args)) for args in calls)
    return -(-counted // 4)


class Attempts:
    """How often something was tried, by name. Any thread may count; copies count together."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def number(self, name: str) -> int:
        """The number of this attempt, from 1."""
        with self._lock:
            self._counts[name] = number = self._counts.get(name, 0) + 1
        return number

    def __deepcopy__(self, _: Any) -> Self:
        return self


def is_error(answer: Any) -> bool:
    """Whether an answer is an exception to raise, or a class of one."""
    raised = isinstance(answer, type) and issubclass(answer, BaseException)
    return raised or isinstance(answer, BaseException)


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
