"""Carry out an effect that is ours, and record how it went."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from langgraph.errors import GraphBubbleUp
from pydantic import ValidationError

from ..core.interrupts import place
from ..core.steps import Call, Sleep, Steps
from ..errors import DatabaseUnavailable, OutcomeUnknown
from . import ledger
from .acquire import key_is_remembered, probe
from .current import CurrentEffect
from .failures import Verdict, judge
from .ledger import Effect
from .operation import Operation, Ran
from .policy import Happened, NotHappened
from .retry import RetryPolicy

NOTHING = object()


class Unrecorded(UserWarning):
    """An effect happened, but its result could not be kept; replays show a placeholder."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The effect is in doubt, or was taken away from us: the ledger knows more than we do."""

    error: Exception | None


def attempt(op: Operation, effect: Effect) -> Steps[Any | Lost]:
    """Run the user's code, again where that is safe, and settle.

    Returns its result, or `Lost`. Raises what it raised, unless that may become a message.
    """
    tries, waited, began, doubtful = 1, 0.0, time.monotonic(), effect.doubtful
    while True:
        ran = yield from _run(op, effect, tries)
        effect = replace(effect, age=effect.age + timedelta(seconds=time.monotonic() - began))
        began = time.monotonic()
        if ran.error is None:
            if tries == 1:
                op.budget.refund()
            return (yield from _succeed(op, effect, ran.result, tries))
        verdict = judge(ran.error) if ran.started else "not_sent"
        if verdict == "in_doubt" and op.policy.recovery == "probe":
            found = yield from probe(op, effect.native_key)
            if isinstance(found, Happened):
                return (yield from _happened(op, effect, found.result, tries))
            if isinstance(found, NotHappened):
                verdict, doubtful = "not_sent", False
        seconds = _wait(op, effect, verdict, ran.error, tries, waited)
        doubtful = doubtful or verdict in ("in_doubt", "unexplained")
        if seconds is None:
            verdict = _overall(op, ran, verdict, doubtful=doubtful)
            return (yield from _give_up(op, effect, ran, verdict, tries))
        yield from op.emit("retried", effect)
        yield from Sleep(seconds)
        tries, waited = tries + 1, waited + seconds


def _run(op: Operation, effect: Effect, tries: int) -> Steps[Ran]:
    """One run of the user's code. Whatever leaves it is in the ledger before it goes on."""
    task_id = op.wanted.task.task_id if op.wanted.task else None
    start = (yield from Call(place)).start if task_id else 0
    try:
        return (yield from op.run(CurrentEffect(effect.native_key, effect.attempt + tries - 1)))
    except GeneratorExit:
        raise
    except GraphBubbleUp:
        yield from _settle(op, effect, "ready", tries=tries, paused=(task_id, start))
        raise
    except Exception as error:  # noqa: BLE001 - judged by the caller, then raised
        return Ran(None, error, error)
    except BaseException as error:
        # Cancelled or interrupted while it ran: nobody knows how far it came.
        yield from _settle(op, effect, "in_doubt", error=describe(error), tries=tries)
        raise


def _overall(op: Operation, ran: Ran, verdict: Verdict, *, doubtful: bool) -> Verdict:
    """What all the attempts say: that the last was refused does not undo an earlier one."""
    if verdict == "unexplained" and ran.handled and not isinstance(ran.error, ValidationError):
        # handle_tool_errors says that the model shall deal with it. Not so for a
        # ValidationError, which LangGraph takes for the model's, wherever it was raised.
        return "rejected"
    if doubtful and op.policy.recovery in ("native_key", "probe", "surface"):
        return "in_doubt" if verdict != "unexplained" or ran.handled else verdict
    return verdict


def _wait(
    op: Operation, effect: Effect, verdict: Verdict, error: Exception, tries: int, waited: float
) -> float | None:
    """Seconds until the next try, None for no next try."""
    again = {"not_sent": True, "rejected": False}.get(verdict, may_repeat(op, effect))
    policy = op.policy.retry
    if policy is None and op.policy.recovery == "native_key" and verdict == "in_doubt":
        policy = RetryPolicy()  # the declared recovery is to send the same key again
    if policy is None or not again:
        return None
    seconds = policy.wait(tries, error, waited)
    return seconds if seconds is not None and op.budget.take(error) else None


def may_repeat(op: Operation, effect: Effect) -> bool:
    """Whether running again is safe although the last run may have had its effect."""
    recovery = op.policy.recovery
    return recovery in ("read_only", "at_least_once") or key_is_remembered(effect, op.policy)


def _is_forgotten(op: Operation, effect: Effect) -> bool:
    return op.policy.recovery == "native_key" and not key_is_remembered(effect, op.policy)


def _succeed(op: Operation, effect: Effect, result: Any, tries: int) -> Steps[Any | Lost]:
    """Record the result. It counts even if the record cannot be written."""
    refused = getattr(result, "status", None) == "error"
    state: ledger.State = "failed_final" if refused else "succeeded"
    try:
        held = yield from _settle(op, effect, state, result=result, tries=tries)
    except DatabaseUnavailable:
        yield from op.emit("unrecorded", effect)
        return result
    if not held:
        yield from op.emit("fenced", effect)
        return Lost(None)
    yield from op.emit("ran", effect)
    return result


def _happened(op: Operation, effect: Effect, result: Any, tries: int) -> Steps[Lost]:
    """A probe found it: the record is the result."""
    yield from _settle(op, effect, "succeeded", result=result, tries=tries)
    yield from op.emit("probed", effect)
    return Lost(None)


def _give_up(
    op: Operation, effect: Effect, ran: Ran, verdict: Verdict, tries: int
) -> Steps[Any | Lost]:
    error = ran.error
    assert error is not None  # noqa: S101 - only failures come here
    state: ledger.State = (
        "failed_retryable" if verdict == "not_sent"
        else "failed_final" if verdict == "rejected"
        else "in_doubt"
    )  # fmt: skip
    result = ran.result if ran.handled and state == "failed_final" else NOTHING
    yield from _settle(op, effect, state, result=result, error=describe(error), tries=tries)
    yield from op.emit(state, effect)
    if verdict == "in_doubt":
        if op.policy.recovery in ("surface", "probe") or _is_forgotten(op, effect):
            return Lost(error)
        if ran.handled and op.policy.recovery == "native_key":
            raise OutcomeUnknown(f"({op.wanted.tool}; resume to try the same key)") from error
    if ran.raised is not None:
        raise ran.raised
    return ran.result


def _settle(
    op: Operation,
    effect: Effect,
    state: ledger.State,
    *,
    result: Any = NOTHING,
    error: str | None = None,
    tries: int,
    paused: tuple[str | None, int] | None = None,
) -> Steps[bool]:
    """Write the row, if the tool has one. False if another owner has it by now."""
    if op.policy.recovery == "read_only":
        return True
    outcome = None if result is NOTHING else op.encode(result)
    held = yield from ledger.settle(
        effect, state, outcome=outcome, error=error, tries=tries, paused=paused
    )
    if outcome is not None and outcome.problem:
        # Only now: a warning may be turned into an exception, and the record comes first.
        text = f"The result of {op.wanted.tool} was not recorded: {outcome.problem}."
        warnings.warn(text, Unrecorded, stacklevel=2)
    return held


def describe(error: BaseException) -> str:
    """The kind of an error, without its text, which may quote a secret."""
    return type(error).__qualname__
