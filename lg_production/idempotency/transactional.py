"""Exactly once: claim, effect and outcome in one transaction of the ledger's database."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from ..core.database import Database, Transaction, cut, finished
from ..core.steps import Call, Sleep, Statement, Steps, adrive, drive
from ..errors import DatabaseUnavailable, IdempotencyInProgress
from . import ledger
from .acquire import acquire
from .current import CurrentEffect
from .ledger import Effect
from .operation import Operation, Ran


@dataclass(slots=True)
class RolledBack(Exception):
    """The tool failed, so nothing happened: its transaction is undone."""

    ran: Ran


def in_transaction(database: Database, op: Operation) -> Steps[Ran | Effect]:
    """Run the tool inside the transaction that claims and settles its effect.

    Returns how it ran, or the effect if it is settled already. Whatever goes wrong undoes
    claim and effect together, so every failure may be tried again, and a lost COMMIT is
    answered by looking.
    """
    tries, waited = 1, 0.0
    while True:
        try:
            return (yield from Call(lambda: _sync(database, op), lambda: _async(database, op)))
        except RolledBack as failed:
            ran = failed.ran
        except DatabaseUnavailable as error:
            ran = Ran(None, error, error)
        except psycopg.errors.LockNotAvailable:
            raise IdempotencyInProgress(f"({op.wanted.tool})") from None
        policy = op.policy.retry
        seconds = policy.wait(tries, ran.error, waited) if policy and ran.error else None
        if seconds is None:
            return ran
        yield from Sleep(seconds)
        tries, waited = tries + 1, waited + seconds


def _inside(op: Operation, transaction: Transaction) -> Steps[Ran | Effect]:
    # A second caller waits here, at the unique index, for the first one's COMMIT.
    yield from _bound_the_wait(op.bounds.wait.total_seconds())
    effect, mine = yield from acquire(op)
    if not mine:
        return effect
    ran = yield from op.run(CurrentEffect(effect.native_key, 1, transaction.connection))
    if ran.error is not None or getattr(ran.result, "status", None) == "error":
        raise RolledBack(ran)
    yield from ledger.settle(effect, "succeeded", outcome=op.encode(ran.result))
    yield from _durable()
    return ran


def _bound_the_wait(seconds: float) -> Statement[None]:
    sql = "SELECT set_config('lock_timeout', %(ms)s, true)"
    return Statement(sql, {"ms": f"{max(1, round(seconds * 1000))}ms"}, lambda _: None)


def _durable() -> Statement[None]:
    """Undo what settle relaxed: this COMMIT carries the effect itself."""
    return Statement("SET LOCAL synchronous_commit = on", {}, lambda _: None)


def _sync(database: Database, op: Operation) -> Ran | Effect:
    with database.transaction() as transaction:
        return drive(_inside(op, transaction), transaction)


async def _async(database: Database, op: Operation) -> Ran | Effect:
    scope, thread = database.transaction(), ThreadPoolExecutor(1, "lg_production-transaction")

    async def leave(error: BaseException | None) -> None:
        raised: Any = error
        kind = type(raised) if error is not None else None
        await finished(thread.submit(scope.__exit__, kind, raised, None))

    try:
        try:
            opened = await finished(thread.submit(scope.__enter__))
        except asyncio.CancelledError as cancelled:
            with suppress(Exception):  # it was entered all the same: what is sent is finished
                await leave(cancelled)
            raise
        transaction = replace(opened, thread=thread)
        try:
            result = await adrive(_inside(op, transaction), transaction)
        except BaseException as error:
            if not isinstance(error, Exception):
                # Cancelled: a sync tool still runs in its thread, and must not go on writing.
                cut(transaction.connection)
            await leave(error)
            raise
        await leave(None)
        return result
    finally:
        thread.shutdown(wait=False)
