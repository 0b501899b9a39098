"""What the record shows changes how strictly calls are routed, and which threshold holds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import pytest

from lg_production import Database, ReviewPolicy, SelectiveRisk, Stakes
from lg_production.core.events import Event
from lg_production.core.steps import Call, Statement, drive
from lg_production.oversight import ledger, queries
from lg_production.oversight.decay import Decided, Recommendation
from lg_production.oversight.drift import DriftTest
from lg_production.oversight.ledger import Ballot
from lg_production.oversight.records import Routed, Verdict
from lg_production.oversight.routing import Asked, Routing
from lg_production.oversight.scorers import Score
from lg_production.oversight.watching import LearnedThreshold, Watcher

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
BEFORE, AFTER = UNTIL - timedelta(days=9), UNTIL + timedelta(days=3)
RULE = SelectiveRisk(alpha=0.05, delta=0.1)


def logged(
    database: Database,
    scores: Sequence[float],
    at: datetime,
    right: Any = lambda score: score > 0.5,
) -> None:
    """Calls that were routed at this time; where `right` says something, people decided so."""
    rows = [
        Routed(
            key=ledger.as_json([at, number]).encode().ljust(32)[:32] + bytes([number % 251, number // 251]),
            tenant="default", thread_id="t", tool="pay", tool_call_id=f"c{number}", arguments={},
            verdict=Verdict("review"), policy_hash="p", confidence=score,
        )
        for number, score in enumerate(scores)
    ]  # fmt: skip
    drive(ledger.freeze(rows), database)
    decisions = [right(score) for score in scores]
    params = {
        "keys": [row.key for row in rows],
        "outcome": [None if d is None else "approve" if d else "reject" for d in decisions],
        "at": at,
    }
    database.execute(Statement(DECIDE, params, lambda _: None))


DECIDE = """
UPDATE lg_production.reviews r SET created_at = %(at)s, outcome = w.outcome,
  state = CASE WHEN w.outcome IS NULL THEN 'routed' ELSE 'decided' END,
  decided_at = CASE WHEN w.outcome IS NULL THEN NULL ELSE %(at)s::timestamptz END
FROM unnest(%(keys)s::bytea[], %(outcome)s::text[]) w (key, outcome) WHERE r.key = w.key
"""


def spread(seed: int, count: int, low: float = 0.0) -> list[float]:
    """So many scores, evenly from `low` to 1."""
    numbers = random.Random(seed)
    return [low + (1 - low) * numbers.random() for _ in range(count)]


def read(database: Database, threshold: LearnedThreshold) -> list[Event]:
    """Let a watcher read the record for it; what it tells of."""
    told: list[Event] = []
    drive(Watcher(thresholds=[threshold], max_age=timedelta(0)).look(), database, [told.append])
    return told


def fitted_after(database: Database, change: LiteralString) -> LearnedThreshold:
    """A threshold fitted to 400 labels that something has happened to."""
    logged(database, spread(1, 400), BEFORE)
    database.execute(Statement(change, {}, lambda _: None))
    threshold = LearnedThreshold(RULE, until=UNTIL)
    read(database, threshold)
    return threshold


def test_nothing_is_automated_before_the_record_was_read() -> None:
    """A threshold that knows nothing lets nothing pass."""
    assert LearnedThreshold(RULE, until=UNTIL).value is None


def test_a_threshold_is_what_the_rule_makes_of_the_labels(database: Database) -> None:
    """Of those that people decided before `until`, and with the rule's own words."""
    logged(database, spread(1, 400), BEFORE)
    logged(database, spread(2, 50), AFTER, right=lambda _: False)
    threshold = LearnedThreshold(RULE, until=UNTIL, tool="pay", every=timedelta(days=900))

    read(database, threshold)
    labels = database.execute(queries.labels(UNTIL - timedelta(days=30), UNTIL, "pay"))

    assert 400 == len(labels)
    assert threshold.value is not None
    assert RULE.fit(labels).value == threshold.value
    assert RULE.fit(labels).guarantee == threshold.status


def test_too_few_labels_automate_nothing_and_say_so(database: Database) -> None:
    """Refused until it is proven; how many reviews are missing is said."""
    logged(database, spread(1, 5), BEFORE)
    threshold = LearnedThreshold(RULE, until=UNTIL)

    read(database, threshold)

    assert threshold.value is None
    assert "more" in threshold.status


def test_scores_that_drift_disarm_it_for_good(database: Database) -> None:
    """Every worker finds the same look, which counts though later scores look right again."""
    logged(database, spread(1, 400), BEFORE)
    logged(database, spread(2, 200, low=0.7), AFTER, right=lambda _: None)
    logged(database, spread(3, 4000), UNTIL + timedelta(days=10), right=lambda _: None)
    threshold = LearnedThreshold(RULE, until=UNTIL)

    told = read(database, threshold)
    later = LearnedThreshold(RULE, until=UNTIL)
    read(database, later)

    assert (None, None) == (threshold.value, later.value)
    assert "not like" in threshold.status
    assert ["review.disarmed"] == [event.name for event in told]


def test_scores_as_before_leave_it_armed(database: Database) -> None:
    """Nothing changed, nothing happens."""
    logged(database, spread(1, 400), BEFORE)
    logged(database, spread(2, 300), AFTER, right=lambda _: None)
    threshold = LearnedThreshold(RULE, until=UNTIL, test=DriftTest(alpha=0.01))

    assert [] == read(database, threshold)
    assert threshold.value is not None


def test_a_moment_that_has_not_come_automates_nothing(database: Database) -> None:
    """Workers that started at different times would fit different labels."""
    logged(database, spread(1, 400), BEFORE)
    threshold = LearnedThreshold(RULE, until=datetime.now(UTC) + timedelta(days=30))

    read(database, threshold)

    assert (None, "`until` has not come yet") == (threshold.value, threshold.status)


def test_labels_that_prove_nothing_stop_no_run(database: Database) -> None:
    """Of unequal probability, and without the draw: nothing is automated, and it is said why."""
    sql = "UPDATE lg_production.reviews SET probability = 0.05 WHERE tool_call_id = 'c7'"

    threshold = fitted_after(database, sql)

    assert threshold.value is None
    assert "draw" in threshold.status


def test_cases_that_could_not_be_sampled_prove_nothing(database: Database) -> None:
    """What passed unseen has no labels: a threshold may not speak of it."""
    sql = (
        "UPDATE lg_production.reviews SET probability = 0, verdict = 'auto', state = 'routed', "
        "outcome = NULL WHERE confidence > 0.7"
    )

    threshold = fitted_after(database, sql)

    assert threshold.value is None
    assert "could not be sampled" in threshold.status


def test_what_nobody_approved_counts_as_wrong(database: Database) -> None:
    """Answers instead of the tool, deadlines that passed, cases that are still open."""
    sql = "UPDATE lg_production.reviews SET outcome = 'respond' WHERE confidence > 0.7"

    threshold = fitted_after(database, sql)

    assert threshold.value is None


def test_a_look_is_made_once_and_before_anything_passes(database: Database) -> None:
    """Nothing is automated while the first looks are made, and nothing is read for them again."""
    logged(database, spread(1, 400), BEFORE)
    threshold = LearnedThreshold(RULE, until=UNTIL, test=DriftTest(alpha=0.01))
    now, asked, answer = database.execute(queries.now()), [], None
    steps: Any = threshold.read(now)
    try:
        while True:
            step = steps.send(answer)
            asked.append(threshold.value)
            is_sql = isinstance(step, Statement)
            answer = database.execute(step) if is_sql else step.function()
    except StopIteration:
        pass

    assert [None] * 4 == asked
    assert threshold.value is not None
    assert [] == list(_statements(threshold.read(now), database))


def test_looks_that_are_used_up_disarm_it(database: Database) -> None:
    """Nobody watches for drift any more: a new `until` must be set."""
    logged(database, spread(1, 400), BEFORE)
    threshold = LearnedThreshold(RULE, until=UNTIL, test=DriftTest(looks=3))

    read(database, threshold)

    assert threshold.value is None
    assert "used up" in threshold.status


def test_a_record_that_cannot_be_read_is_read_again(database: Database) -> None:
    """A failure does not count as having looked."""
    watcher = Watcher()
    with pytest.raises(ZeroDivisionError):
        watcher.look().throw(ZeroDivisionError())
    steps = watcher.look()
    next(steps)
    with pytest.raises(OSError):
        steps.throw(OSError())

    drive(watcher.look(), database)

    assert {} == watcher.recommendations
    assert [] == list(_statements(watcher.look(), database))


def test_a_moment_without_a_time_zone_is_refused() -> None:
    """It would be another moment on every machine."""
    with pytest.raises(ValueError, match="time zone"):
        LearnedThreshold(RULE, until=datetime(2026, 6, 1))  # noqa: DTZ001 - the point


# --------------------------------------------------------------------------- people who tire


def week(number: int, reviewer: str, approves: float, seconds: float, seed: int) -> list[Decided]:
    """Sixty decisions of a week, each on a page of 1,200 characters."""
    numbers, start = random.Random(seed), datetime(2026, 3, 2, tzinfo=UTC) + timedelta(weeks=number)
    return [
        Decided(
            reviewer, "pay", start + timedelta(hours=n),
            "approve" if numbers.random() < approves else "reject", seconds, 1200,
        )
        for n in range(60)
    ]  # fmt: skip


def test_who_begins_to_wave_through_is_seen_and_the_rate_goes_up() -> None:
    """Bo does from the ninth week on; before that, and of the others, there is no alarm."""
    weeks = [
        week(n, who, *((0.99, 4) if who == "bo" and n >= 8 else (0.75, 60)), seed=n * 7 + i)
        for n in range(12)
        for i, who in enumerate(("ada", "bo", "cy"))
    ]
    votes = [vote for each in weeks for vote in each]
    watcher = Watcher(lasting=timedelta(days=21))
    first = datetime(2026, 3, 2, tzinfo=UTC)
    before = [vote for vote in votes if vote.at < first + timedelta(weeks=8)]

    calm = watcher.judged(before, first + timedelta(weeks=8))
    alarmed = watcher.judged(votes, first + timedelta(weeks=12))
    forgotten = watcher.judged(votes, first + timedelta(weeks=20))

    assert ({}, {}) == (calm, forgotten)
    assert 4.0 == alarmed["pay"].review_rate
    assert {"bo"} == {alarm.reviewer for alarm in watcher.watch.alarms(votes)}


def test_missed_canaries_ask_for_a_second_person() -> None:
    """For every tool that this reviewer decides about, and for no other."""
    now = datetime(2026, 3, 5, tzinfo=UTC)
    votes = [Decided("bo", "pay", now, "approve", 90, 100, canary=True) for _ in range(4)]
    votes += [Decided("bo", "refund", now, "approve", 90, 100)]
    votes += [Decided("ada", "wipe", now, "reject", 90, 100)]

    judged = Watcher().judged(votes, now)

    assert {"pay": 1.0, "refund": 1.0} == {tool: r.second_person for tool, r in judged.items()}


POLICY = ReviewPolicy(
    tools={"pay": Stakes(tier="medium"), "send": Stakes(tier="high")}, threshold=0.5,
    sample_rate=0.25,
)  # fmt: skip


class Told(Watcher):
    """A watcher that has read what the test says."""

    def __init__(self, **recommendations: Recommendation) -> None:
        super().__init__(max_age=timedelta(days=1))
        self.told = recommendations

    def judged(self, votes: Sequence[Decided], now: datetime) -> dict[str, Recommendation]:
        return self.told


def routed(database: Database, watcher: Watcher | None, *tools: str) -> list[Any]:
    routing = Routing(POLICY, scorers=[lambda *_: Score(0.9, "test")], watcher=watcher)
    calls = [{"name": t, "args": {"n": n}, "id": f"c{n}"} for n, t in enumerate(tools)]
    asked = Asked("t", "m", {"messages": []}, "")
    return drive(routing.route(asked, calls), database)


def test_an_alarm_of_haste_samples_more(database: Database) -> None:
    """Four times a quarter is all; the labels know how likely each was."""
    rows = routed(database, Told(pay=Recommendation(review_rate=4.0)), *["pay"] * 8)

    assert ({"sample"}, {1.0}) == ({r.verdict for r in rows}, {r.probability for r in rows})


def test_a_sampled_row_keeps_its_draw(database: Database) -> None:
    """Labels of unequal probability need it."""
    rows = routed(database, None, *["pay"] * 30)
    found = database.execute(Statement("SELECT verdict, draw FROM lg_production.reviews", {}, list))

    assert 30 == len(rows)
    assert {"auto", "sample"} == {verdict for verdict, _ in found}
    assert [verdict == "sample" for verdict, _ in found] == [draw < 0.25 for _, draw in found]


def test_an_alarm_of_missed_canaries_asks_two_people(database: Database) -> None:
    """Where one would do. What nobody is asked about stays so, and what is frozen stays."""
    before = routed(database, None, "send")
    asked = Told(send=Recommendation(second_person=1.0), pay=Recommendation(second_person=1.0))
    (frozen, second, *others) = routed(database, asked, "send", "send", *["pay"] * 30)

    assert ["review"] == [row.verdict for row in before]
    assert ("review", 1) == (frozen.verdict, frozen.quorum)
    assert ("two_person", 2) == (second.verdict, second.quorum)
    assert {"auto", "two_person"} == {row.verdict for row in others}


def test_an_alarm_of_haste_asks_a_second_person_in_a_share(database: Database) -> None:
    """What people see anyway cannot be sampled more often: a part of it two people see."""
    rows = routed(database, Told(send=Recommendation(4.0, 0.25)), *["send"] * 80)

    twice = [row for row in rows if row.verdict == "two_person"]

    assert {"review", "two_person"} == {row.verdict for row in rows}
    assert {(2, "second_person")} == {(row.quorum, row.reasons[-1]) for row in twice}
    assert 8 <= len(twice) <= 34


def hasty(database: Database, tool: str, reviewer: str, count: int) -> None:
    """A person approves so many long cases, one right after the other."""
    rows = [
        Routed(
            key=f"{tool}{number}".encode().ljust(32), tenant="default", thread_id="t", tool=tool,
            tool_call_id=f"c{number}", arguments={"why": "a long story " * 50},
            verdict=Verdict("review"), policy_hash="p",
        )
        for number in range(count)
    ]  # fmt: skip
    drive(ledger.freeze(rows), database)
    for row in rows:
        shown = database.execute(ledger.opened(row.key))
        assert shown is not None
        database.execute(ledger.vote(shown, Ballot(reviewer, "approve")))


def test_votes_that_nobody_can_have_read_for_make_two_people_decide(database: Database) -> None:
    """From votes in the ledger through the alarm to the verdict; other tools stay as they were."""
    hasty(database, "send", "bo", 40)
    told: list[Event] = []
    watcher = Watcher(second=1.0)
    routing = Routing(POLICY, watcher=watcher)
    calls = [{"name": name, "args": {}, "id": name} for name in ("send", "wire")]

    rows = drive(routing.route(Asked("t", "m", {}, ""), calls), database, [told.append])

    assert {"send": ("two_person", 2), "wire": ("review", 1)} == {
        row.tool: (row.verdict, row.quorum) for row in rows
    }
    (heightened,) = [event for event in told if event.name == "review.heightened"]
    assert ("send", 4.0, 1.0) == tuple(
        heightened.attributes[name] for name in ("tool", "review_rate", "second_person")
    )


def test_a_vote_took_no_longer_than_since_the_last(database: Database) -> None:
    """A case that waited unclaimed was not being read all that time: nobody reads two at once."""
    hasty(database, "send", "bo", 4)
    database.execute(Statement(WAITED, {}, lambda _: None))

    seconds = [vote.seconds for vote in database.execute(queries.decided(timedelta(days=1)))]

    assert 3600.0 == seconds[0]
    assert max(seconds[1:]) < 3600


WAITED = "UPDATE lg_production.review_votes SET seconds = 3600"


def test_a_watcher_reads_at_most_so_often(database: Database) -> None:
    """Five minutes by default: routing a call costs no reading of the record."""
    watcher, told = Watcher(), []
    for _ in range(3):
        steps = watcher.look()
        told.append(list(_statements(steps, database)))

    assert [2, 0, 0] == [len(each) for each in told]


def _statements(steps: Any, database: Database) -> Any:
    """What steps ask of the database."""
    answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration:
            return
        if isinstance(step, Call):
            answer = step.function()
            continue
        yield step
        answer = database.execute(step)
