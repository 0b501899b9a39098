"""How a tool's effect is identified, and what to do when nobody knows whether it happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self, TypeAlias

from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, model_validator

from .retry import RetryPolicy

Recovery: TypeAlias = Literal[
    "read_only", "transactional", "native_key", "probe", "surface", "at_least_once"
]
Arguments: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happened:
    """A probe found the effect: `result` is what the tool would have returned."""

    result: Any


@dataclass(frozen=True, slots=True)
class NotHappened:
    """A probe is sure that the effect did not happen and is not under way."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A probe cannot tell."""


Found: TypeAlias = Happened | NotHappened | Unknown
Probe: TypeAlias = Callable[[str, Arguments], Found | Awaitable[Found]]
Compensate: TypeAlias = Callable[[str, Arguments, Any], Any]


class EffectPolicy(BaseModel):
    """What lg_production may assume of one tool.

    `recovery`, when the outcome of an earlier attempt is in doubt:

    - `read_only`: the tool changes nothing. No row is written; it simply runs again.
    - `transactional`: the tool writes to the ledger's own database, through a connection it
      declares as `Annotated[Connection, InjectedConnection()]`. Claim, effect and outcome
      commit together: exactly once.
    - `native_key`: the provider honours an idempotency key. The tool runs again with the
      same `InjectedIdempotencyKey`, while the first attempt is younger than `native_ttl`.
    - `probe`: `probe(native_key, arguments)` asks the provider first.
    - `surface`: a person is asked by `interrupt()`. The default for an undeclared tool.
    - `at_least_once`: it runs again. For effects that may happen twice.

    The identity of a call is its model answer and tool-call id; with `business`, a name for
    the action computed from the arguments (an order id), which also survives a model that
    is asked again; with `window`, tool and arguments within the thread for that long.
    `content_arguments` are left out of the fingerprint: they may differ between attempts.
    `version` is part of every key: raise it when the tool's meaning changes.
    `result_types` are classes, beside LangChain's, that a recorded outcome may contain.
    `compensate(key, arguments, result)` undoes the effect. `store_arguments=False` keeps
    the arguments out of the ledger, and of what a person is shown later on the command line.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid")

    recovery: Recovery = "surface"
    native_ttl: timedelta | None = None
    probe: Probe | None = None
    business: Callable[[Arguments], str] | None = None
    window: timedelta | None = None
    content_arguments: frozenset[str] = frozenset()
    version: str = "1"
    retry: RetryPolicy | None = None
    result_types: tuple[type, ...] = ()
    compensate: Compensate | None = None
    store_arguments: bool = True

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.recovery == "native_key") != (self.native_ttl is not None):
            raise ValueError(
                "recovery='native_key' needs native_ttl, for how long the provider remembers "
                "a key (Stripe: timedelta(hours=24)); no other recovery takes one"
            )
        if (self.recovery == "probe") != (self.probe is not None):
            raise ValueError("recovery='probe' and probe=… go together")
        if self.business is not None and self.window is not None:
            raise ValueError("give business or window, not both: each names the action")
        if self.compensate is not None and not self.store_arguments:
            raise ValueError("compensate needs the arguments: leave store_arguments=True")
        if self.window is not None and self.window <= timedelta(0):
            raise ValueError("window must be longer than nothing")
        return self


SURFACE, READ_ONLY, REPEATABLE = (
    EffectPolicy(),
    EffectPolicy(recovery="read_only"),
    EffectPolicy(recovery="at_least_once"),
)


def declared(tool: BaseTool, policies: Mapping[str, EffectPolicy]) -> EffectPolicy:
    """The tool's policy: yours, else what its MCP annotations say, else `surface`.

    The hints are the server's word (MCP 2025-06-18, ToolAnnotations); declare a policy of
    your own for a server you do not trust. `destructiveHint` is the default: `surface`.
    """
    if tool.name in policies:
        return policies[tool.name]
    hints = tool.metadata or {}
    if hints.get("readOnlyHint") is True:
        return READ_ONLY
    if hints.get("idempotentHint") is True:
        return REPEATABLE
    return SURFACE
