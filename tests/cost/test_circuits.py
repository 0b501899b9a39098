"""The rules of a circuit: what is counted, when it opens, who probes, and what that costs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from langgraph.errors import GraphInterrupt

from lg_production.core.database import Database
from lg_production.core.steps import Statement
from lg_production.cost.circuits import circuits
from lg_production.errors import BudgetExceeded

from .circuits_for_tests import Down, Line

TENANTS = count()
TENTH = 100.0


def line(database: Database, **policy: Any) -> Line:
    """A line of a tenant of its own: several share a database."""
    return Line(database, f"tenant-{next(TENANTS)}", **policy)


@pytest.mark.parametrize(("tenths", "counted"), [(8.9, 1), (9.0, 1), (9.9, 1), (10.0, 0), (99, 0)])
def test_the_window_rolls_in_tenths(database: Database, tenths: float, counted: int) -> None:
    """What is listed and what is counted agree on what is too old."""
    ours = line(database, window=timedelta(seconds=10 * TENTH))
    ours.call("fail")
    ours.passes(tenths * TENTH)

    listed = ours.counts()
    ours.call("ok")

    assert (counted, counted) == listed
    assert (counted + 1, counted) == ours.counts()


def test_too_few_calls_say_nothing(database: Database) -> None:
    """Nine failures of nine are not ten calls."""
    ours = line(database, minimum_calls=10)

    before = [ours.call("fail") for _ in range(9)]
    still = ours.state()
    ours.call("fail")

    assert ["failed"] * 9 == before
    assert ("closed", "open") == (still, ours.state())


def test_each_probe_that_fails_doubles_the_wait(database: Database) -> None:
    """1, 2, 4, 5, 5 seconds: the backoff ends at its maximum, and with the outage."""
    ours = line(
        database, minimum_calls=1, failure_rate=1, initial_interval=1, backoff_factor=2,
        max_interval=5,
    )  # fmt: skip
    waits = []
    for _ in range(5):
        ours.call("fail")
        waits.append(round(ours.events[-1].attributes["retry_after"]))  # type: ignore[arg-type]
        ours.passes(waits[-1])
    ours.call("ok")
    ours.passes(99)
    ours.call("fail")

    assert [1, 2, 4, 5, 5] == waits
    assert 1 == round(ours.events[-1].attributes["retry_after"])  # type: ignore[arg-type]


def test_a_circuit_that_never_recovers_does_not_overflow(database: Database) -> None:
    """A month of failing probes is a large exponent."""
    ours = line(
        database, minimum_calls=1, initial_interval=10**6, max_interval=10**6, backoff_factor=100
    )
    ours.call("fail")
    sql = "UPDATE lg_production.circuits SET trips = 2000000000"
    database.execute(Statement(sql, {}, lambda _: None))
    ours.passes(10**6)

    ours.call("fail")

    assert 10**6 == round(ours.events[-1].attributes["retry_after"])  # type: ignore[arg-type]


def test_a_late_failure_does_not_open_what_has_recovered(database: Database) -> None:
    """A call that began before the outage was over says nothing about the time after it."""
    ours = line(database, minimum_calls=1, initial_interval=1)
    late = ours.steps("fail")
    calling = late.send(database.execute(next(late)))  # type: ignore[arg-type]
    other = line(database, minimum_calls=1, initial_interval=1)
    other.circuit = ours.circuit
    other.call("fail")
    other.passes(1)
    other.call("ok")

    with pytest.raises(Down):
        finish(late, calling, ours)

    assert "closed" == ours.state()
    assert (0, 0) == ours.counts()


def finish(steps: Any, effect: Any, ours: Line) -> None:
    """Go on with steps that were stopped at their call."""
    try:
        effect.function()
    except Down as error:
        effect = steps.throw(error)
    while True:
        effect = steps.send(ours.database.execute(effect))


@pytest.mark.parametrize(
    "error", [GraphInterrupt(()), asyncio.CancelledError(), KeyboardInterrupt(), BudgetExceeded()]
)
def test_a_probe_that_says_nothing_is_free_for_another(
    database: Database, error: BaseException
) -> None:
    """An interrupt inside of a probe neither closes nor opens, nor keeps others waiting."""
    ours = line(database, minimum_calls=1, initial_interval=1)
    ours.call("fail")
    ours.passes(1)

    with pytest.raises(type(error)):
        ours.call(error)
    between = ours.state()
    ours.call("ok")

    assert ("half_open", "closed") == (between, ours.state())
    assert ["opened", "half_open", "closed"] == ours.told()


def test_a_closed_circuit_costs_nothing_for_a_while(database: Database) -> None:
    """One question and one record in `lag`, however many calls there are."""
    ours = line(database, lag=timedelta(seconds=1))
    sent: list[str] = []
    execute = database.execute

    def counting(statement: Any) -> Any:
        sent.append(statement.sql)
        return execute(statement)

    database.execute = counting  # type: ignore[method-assign]
    for _ in range(100):
        ours.call("ok")
    first = len(sent)
    ours.now += 1.0
    for _ in range(100):
        ours.call("ok")
    database.execute = execute  # type: ignore[method-assign]

    assert 1 == first
    assert len(sent) - first <= 4
    assert (101, 0) == ours.counts()


def test_an_open_circuit_is_cheap_to_ask(database: Database) -> None:
    """What refuses a thousand calls asks the database once in `lag`."""
    ours = line(database, minimum_calls=1, lag=timedelta(seconds=1))
    ours.call("fail")
    database.execute(Statement("DROP TABLE lg_production.circuits", {}, lambda _: None))

    refused = {ours.call("ok") for _ in range(1000)}

    assert {"refused"} == refused
    assert 1 == ours.made


def test_another_worker_hears_of_it_within_the_lag(database: Database) -> None:
    """Until then its calls go on, and do not count; one that fails hears of it at once."""
    policy = {"minimum_calls": 2, "lag": timedelta(seconds=1)}
    ours, other, third = (line(database, **policy) for _ in range(3))
    other.circuit = third.circuit = ours.circuit
    other.call("ok")
    third.call("ok")
    for _ in range(2):
        ours.call("fail")

    meanwhile = [third.call("ok"), other.call("fail"), other.call("ok")]
    third.now += 1

    assert ["made", "failed", "refused"] == meanwhile
    assert "refused" == third.call("ok")
    assert (2, 2) == ours.counts()


def test_an_answer_that_was_overtaken_is_not_believed(database: Database) -> None:
    """Who asked before the circuit opened, and hears after it, does not open it to the others."""
    ours = line(database, minimum_calls=1, lag=timedelta(seconds=1))
    ours.call("ok")
    ours.now += 1
    slow = ours.steps("ok")
    answer = database.execute(next(slow))  # type: ignore[arg-type]
    ours.call("fail")

    refused: Any = slow.send(answer)

    assert "circuit.refused" == refused.event.name
    assert "refused" == ours.call("ok")


def test_probes_must_succeed_in_a_row(database: Database) -> None:
    """A success of the outage before does not help to close it."""
    ours = line(database, minimum_calls=1, probes=2, initial_interval=1, backoff_factor=1)
    ours.call("fail")
    for deed in ("ok", "fail", "ok"):
        ours.passes(1)
        ours.call(deed)

    assert "half_open" == ours.state()
    assert "made" == ours.call("ok")
    assert "closed" == ours.state()


def test_tenants_and_tools_have_circuits_of_their_own(database: Database) -> None:
    """One tenant's bad key does not stop the others."""
    ours, other = line(database, minimum_calls=1), line(database, minimum_calls=1)
    ours.call("fail")

    assert ("refused", "made") == (ours.call("ok"), other.call("ok"))
    assert ["open", "closed"] == [c.state for c in database.execute(circuits())]
