"""Idempotent: a tool wrapper that lets an effect happen once."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest, msg_content_output
from langgraph.types import Command
from pydantic import ValidationError

from ..core.database import Database
from ..core.events import Observer
from ..core.identity import ToolCallIdentity, decision, identify
from ..core.keys import digest
from ..core.steps import Call, Steps
from ..core.wrappers import Handler, ToolResult, ToolWrapper
from ..errors import EffectFailed, IdempotencyConflict, OutcomeUnknown
from . import decisions, ledger
from .acquire import acquire
from .attempt import Lost, attempt
from .codec import Codec, Encoded, Restamp, placeholder
from .current import CurrentEffect, Watched
from .key import call_key, canonical, fingerprint, native_key
from .leases import Leases
from .ledger import Effect, Wanted
from .operation import Ahead, Bounds, Operation, Ran, ahead_of
from .policy import EffectPolicy, declared
from .retry import RetryBudget
from .transactional import in_transaction


class TwoRetryLayers(UserWarning):
    """LangGraph's RetryPolicy and ours both retry this tool: attempts multiply."""


class Idempotent(ToolWrapper):
    """Every effect once, whatever crashes, retries or resumes.

    `policies` are by tool name; an undeclared tool follows its MCP annotations, else a
    person is asked when its outcome is in doubt (`recovery="surface"`). `tenant` separates
    customers who share a database. `lease` is how long a silent worker is believed to be
    alive where its session cannot tell; `wait` bounds the wait for another worker's result.
    `barrier=False` gives up the guarantee that the checkpoint came first: needed with a
    checkpointer that does not write to this database.

    Use it as `ToolNode(wrap_tool_call=…, awrap_tool_call=…)`, in `tool_node(tools, …)`, or
    through `IdempotentToolNode`, which alone can ask about several calls of one node.
    """

    database: Database

    def __init__(
        self,
        database: Database,
        *,
        policies: Mapping[str, EffectPolicy] | None = None,
        tenant: str = "default",
        lease: timedelta = timedelta(seconds=30),
        wait: timedelta = timedelta(seconds=30),
        barrier: bool = True,
        barrier_timeout: timedelta = timedelta(seconds=5),
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.database = database
        self.policies = dict(policies or {})
        self.tenant = tenant
        self.lease = lease
        self.bounds = Bounds(wait, barrier_timeout)
        self.barrier = barrier
        self.messages_key = messages_key
        self.observers = observers
        self.leases = Leases.of(database, lease)
        self._budgets: dict[str, RetryBudget] = {}
        self._codecs: dict[tuple[type, ...], Codec] = {}
        self._secret: str | None = None

    # ------------------------------------------------------------------- the protocol

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Claim, run, settle; or replay what is recorded."""
        if request.tool is None:
            return (yield from handler(request))
        policy = declared(request.tool, self.policies)
        if policy.recovery == "read_only":
            return (yield from self._read_only(request, policy, handler))
        if policy.business is not None and not is_valid(request.tool, request.tool_call["args"]):
            return (yield from handler(request))  # the tool will say so, and cannot run
        ahead = (ahead_of.get() or {}).pop(request.tool_call["id"] or "", None)
        identity = identify(request, self.messages_key)
        if policy.retry is not None and identity.task.node_attempt > 1:
            warnings.warn(f"{request.tool.name}: remove one of them.", TwoRetryLayers, stacklevel=2)
        op = yield from self._operation(request, policy, identity, handler, ahead)
        if policy.recovery == "transactional":
            return cast("ToolResult", (yield from self._transactional(op)))
        return cast("ToolResult", (yield from self.carry_out(op, ahead)))

    def carry_out(self, op: Operation, ahead: Ahead | None = None) -> Steps[Any]:
        """Acquire, attempt, and ask the ledger again where the attempt lost its way."""
        lost = Lost(None)
        while True:
            try:
                effect, mine = yield from acquire(op, ahead)
            except IdempotencyConflict:
                op, ahead = (yield from _as_edited(op)), None
                continue
            except OutcomeUnknown as error:
                raise error from lost.error
            ahead = None
            if not mine:
                return (yield from replay(op, effect))
            owner = effect.owner or op.wanted.owner
            self.leases.hold(owner, op.wanted.key)
            try:
                result = yield from attempt(op, effect)
            finally:
                self.leases.drop(owner)
            if not isinstance(result, Lost):
                return result
            # Under a new owner: what the last one left behind is in doubt for us too.
            lost, op = result, replace(op, wanted=replace(op.wanted, owner=uuid4()))

    def _transactional(self, op: Operation) -> Steps[Any]:
        ended = yield from in_transaction(self.database, op)
        if isinstance(ended, Effect):
            return (yield from replay(op, ended))
        if ended.raised is not None:
            raise ended.raised
        yield from op.emit("ran" if ended.error is None else "failed_retryable")
        return ended.result

    def _read_only(
        self, request: ToolCallRequest, policy: EffectPolicy, handler: Handler
    ) -> Steps[ToolResult]:
        if policy.retry is None:
            return (yield from handler(request))
        op = yield from self._operation(request, policy, None, handler)
        return cast("ToolResult", (yield from attempt(op, ledger.fresh(op.wanted))))

    # ------------------------------------------------------------ from LangGraph's words

    def _operation(
        self,
        request: ToolCallRequest,
        policy: EffectPolicy,
        identity: ToolCallIdentity | None,
        handler: Handler,
        ahead: Ahead | None = None,
    ) -> Steps[Operation]:
        call, tool = request.tool_call, request.tool
        assert tool is not None  # noqa: S101 - steps() has looked
        if ahead is not None:
            wanted = ahead.wanted
        else:
            secret = yield from self.secret()
            wanted = self.wanted(call["name"], call["args"], policy, identity, secret)

        def run(current: CurrentEffect) -> Steps[Ran]:
            watched = Watched(tool, current)
            try:
                result = yield from handler(request.override(tool=cast("BaseTool", watched)))
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001 - judged, then raised
                return Ran(None, watched.error or error, error, started=watched.started)
            return Ran(result, watched.error)

        return Operation(
            wanted=wanted,
            policy=policy,
            arguments=call["args"],
            codec=self.codec(policy),
            encode=lambda result: encode(self.codec(policy), result, call["name"], call["id"]),
            run=run,
            bounds=self.bounds,
            budget=self._budgets.setdefault(call["name"], RetryBudget()),
            decided_by=decided_by(request),
            may_ask=identity is None or identity.siblings == 1,
        )

    def wanted(
        self,
        name: str,
        arguments: Mapping[str, Any],
        policy: EffectPolicy,
        identity: ToolCallIdentity | None,
        secret: str,
    ) -> Wanted:
        """The ledger row that this tool call asks for."""
        key = (
            call_key(policy, identity, tenant=self.tenant, tool=name, arguments=arguments)
            if identity
            else b""
        )
        return Wanted(
            key=key,
            tenant=self.tenant,
            tool=name,
            tool_version=policy.version,
            recovery=policy.recovery,
            fingerprint=fingerprint(policy, arguments),
            native_key=native_key(secret, key),
            owner=uuid4(),
            worker=self.database.worker.id if identity else None,
            lease=self.lease,
            task=identity.task if identity else None,
            barrier=self.barrier,
            tool_call_id=identity.tool_call_id if identity else None,
            arguments=stored(arguments) if policy.store_arguments else None,
            evidence=evidence_of(identity),
            window=policy.window,
        )

    def secret(self) -> Steps[str]:
        """The database's secret for native keys, read once; and this worker's lock is taken."""
        if self._secret is None:
            worker = self.database.worker
            yield from Call(lambda: worker.id, lambda: self.database.arun(lambda: worker.id))
            self._secret = yield from ledger.SECRET
        return self._secret

    def codec(self, policy: EffectPolicy) -> Codec:
        """The codec that may read this tool's outcomes."""
        if policy.result_types not in self._codecs:
            self._codecs[policy.result_types] = Codec(policy.result_types)
        return self._codecs[policy.result_types]


def decided_by(request: ToolCallRequest) -> str:
    """Who resumes this run: the server's authenticated user, if there is one."""
    user = (request.runtime.config or {}).get("configurable", {}).get("langgraph_auth_user")
    return str(getattr(user, "identity", None) or "resume")


def evidence_of(identity: ToolCallIdentity | None) -> str:
    """What is stored beside an effect, as JSON: its task, and the decision that let it pass."""
    named = decision.get()
    told = identity.task.evidence() if identity else {}
    return json.dumps({**told, **({"decision": named} if named else {})})


def stored(arguments: Mapping[str, Any]) -> str:
    """The arguments as a person will be shown them: ASCII JSON, which PostgreSQL takes whole."""
    return json.dumps(json.loads(canonical(arguments)))


def encode(codec: Codec, result: Any, name: str, call_id: str | None) -> Encoded:
    """A result as bytes. One that cannot be kept is replaced: it happened all the same."""
    if not is_outcome(result):
        content: Any = msg_content_output(result)
        result = ToolMessage(content, name=name, tool_call_id=call_id or "")
    kept = codec.faithful(result)
    if not isinstance(kept, str):
        return Encoded(*kept)
    if isinstance(result, ToolMessage) and result.artifact is not None:
        without = codec.faithful(result.model_copy(update={"artifact": None}))
        if not isinstance(without, str):
            return Encoded(*without, problem=kept)
    return Encoded(*codec.dump(placeholder(name, call_id or "", kept)), problem=kept)


def is_valid(tool: BaseTool, arguments: Mapping[str, Any]) -> bool:
    """Whether the model's arguments fit the tool, so that they can name the action."""
    schema: Any = tool.tool_call_schema
    if isinstance(schema, dict):
        return all(name in arguments for name in schema.get("required", ()))
    try:
        schema.model_validate(dict(arguments))
    except ValidationError:
        return False
    return True


def is_outcome(result: Any) -> bool:
    """What ToolNode passes on as it is. Anything else is what a probe found."""
    items = result if isinstance(result, list) and result else [result]
    return all(isinstance(item, ToolMessage | Command) for item in items)


def replay(op: Operation, effect: Effect) -> Steps[Any]:
    """The recorded outcome, for the current tool call. Raises `EffectFailed` if it was an error."""
    wanted = op.wanted
    call_id, recorded_id = wanted.tool_call_id or "", effect.tool_call_id or ""
    if effect.state == "compensated":
        text = f"{wanted.tool} was carried out and then undone."
        return ToolMessage(text, name=wanted.tool, tool_call_id=call_id, status="error")
    if effect.outcome is None or effect.outcome_type is None:
        raise EffectFailed(f"({wanted.tool}: {effect.error})")
    asked_again = op.policy.window is not None and call_id != recorded_id
    yield from op.emit("deduplicated" if asked_again else "replayed", effect)
    told = "Already done." if effect.state == "succeeded" else "Tried before, and it failed."
    note = f"{told} This is the recorded result:" if asked_again else ""
    mark = {"replayed": True, "attempt": effect.attempt}
    outcome = op.codec.load(effect.outcome_type, effect.outcome)
    return Restamp(recorded_id, call_id, mark, note)(outcome)


def _as_edited(op: Operation) -> Steps[Operation]:
    """The action under a key of its own, if a recorded edit explains the other arguments."""
    wanted = op.wanted
    decision = yield from decisions.find_edit(wanted.key, wanted.fingerprint)
    if decision is None:
        raise IdempotencyConflict(f"({wanted.tool}, key {wanted.key.hex()[:16]})")
    key = digest(wanted.key.hex(), "edit", str(decision))
    edited = replace(wanted, key=key, native_key=native_key(wanted.native_key, key))
    return replace(op, wanted=edited)
