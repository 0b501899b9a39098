"""Two libraries and a model in plain Python say when a circuit opens and closes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pybreaker
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from lg_production.core.database import Database

from .circuits_for_tests import Down, Line

TENANTS = count()
LONG = timedelta(hours=10)
TENTH = 100.0
examples = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CALLS = st.sampled_from(["ok", "fail", "fail", "fail"])


def line(database: Database, **policy: Any) -> Line:
    """A line of a tenant of its own: examples share the database."""
    return Line(database, f"tenant-{next(TENANTS)}", **policy)


# ----------------------------------------------------------------------------- the oracles


class Pybreaker:
    """A circuit of pybreaker, whose clock is moved."""

    def __init__(self, failures: int, seconds: float, successes: int) -> None:
        self.breaker = pybreaker.CircuitBreaker(
            failures, seconds, successes, throw_new_error_on_trip=False
        )

    def call(self, function: Callable[[], str]) -> str:
        try:
            return self.breaker.call(function)
        except pybreaker.CircuitBreakerError:
            return "refused"
        except Down:
            return "failed"

    def passes(self, seconds: float) -> None:
        storage = self.breaker._state_storage
        if storage.opened_at is not None:
            storage.opened_at -= timedelta(seconds=seconds)

    @property
    def state(self) -> str:
        return self.breaker.current_state.replace("-", "_")


class Purgatory:
    """A circuit of purgatory, whose clock is moved. It closes after one success."""

    def __init__(self, failures: int, seconds: float, successes: int) -> None:
        assert successes == 1
        self.breaker = SyncCircuitBreakerFactory(failures, seconds).get_breaker("book")

    def call(self, function: Callable[[], str]) -> str:
        try:
            with self.breaker:
                return function()
        except OpenedState:
            return "refused"
        except Down:
            return "failed"

    def passes(self, seconds: float) -> None:
        state = self.breaker.context._state
        if state.opened_at is not None:
            state.opened_at -= seconds

    @property
    def state(self) -> str:
        return self.breaker.context.state.replace("-", "_").replace("opened", "open")


def outcome(name: str) -> Callable[[], str]:
    def function() -> str:
        if name == "fail":
            raise Down
        return "made"

    return function


@pytest.mark.parametrize(("peer", "successes"), [(Pybreaker, 1), (Pybreaker, 3), (Purgatory, 1)])
@examples
@given(
    failures=st.integers(1, 4),
    deeds=st.lists(CALLS | st.sampled_from([4.0, 10.0, 25.0]), min_size=3, max_size=25),
)
def test_consecutive_failures_are_a_rate_of_one(
    database: Database, peer: Any, successes: int, failures: int, deeds: list[Any]
) -> None:
    """Where a success ends what was counted, both libraries and ours do the same at every call."""
    ours = line(
        database, failure_rate=1, minimum_calls=failures, window=LONG, initial_interval=10,
        backoff_factor=1, max_interval=10, probes=successes,
    )  # fmt: skip
    theirs = peer(failures, 10.0, successes)
    seen: list[Any] = []
    expected: list[Any] = []

    for deed in deeds:
        if isinstance(deed, float):
            ours.passes(deed)
            theirs.passes(deed)
            continue
        was = ours.state()
        expected.append((theirs.call(outcome(deed)), theirs.state))
        seen.append((ours.call(deed), ours.state()))
        if deed == "ok" and was == "closed":
            # They forget failures at a success; ours leave with the window.
            ours.passes(LONG.total_seconds())

    assert expected == seen


class Model:
    """Every call is remembered with its time; the window is looked at anew each time."""

    def __init__(self, rate: float, minimum: int, interval: float, factor: float, probes: int):
        self.rate, self.minimum, self.probes = rate, minimum, probes
        self.interval, self.factor = interval, factor
        self.now, self.state = 0.0, "closed"
        self.past: list[tuple[float, bool]] = []
        self.trips = self.successes = 0
        self.retry_at = 0.0

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def window(self) -> list[bool]:
        """Failed or not: the calls of this tenth and of the nine before it."""
        return [failed for at, failed in self.past if self.now - at < 10 * TENTH]

    def open(self) -> None:
        self.state = "open"
        self.retry_at = self.now + min(40 * TENTH, self.interval * self.factor**self.trips)
        self.trips += 1

    def call(self, deed: str) -> str:
        failed = deed == "fail"
        if self.state == "open":
            if self.now < self.retry_at:
                return "refused"
            self.state, self.successes = "half_open", 0
        if self.state == "half_open":
            self.probe(failed)
        else:
            self.count(failed)
        return "failed" if failed else "made"

    def probe(self, failed: bool) -> None:
        self.successes += not failed
        if failed:
            self.open()
        elif self.successes == self.probes:
            self.state, self.trips, self.past = "closed", 0, []

    def count(self, failed: bool) -> None:
        self.past.append((self.now, failed))
        window = self.window()
        share = sum(window) / len(window)
        if failed and len(window) >= self.minimum and share >= self.rate:
            self.open()


@pytest.mark.parametrize("lag", [0.0, TENTH])
@examples
@given(
    rate=st.sampled_from([0.07, 0.3, 0.5, 2 / 3, 1.0]),
    minimum=st.integers(1, 6),
    interval=st.sampled_from([1, 3, 30]),
    factor=st.sampled_from([1.0, 2.0, 3.0]),
    probes=st.integers(1, 3),
    deeds=st.lists(
        st.sampled_from(["ok", "fail", "fail"]) | st.sampled_from([1, 2, 5, 9, 10, 11, 40]),
        min_size=5,
        max_size=40,
    ),
)
def test_the_rate_of_the_window_opens_it(
    database: Database, lag: float, rate: float, minimum: int, interval: int, factor: float,
    probes: int, deeds: list[Any],
) -> None:  # fmt: skip
    """Every call, at whole tenths of a window: made or refused, and the state after it."""
    ours = line(
        database, failure_rate=rate, minimum_calls=minimum, window=timedelta(seconds=10 * TENTH),
        initial_interval=interval * TENTH, backoff_factor=factor, max_interval=40 * TENTH,
        probes=probes, lag=timedelta(seconds=lag),
    )  # fmt: skip
    model = Model(rate, minimum, interval * TENTH, factor, probes)
    seen: list[Any] = []
    expected: list[Any] = []

    for deed in deeds:
        if isinstance(deed, int):
            ours.passes(deed * TENTH)
            model.passes(deed * TENTH)
            continue
        expected.append((model.call(deed), model.state))
        seen.append((ours.call(deed), ours.state()))
        if not lag and model.state == "closed":
            expected.append((len(model.window()), sum(model.window())))
            seen.append(ours.counts())

    assert expected == seen
