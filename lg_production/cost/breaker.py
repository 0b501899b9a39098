"""Circuit breakers for tools and models, on LangGraph's surfaces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import ToolMessage
from langchain_core.runnables import ensure_config
from langgraph.prebuilt.tool_node import ToolCallRequest

from ..core.database import Database
from ..core.events import Observer
from ..core.models import Handler as ModelHandler
from ..core.models import ModelWrapper, model_name
from ..core.steps import Steps, drive
from ..core.wrappers import Handler, ToolResult, ToolWrapper, in_place_of
from ..errors import CircuitOpen
from .breaker_policy import BreakerPolicy
from .breaking import CircuitBreaker
from .circuits import Circuit

__all__ = ["Breaker", "BreakerPolicy", "ModelBreaker"]

DEFAULT = BreakerPolicy()


class Breaker(ToolWrapper):
    """A tool that fails too often is not called for a while: `Breaker(database, policy)`.

    Each tool of each tenant has a circuit of its own. `policies` names tools that have another
    policy. While a circuit is open the model is told that the tool is not available
    and when to come back (`then="tell"`), or `CircuitOpen` is raised (`then="error"`). The
    tenant is the run's `tenant_id`, else `tenant`. Stands outside of retries, so that a call
    counts once, and inside of idempotency, so that a replayed call does not count.
    """

    database: Database

    def __init__(
        self,
        database: Database,
        policy: BreakerPolicy = DEFAULT,
        *,
        policies: Mapping[str, BreakerPolicy] | None = None,
        then: Literal["tell", "error"] = "tell",
        tenant: str = "default",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.database, self.observers = database, tuple(observers)
        self.policy, self.policies = policy, dict(policies or {})
        self.then, self.tenant = then, tenant
        self.breaker = CircuitBreaker(database)

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Make the call, or say that the tool is not available."""
        name = request.tool_call["name"]
        policy = self.policies.get(name, self.policy)
        circuit = Circuit(_tenant(request.runtime.config, self.tenant), f"tool:{name}")
        try:
            permit = yield from self.breaker.admit_steps(circuit, policy)
        except CircuitOpen as refused:
            if self.then == "error":
                raise
            return told(request, refused)
        call = handler(request)
        return (yield from self.breaker.call_steps(permit, call, policy.decide_result))


class ModelBreaker(ModelWrapper):
    """A model that fails too often is not called for a while: `CircuitOpen` is raised instead.

    Each model of each tenant has a circuit of its own, named after its provider and name, or
    after `name` where the model does not tell. To have another model answer, stand inside of
    what chooses it.
    """

    database: Database

    def __init__(
        self,
        database: Database,
        policy: BreakerPolicy = DEFAULT,
        *,
        name: str | None = None,
        tenant: str = "default",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.database, self.observers = database, tuple(observers)
        self.policy, self.name, self.tenant = policy, name, tenant
        self.breaker = CircuitBreaker(database)

    def steps(self, request: Any, handler: ModelHandler) -> Steps[Any]:
        """Make the call. Raises `CircuitOpen` if it is not made."""
        circuit = self.circuit(request.model)
        permit = yield from self.breaker.admit_steps(circuit, self.policy)
        return (yield from self.breaker.call_steps(permit, handler(request)))

    def retry_after(self, model: Any) -> float:
        """Seconds until `model` may be worth a call, 0 if it is now. Mostly asks nobody."""
        steps = self.breaker.wait_steps(self.circuit(model), self.policy)
        return drive(steps, self.database, self.observers)

    def circuit(self, model: Any) -> Circuit:
        """The circuit of a model in this run."""
        provider, name = model_name(model)
        known = f"{provider}/{name}" if provider or name else type(model).__name__
        return Circuit(_tenant(ensure_config(), self.tenant), f"model:{self.name or known}")


def told(request: ToolCallRequest, refused: CircuitOpen) -> ToolMessage:
    """What the model hears: not now, and when."""
    name, seconds = request.tool_call["name"], max(1, math.ceil(refused.retry_after))
    return in_place_of(
        request.tool_call,
        f"The tool {name} is not available: it failed too often. This call was not made. Do not "
        f"call it again within {seconds} s; go on without it, or say what is missing.",
    )


def _tenant(config: Mapping[str, Any] | None, default: str) -> str:
    return str(((config or {}).get("configurable") or {}).get("tenant_id") or default)
