"""The protocol of a circuit breaker: ask, call, tell.

As long as a circuit is closed a call costs no round trip of its own: what is known of it is
good for the policy's `lag`, and successes are counted together, once in `lag`. A failure is
counted at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid4

from ..core.database import Database
from ..core.events import Event
from ..core.steps import Call, Emit, Steps
from ..errors import CircuitOpen, DatabaseUnavailable
from . import circuits
from .breaker_policy import BreakerPolicy, Outcome
from .circuits import Circuit, Counted, Standing, Tally

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Permit:
    """A call may be made: while `version` is None, without counting it; as a probe of `owner`."""

    circuit: Circuit
    policy: BreakerPolicy
    version: int | None
    owner: UUID | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What this process last heard of a circuit, and until when it believes that."""

    standing: Standing
    until: float
    retry_at: float


@dataclass(slots=True)
class Unsaid:
    """Successes that this process has not told of yet."""

    version: int
    since: float
    last: float
    calls: int = 0


class CircuitBreaker:
    """The protocol of both breakers: ask, call, tell. See `Breaker` and `ModelBreaker`."""

    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, database: Database) -> None:
        self.database = database
        self._known: dict[Circuit, Known] = {}
        self._unsaid: dict[Circuit, Unsaid] = {}
        self._lock = threading.Lock()
        self._away_until = 0.0

    def call_steps(
        self,
        permit: Permit,
        call: Call[T],
        decide_result: Callable[[T], Outcome] = lambda _: "success",
    ) -> Steps[T]:
        """Make a call that was admitted, and tell how it went."""
        try:
            result = yield from call
        except GeneratorExit:
            raise
        except BaseException as error:
            # An interrupt and a cancellation, too: their probe is free for another.
            outcome: Outcome = "nothing"
            try:
                outcome = permit.policy.decide(error)
            finally:
                yield from self.tell_steps(permit, outcome)
            raise
        yield from self.tell_steps(permit, decide_result(result))
        return result

    # ---------------------------------------------------------------------------- asking

    def wait_steps(self, circuit: Circuit, policy: BreakerPolicy) -> Steps[float]:
        """Seconds until a call may be worth trying, 0 if it is now. Takes no probe."""
        known = yield from self._look(circuit, policy)
        return max(0.0, known.retry_at - self.clock()) if known else 0.0

    def admit_steps(self, circuit: Circuit, policy: BreakerPolicy) -> Steps[Permit]:
        """Whether a call may be made, and as what. Raises `CircuitOpen`."""
        known = yield from self._look(circuit, policy)
        if known is None:
            return Permit(circuit, policy, None)
        state, version = known.standing.state, known.standing.version
        if state == "closed":
            return Permit(circuit, policy, version)
        if known.retry_at <= self.clock():
            permit = yield from self._probe(circuit, policy)
            if permit is not None:
                return permit
            state = "half_open"
            taken = Standing(state, version, policy.initial_interval)
            known = self._learn(circuit, policy, taken)
        wait = max(0.0, known.retry_at - self.clock())
        yield from Emit(_event("circuit.refused", circuit, state=state, retry_after=wait))
        raise CircuitOpen(f"The circuit of {circuit.dependency} is {state}.", retry_after=wait)

    def _look(self, circuit: Circuit, policy: BreakerPolicy) -> Steps[Known | None]:
        """How it stands, asked at most once in `lag`; None if the database is away."""
        known, now = self._known.get(circuit), self.clock()
        if known is not None and now < known.until:
            return known
        if self._is_away(policy):
            return None
        if self._away_until:
            # One caller looks whether the database is back; the others do not wait for it.
            self._away_until = now + policy.initial_interval
        try:
            standing = yield from circuits.standing(circuit)
        except DatabaseUnavailable as away:
            if not policy.fail_open:
                raise
            yield from self._away(circuit, policy, away)
            return None
        self._away_until = 0.0
        return self._learn(circuit, policy, standing)

    def _learn(self, circuit: Circuit, policy: BreakerPolicy, standing: Standing) -> Known:
        now, lag, known = self.clock(), policy.patience, self._known.get(circuit)
        if known and now < known.until and standing.version < known.standing.version:
            return known  # an answer that was overtaken
        closed = standing.state == "closed"
        until = now + (lag if closed else min(lag, standing.wait))
        learnt = Known(standing, until, now if closed else now + standing.wait)
        self._known[circuit] = learnt
        return learnt

    def _is_away(self, policy: BreakerPolicy) -> bool:
        return policy.fail_open and self.clock() < self._away_until

    def _away(
        self, circuit: Circuit, policy: BreakerPolicy, error: DatabaseUnavailable
    ) -> Steps[None]:
        """The database is a dependency like others: it is not asked again for a while."""
        self._away_until = self.clock() + policy.initial_interval
        yield from Emit(_event("circuit.unknown", circuit, error=type(error).__name__))

    def _probe(self, circuit: Circuit, policy: BreakerPolicy) -> Steps[Permit | None]:
        """Take the probe; None if another worker has it."""
        worker, permit = self.database.worker, Permit(circuit, policy, None, uuid4())
        assert permit.owner is not None  # noqa: S101 - for its type
        try:
            number = yield from Call(
                lambda: worker.id, lambda: self.database.arun(lambda: worker.id)
            )
            was = yield from circuits.take(circuit, policy, permit.owner, number)
            if was == "open":
                yield from Emit(_event("circuit.half_open", circuit))
        except GeneratorExit:
            raise
        except DatabaseUnavailable as away:
            if not policy.fail_open:
                raise
            # Perhaps it was taken: then the end of this call gives it back.
            yield from self._away(circuit, policy, away)
            return permit
        except BaseException:
            yield from self.tell_steps(permit, "nothing")
            raise
        return permit if was else None

    # ---------------------------------------------------------------------------- telling

    def tell_steps(self, permit: Permit, outcome: Outcome) -> Steps[None]:
        """Record how a call went. It was made: its answer is not lost for want of a record."""
        circuit, policy = permit.circuit, permit.policy
        counts = permit.version is not None and outcome != "nothing"
        try:
            if permit.owner is not None:
                yield from self._end_probe(permit, permit.owner, outcome)
            elif counts and not self._is_away(policy):
                yield from self._count(permit, outcome)
        except DatabaseUnavailable as away:
            yield from Emit(_event("circuit.unrecorded", circuit, outcome=outcome))
            if policy.fail_open:
                yield from self._away(circuit, policy, away)

    def _count(self, permit: Permit, outcome: Outcome) -> Steps[None]:
        circuit, policy = permit.circuit, permit.policy
        tallies = self._gather(circuit, permit.version or 0, outcome, policy.patience)
        if not tallies:
            return
        counted = yield from circuits.count(circuit, policy, tallies)
        if counted.missing:
            yield from circuits.create(circuit, policy)
            counted = yield from circuits.count(circuit, policy, tallies)
        self._heard(circuit, policy, counted)
        if counted.opened:
            yield from Emit(_opened(circuit, counted))

    def _gather(
        self, circuit: Circuit, version: int, outcome: Outcome, patience: float
    ) -> list[Tally]:
        """What is to be told now. Successes wait for each other; a failure takes them along."""
        with self._lock:
            now, unsaid = self.clock(), self._unsaid.get(circuit)
            if unsaid is not None and unsaid.version > version:
                return []  # too late to count
            if unsaid is None or unsaid.version < version:
                unsaid = self._unsaid[circuit] = Unsaid(version, now, now)
            if outcome == "success" and now - unsaid.since < patience:
                unsaid.calls, unsaid.last = unsaid.calls + 1, now
                return []
            del self._unsaid[circuit]
        waited = Tally(unsaid.version, unsaid.calls, 0, now - unsaid.last)
        this = Tally(version, 1, int(outcome == "failure"))
        return [this, waited] if unsaid.calls else [this]

    def _end_probe(self, permit: Permit, owner: UUID, outcome: Outcome) -> Steps[None]:
        circuit, policy = permit.circuit, permit.policy
        ended = yield from circuits.end_probe(circuit, policy, owner, outcome)
        self._heard(circuit, policy, ended)
        if ended.standing is None:
            return
        if ended.standing.state == "closed":
            yield from Emit(_event("circuit.closed", circuit))
        elif ended.standing.state == "open":
            yield from Emit(_opened(circuit, ended))

    def _heard(self, circuit: Circuit, policy: BreakerPolicy, counted: Counted) -> None:
        if counted.standing is None:
            self._known.pop(circuit, None)
        else:
            self._learn(circuit, policy, counted.standing)


def _event(name: str, circuit: Circuit, **attributes: str | float | None) -> Event:
    return Event(name, {**circuit._asdict(), **attributes})


def _opened(circuit: Circuit, counted: Counted) -> Event:
    """`circuit.opened`: by so many failures among so many calls, or by a probe (0 of 0)."""
    return _event(
        "circuit.opened", circuit, calls=counted.calls, failures=counted.failures,
        trips=counted.trips, retry_after=counted.standing.wait if counted.standing else 0.0,
    )  # fmt: skip
