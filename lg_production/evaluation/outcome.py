"""Outcome: what one run of one case did, as plain data that outlives the run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from typing import Any, Literal, Self, TypeAlias

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ToolMessage,
    convert_to_messages,
    message_to_dict,
)
from pydantic import BaseModel, TypeAdapter

from .jsonable import as_json, whole
from .redaction import Redaction

Status: TypeAlias = Literal["success", "error", "not_run"]
Ended: TypeAlias = Literal["done", "interrupted", "error"]

MOST_ERROR = 2_000
INTERRUPT = "__interrupt__"
"""Where `invoke` puts the interrupts that nobody has answered."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool. `not_run`: a guard held it, or nobody answered it before the end."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    result: str = ""
    status: Status = "success"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did.

    `answer` is the text of the last AI message. `tools` stand in the order of their answers;
    those without one come last and are `not_run`. `steps` counts AI messages. Tokens are 0 where
    the model tells none, `usd` is None where nobody knows a price. `interrupts` are the values of
    all of them, answered or not. `error` is a type and a text, without secrets. `messages` are
    as `messages_to_dict` gives them; `state` is the rest of the final state.
    """

    answer: str
    tools: tuple[ToolUse, ...] = ()
    steps: int = 0
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = None
    seconds: float = 0.0
    interrupts: tuple[Any, ...] = ()
    ended: Ended = "done"
    error: str = ""
    messages: tuple[dict[str, Any], ...] = ()
    state: dict[str, Any] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """This as JSON."""
        stored: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return stored

    @classmethod
    def read(cls, data: Any) -> Self:
        """What `stored` gave. Raises ValueError (pydantic's) where it is no outcome."""
        return cls(**{f.name: getattr(_ADAPTER.validate_python(data), f.name) for f in fields(cls)})


_ADAPTER: TypeAdapter[Outcome] = TypeAdapter(Outcome)


def outcome_of(
    state: Any,
    *,
    interrupts: Iterable[Any] = (),
    seconds: float = 0.0,
    error: BaseException | str | None = None,
    usd: Decimal | None = None,
    ended: Ended | None = None,
    given: int = 0,
    known: Collection[str] = (),
    seen: Iterable[Any] = (),
) -> Outcome:
    """What a run did, from its final state: of `invoke`, or the values of `get_state`.

    A state may be a mapping, a model or a dataclass with `messages`, or itself an answer, a
    message or a list of messages. `given` is how many of the first messages were in the case's
    input, and so no work of this run; nor are those whose id is `known`, wherever they stand.
    `seen` are messages that are not in the state, such as a subgraph's; they come first, and none
    counts twice. Without `ended`, a run with an `error` ended with it, and one whose state has
    `__interrupt__` is interrupted.
    """
    values = _values(state)
    final = messages_in(values.get("messages"))
    own, beside = own_of(final, given, known), messages_in(list(seen))
    counted = _once([*beside, *own])
    lead = next((n for n, one in enumerate(final) if one in own), len(final))
    open_ones = values.get(INTERRUPT) or ()
    asked = list(interrupts) or list(open_ones)
    into, out, total = _tokens(counted)
    return Outcome(
        answer=_answer(own or counted, values),
        tools=tools_of(counted),
        steps=sum(isinstance(message, AIMessage) for message in counted),
        tokens=total,
        input_tokens=into,
        output_tokens=out,
        usd=usd,
        seconds=float(seconds),
        interrupts=tuple(as_json(getattr(one, "value", one)) for one in asked),
        ended=ended or ("error" if error else "interrupted" if open_ones else "done"),
        error=_error(error),
        messages=tuple(
            as_json(message_to_dict(m)) for m in _once([*final[:lead], *beside, *final])
        ),
        state=_rest(values, final),
    )


def tools_of(messages: Sequence[Any]) -> tuple[ToolUse, ...]:
    """The calls in a history, in the order of their answers; those without one last."""
    asked: dict[str | None, Mapping[str, Any]] = {}
    waiting: dict[str | None, Mapping[str, Any]] = {}
    uses: list[ToolUse] = []
    for message in messages:
        if isinstance(message, AIMessage):
            calls: dict[str | None, Mapping[str, Any]] = {c["id"]: c for c in message.tool_calls}
            asked |= calls
            waiting |= calls
        elif isinstance(message, ToolMessage):
            uses.append(_use(message, asked.get(message.tool_call_id, {})))
            waiting.pop(message.tool_call_id, None)
    return (*uses, *(_unanswered(call) for call in waiting.values()))


def _use(message: ToolMessage, call: Mapping[str, Any]) -> ToolUse:
    marks = message.additional_kwargs.get("lg_production")
    held = isinstance(marks, Mapping) and marks.get("held")
    return ToolUse(
        name=whole(str(call.get("name") or message.name or "")),
        args=as_json(call.get("args") or {}),
        result=whole(str(message.text)),
        status="not_run" if held else message.status,
        id=whole(str(message.tool_call_id)),
    )


def _unanswered(call: Mapping[str, Any]) -> ToolUse:
    name, args = whole(str(call["name"])), as_json(call["args"])
    return ToolUse(name, args, status="not_run", id=whole(str(call["id"] or "")))


def own_of(final: Sequence[BaseMessage], given: int, known: Collection[str]) -> list[BaseMessage]:
    """The final messages that are this run's work: none of the first `given`, and none `known`."""
    return [m for n, m in enumerate(final) if n >= given and m.id not in known]


def _values(state: Any) -> Mapping[str, Any]:
    if isinstance(state, Mapping):
        return {str(key): value for key, value in state.items()}
    if isinstance(state, BaseMessage | list | tuple):
        return {"messages": state}
    if isinstance(state, BaseModel):
        return {name: getattr(state, name, None) for name in type(state).model_fields}
    if is_dataclass(state) and not isinstance(state, type):
        return {one.name: getattr(state, one.name, None) for one in fields(state)}
    return {} if state is None else {"output": state}


def messages_in(told: Any) -> list[BaseMessage]:
    """The messages among what a state holds as such; what is none is left out."""
    messages: list[BaseMessage] = []
    for one in told if isinstance(told, list | tuple) else [told]:
        try:
            messages += [one] if isinstance(one, BaseMessage) else convert_to_messages([one])
        except (ValueError, TypeError, KeyError, NotImplementedError, AttributeError):
            continue
    return messages


def _once(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    kept = {message.id or id(message): message for message in messages}
    return list(kept.values())


def _answer(messages: Sequence[BaseMessage], values: Mapping[str, Any]) -> str:
    said = [message for message in messages if isinstance(message, AIMessage)]
    output = values.get("output")
    last = said[-1].text if said else output if isinstance(output, str) else ""
    return whole(str(last))


def _rest(values: Mapping[str, Any], final: Sequence[BaseMessage]) -> dict[str, Any]:
    left_out = {INTERRUPT, "messages"} if final else {INTERRUPT}
    return {whole(k): as_json(value) for k, value in values.items() if k not in left_out}


def _tokens(messages: Iterable[BaseMessage]) -> tuple[int, int, int]:
    """Input, output and total of the model's messages that tell them."""
    told = [m.usage_metadata for m in messages if isinstance(m, AIMessage) and m.usage_metadata]
    into = sum(_count(usage.get("input_tokens")) for usage in told)
    out = sum(_count(usage.get("output_tokens")) for usage in told)
    return into, out, sum(_count(usage.get("total_tokens")) for usage in told) or into + out


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _error(error: BaseException | str | None) -> str:
    if error is None:
        return ""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return whole(Redaction().text(text[: 2 * MOST_ERROR]))[:MOST_ERROR]
