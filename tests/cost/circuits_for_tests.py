"""A circuit under test: calls that go well or not, and time that is moved in the rows."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import Any, Literal, TypeAlias

from lg_production.core.database import Database
from lg_production.core.events import Event as Told
from lg_production.core.steps import Call, Statement, Steps, drive
from lg_production.cost.breaker_policy import BreakerPolicy
from lg_production.cost.breaking import CircuitBreaker
from lg_production.cost.circuits import Circuit, Listed, circuits
from lg_production.errors import CircuitOpen

SHIFT = """
UPDATE lg_production.circuits SET started_at = started_at - %(by)s, retry_at = retry_at - %(by)s,
  probe_until = probe_until - %(by)s, changed_at = changed_at - %(by)s
WHERE tenant = %(tenant)s
"""
EXACT = timedelta(0)
Deed: TypeAlias = Literal["ok", "fail"] | BaseException


class Down(Exception):
    """The outside world does not answer."""


class Line:
    """One worker's view of one circuit. Its clock stands still between two `passes`."""

    def __init__(self, database: Database, tenant: str = "t", **policy: Any) -> None:
        self.database, self.circuit = database, Circuit(tenant, "tool:book")
        self.policy = BreakerPolicy(**{"lag": EXACT, **policy})
        self.breaker, self.now = CircuitBreaker(database), 0.0
        self.breaker.clock = lambda: self.now
        self.events: list[Told] = []
        self.made = 0

    def call(
        self, outcome: Deed = "ok", until: Event | None = None, calling: Event | None = None
    ) -> str:
        """Make a call that goes like this, and lasts until then: what its caller saw."""
        steps = self.steps(outcome, until, calling)
        try:
            return drive(steps, self.database, [self.events.append])
        except CircuitOpen:
            return "refused"
        except Down:
            return "failed"

    def steps(
        self, outcome: Deed, until: Event | None = None, calling: Event | None = None
    ) -> Steps[str]:
        """One call, as steps."""

        def make() -> str:
            self.made += 1
            if calling is not None:
                calling.set()
            if until is not None:
                until.wait()
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome == "fail":
                raise Down
            return "made"

        permit = yield from self.breaker.admit_steps(self.circuit, self.policy)
        return (yield from self.breaker.call_steps(permit, Call(make)))

    def passes(self, seconds: float) -> None:
        """Time passes, in the database and here."""
        shift(self.database, self.circuit.tenant, seconds)
        self.now += seconds

    def listed(self) -> Listed | None:
        found = self.database.execute(circuits(self.circuit.tenant))
        return found[0] if found else None

    def state(self) -> str:
        listed = self.listed()
        return listed.state if listed else "closed"

    def counts(self) -> tuple[int, int]:
        """(calls, failures) of the window."""
        listed = self.listed()
        return (listed.calls, listed.failures) if listed else (0, 0)

    def told(self) -> list[str]:
        """The names of the events."""
        return [event.name.removeprefix("circuit.") for event in self.events]


def shift(database: Database, tenant: str, seconds: float) -> None:
    """Make the rows of a tenant so much older."""
    params = {"by": timedelta(seconds=seconds), "tenant": tenant}
    database.execute(Statement(SHIFT, params, lambda _: None))
