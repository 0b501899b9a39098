"""Reviewers who no longer look are told from those who do; numpy, scikit-learn and statsmodels
say what the figures are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from lg_production.oversight.decay import (
    CanaryCusum,
    Case,
    Decided,
    Recommendation,
    Watch,
    kappa,
    quantile,
    queue,
    recommend,
)

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
ACTIONS = st.sampled_from(["approve", "edit", "reject", "respond"])


def decided(reviewer="ada", action="approve", week=0, seconds=30.0, **more):
    at = MONDAY + timedelta(weeks=week)
    return Decided(reviewer, "wire", at, action, seconds, more.pop("characters", 1200), **more)


def a_week(reviewer, approved, rejected, week=0, **more):
    """So many decisions of one week."""
    actions = ["approve"] * approved + ["reject"] * rejected
    return [decided(reviewer, action, week, **more) for action in actions]


def kinds(alarms):
    return [(alarm.reviewer, alarm.kind) for alarm in alarms]


# ---------------------------------------------------------------------------------- habits
def test_habits_are_counted_by_reviewer_tool_and_week():
    """Weeks begin on Monday, in UTC, wherever the reviewer sits."""
    late = datetime(2026, 11, 29, 23, 30, tzinfo=UTC).astimezone()
    records = [decided("bob"), decided("ada"), decided("ada", week=1)]
    records += [Decided("ada", "mail", late, "edit", 5, 100)]

    assert [
        ("ada", "mail", date(2026, 11, 23), 1),
        ("ada", "wire", date(2026, 11, 23), 1),
        ("ada", "wire", date(2026, 11, 30), 1),
        ("bob", "wire", date(2026, 11, 23), 1),
    ] == [(h.reviewer, h.tool, h.week, h.n) for h in Watch().habits(records)]


def test_rates_have_wilson_s_interval_and_leave_canaries_out():
    """A canary that is rejected says nothing of how often real cases are approved."""
    records = a_week("ada", 18, 2) + [decided(action="edit")] * 4
    records += [decided(action="reject", canary=True)] * 6 + [decided(canary=True)]
    (habits,) = Watch(confidence=0.95).habits(records)

    assert (31, 7, 1) == (habits.n, habits.canaries, habits.missed)
    assert (18 / 24, 24) == (habits.approval.value, habits.approval.n)
    assert (habits.approval.low, habits.approval.high) == pytest.approx(
        proportion_confint(18, 24, 0.05, "wilson")
    )
    assert 4 / 24 == habits.edits.value


def test_the_floor_is_the_time_to_read():
    """1200 characters are 200 words: half a minute at 400 words a minute."""
    watch = Watch(words_per_minute=400)
    records = [decided(seconds=s) for s in (1, 29.9, 30, 31, 100)]
    (habits,) = watch.habits(records)

    assert 30 == watch.floor(1200)
    assert (2 / 5, 30) == (habits.fast.value, habits.p50)
    assert habits.p10 == pytest.approx(np.quantile([1, 29.9, 30, 31, 100], 0.1))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_quantiles_are_numpy_s(values, share):
    """Linear between two values."""
    assert quantile(values, share) == pytest.approx(np.quantile(values, share), abs=1e-6)


@given(st.lists(st.tuples(ACTIONS, ACTIONS), min_size=1, max_size=50))
def test_kappa_is_scikit_learn_s(pairs):
    """Or None where both always did the same, and agreement says nothing."""
    if len({action for pair in pairs for action in pair}) == 1:
        assert kappa(pairs) is None
        return

    assert kappa(pairs) == pytest.approx(cohen_kappa_score(*zip(*pairs)), abs=1e-12)


def test_agreement_is_on_cases_that_others_decided_too():
    """The same key, or a copy of it; one's own second look is none."""
    records = [decided("ada", key="1"), decided("bob", key="1")]
    records += [decided("ada", "reject", key="2"), decided("bob", key="3", duplicate_of="2")]
    records += [decided("ada", key="4"), decided("ada", "reject", key="5", duplicate_of="4")]
    records += [decided("ada"), decided("bob", "reject")]
    ada, bob = Watch().habits(records)

    assert (0.5, 2, 0.5, 2) == (
        ada.agreement.value,
        ada.agreement.n,
        bob.agreement.value,
        bob.agreement.n,
    )
    assert 0 == ada.kappa


# ------------------------------------------------------------------------------------ CUSUM
@pytest.mark.parametrize(("rate", "expected"), [(0.05, 490.6), (0.3, 11.6), (1.0, 3.0)])
def test_the_average_run_length_is_as_stated(rate, expected):
    """What the docstring says, from the equations, and as often as it happens."""
    cusum, random = CanaryCusum(), Random(1)
    shown = 300_000
    alarms = len(cusum.alarms(random.random() < rate for _ in range(shown)))

    assert expected == pytest.approx(cusum.run_length(rate), abs=0.05)
    assert cusum.run_length(rate) == pytest.approx(shown / alarms, rel=0.1)


def test_caught_canaries_make_up_for_missed_ones():
    """Three in a row alarm; three with twenty caught between do not; and it starts anew."""
    cusum = CanaryCusum()

    assert [(2, 18)] == cusum.alarms([True] * 3)
    assert [] == cusum.alarms(([True] + [False] * 20) * 3)
    assert [(2, 18), (5, 18)] == cusum.alarms([True] * 6)


# ----------------------------------------------------------------------------------- alarms
def test_a_reviewer_who_looks_raises_no_alarm():
    """Four weeks of the same care."""
    records = [d for week in range(4) for d in a_week("ada", 40, 10, week, seconds=60)]
    records += [decided(action="reject", canary=True, week=week) for week in range(4)]

    assert [] == Watch().alarms(records)
    assert Recommendation() == recommend([])


def test_decisions_faster_than_reading_alarm():
    """When most of them are, beyond doubt; a few are not enough."""
    few, most = a_week("ada", 8, 2, seconds=2), a_week("ada", 30, 10, seconds=2)
    advice = recommend(Watch().alarms(most))

    assert [] == Watch().alarms(few)
    assert [("ada", "too_fast")] == kinds(Watch().alarms(most))
    assert (2.0, 0.25) == (advice.review_rate, advice.second_person)


def test_more_approval_than_before_alarms():
    """The slide of month one to nine: 70 %, and then everything."""
    records = a_week("ada", 70, 30, 0) + a_week("ada", 72, 28, 1) + a_week("ada", 100, 0, 2)
    (alarm,) = Watch().alarms(records)

    assert ("approves_all", 1.0, date(2026, 12, 7)) == (alarm.kind, alarm.value, alarm.week)
    assert "100% approved, 71% in earlier weeks" == alarm.reason


def test_more_approval_than_by_others_alarms():
    """Of the same tool in the same week."""
    records = a_week("ada", 60, 40) + a_week("bob", 65, 35) + a_week("eve", 100, 0)
    alarms = Watch().alarms(records)

    assert [("eve", "approves_all")] == kinds(alarms)
    assert recommend(alarms, factor=3).review_rate == 3


def test_disagreement_asks_for_a_second_person():
    """On cases that two decided."""
    records = [decided("ada", key=str(i)) for i in range(40)]
    records += [decided("bob", "reject" if i % 2 else "approve", key=str(i)) for i in range(40)]
    alarms = [alarm for alarm in Watch().alarms(records) if alarm.kind == "disagrees"]

    assert [("ada", "disagrees"), ("bob", "disagrees")] == kinds(alarms)
    assert recommend(alarms).second_person


def test_missed_canaries_ask_for_a_second_person():
    """Over all tools of a reviewer, in the order in which they were shown."""
    records = [decided("ada", canary=True, week=week) for week in (2, 0, 1)]
    records += [decided("bob", "reject", canary=True, week=week) for week in (2, 0, 1)]
    alarms = Watch().alarms(records)

    assert [("ada", "canaries")] == kinds(alarms)
    assert (alarms[0].tool, alarms[0].week) == ("*", date(2026, 12, 7))
    assert Recommendation(1.0, True, ("3 of 3 canaries approved, lately too many",)) == recommend(
        alarms
    )


def test_false_alarms_are_rare():
    """Two hundred reviewers who all look alike, ten weeks: less than one in a hundred weeks."""
    random, records = Random(2), []
    for reviewer in range(200):
        for week in range(10):
            approved = sum(random.random() < 0.75 for _ in range(40))
            records += a_week(f"r{reviewer}", approved, 40 - approved, week, seconds=60)

    assert len(Watch().alarms(records)) < 20


# ------------------------------------------------------------------------------------ queue
def case(verdict="review", opened=0, taken=None, outcome=None, incident=False):
    at = MONDAY + timedelta(minutes=opened)
    until = None if taken is None else at + timedelta(minutes=taken)
    return Case(verdict, at, until, outcome, incident)


def test_the_queue_is_measured():
    """Each rate of what it can be a rate of."""
    cases = [case("auto") for _ in range(4)]
    cases += [case("review", 0, 5, "approve"), case("two_person", 0, 20, "edit", incident=True)]
    cases += [case("review", 0, 30, "expired"), case("sample", 0, 10, "reject")]
    cases += [case("review", 55), case("review", 20), case("review", 0, 1, "respond")]
    found = queue(cases, MONDAY + timedelta(hours=1), timedelta(minutes=15))

    assert (11, 2) == (found.routed, found.waiting)
    assert (6 / 11, 11) == (found.escalated.value, found.escalated.n)
    assert (22.5 * 60, 38.25 * 60) == pytest.approx((found.age_p50, found.age_p95))
    assert 7.5 * 60 == found.decided_p50
    assert (3 / 6, 6) == (found.late.value, found.late.n)
    assert (1 / 5, 5) == (found.timeouts.value, found.timeouts.n)
    assert (2 / 3, 3) == (found.overridden.value, found.overridden.n)
    assert (1 / 2, 2) == (found.incidents.value, found.incidents.n)


def test_an_empty_queue_is_one_too():
    """Nothing is late, and nothing is known."""
    found = queue([], MONDAY, timedelta(minutes=15))

    assert (0, 0, 0.0, 0.0) == (found.routed, found.waiting, found.age_p95, found.late.value)
    assert 1.0 == found.late.high
