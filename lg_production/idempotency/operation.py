"""One effect that somebody wants carried out once, whatever asked for it: a tool call, a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..core.events import Event
from ..core.steps import Emit, Steps
from .codec import Codec, Encoded
from .current import CurrentEffect
from .ledger import Claim, Effect, Wanted
from .policy import EffectPolicy
from .retry import RetryBudget


@dataclass(frozen=True, slots=True)
class Ran:
    """How one run of the user's code ended.

    `error` is what the code raised, `raised` what became of it on its way out; it is None
    when `error` was handled: turned into `result`, a message for the model.
    """

    result: Any
    error: Exception | None = None
    raised: Exception | None = None
    started: bool = True
    """False if something stopped the call before it reached the user's code."""

    @property
    def handled(self) -> bool:
        """Whether an exception was turned into a message."""
        return self.error is not None and self.raised is None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long to wait: for another worker's result, and for a checkpoint to be written."""

    wait: timedelta = timedelta(seconds=30)
    barrier: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Operation:
    """Everything the protocol needs to know."""

    wanted: Wanted
    policy: EffectPolicy
    arguments: Mapping[str, Any]
    codec: Codec
    encode: Callable[[Any], Encoded]
    run: Callable[[CurrentEffect], Steps[Ran]]
    bounds: Bounds
    budget: RetryBudget
    decided_by: str
    may_ask: bool
    """False where LangGraph could hand the answer to another call of the same task."""

    def emit(self, outcome: str, effect: Effect | None = None) -> Emit:
        """The event `effect.<outcome>`."""
        wanted = self.wanted
        attributes: dict[str, str | int | float | bool | None] = {
            "tool": wanted.tool,
            "tenant": wanted.tenant,
            "key": wanted.key.hex(),
            "thread_id": wanted.task.thread_id if wanted.task else None,
            "tool_call_id": wanted.tool_call_id,
            "attempt": effect.attempt if effect else None,
        }
        return Emit(Event(f"effect.{outcome}", attributes))


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a node claimed for one of its calls before it ran them, and when it asked."""

    wanted: Wanted
    claim: Claim
    sent: float


ahead_of: ContextVar[dict[str, Ahead] | None] = ContextVar("lg_production_ahead", default=None)
"""By tool call id. Whoever takes one out carries it out; what is left is given back."""
