"""Get the right to carry out an effect, or find out how it went."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, TypeAlias, cast
from uuid import uuid4

import psycopg

from ..core.interrupts import pass_over
from ..core.steps import Call, Sleep, Steps
from ..errors import IdempotencyConflict, IdempotencyInProgress, NotDurable, OutcomeUnknown
from . import ledger
from .leases import keep
from .ledger import Effect, Wanted
from .operation import Ahead, Operation
from .policy import EffectPolicy, Found, Happened, NotHappened, Unknown
from .questions import settle_doubts

Step: TypeAlias = Literal["settled", "run", "wait", "probe", "ask"]
SETTLED = {"succeeded", "failed_final", "compensated"}
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
BARRIER_PAUSE = 0.001
GRACE = 1.0
"""Seconds for which a process must have been dead before its call is made again."""


class CannotAsk(OutcomeUnknown):
    """
    Nobody can know yet whether this effect happened, and a question about one of several
    calls of a node could get the answer to another. Use IdempotentToolNode, which asks about
    all of them at once, or settle it: `lg-production effects resolve`.
    """

    def __init__(self, key: bytes, detail: str) -> None:
        super().__init__(detail)
        self.key = key


def decide(effect: Effect, policy: EffectPolicy) -> Step:
    """What to do about an effect that is already in the ledger: the recovery ladder."""
    if effect.expired and effect.state in SETTLED | {"failed_retryable", "ready"}:
        return "run"
    if effect.state in SETTLED:
        return "settled"
    if effect.state in ("ready", "failed_retryable"):
        return "run"
    if effect.state == "compensating" or (effect.state == "claimed" and not effect.gone):
        return "wait"
    if policy.recovery == "at_least_once" or key_is_remembered(effect, policy):
        return "run"
    return "probe" if policy.recovery == "probe" else "ask"


def key_is_remembered(effect: Effect, policy: EffectPolicy) -> bool:
    """Whether the provider still knows the native key of the first attempt."""
    return policy.native_ttl is not None and effect.age < policy.native_ttl


@dataclass(slots=True)
class Patience:
    """Waits a little longer each time, up to a bound. Counts what it slept, reads no clock."""

    bound: timedelta
    waited: float = 0.0
    pause: float = FIRST_PAUSE

    def once(self) -> Steps[bool]:
        """Wait; False when the bound is reached."""
        if self.waited >= self.bound.total_seconds():
            return False
        yield from Sleep(self.pause)
        self.waited += self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        return True


def acquire(op: Operation, ahead: Ahead | None = None) -> Steps[tuple[Effect, bool]]:
    """The effect, and whether it is ours to carry out; otherwise it is settled.

    `ahead` is the answer to a claim that was made for this operation already.
    Raises `IdempotencyConflict`, `IdempotencyInProgress`, `NotDurable` and
    `OutcomeUnknown`, or pauses the graph to ask a person. In all these cases nothing was
    done.
    """
    owner_patience = Patience(op.bounds.wait)
    barrier_patience = Patience(op.bounds.barrier, pause=BARRIER_PAUSE)
    probed = False
    while True:
        taken, ahead = ahead or (yield from _claim(op)), None
        effect, sent = taken.claim, taken.sent
        if effect == "raced":
            continue
        if effect == "not_durable":
            yield from _await_barrier(op, barrier_patience)
            continue
        assert isinstance(effect, Effect)  # noqa: S101 - for the type checker
        if effect.owner == op.wanted.owner and effect.state == "claimed":
            if (yield from _still_ours(op, effect, sent)):
                return effect, True
            op = replace(op, wanted=replace(op.wanted, owner=uuid4()))
            continue
        yield from _refuse_conflict(op, effect)
        match decide(effect, op.policy):
            case "settled":
                return effect, False
            case "run":
                yield from _line_up(op, effect)
                if ours := (yield from _reclaim(op, effect, barrier_patience)):
                    return ours, True
            case "wait":
                yield from _await_owner(op, effect, owner_patience)
            case "probe":
                yield from _probe(op, effect, again=probed)
                probed = effect.state == "in_doubt"
            case "ask":
                yield from _ask(op, effect)


def _claim(op: Operation) -> Steps[Ahead]:
    return (yield from claim([op.wanted]))[0]


def claim(wanted: Sequence[Wanted]) -> Steps[list[Ahead]]:
    """Claim all of these in one statement."""
    sent = time.monotonic()
    try:
        claims = yield from ledger.claim(wanted)
    except psycopg.errors.UndefinedTable:
        raise NotDurable(
            "LangGraph's tables are not in this database: call Checkpointer(database).setup(), "
            "and compile the graph with it. With another checkpointer pass barrier=False."
        ) from None
    except (asyncio.CancelledError, KeyboardInterrupt):
        # The statement ran, its answer did not reach us, and the tools will not run.
        yield from ledger.release(wanted)
        raise
    return [Ahead(w, found, sent) for w, found in zip(wanted, claims, strict=True)]


def _still_ours(op: Operation, effect: Effect, sent: float) -> Steps[bool]:
    """Whether the lease holds. A process that was stopped after its claim looks again."""
    if time.monotonic() - sent < op.wanted.lease.total_seconds() / 2:
        return True
    return (yield from keep(effect, op.wanted.lease))


def _refuse_conflict(op: Operation, effect: Effect) -> Steps[None]:
    if not effect.expired and effect.fingerprint not in (None, op.wanted.fingerprint):
        yield from op.emit("conflict", effect)
        raise IdempotencyConflict(f"({op.wanted.tool}, key {op.wanted.key.hex()[:16]})")


def _await_barrier(op: Operation, patience: Patience) -> Steps[None]:
    task = op.wanted.task
    if task is not None and task.durability == "exit":
        raise NotDurable("The run uses durability='exit'; use 'sync' or 'async'.")
    if not (yield from patience.once()):
        raise NotDurable(
            f"Waited {op.bounds.barrier.total_seconds():g} s for it. The graph needs a "
            "PostgresSaver on the ledger's database and durability 'sync' or 'async'; with "
            "another checkpointer pass barrier=False, and know that a crash may then repeat it."
        )


def _await_owner(op: Operation, effect: Effect, patience: Patience) -> Steps[None]:
    if patience.waited == 0:
        yield from op.emit("waited", effect)
    if not (yield from patience.once()):
        raise IdempotencyInProgress(f"({op.wanted.tool}, key {op.wanted.key.hex()[:16]})")


def _line_up(op: Operation, effect: Effect) -> Steps[None]:
    """The tool may interrupt: it shall get its own answers, and no one else's."""
    task_id = op.wanted.task.task_id if op.wanted.task else None
    if op.may_ask and effect.paused_task == task_id:
        yield from pass_over(effect.paused_slot)
    elif op.may_ask and effect.asked_task == task_id:
        yield from pass_over()


def _reclaim(op: Operation, seen: Effect, patience: Patience) -> Steps[Effect | None]:
    native_key = yield from ledger.reclaim(op.wanted, seen)
    if native_key is None:
        # Either somebody was faster, which the next claim tells, or the barrier stands.
        yield from _await_barrier(op, patience)
        return None
    return replace(
        seen,
        state="claimed",
        owner=op.wanted.owner,
        native_key=native_key,
        version=seen.version + 1,
        attempt=1 if seen.expired else seen.attempt + 1,
        age=timedelta(0) if seen.expired else seen.age,
        gone=False,
        expired=False,
        doubtful=seen.state in ("claimed", "in_doubt"),
    )


def probe(op: Operation, native_key: str) -> Steps[Found]:
    """What the provider says. A probe that fails says nothing."""
    asked = op.policy.probe
    assert asked is not None  # noqa: S101 - EffectPolicy requires it

    def ask_provider() -> Any:
        return asked(native_key, op.arguments)

    async def ask_provider_async() -> Any:
        found = ask_provider()
        return await found if inspect.isawaitable(found) else found

    try:
        found = yield from Call(ask_provider, ask_provider_async)
    except Exception:  # noqa: BLE001 - whatever it is, it is no evidence
        return Unknown()
    return cast("Found", found)


def _probe(op: Operation, effect: Effect, *, again: bool) -> Steps[None]:
    """Let the provider settle the doubt, and ask a person where it cannot."""
    if effect.state == "claimed":
        yield from ledger.doubt(effect)
        return
    found: Found = Unknown() if again else (yield from probe(op, effect.native_key))
    yield from op.emit("probed", effect)
    match found:
        case Happened(result=result):
            yield from ledger.settle_doubt(effect, "succeeded", op.encode(result))
        # A stopped process may yet go on: its call can still arrive at the provider.
        case NotHappened() if effect.certain:
            # A process that lives takes its lock again within a moment of losing it.
            yield from Sleep(GRACE if effect.error is None else 0)
            for seen in (yield from ledger.look([effect.key])):
                if seen.certain and seen.version == effect.version:
                    yield from ledger.settle_doubt(effect, "ready", None)
        case _:
            yield from _ask(op, effect)


def _ask(op: Operation, effect: Effect) -> Steps[None]:
    """Put the doubt to a person; returns once their decision is recorded."""
    if effect.state == "claimed":
        yield from ledger.doubt(effect)
        return
    task = op.wanted.task
    if task is None or not op.may_ask:
        raise CannotAsk(op.wanted.key, f"({op.wanted.tool}, key {op.wanted.key.hex()[:16]})")
    yield from op.emit("in_doubt", effect)
    shown = {effect.key: (op.wanted.tool, op.arguments)}
    yield from settle_doubts([effect], shown, task.task_id, decided_by=op.decided_by)
