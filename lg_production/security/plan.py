"""A sealed plan: which tools a task may call, settled by the user's words alone.

`seal` makes it before anything untrusted was read, and refuses to make it later; unless it is
given the user's words and nothing else (`spoken`), which is how a later turn has a plan of its own.
The gate checks it at every call: its hash, and that the words it was made from still stand in the
thread. A state that somebody else may write needs a `key`, too: without one, a hash only shows
that a plan was changed, not by whom it was made.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from langchain_core.messages import BaseMessage, convert_to_messages
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..core.keys import digest
from ..errors import PlanRefused
from .channels import SAID, channel_of, has_attached, is_own, kind_of
from .held import has_run


class Step(BaseModel):
    """One tool of a plan. `arguments`: the values that an argument may have, if not any.

    `sources`: the tools from whose results an address for an argument may be taken, although it
    stands in the midst of a text: if it is the only one there. It trusts who wrote that text with
    that one argument; an account is never taken from a text. `times`: how often the tool may be
    called; None is any number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    arguments: Mapping[str, tuple[Any, ...]] = Field(default_factory=dict)
    sources: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    times: Annotated[int, Field(ge=1)] | None = None

    def fits(self, arguments: Mapping[str, Any]) -> bool:
        """Whether these arguments are as planned."""
        return all(
            any(same(arguments.get(name), value) for value in values)
            for name, values in self.arguments.items()
        )


class Plan(BaseModel):
    """The tools that a task may call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, *tools: str) -> Self:
        """A plan that names tools, and leaves their arguments to the gate."""
        return cls(steps=tuple(Step(tool=tool) for tool in dict.fromkeys(tools)))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        json.dumps(self.model_dump(mode="json"))
        return self

    def fixed(self, tool: str, arguments: Mapping[str, Any]) -> frozenset[str]:
        """The arguments of this call that the plan itself gives, with all that is in them."""
        return frozenset(name for step in self._fitting(tool, arguments) for name in step.arguments)

    def sources(self, tool: str, argument: str, arguments: Mapping[str, Any]) -> frozenset[str]:
        """The tools from whose results this argument's address may be taken."""
        steps = self._fitting(tool, arguments)
        return frozenset(name for step in steps for name in step.sources.get(argument, ()))

    def _fitting(self, tool: str, arguments: Mapping[str, Any]) -> list[Step]:
        return [step for step in self.steps if step.tool == tool and step.fits(arguments)]

    def objection(self, tool: str, arguments: Mapping[str, Any], messages: Sequence[Any]) -> str:
        """Why this call is not in the plan, after these messages; empty if it is."""
        named = [step for step in self.steps if step.tool == tool]
        if not named:
            return "tool_not_planned"
        if not self._fitting(tool, arguments):
            return "arguments_not_planned"
        left = Left(named)
        for done in others(tool, arguments, messages):
            left.spend(done)
        return "" if left.spend(arguments) else "called_often_enough"


class Left:
    """How often each step of a tool may still be used."""

    def __init__(self, steps: Sequence[Step]) -> None:
        # What may be used without end comes first, then what fits fewer calls.
        self.steps = sorted(steps, key=lambda one: (one.times is not None, -len(one.arguments)))
        self.times = [step.times for step in self.steps]

    def spend(self, arguments: Mapping[str, Any]) -> bool:
        """Count a call under the first step that it fits and that has any left; False if none."""
        for place, step in enumerate(self.steps):
            left = self.times[place]
            if step.fits(arguments) and left != 0:
                self.times[place] = None if left is None else left - 1
                return True
        return False


def others(
    tool: str, arguments: Mapping[str, Any], messages: Sequence[Any]
) -> Iterator[Mapping[str, Any]]:
    """The arguments of each other call of a tool that has run, or is asked for beside this one.

    Calls of one message are decided about side by side, and none sees the others: what is too
    often for all of them is so for each.
    """
    asked = [call for m in messages for call in getattr(m, "tool_calls", None) or ()]
    given = {call["id"]: call["args"] for call in asked}
    answered = {getattr(message, "tool_call_id", None) for message in messages}
    ran = [m for m in messages if has_run(m) and m.name == tool]
    yield from (given.get(message.tool_call_id, arguments) for message in ran)
    last = next((m for m in reversed(messages) if getattr(m, "tool_calls", None)), None)
    beside = [
        call["args"] for call in (last.tool_calls if last is not None else ())
        if call["name"] == tool and call["id"] not in answered
    ]  # fmt: skip
    mine = next((n for n, args in enumerate(beside) if same(args, arguments)), None)
    yield from (args for n, args in enumerate(beside) if n != mine)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A plan as the state holds it."""

    plan: Plan
    made_from: int
    """How many messages the user had written."""
    thread: str
    """The thread it is for; empty is any that begins with the same words."""
    hash: str

    def stored(self) -> dict[str, Any]:
        """This as JSON, for the state and its checkpoints."""
        plan = self.plan.model_dump(mode="json")
        return {
            "plan": plan, "made_from": self.made_from, "thread": self.thread, "hash": self.hash,
        }  # fmt: skip


def seal(
    plan: Plan, messages: Sequence[Any], *, key: bytes = b"", thread: str = ""
) -> dict[str, Any]:
    """The plan, sealed: put it into the state under `plan`.

    `messages`: what it was made from, all of it. In a later turn that is `spoken(messages)`: show
    the model that plans nothing else, not even what the agent has said since. `thread`: the
    `thread_id` that it is for; with a key it is valid in no other. Raises `PlanRefused` if any of
    the messages is not the user's or the agent's own, or none is the user's.
    """
    given = convert_to_messages(messages)
    said = spoken(given)
    if not said or any(is_untrusted(message) for message in given):
        raise PlanRefused
    return Sealed(plan, len(said), str(thread), mark(plan, said, str(thread), key)).stored()


def opened(stored: Any, messages: Sequence[Any], *, key: bytes = b"", thread: str = "") -> Plan:
    """The plan in a thread's state. Raises `PlanRefused` if it is not as it was sealed."""
    try:
        plan = Plan.model_validate(stored["plan"])
        made_from, told, meant = stored["made_from"], stored["hash"], stored["thread"]
    except (KeyError, TypeError, ValidationError, RecursionError):
        raise PlanRefused from None
    if isinstance(made_from, bool) or not isinstance(made_from, int) or made_from < 1:
        raise PlanRefused
    said = spoken(messages)[:made_from]
    if len(said) < made_from or meant not in ("", thread):
        raise PlanRefused
    if not hmac.compare_digest(str(told), mark(plan, said, meant, key)):
        raise PlanRefused
    return plan


def spoken(messages: Sequence[Any]) -> list[Any]:
    """The user's own words: all that a plan may be made from once something was read.

    A message with which he has attached something is there without it.
    """
    return [words_of(messages[place]) for place in places(messages)]


def places(messages: Sequence[Any]) -> list[int]:
    """Where the user has spoken."""
    return [
        n for n, message in enumerate(messages)
        if message.type == "human" and channel_of(message) == "user"
    ]  # fmt: skip


def words_of(message: BaseMessage) -> BaseMessage:
    """A message without what is attached to it; the same object if nothing is."""
    if not has_attached(message):
        return message
    said = [block for block in message.content if kind_of(block) in SAID]
    return message.model_copy(update={"content": said})


def since(stored: Any, messages: Sequence[Any]) -> Sequence[Any]:
    """The messages after the last that an opened plan was made from."""
    return messages[places(messages)[stored["made_from"] - 1] + 1 :]


def mark(plan: Plan, said: Sequence[Any], thread: str, key: bytes) -> str:
    """What ties a plan to the words it was made from, and to a thread."""
    if not isinstance(key, bytes):
        raise TypeError(f"a key is bytes (secrets.token_bytes(32)), not {type(key).__name__}")
    text = json.dumps(
        [plan.model_dump(mode="json"), [m.text for m in said], thread], sort_keys=True
    )
    found = digest("plan", text)
    return hmac.digest(key, found, "sha256").hex() if key else found.hex()


def is_untrusted(message: Any) -> bool:
    """Whether a message has somebody else's text: neither the user's nor the agent's own.

    A document that the user has attached is somebody else's.
    """
    if is_own(message):
        return False
    return channel_of(message) != "user" or has_attached(message)


def same(value: Any, planned: Any) -> bool:
    """Whether two JSON values are the same: 1 is not True, and what is too deep is like nothing."""
    try:
        spelled = json.dumps(value, sort_keys=True, default=str)
    except (RecursionError, TypeError, ValueError):
        return False
    return spelled == json.dumps(planned, sort_keys=True)
