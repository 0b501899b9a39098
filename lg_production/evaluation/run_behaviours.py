"""Behaviours about the run: what it took, whom it asked and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from .expectation import Expectation, listed, shown
from .outcome import Ended, Outcome
from .tool_behaviours import Count, Name, times

NAMES = ("name", "action", "action_name", "tool", "tool_name")
"""Where the payload of an interrupt names a tool: LangChain's, Agent Inbox's, or one's own."""


class Within(Expectation):
    """The run took at most so much. What nobody could count is not within anything."""

    kind: Literal["within"] = "within"
    steps: Count | None = None
    tokens: Count | None = None
    usd: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    tool_calls: Count | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self._limits():
            raise ValueError("it needs one of steps, tokens, usd, seconds, tool_calls")
        return self

    def short(self) -> str:
        """The limits."""
        return listed(f"{limit} {name}" for name, limit in self._limits().items())

    def objection(self, outcome: Outcome) -> str:
        """The first limit that does not hold."""
        for name, limit in self._limits().items():
            spent = self._spent(name, outcome)
            if spent is None:
                return f"Nobody told the {name}, so they are within no limit."
            if spent > limit:
                return f"It took {_number(spent)} {name}; the limit is {limit}."
        return ""

    def _limits(self) -> dict[str, Any]:
        names = ("steps", "tokens", "usd", "seconds", "tool_calls")
        limits = {name: getattr(self, name) for name in names}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def _spent(self, name: str, outcome: Outcome) -> Any:
        if name == "tool_calls":
            return sum(use.status != "not_run" for use in outcome.tools)
        if name == "tokens" and outcome.steps and not outcome.tokens:
            return None
        return getattr(outcome, name)


class Asks(Expectation):
    """The run interrupted to ask a person, about `tool` if given; or, with `never`, did not."""

    kind: Literal["asks"] = "asks"
    tool: Name | None = None
    never: bool = False

    def short(self) -> str:
        """Whether, and about what."""
        return " ".join(filter(None, ("never" if self.never else "", self.tool)))

    def objection(self, outcome: Outcome) -> str:
        """What was asked."""
        about = [self.tool is None or self.tool in named(one) for one in outcome.interrupts]
        if any(about) != self.never:
            return ""
        if not self.never:
            asked = [*map(shown, outcome.interrupts)]
            return f"It asked {listed(asked)}." if asked else "It asked nobody."
        return f"It asked {times(sum(about))}: {shown(outcome.interrupts[about.index(True)])}."


class Ends(Expectation):
    """How the run ends: "done", "interrupted" or "error", then with `error` in its text."""

    kind: Literal["ends"] = "ends"
    ended: Ended = "done"
    error: str = ""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.error and self.ended != "error":
            raise ValueError('a text of an error needs ended: "error"')
        return self

    def short(self) -> str:
        """How."""
        return f"{self.ended} {self.error}".strip()

    def objection(self, outcome: Outcome) -> str:
        """How it ended instead."""
        if outcome.ended == self.ended and self.error in outcome.error:
            return ""
        error = f": {shown(outcome.error)}" if outcome.error else ""
        return f"It ended {outcome.ended}{error}."


def named(payload: Any, levels: int = 6) -> Iterator[str]:
    """The tools that the payload of an interrupt may be about."""
    if isinstance(payload, Mapping):
        yield from (payload[key] for key in NAMES if isinstance(payload.get(key), str))
    parts = payload.values() if isinstance(payload, Mapping) else payload
    if levels and isinstance(payload, Mapping | list | tuple):
        for part in parts:
            yield from named(part, levels - 1)


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
