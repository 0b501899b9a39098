"""A sealed plan: which tools a task may call, settled before anything untrusted was read.

`seal` makes it from the user's words alone and refuses to make it later. The gate checks it at
every call: its hash, and that what it was made from still stands at the start of the messages
and holds nothing untrusted. A state that somebody else may write needs a `key`, too: without
one, a hash only shows that a plan was changed, not by whom it was made.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..core.keys import digest
from ..errors import PlanRefused
from .channels import channel_of, is_own, texts
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
        """The texts that the plan itself gives as arguments of this call."""
        fitting = [step for step in self.steps if step.tool == tool and step.fits(arguments)]
        return frozenset(
            str(value) for step in fitting for values in step.arguments.values() for value in values
        )

    def sources(self, tool: str, argument: str, arguments: Mapping[str, Any]) -> frozenset[str]:
        """The tools from whose results this argument's address may be taken."""
        fitting = [step for step in self.steps if step.tool == tool and step.fits(arguments)]
        return frozenset(name for step in fitting for name in step.sources.get(argument, ()))

    def objection(self, tool: str, arguments: Mapping[str, Any], messages: Sequence[Any]) -> str:
        """Why this call is not in the plan; empty if it is."""
        named = [step for step in self.steps if step.tool == tool]
        if not named:
            return "tool_not_planned"
        fitting = [step for step in named if step.fits(arguments)]
        if not fitting:
            return "arguments_not_planned"
        if any(step.times is None for step in fitting):
            return ""
        allowed = sum(step.times or 0 for step in named)
        done = sum(has_run(m) and m.name == tool for m in messages)
        fits = done + max(1, waiting(tool, messages)) <= allowed
        return "" if fits else "called_often_enough"


def waiting(tool: str, messages: Sequence[Any]) -> int:
    """How many calls of a tool the model's last message asks for that have no answer yet.

    They are decided about side by side, and none sees the others: what is too often for all of
    them is so for each.
    """
    last = next((m for m in reversed(messages) if getattr(m, "tool_calls", None)), None)
    answered = {getattr(message, "tool_call_id", None) for message in messages}
    calls = last.tool_calls if last is not None else ()
    return sum(call["name"] == tool and call["id"] not in answered for call in calls)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A plan as the state holds it."""

    plan: Plan
    made_from: int
    """How many messages there were."""
    hash: str

    def stored(self) -> dict[str, Any]:
        """This as JSON, for the state and its checkpoints."""
        plan = self.plan.model_dump(mode="json")
        return {"plan": plan, "made_from": self.made_from, "hash": self.hash}


def seal(plan: Plan, messages: Sequence[Any], *, key: bytes = b"") -> dict[str, Any]:
    """The plan, sealed: put it into the state under `plan`.

    Raises `PlanRefused` if any of the messages is not the user's or the agent's own.
    """
    if not messages or any(is_untrusted(message) for message in messages):
        raise PlanRefused
    return Sealed(plan, len(messages), mark(plan, messages, key)).stored()


def opened(stored: Any, messages: Sequence[Any], *, key: bytes = b"") -> Plan:
    """The plan in a state. Raises `PlanRefused` if it is not as it was sealed."""
    try:
        plan = Plan.model_validate(stored["plan"])
        made_from, told = stored["made_from"], stored["hash"]
    except (KeyError, TypeError, ValidationError, RecursionError):
        raise PlanRefused from None
    if isinstance(made_from, bool) or not isinstance(made_from, int) or made_from < 1:
        raise PlanRefused
    before = messages[:made_from]
    late = len(before) < made_from or any(is_untrusted(message) for message in before)
    if late or not hmac.compare_digest(str(told), mark(plan, before, key)):
        raise PlanRefused
    return plan


def mark(plan: Plan, messages: Sequence[Any], key: bytes) -> str:
    """What ties a plan to the messages it was made from."""
    said = [[message.type, message.text] for message in messages]
    text = json.dumps([plan.model_dump(mode="json"), said], sort_keys=True)
    found = digest("plan", text)
    return hmac.digest(key, found, "sha256").hex() if key else found.hex()


def is_untrusted(message: Any) -> bool:
    """Whether a message has somebody else's text: neither the user's nor the agent's own.

    A document that the user has attached is somebody else's.
    """
    if is_own(message):
        return False
    return channel_of(message) != "user" or any(t.channel != "user" for t in texts([message]))


def same(value: Any, planned: Any) -> bool:
    """Whether two JSON values are the same: 1 is not True, and what is too deep is like nothing."""
    try:
        spelled = json.dumps(value, sort_keys=True, default=str)
    except (RecursionError, TypeError, ValueError):
        return False
    return spelled == json.dumps(planned, sort_keys=True)
