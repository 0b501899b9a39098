"""What an agent did, read from its messages: its calls, what they brought, and what we said.

The messages are checkpointed, so neither a crash nor a resume resets what is known. Whoever can
write the history can also write our marks in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast, get_args

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

LOOP = "lg_production_loop"
"""Where a message of ours says, in `additional_kwargs`, what it was about."""
Kind: TypeAlias = Literal[
    "same_result", "same_call", "cycle", "no_progress", "near_duplicate", "repeated_error",
    "ping_pong", "polling",
]  # fmt: skip
Rung: TypeAlias = Literal["tell", "block", "answer", "interrupt", "stop"]
Words: TypeAlias = tuple[tuple[str, frozenset[str]], ...]

NOTHING = ("no result", "no match", "not found", "nothing found", "does not exist")
EMPTY = {"", "[]", "{}", "null", "none", "()", "''", '""'}
SHORT, LOOKED_AT, ECHOES = 200, 20_000, 20
WORD, NUMBER = re.compile(r"\w+"), re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True, slots=True)
class Turn:
    """One tool call, or what an agent said instead (`tool` is then ""). Hashes, no payloads.

    `call` is a hash of agent, tool and arguments, `words` the arguments for comparing,
    `result` a hash of what came back (None: nothing yet), `shape` one without what it echoes
    of the arguments and, for an error, without numbers; `error` is its class. `refused` is the
    kind of loop for which the call was not made. `index` is the place of the answer among the
    messages: calls with the same one are siblings.
    """

    agent: str
    tool: str
    call: str
    words: Words
    index: int
    call_id: str = ""
    result: str | None = None
    shape: str | None = None
    error: str | None = None
    empty: bool = False
    refused: Kind | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A message of ours: on which rung of the ladder, and about which loop."""

    index: int
    rung: Rung
    level: int
    kind: Kind
    since: int
    repeats: int
    calls: tuple[str, ...]
    decision: str | None = None


def turns(messages: Sequence[Any]) -> tuple[Turn, ...]:
    """The calls since a person last spoke, in order, with their results."""
    history: list[Turn] = []
    where: dict[str, int] = {}
    texts: dict[str, list[str]] = {}
    authors: set[str] = set()
    for index, message in enumerate(messages):
        if isinstance(message, AIMessage):
            authors.add(message.name or "")
            for turn, echoes in _made(message, index):
                where[turn.call_id], texts[turn.call_id] = len(history), echoes
                history.append(turn)
        elif isinstance(message, ToolMessage) and message.tool_call_id in where:
            place = where[message.tool_call_id]
            history[place] = _answered(history[place], message, texts[message.tool_call_id])
        elif afresh(message, authors):
            history, where = [], {}
    return tuple(history)


def last_mark(messages: Sequence[Any]) -> Mark | None:
    """What we last said since a person last spoke. An answer without tools settles `answer`."""
    authors = {m.name or "" for m in messages if isinstance(m, AIMessage)}
    answered = False
    for index in range(len(messages) - 1, -1, -1):
        mark = _mark(messages[index], index)
        if mark is not None:
            return None if answered and mark.rung == "answer" else mark
        if afresh(messages[index], authors):
            return None
        answered = answered or _is_answer(messages[index])
    return None


def afresh(message: Any, authors: Container[str]) -> bool:
    """Whether a person speaks here: in the chat, or where we asked one."""
    if not isinstance(message, HumanMessage):
        return False
    mark = message.additional_kwargs.get(LOOP)
    if mark is not None:
        return isinstance(mark, Mapping) and bool(mark.get("decision"))
    by_an_agent = message.name is not None and message.name != "" and message.name in authors
    return not by_an_agent and "lc_source" not in message.additional_kwargs


def open_calls(messages: Sequence[Any]) -> bool:
    """Whether the last answer asks for calls that have no result yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
        elif isinstance(message, AIMessage):
            return any(call["id"] not in answered for call in message.tool_calls)
    return False


def fingerprint(agent: str, tool: str, arguments: Any) -> str:
    """The hash of a call."""
    return digest(canonical([agent, tool, arguments]))


def words_of(arguments: Any) -> Words:
    """The words of every argument, by its path, without case, space and list places."""
    found: dict[str, set[str]] = {}
    left: list[tuple[str, Any]] = [("", arguments)]
    while left:
        path, value = left.pop()
        if isinstance(value, Mapping):
            left += [(f"{path}.{key}", inner) for key, inner in value.items()]
        elif isinstance(value, list | tuple):
            left += [(path, inner) for inner in value]
        else:
            found.setdefault(path, set()).update(_words(value))
    return tuple((path, frozenset(found[path])) for path in sorted(found))


def digest(text: str) -> str:
    """A short hash."""
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def canonical(value: Any) -> str:
    """The one JSON of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


# ---------------------------------------------------------------------------- messages


def _made(message: AIMessage, index: int) -> Iterable[tuple[Turn, list[str]]]:
    """The calls of an answer, each with the texts that its result may echo."""
    agent = message.name or ""
    calls: list[Any] = [*message.tool_calls, *message.invalid_tool_calls]
    for call in calls:
        tool, arguments = call["name"] or "", call["args"]
        turn = Turn(
            agent, tool, fingerprint(agent, tool, arguments), words_of(arguments), index,
            call["id"] or "",
        )  # fmt: skip
        yield turn, _strings(arguments)
    if not calls and message.text and LOOP not in message.additional_kwargs:
        said = digest(" ".join(message.text.casefold().split()))
        yield Turn(agent, "", said, (), index, f"said at {index}", said, said), []


def _answered(turn: Turn, message: ToolMessage, echoes: Sequence[str]) -> Turn:
    mark = message.additional_kwargs.get(LOOP)
    refused = mark.get("refused") if isinstance(mark, Mapping) else None
    text = _text(message.content)
    error = _error(text) if message.status == "error" else None
    empty = error is None and _empty(text)
    return replace(
        turn,
        result=digest(f"{error}:{text}"),
        shape="empty" if empty else _shape(text, echoes, error),
        error=error,
        empty=empty,
        refused=refused if refused in get_args(Kind) else None,
    )


def _text(content: Any) -> str:
    """Content as text; LangChain gives each block a new id."""
    if isinstance(content, str):
        return content
    blocks = [
        {k: v for k, v in block.items() if k != "id"} if isinstance(block, Mapping) else block
        for block in content
    ]
    texts: list[Any] = [
        block.get("text") if isinstance(block, Mapping) else block for block in blocks
    ]
    return "\n".join(texts) if all(isinstance(t, str) for t in texts) else canonical(blocks)


def _empty(text: str) -> bool:
    """Whether a result says that there is nothing."""
    plain = text[: SHORT + 1].strip().casefold()
    return plain in EMPTY or (len(text) <= SHORT and any(word in plain for word in NOTHING))


def _error(text: str) -> str:
    """The class of an error, where its text names one."""
    names = WORD.findall(text[:SHORT])
    return next((name for name in names if name.endswith(("Error", "Exception"))), "error")


def _shape(text: str, echoes: Sequence[str], error: str | None) -> str:
    """A hash of a result without what it echoes; of an error also without numbers."""
    head, tail = text[:LOOKED_AT], text[LOOKED_AT:]
    for echo in echoes[:ECHOES]:
        head = head.replace(echo, "…")
    if error is not None:
        head = NUMBER.sub("#", " ".join(head.casefold().split()))
    return digest(f"{error}:{head}:{digest(tail)}")


def _strings(arguments: Any) -> list[str]:
    """The texts among the arguments, longest first."""
    values = arguments.values() if isinstance(arguments, Mapping) else [arguments]
    return sorted((v for v in values if isinstance(v, str) and len(v) > 2), key=len, reverse=True)


def _words(value: Any) -> Iterable[str]:
    text = str(value).casefold().strip()
    if not isinstance(value, bool) and (number := _number(text)) is not None:
        return [number]
    return WORD.findall(text) or [text]


def _number(text: str) -> str | None:
    """A number in one writing: 3, 3.0 and "03" are the same."""
    try:
        return repr(float(text)) if len(text) < 16 else None
    except ValueError:
        return None


def _mark(message: Any, index: int) -> Mark | None:
    """Our mark on a message; what is not quite one is none."""
    told = message.additional_kwargs.get(LOOP) if isinstance(message, BaseMessage) else None
    if not isinstance(told, Mapping) or told.get("rung") not in get_args(Rung):
        return None
    numbers = [told.get(name) for name in ("level", "since", "repeats")]
    calls = told.get("calls")
    if told.get("kind") not in get_args(Kind) or not isinstance(calls, list | tuple):
        return None
    if not all(isinstance(number, int) for number in numbers):
        return None
    level, since, repeats = cast("list[int]", numbers)
    hashes = tuple(map(str, calls))
    return Mark(
        index, told["rung"], level, told["kind"], since, repeats, hashes, told.get("decision")
    )


def _is_answer(message: Any) -> bool:
    return isinstance(message, AIMessage) and not message.tool_calls
