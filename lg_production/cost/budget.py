"""Budget: hold an amount before a call, record what it took after it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from langchain_core.runnables import ensure_config

from ..core.database import Database
from ..core.events import Event, Observer
from ..core.keys import digest
from ..core.steps import Call, Emit, Sleep, Steps, adrive, drive
from ..errors import (
    BudgetExceeded,
    DatabaseUnavailable,
    IdempotencyConflict,
    StepLimitExceeded,
)
from . import alerts, ledger, settlement
from .ledger import Asked, Refusal
from .policy import MOST, QUANTITIES, STEP_LIKE, BudgetPolicy, Quantity
from .scopes import Spender, lines, spender
from .settlement import Crossed, Spent

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.64
SWEEP_EVERY = 60.0
"""Seconds: how often a budget that is in use looks for what the dead left behind."""


class Exhausted(BudgetExceeded):
    """A budget has no room for this call, so it was not made."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(map(str, refusals)))
        self.refusals = tuple(refusals)


class StepsExhausted(Exhausted, StepLimitExceeded):
    """
    A limit on steps or calls is reached, so this one was not made. A resume does not reset
    it; `lg-production budgets extend` raises it.
    """


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is held for a call. `replayed`: this key was settled before, so nothing is held."""

    key: bytes
    replayed: bool = False
    held: Mapping[Quantity, int] = field(default_factory=dict)
    who: Spender | None = None
    model: str | None = None
    owner: UUID | None = None


class Budget:
    """Reserve, settle, release: limits that parallel agents in any process share.

    Who spends is read from the run's configuration: see `spender`. `tenant` and `user` are used
    where the configuration names none. Reserve, settle and release also exist as steps of the
    same name with `_steps`, for protocols, and for an event loop, with `a`.
    """

    def __init__(
        self,
        database: Database,
        policy: BudgetPolicy,
        *,
        tenant: str = "default",
        user: str | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.database, self.policy = database, policy
        self.tenant, self.user, self.observers = tenant, user, tuple(observers)
        self._swept = -math.inf

    def who(
        self, config: Mapping[str, Any] | None, metadata: Mapping[str, Any] | None = None
    ) -> Spender:
        """Who spends in this run. Raises `ValueError` where a limited scope has no id."""
        configurable = (config or {}).get("configurable") or {}
        told = {**((config or {}).get("metadata") or {}), **(metadata or {})}
        return spender(self.policy, configurable, told, tenant=self.tenant, user=self.user)

    def remaining(self, who: Spender | None = None) -> float:
        """The share that is left, 0 to 1, of the tightest budget of this run, or of `who`.

        What is held counts as gone. For `ModelRouter(remaining=budget.remaining)`.
        """
        everything = dict.fromkeys(self.policy.quantities, 0)
        found = lines(self.policy, who or self.who(ensure_config()), everything)
        stand = self.database.execute(ledger.standing(found)) if found else []
        return min((one.share_left for one in stand), default=1.0)

    # ---------------------------------------------------------------------- as steps

    def reserve_steps(
        self,
        key: bytes,
        who: Spender,
        amounts: Mapping[Quantity, int],
        *,
        tool: str | None = None,
        requested: str | None = None,
        own: Mapping[Quantity, int] | None = None,
    ) -> Steps[Reservation]:
        """Hold these amounts in every budget they count in, all or nothing.

        The same key of a tenant again is the same reservation: it is counted once, and a key that
        was released is as new. Raises `Exhausted` (a `BudgetExceeded`), `StepsExhausted` if only
        steps or calls are short, `IdempotencyConflict` for a key that was used for other amounts,
        another tool or thread, and `ValueError` for amounts that are negative, too large or no
        quantities. `own` is what the caller itself holds: for that it does not wait.
        """
        check(amounts)
        if not isinstance(key, bytes):
            raise ValueError(f"a key is bytes, not {type(key).__name__}: uuid4().bytes")  # noqa: TRY004
        asked_lines = lines(self.policy, who, amounts, tool)
        if not asked_lines:
            return Reservation(key, replayed=True)
        worker = self.database.worker
        number = yield from Call(lambda: worker.id, lambda: self.database.arun(lambda: worker.id))
        asked = Asked(
            digest("reserve", who.tenant, key.hex()), fingerprint(who, tool, amounts), uuid4(),
            number, self.policy.lease, asked_lines, who.thread_id, who.node, who.message_id,
            requested, self.policy.durable,
        )  # fmt: skip
        wanted = Reservation(asked.key, False, amounts, who, requested, asked.owner)
        return (yield from self._reserve(asked, wanted, own or {}))

    def room_steps(self, who: Spender, amounts: Mapping[Quantity, int]) -> Steps[None]:
        """Ask whether these amounts would fit, and hold nothing. Raises `Exhausted`."""
        check(amounts)
        asked, pauses = lines(self.policy, who, amounts), self._pauses()
        while asked:
            short = [one for one in (yield from ledger.standing(asked)) if not one.has_room]
            if not short:
                return
            yield from self._wait(short, pauses, {})

    def _reserve(
        self, asked: Asked, wanted: Reservation, own: Mapping[Quantity, int]
    ) -> Steps[Reservation]:
        pauses, alone = self._pauses(), False
        while True:
            match (yield from self._ask(asked, alone=alone)):
                case "granted" | "held":
                    return wanted
                case "settled" | "expired":
                    return replace(wanted, replayed=True, held={})
                case "released":
                    # That call was certainly not made: this one has the next key in line.
                    asked = replace(asked, key=digest("again", asked.key.hex()))
                    wanted = replace(wanted, key=asked.key)
                case "conflict":
                    raise IdempotencyConflict("(a budget's reservation)")
                case "missing":
                    yield from ledger.open_budgets(asked)
                case "crowded" if alone:
                    yield from self._wait((yield from ledger.standing(asked.lines)), pauses, own)
                case "crowded":
                    alone = True
                case list(refusals):
                    alone = False
                    yield from self._wait(refusals, pauses, own)

    def _ask(self, asked: Asked, *, alone: bool) -> Steps[ledger.Answer]:
        """Reserve; whoever is cancelled, or hears no answer, holds nothing."""
        try:
            return (yield from ledger.reserve(asked, alone=alone))
        except GeneratorExit:
            raise
        except BaseException:
            with suppress(DatabaseUnavailable):
                yield from settlement.settle([Spent(asked.key, "released", asked.owner)])
            raise

    def _pauses(self) -> Iterator[float]:
        pause, waited = FIRST_PAUSE, 0.0
        while waited < self.policy.wait.total_seconds():
            yield pause
            waited, pause = waited + pause, min(2 * pause, LONGEST_PAUSE)

    def _wait(
        self,
        refusals: Sequence[Refusal],
        pauses: Iterator[float],
        own: Mapping[Quantity, int],
    ) -> Steps[None]:
        """Wait for calls under way, if they may leave room; what the dead hold is used."""
        pause = next(pauses, None) if may_free(refusals, own) else None
        if pause is None:
            yield from self._refuse(refusals)
        elif pause in (FIRST_PAUSE, LONGEST_PAUSE):
            yield from sweep_steps(telling=bool(self.observers))
        yield from Sleep(pause or 0)

    def _refuse(self, refusals: Sequence[Refusal]) -> Steps[None]:
        yield from sweep_steps(telling=bool(self.observers))
        for refusal in refusals:
            yield from Emit(Event("budget.refused", _attributes(refusal)))
        only_steps = all(refusal.quantity in STEP_LIKE for refusal in refusals)
        raise (StepsExhausted if only_steps else Exhausted)(refusals)

    def settle_steps(
        self,
        reservation: Reservation,
        amounts: Mapping[Quantity, int] | None = None,
        *,
        extensions: Sequence[Reservation] = (),
        served: str | None = None,
        spent: str | None = None,
        price_version: str | None = None,
    ) -> Steps[bool]:
        """Record what the call took; what is not in `amounts` took all that was held.

        It may be more than was held: it is recorded, and told as `budget.overspent`. False if it
        was closed before, or if the database is away: then it counts at its worst case, after
        its lease. `extensions` are given back: what they held is in `amounts`.
        """
        check(amounts or {})
        closed = [Spent(reservation.key, "settled", None, amounts, served, spent, price_version)]
        closed += [Spent(e.key, "released", e.owner) for e in extensions]
        done = yield from self._close(closed)
        held = Counter(reservation.held)
        for extension in extensions:
            held.update(extension.held)
        for quantity in self.policy.quantities & (amounts or {}).keys() if done else ():
            if (amounts or {})[quantity] > held[quantity]:
                yield from Emit(overspent(reservation, quantity, held[quantity], amounts))
        return done

    def release_steps(self, reservation: Reservation) -> Steps[bool]:
        """Give it all back: the call was not made, or certainly cost nothing.

        False, and nothing is given back, if another worker reserved it: it may have called.
        """
        return (yield from self._close([Spent(reservation.key, "released", reservation.owner)]))

    def _close(self, spent: Sequence[Spent]) -> Steps[bool]:
        """The call was made: its answer is not lost for want of a record."""
        try:
            done, crossed = yield from settlement.settle(spent)
        except DatabaseUnavailable:
            yield from Emit(Event("budget.unrecorded", {"key": spent[0].key.hex()}))
            return False
        if self.observers:
            yield from tell(crossed)
        if time.monotonic() - self._swept > SWEEP_EVERY:
            self._swept = time.monotonic()
            yield from sweep_steps(telling=bool(self.observers))
        return done

    # ---------------------------------------------------------------------- in a thread

    def reserve(self, key: bytes, who: Spender, amounts: Mapping[Quantity, int]) -> Reservation:
        """Hold these amounts: see `reserve_steps`."""
        return drive(self.reserve_steps(key, who, amounts), self.database, self.observers)

    def settle(
        self, reservation: Reservation, amounts: Mapping[Quantity, int] | None = None
    ) -> bool:
        """Record what the call took: see `settle_steps`."""
        return drive(self.settle_steps(reservation, amounts), self.database, self.observers)

    def release(self, reservation: Reservation) -> bool:
        """Give it all back: see `release_steps`."""
        return drive(self.release_steps(reservation), self.database, self.observers)

    def sweep(self) -> int:
        """Count what dead workers held as used; returns how many reservations that closed."""
        telling = bool(self.observers)
        return drive(sweep_steps(telling=telling), self.database, self.observers)

    # ------------------------------------------------------------------ on an event loop

    async def areserve(
        self, key: bytes, who: Spender, amounts: Mapping[Quantity, int]
    ) -> Reservation:
        """Hold these amounts: see `reserve_steps`."""
        return await adrive(self.reserve_steps(key, who, amounts), self.database, self.observers)

    async def asettle(
        self, reservation: Reservation, amounts: Mapping[Quantity, int] | None = None
    ) -> bool:
        """Record what the call took: see `settle_steps`."""
        return await adrive(self.settle_steps(reservation, amounts), self.database, self.observers)

    async def arelease(self, reservation: Reservation) -> bool:
        """Give it all back: see `release_steps`."""
        return await adrive(self.release_steps(reservation), self.database, self.observers)


def sweep_steps(*, telling: bool = False) -> Steps[int]:
    """Count what dead workers held as used; with `telling`, tell of thresholds not told of."""
    swept, crossed = yield from settlement.expire()
    if telling:
        yield from tell(crossed)
        yield from tell((yield from alerts.untold()))
    return swept


def tell(crossed: Sequence[Crossed]) -> Steps[None]:
    """Tell the observers of thresholds, and record that they were told."""
    for one in crossed:
        yield from Emit(alerts.event(one))
    if crossed:
        with suppress(DatabaseUnavailable):  # then it is told once more, not never
            yield from alerts.told(crossed)


def may_free(refusals: Sequence[Refusal], own: Mapping[Any, int]) -> bool:
    """Whether it would fit if the calls of others that are under way took nothing."""
    return all(
        one.used + one.asked <= one.limit and one.reserved > own.get(one.quantity, 0)
        for one in refusals
    )


def fingerprint(who: Spender, tool: str | None, amounts: Mapping[Quantity, int]) -> bytes:
    """What a key stands for: another thread, tool or amount is another call."""
    told = [f"{quantity} {amount}" for quantity, amount in sorted(amounts.items())]
    return digest(who.thread_id or "", tool or "", *told)


def check(amounts: Mapping[Quantity, int]) -> None:
    """Refuse amounts that cannot be counted."""
    for quantity, amount in amounts.items():
        if quantity not in QUANTITIES:
            raise ValueError(f"{quantity!r} is no quantity; they are {', '.join(QUANTITIES)}")
        if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= MOST:
            raise ValueError(f"{quantity}={amount!r}: an amount is an int from 0 to {MOST:,}")


def overspent(
    reservation: Reservation, quantity: Quantity, held: int, took: Mapping[Quantity, int] | None
) -> Event:
    """`budget.overspent`: a provider took more than was held for the call."""
    who = reservation.who
    return Event(
        "budget.overspent",
        {
            "tenant": who.tenant if who else None,
            "thread_id": who.thread_id if who else None,
            "node": who.node if who else None,
            "model": reservation.model,
            "quantity": quantity,
            "held": held,
            "took": (took or {}).get(quantity),
        },
    )


def _attributes(refusal: Refusal) -> dict[str, str | int | float | bool | None]:
    return {
        "scope": refusal.scope,
        "period": refusal.period,
        "quantity": refusal.quantity,
        "limit": refusal.limit,
        "used": refusal.used,
        "reserved": refusal.reserved,
        "asked": refusal.asked,
    }
