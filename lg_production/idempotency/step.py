"""@idempotent_step: a node function that is not a tool, and still acts once."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime

from ..core.database import Database
from ..core.identity import Task, task_of
from ..core.keys import digest
from ..core.steps import Call, Steps, adrive, drive
from ..errors import EffectFailed
from .codec import Codec, Encoded
from .current import CurrentEffect, entered
from .key import fingerprint, native_key
from .ledger import Wanted
from .operation import Operation, Ran
from .policy import EffectPolicy
from .retry import RetryBudget
from .tool import Idempotent

Node = Callable[..., Any]


def idempotent_step(
    database: Database,
    *,
    key: Callable[[Any], str],
    policy: EffectPolicy | None = None,
    name: str | None = None,
    tenant: str = "default",
    **options: Any,
) -> Callable[[Node], Node]:
    """Decorate a node function so that, within a thread, it acts once for each `key(state)`.

    The function takes `(state)` or `(state, runtime)`, sync or async, and returns a state
    update or a `Command`, which is recorded and replayed. `current_effect().native_key` is
    there for its provider. When its outcome is in doubt a person is asked; a `respond`
    carries the state update as JSON. `options` are those of `Idempotent`.

    Raises `ValueError` for a policy that only a tool can have.
    """
    chosen = policy or EffectPolicy()
    if chosen.recovery in ("transactional", "read_only") or chosen.business or chosen.window:
        raise ValueError("a step takes key=…, and no transactional or read_only recovery")
    idempotent = Idempotent(database, tenant=tenant, **options)

    def decorate(function: Node) -> Node:
        step = _Step(idempotent, chosen, key, name or function.__name__, function)
        return step.node()

    return decorate


@dataclass(frozen=True, slots=True)
class _Step:
    idempotent: Idempotent
    policy: EffectPolicy
    key: Callable[[Any], str]
    name: str
    function: Node

    def node(self) -> Node:
        """The node that LangGraph runs, sync or async as the function is."""
        database, observers = self.idempotent.database, self.idempotent.observers

        def run(state: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Any:
            return drive(self._steps(state, config, runtime), database, observers)

        async def arun(state: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Any:
            return await adrive(self._steps(state, config, runtime), database, observers)

        node: Node = arun if inspect.iscoroutinefunction(self.function) else run
        node.__name__, node.__doc__ = self.name, self.function.__doc__
        return node

    def _steps(self, state: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Steps[Any]:
        task = task_of(runtime.execution_info, config)
        secret = yield from self.idempotent.secret()
        op = self._operation(state, runtime, task, secret)
        return _update((yield from self.idempotent.carry_out(op)))

    def _operation(self, state: Any, runtime: Runtime[Any], task: Task, secret: str) -> Operation:
        arguments = {"key": self.key(state)}
        codec = self.idempotent.codec(self.policy)
        return Operation(
            wanted=self._wanted(arguments, task, secret),
            policy=self.policy,
            arguments=arguments,
            codec=codec,
            encode=lambda result: _encode(codec, result),
            run=lambda current: self._run(state, runtime, current),
            bounds=self.idempotent.bounds,
            budget=RetryBudget(),
            decided_by="resume",
            may_ask=True,
        )

    def _wanted(self, arguments: Mapping[str, Any], task: Task, secret: str) -> Wanted:
        tenant, version = self.idempotent.tenant, self.policy.version
        key = digest(tenant, self.name, version, "step", task.thread_id, arguments["key"])
        return Wanted(
            key=key,
            tenant=tenant,
            tool=self.name,
            tool_version=version,
            recovery=self.policy.recovery,
            fingerprint=fingerprint(self.policy, arguments),
            native_key=native_key(secret, key),
            owner=uuid4(),
            worker=self.idempotent.database.worker.id,
            lease=self.idempotent.lease,
            task=task,
            barrier=self.idempotent.barrier,
            tool_call_id=None,
            arguments=json.dumps(arguments),
            evidence=json.dumps(task.evidence()),
            window=None,
        )

    def _run(self, state: Any, runtime: Runtime[Any], current: CurrentEffect) -> Steps[Ran]:
        wants_runtime = "runtime" in inspect.signature(self.function).parameters
        more = {"runtime": runtime} if wants_runtime else {}

        def call() -> Any:
            with entered(current):
                return self.function(state, **more)

        async def acall() -> Any:
            with entered(current):
                return await self.function(state, **more)

        is_async = inspect.iscoroutinefunction(self.function)
        try:
            return Ran((yield from Call(call, acall if is_async else None)))
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - judged, then raised
            return Ran(None, error, error)


def _encode(codec: Codec, result: Any) -> Encoded:
    kept = codec.faithful(result)
    return Encoded(*codec.dump({}), problem=kept) if isinstance(kept, str) else Encoded(*kept)


def _update(result: Any) -> Any:
    """The state update; a person's answer carries it as JSON."""
    if not isinstance(result, ToolMessage):
        return result
    if result.status == "error":
        raise EffectFailed(str(result.content))
    try:
        return json.loads(str(result.content))
    except ValueError:
        raise EffectFailed("A person responded, but not with a state update in JSON.") from None
