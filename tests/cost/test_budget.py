"""Reserve, settle, release: all or nothing, once, and never more than there is."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from lg_production.core.database import Database
from lg_production.core.events import Event
from lg_production.core.steps import Statement, drive
from lg_production.cost.budget import Budget, Exhausted, StepsExhausted
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.errors import BudgetExceeded, IdempotencyConflict, StepLimitExceeded

AT_ONCE = timedelta(0)


def budget(database: Database, *limits: Limit, **options: Any) -> Budget:
    observers = options.pop("observers", ())
    policy = BudgetPolicy(limits=limits, **{"wait": AT_ONCE, **options})
    return Budget(database, policy, observers=observers)


def run(**configurable: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": "t", **configurable}}


def books(database: Database) -> dict[tuple[str, str], tuple[int, int]]:
    """(scope, quantity) -> (used, reserved)."""
    sql = "SELECT scope, quantity, used, reserved FROM lg_production.budgets"
    rows = database.execute(Statement(sql, {}, list))
    return {(scope, quantity): (used, reserved) for scope, quantity, used, reserved in rows}


def states(database: Database) -> list[str]:
    sql = "SELECT state FROM lg_production.reservations ORDER BY created_at"
    return [row[0] for row in database.execute(Statement(sql, {}, list))]


def test_what_is_held_is_free_again_but_for_what_it_took(database: Database) -> None:
    """A call is held at its worst case and settled at its truth."""
    ours = budget(database, Limit(scope="thread", total_tokens=100))
    who = ours.who(run())

    held = ours.reserve(b"one", who, {"total_tokens": 60})
    during = books(database)
    ours.settle(held, {"total_tokens": 25})

    assert {("thread:t", "total_tokens"): (0, 60)} == during
    assert {("thread:t", "total_tokens"): (25, 0)} == books(database)


def test_all_scopes_have_room_or_nothing_is_held(database: Database) -> None:
    """A call that one budget refuses takes nothing from another."""
    ours = budget(
        database,
        Limit(scope="thread", total_tokens=1000, micro_usd=1000),
        Limit(scope="user", per="day", micro_usd=50),
    )
    who = ours.who(run(user_id="ada"))

    with pytest.raises(Exhausted) as refused:
        ours.reserve(b"one", who, {"total_tokens": 10, "micro_usd": 51})

    assert ["user:ada"] == [refusal.scope for refusal in refused.value.refusals]
    assert {(0, 0)} == set(books(database).values())
    assert "micro_usd 0 of 50 used, 51 asked for" in str(refused.value)


def test_the_same_key_is_counted_once(database: Database) -> None:
    """A replayed call finds its reservation, open or closed; a real retry has a key of its own."""
    ours = budget(database, Limit(scope="thread", model_calls=2))
    who = ours.who(run())

    first = ours.reserve(b"one", who, {"model_calls": 1})
    again = ours.reserve(b"one", who, {"model_calls": 1})
    ours.settle(first)
    closed = ours.reserve(b"one", who, {"model_calls": 1})
    ours.settle(ours.reserve(b"retry", who, {"model_calls": 1}))

    assert [False, False, True] == [r.replayed for r in (first, again, closed)]
    assert {("thread:t", "model_calls"): (2, 0)} == books(database)


def test_settling_twice_counts_once(database: Database) -> None:
    """A settle whose answer was lost is sent again."""
    ours = budget(database, Limit(scope="thread", total_tokens=100))
    held = ours.reserve(b"one", ours.who(run()), {"total_tokens": 60})

    done = [ours.settle(held, {"total_tokens": 25}), ours.settle(held, {"total_tokens": 25})]

    assert [True, False] == done
    assert {("thread:t", "total_tokens"): (25, 0)} == books(database)


def test_a_provider_that_bills_more_is_recorded(database: Database) -> None:
    """Overshoot is reported, not hidden: and nothing more is let through."""
    ours = budget(database, Limit(scope="thread", total_tokens=100))
    who = ours.who(run())

    ours.settle(ours.reserve(b"one", who, {"total_tokens": 60}), {"total_tokens": 130})

    assert {("thread:t", "total_tokens"): (130, 0)} == books(database)
    with pytest.raises(BudgetExceeded):
        ours.reserve(b"two", who, {"total_tokens": 1})


def test_what_is_not_measured_counts_at_its_worst(database: Database) -> None:
    """A provider that reports no usage has used all that was held."""
    ours = budget(database, Limit(scope="thread", total_tokens=100))

    ours.settle(ours.reserve(b"one", ours.who(run()), {"total_tokens": 60}))

    assert {("thread:t", "total_tokens"): (60, 0)} == books(database)


def test_only_steps_short_is_a_step_limit(database: Database) -> None:
    """Who catches StepLimitExceeded hears of steps; who catches BudgetExceeded, of both."""
    ours = budget(database, Limit(scope="thread", steps=1))
    ours.reserve(b"one", ours.who(run()), {"steps": 1})

    with pytest.raises(StepLimitExceeded) as refused:
        ours.reserve(b"two", ours.who(run()), {"steps": 1})

    assert isinstance(refused.value, StepsExhausted)


def test_the_reservation_of_a_dead_owner_counts_as_used(database: Database) -> None:
    """After its lease, at its worst case, and once; the owner's late truth corrects it."""
    ours = budget(database, Limit(scope="thread", total_tokens=100))
    held = ours.reserve(b"one", ours.who(run()), {"total_tokens": 60})
    early = ours.sweep()
    kill(database)

    swept = [ours.sweep(), ours.sweep()]
    worst = books(database)
    late = ours.settle(held, {"total_tokens": 10})

    assert (0, [1, 0]) == (early, swept)
    assert {("thread:t", "total_tokens"): (60, 0)} == worst
    assert late
    assert {("thread:t", "total_tokens"): (10, 0)} == books(database)
    assert ["settled"] == states(database)


def kill(database: Database) -> None:
    """The owner is gone, and its lease ran out."""
    sql = (
        "UPDATE lg_production.reservations SET worker = 0, lease_until = now() - interval '1 s' "
        "WHERE state = 'reserved'"
    )
    database.execute(Statement(sql, {}, lambda _: None))


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("amount", [1, 7])
def test_threads_that_race_never_overspend_and_waste_nothing(
    database: Database, durable: bool, amount: int
) -> None:
    """Whoever shares a statement is judged in order; who would fit alone asks alone."""
    ours = budget(
        database, Limit(scope="thread", total_tokens=100), Limit(scope="user", total_tokens=10**6),
        durable=durable,
    )  # fmt: skip
    who, start = ours.who(run(user_id="u")), threading.Barrier(40)
    granted: list[int] = []
    refused: list[int] = []

    def race(number: int) -> None:
        start.wait()
        asked = amount if number % 2 else 30 * amount
        try:
            ours.reserve(uuid4().bytes, who, {"total_tokens": asked})
        except BudgetExceeded:
            refused.append(asked)
        else:
            granted.append(asked)

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(race, range(40)))

    held = books(database)["thread:t", "total_tokens"][1]
    assert sum(granted) == held
    assert held <= 100 < held + min(refused)


def test_thresholds_are_told_once(database: Database) -> None:
    """50, 80 and 100 percent, each once, however many cross at the same time."""
    seen: list[Event] = []
    ours = budget(database, Limit(scope="thread", total_tokens=100), observers=[seen.append])
    who = ours.who(run())

    for number in range(10):
        held = ours.reserve(bytes([number]), who, {"total_tokens": 10})
        ours.settle(held, {"total_tokens": 10})
        ours.settle(held, {"total_tokens": 10})

    told = [(e.attributes["threshold"], e.attributes["used"]) for e in seen]
    assert [(50, 50), (80, 80), (100, 100)] == told


def test_a_threshold_whose_teller_died_is_told_later(database: Database) -> None:
    """The record comes first, so that nobody who pays is left in the dark."""
    seen: list[Event] = []
    ours = budget(database, Limit(scope="thread", total_tokens=10), observers=[seen.append])
    ours.settle(ours.reserve(b"1", ours.who(run()), {"total_tokens": 10}))
    back = "UPDATE lg_production.budget_alerts SET told_at = NULL, crossed_at = now() - %(ago)s"
    database.execute(Statement(back, {"ago": timedelta(minutes=2)}, lambda _: None))
    seen.clear()

    ours.sweep()
    ours.sweep()

    assert [50, 80, 100] == sorted(e.attributes["threshold"] for e in seen)


def test_a_new_day_is_a_new_budget(database: Database) -> None:
    """The period is the database's calendar in the limit's time zone."""
    ours = budget(database, Limit(scope="user", per="day", time_zone="Asia/Tokyo", micro_usd=10))
    who = ours.who(run(user_id="u"))
    ours.settle(ours.reserve(b"1", who, {"micro_usd": 10}))
    sql = (
        "UPDATE lg_production.budgets SET period = 'day 2020-01-01T00 Asia/Tokyo' RETURNING period"
    )
    database.execute(Statement(sql, {}, lambda _: None))

    ours.settle(ours.reserve(b"2", who, {"micro_usd": 10}))

    assert 2 == len(database.execute(Statement("SELECT 1 FROM lg_production.budgets", {}, list)))


def test_a_call_waits_for_those_under_way_where_they_may_leave_room(database: Database) -> None:
    """What is held for the worst case is not lost to the siblings."""
    ours = budget(database, Limit(scope="thread", total_tokens=100), wait=timedelta(seconds=20))
    who = ours.who(run())
    held = ours.reserve(b"1", who, {"total_tokens": 80})
    timer = threading.Timer(0.2, lambda: ours.settle(held, {"total_tokens": 5}))
    timer.start()

    ours.reserve(b"2", who, {"total_tokens": 80})

    assert {("thread:t", "total_tokens"): (5, 80)} == books(database)
    timer.join()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total_tokens", -1), ("total_tokens", 10**16), ("total_tokens", 1.5), ("scope", "team"),
        ("usd", "5 EUR"), ("usd", 0.1), ("usd", "0.0000001"), ("usd", "-1"), ("per", "minute"),
        ("time_zone", "Mars/Olympus"), ("time_zone", "localtime"), ("tool", "book"), ("colour", "red"),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_meant_is_refused(field: str, value: Any) -> None:
    """At construction, not when the money is gone."""
    given = {"scope": "thread", "total_tokens": 5, field: value}

    with pytest.raises(ValidationError, match=field if field not in {"tool", "usd"} else "."):
        Limit(**given)


@pytest.mark.parametrize(
    "amounts", [{"tokens": 1}, {"steps": -1}, {"steps": 10**16}, {"steps": 1.0}]
)
def test_an_amount_that_cannot_be_counted_is_refused(database: Database, amounts: Any) -> None:
    """Before anything is written."""
    ours = budget(database, Limit(scope="thread", steps=5))

    with pytest.raises(ValueError, match=r"quantity|amount"):
        ours.reserve(b"1", ours.who(run()), amounts)


def test_a_scope_without_an_id_is_refused(database: Database) -> None:
    """A limit that nobody is held to would be none."""
    ours = budget(database, Limit(scope="user", steps=5))

    with pytest.raises(ValueError, match="user_id"):
        ours.who(run())


def test_what_remains_is_the_share_of_the_tightest_budget(database: Database) -> None:
    """What is held counts as gone; a budget that nobody has used yet is whole; none of 0 is left."""
    ours = budget(
        database,
        Limit(scope="thread", total_tokens=100, model_calls=4),
        Limit(scope="user", steps=0),
    )
    who = ours.who(run(user_id="ada"))
    other = budget(database, Limit(scope="thread", total_tokens=100, model_calls=4))

    whole = other.remaining(who)
    ours_before = ours.remaining(who)
    other.reserve(b"1", who, {"total_tokens": 30, "model_calls": 1})
    held = other.remaining(who)

    assert (1.0, 0.0, 0.7) == (whole, ours_before, held)


def test_who_is_not_named_is_the_default_user(database: Database) -> None:
    """A server without authentication passes an empty user: it must not stand for everybody."""
    limit = Limit(scope="user", steps=5)
    policy = BudgetPolicy(limits=(limit,))

    alone = Budget(database, policy, user="me").who(run(user_id=""))

    assert "me" == alone.ids["user"]


def test_a_release_is_not_anothers_to_make(database: Database) -> None:
    """Two workers hold one key: who did not call must not erase what the other spent."""
    ours, theirs = (budget(database, Limit(scope="thread", total_tokens=1000)) for _ in range(2))
    who = ours.who(run())
    first = ours.reserve(b"k", who, {"total_tokens": 500})
    second = theirs.reserve(b"k", who, {"total_tokens": 500})

    not_his = theirs.release(second)
    his = ours.release(first)
    spent = theirs.settle(second, {"total_tokens": 480})

    assert (False, True, True) == (not_his, his, spent)
    assert {("thread:t", "total_tokens"): (480, 0)} == books(database)


def test_a_key_that_was_released_is_as_new(database: Database) -> None:
    """That call was certainly not made: the one that comes now is counted, and once."""
    ours = budget(database, Limit(scope="thread", total_tokens=1000))
    who = ours.who(run())
    ours.release(ours.reserve(b"k", who, {"total_tokens": 500}))

    again = ours.reserve(b"k", who, {"total_tokens": 500})
    ours.settle(again, {"total_tokens": 400})
    replayed = ours.reserve(b"k", who, {"total_tokens": 500})

    assert (False, True) == (again.replayed, replayed.replayed)
    assert {("thread:t", "total_tokens"): (400, 0)} == books(database)


def test_a_key_is_its_tenants(database: Database) -> None:
    """Two tenants with equal order ids pay for themselves."""
    policy = BudgetPolicy(limits=(Limit(scope="tenant", total_tokens=100),), wait=AT_ONCE)
    for name in ("a", "b"):
        tenant = Budget(database, policy, tenant=name)
        held = tenant.reserve(b"order-1", tenant.who(run()), {"total_tokens": 60})
        tenant.settle(held)

    assert {("tenant:a", "total_tokens"): (60, 0), ("tenant:b", "total_tokens"): (60, 0)} == books(
        database
    )


@pytest.mark.parametrize(
    ("thread", "amounts"), [("t", {"total_tokens": 900}), ("other", {"total_tokens": 1})]
)
def test_a_key_that_names_another_call_is_a_conflict(
    database: Database, thread: str, amounts: Any
) -> None:
    """It would be a call that nothing is held for."""
    ours = budget(database, Limit(scope="thread", total_tokens=1000))
    ours.reserve(b"k", ours.who(run()), {"total_tokens": 1})

    with pytest.raises(IdempotencyConflict):
        ours.reserve(b"k", ours.who(run(thread_id=thread)), amounts)


def test_who_is_cancelled_while_reserving_holds_nothing(database: Database) -> None:
    """No call was made, and so nothing may be counted."""
    ours = budget(database, Limit(scope="thread", total_tokens=1000))
    who = ours.who(run())

    async def is_cancelled(delay: float) -> bool:
        task = asyncio.ensure_future(ours.areserve(uuid4().bytes, who, {"total_tokens": 10}))
        await asyncio.sleep(delay)
        task.cancel()
        return isinstance((await asyncio.gather(task, return_exceptions=True))[0], BaseException)

    async def main() -> list[bool]:
        await ours.areserve(b"warm", who, {"total_tokens": 1})
        return [await is_cancelled(number * 0.0001) for number in range(40)]

    cancelled = asyncio.run(main())

    assert True in cancelled
    assert {("thread:t", "total_tokens"): (0, 1 + 10 * cancelled.count(False))} == books(database)


def test_one_budget_that_is_named_twice_is_one(database: Database) -> None:
    """A time zone says nothing about a budget that never ends: the lower limit holds."""
    ours = budget(
        database, Limit(scope="thread", total_tokens=1000),
        Limit(scope="thread", time_zone="Europe/Lisbon", total_tokens=700),
    )  # fmt: skip
    ours.reserve(b"1", ours.who(run()), {"total_tokens": 100})

    with pytest.raises(Exhausted):
        ours.reserve(b"2", ours.who(run()), {"total_tokens": 601})

    assert {("thread:t", "total_tokens"): (0, 100)} == books(database)


def test_a_threshold_is_kept_for_whoever_can_tell(database: Database) -> None:
    """Who has no observers does not use the telling up."""
    seen: list[Event] = []
    limit = Limit(scope="thread", total_tokens=10)
    silent, telling = budget(database, limit), budget(database, limit, observers=[seen.append])
    who = silent.who(run())
    silent.settle(silent.reserve(b"1", who, {"total_tokens": 10}))
    silent.sweep()
    ago = "UPDATE lg_production.budget_alerts SET crossed_at = now() - interval '2 minutes'"
    database.execute(Statement(ago, {}, lambda _: None))

    telling.settle(telling.reserve(b"2", who, {"total_tokens": 0}))

    assert [50, 80, 100] == sorted(e.attributes["threshold"] for e in seen)


def test_a_lease_that_ends_is_noticed_by_who_goes_on(database: Database) -> None:
    """Nobody needs to be refused for it."""
    ours, other = (budget(database, Limit(scope="thread", total_tokens=100)) for _ in range(2))
    who = ours.who(run())
    ours.reserve(b"1", who, {"total_tokens": 60})
    kill(database)

    other.settle(other.reserve(b"2", who, {"total_tokens": 10}))

    assert {("thread:t", "total_tokens"): (70, 0)} == books(database)


def test_a_budget_beyond_measure_breaks_nobodys_sweep(database: Database) -> None:
    """Sums of the largest amounts stay inside of what PostgreSQL counts with."""
    ours = budget(database, Limit(scope="thread", total_tokens=10**15), thresholds=(1000,))
    ours.settle(ours.reserve(b"1", ours.who(run()), {"total_tokens": 10**15}))
    big = "UPDATE lg_production.budgets SET extra = 90000000000000000"
    database.execute(Statement(big, {}, lambda _: None))
    ours.reserve(b"2", ours.who(run()), {"total_tokens": 10**15})
    kill(database)

    assert 1 == ours.sweep()


@pytest.mark.parametrize(
    ("given", "scope", "name"),
    [
        ({"user_id": 0}, "user", "user:0"), ({"thread_id": 0}, "task", "task:0"),
        ({"task_id": 0}, "task", "task:0"), ({"thread_id": "9/tool:x"}, "thread", "thread:9%2Ftool:x"),
    ],
)  # fmt: skip
def test_every_id_names_a_scope_of_its_own(
    database: Database, given: Any, scope: Any, name: str
) -> None:
    """0 is an id, and no id is taken for the scope of a tool."""
    ours = budget(database, Limit(scope=scope, steps=5))

    ours.reserve(b"1", ours.who(run(**given)), {"steps": 1})

    assert {(name, "steps"): (0, 1)} == books(database)


@pytest.mark.parametrize("given", ["a\0b", "x" * 501])
def test_an_id_that_no_row_can_hold_is_refused(database: Database, given: str) -> None:
    """With what is wrong with it, and not by the database."""
    with pytest.raises(ValueError, match="an id has"):
        budget(database, Limit(scope="thread", steps=5)).who(run(thread_id=given))


def test_nobody_waits_for_what_they_hold_themselves(database: Database) -> None:
    """A stream that asks for more is under way itself, and alone."""
    ours = budget(database, Limit(scope="thread", total_tokens=100), wait=timedelta(hours=1))
    who = ours.who(run())
    ours.reserve(b"1", who, {"total_tokens": 80})

    with pytest.raises(Exhausted):
        drive(
            ours.reserve_steps(b"2", who, {"total_tokens": 30}, own={"total_tokens": 80}), database
        )
