"""Undo the effects of a thread, the last one first, each once and under a key of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ..core.keys import digest
from ..core.steps import Call, Row, Statement, Steps, adrive, drive
from ..errors import EffectFailed, OutcomeUnknown
from .codec import Codec
from .current import CurrentEffect
from .key import native_key
from .ledger import Wanted
from .operation import Operation, Ran
from .policy import EffectPolicy
from .retry import RetryBudget
from .tool import Idempotent, encode


@dataclass(frozen=True, slots=True)
class Done:
    """An effect that happened and can be undone."""

    key: bytes
    tool: str
    version: str
    arguments: Any
    outcome_type: str
    outcome: bytes


UNDOABLE = """
SELECT key, tool, tool_version, arguments, outcome_type, outcome FROM lg_production.effects
WHERE thread_id = %(thread_id)s AND tenant = %(tenant)s AND tool = ANY(%(tools)s)
  AND state IN ('succeeded', 'compensating') AND outcome IS NOT NULL
ORDER BY updated_at DESC, created_at DESC, key
"""
# The order of completion must survive a compensation that is itself interrupted, so
# `updated_at` stays what it was while the effect is compensating.
BEGIN = """
UPDATE lg_production.effects SET state = 'compensating', version = version + 1
WHERE key = %(key)s AND state IN ('succeeded', 'compensating')
"""
END = """
UPDATE lg_production.effects SET state = 'compensated', version = version + 1, updated_at = now()
WHERE key = %(key)s AND state = 'compensating'
"""


def undoable(thread_id: str, tenant: str, tools: Sequence[str]) -> Statement[list[Done]]:
    """The effects of a thread that have a compensation, the last completed first."""
    params = {"thread_id": thread_id, "tenant": tenant, "tools": list(tools)}

    def read(rows: Sequence[Row]) -> list[Done]:
        return [Done(*row) for row in rows]

    return Statement(UNDOABLE, params, read, repeatable=True)


OPEN = """
SELECT tool FROM lg_production.effects
WHERE thread_id = %(thread_id)s AND tenant = %(tenant)s AND tool = ANY(%(tools)s)
  AND state IN ('claimed', 'in_doubt') ORDER BY created_at
"""


def open_effects(thread_id: str, tenant: str, tools: Sequence[str]) -> Statement[list[str]]:
    """The tools of a thread whose effect may have happened or may yet happen."""
    params = {"thread_id": thread_id, "tenant": tenant, "tools": list(tools)}
    return Statement(OPEN, params, lambda rows: [row[0] for row in rows], repeatable=True)


def begin(done: Done) -> Statement[None]:
    """SUCCEEDED -> COMPENSATING."""
    return Statement(BEGIN, {"key": done.key}, lambda _: None, repeatable=True)


def end(done: Done) -> Statement[None]:
    """COMPENSATING -> COMPENSATED."""
    return Statement(END, {"key": done.key}, lambda _: None, repeatable=True)


def compensate(idempotent: Idempotent, thread_id: str) -> list[str]:
    """Run the declared `compensate` of every effect of the thread, in reverse order.

    Each is an effect too: claimed, settled, never run twice. While an effect of the thread
    is in doubt or under way, `OutcomeUnknown` is raised and nothing is undone. If the outcome
    of a compensation is in doubt, or a person rejected it (`EffectFailed`), the effects before
    it stay; settle it, and call again.
    Returns the tools whose effects are undone by now, in the order of undoing.
    """
    steps = _undo_all(idempotent, thread_id)
    return drive(steps, idempotent.database, idempotent.observers)


async def acompensate(idempotent: Idempotent, thread_id: str) -> list[str]:
    """`compensate`, without blocking the event loop; a compensation may be a coroutine."""
    steps = _undo_all(idempotent, thread_id)
    return await adrive(steps, idempotent.database, idempotent.observers)


def _undo_all(idempotent: Idempotent, thread_id: str) -> Steps[list[str]]:
    tools = [name for name, policy in idempotent.policies.items() if policy.compensate]
    if unsettled := (yield from open_effects(thread_id, idempotent.tenant, tools)):
        raise OutcomeUnknown(f"(of {', '.join(unsettled)}; nothing was undone)")
    undone = []
    for done in (yield from undoable(thread_id, idempotent.tenant, tools)):
        yield from begin(done)
        op = yield from _operation(idempotent, done, thread_id)
        ended = yield from idempotent.carry_out(op)
        if getattr(ended, "status", None) == "error":
            raise EffectFailed(f"({op.wanted.tool}: {ended.content})")
        yield from end(done)
        undone.append(done.tool)
    return undone


def _operation(idempotent: Idempotent, done: Done, thread_id: str) -> Steps[Operation]:
    """The compensation as an operation: the tool's policy, its own key, nobody to ask."""
    declared = idempotent.policies[done.tool]
    keyed = declared.recovery == "native_key"
    policy = EffectPolicy(
        recovery="native_key" if keyed else "surface",
        native_ttl=declared.native_ttl if keyed else None,
        retry=declared.retry,
        result_types=declared.result_types,
    )
    key = digest(done.key.hex(), "compensate")
    secret = yield from idempotent.secret()
    codec = idempotent.codec(policy)
    name = f"{done.tool}:compensate"
    return Operation(
        wanted=Wanted(
            key=key,
            tenant=idempotent.tenant,
            tool=name,
            tool_version=done.version,
            recovery=policy.recovery,
            fingerprint=digest(done.key.hex()),
            native_key=native_key(secret, key),
            owner=uuid4(),
            worker=idempotent.database.worker.id,
            lease=idempotent.lease,
            task=None,
            barrier=False,
            tool_call_id=None,
            arguments=None,
            evidence=json.dumps({"compensates": done.key.hex(), "thread_id": thread_id}),
            window=None,
        ),
        policy=policy,
        arguments=done.arguments,
        codec=codec,
        encode=lambda result: encode(codec, result, name, None),
        run=lambda current: _run(declared, codec, done, current),
        bounds=idempotent.bounds,
        budget=RetryBudget(),
        decided_by="resume",
        may_ask=False,
    )


def _run(policy: EffectPolicy, codec: Codec, done: Done, current: CurrentEffect) -> Steps[Ran]:
    undo = policy.compensate
    assert undo is not None  # noqa: S101 - only tools that have one come here
    result = codec.load(done.outcome_type, done.outcome)

    def call() -> Any:
        return undo(current.native_key, done.arguments, result)

    async def acall() -> Any:
        answer = call()
        return await answer if hasattr(answer, "__await__") else answer

    return Ran((yield from Call(call, acall)))
