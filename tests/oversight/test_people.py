"""Who may decide, who holds a case, and who is asked next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lg_production import Database
from lg_production.core.events import Event
from lg_production.core.steps import Statement, drive
from lg_production.oversight import ledger, people
from lg_production.oversight.ledger import Ballot
from lg_production.oversight.people import Reviewer, Rung, reviewer_of
from lg_production.oversight.records import Verdict

from .test_ledger import look, opened

HOUR = timedelta(hours=1)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def votes(database: Database, row: Any, by: str) -> str:
    """What becomes of this person's approval: "" if it counts."""
    found = look(database, row)
    if database.execute(ledger.vote(found, Ballot(by, "approve"))) is not None:
        return ""
    return database.execute(ledger.refusal(row.key, by))


def age(database: Database, hours: int) -> None:
    sql = "UPDATE lg_production.reviews SET waiting_since = now() - %(hours)s * interval '1 hour'"
    database.execute(Statement(sql, {"hours": hours}, lambda _: None))


@pytest.mark.parametrize(
    ("configurable", "context", "who"),
    [
        ({"langgraph_auth_user": {"identity": "ann"}}, {"reviewer": "eve"}, "ann"),
        ({"langgraph_auth_user": SimpleNamespace(identity="ann")}, None, "ann"),
        ({}, {"reviewer": "ann"}, "ann"),
        ({}, SimpleNamespace(reviewer="ann"), "ann"),
        ({"reviewer": "eve"}, None, "resume"),
        ({}, None, "resume"),
    ],
)
def test_the_authenticated_user_decides(configurable: Any, context: Any, who: str) -> None:
    """Else whom the context names; nobody is what an answer or a configuration says they are."""
    assert who == reviewer_of({"configurable": configurable}, context)


def test_without_reviewers_everybody_may_decide(database: Database) -> None:
    """An empty table means that nobody has set it up."""
    assert "" == votes(database, opened(database), "anybody")


@pytest.mark.parametrize(
    ("reviewer", "problem"),
    [
        (Reviewer("ann"), ""),
        (Reviewer("ann", competences=["pay", "book"]), ""),
        (Reviewer("ann", competences=["book"]), "not_competent"),
        (Reviewer("ann", competences=[]), "not_competent"),
        (Reviewer("ann", valid_until=YESTERDAY), "not_valid"),
        (Reviewer("bob"), "not_a_reviewer"),
    ],
)
def test_with_reviewers_only_they_may_decide(
    database: Database, reviewer: Reviewer, problem: str
) -> None:
    """About the tools they know, for as long as they may: the vote's own statement looks."""
    database.execute(people.put(reviewer))
    row = opened(database)

    assert problem == votes(database, row, "ann")
    assert (problem == "") == (look(database, row).state == "decided")


@pytest.mark.parametrize(
    ("assigned", "roles", "problem"),
    [("ann", [], ""), ("finance", ["finance"], ""), ("finance", [], "not_assigned"),
     ("bob", ["finance"], "not_assigned")],
)  # fmt: skip
def test_an_assigned_case_is_for_those_it_is_assigned_to(
    database: Database, assigned: str, roles: list[str], problem: str
) -> None:
    """A reviewer by id, or everybody of a role."""
    database.execute(people.put(Reviewer("ann", roles)))
    row = opened(database)
    database.execute(people.assign(row.key, assigned))

    assert problem == votes(database, row, "ann")


def test_an_end_without_a_time_zone_is_refused() -> None:
    """It would be read in whatever zone the session happens to have."""
    with pytest.raises(ValueError, match="time zone"):
        Reviewer("ann", valid_until=datetime(2026, 3, 1))  # noqa: DTZ001 - the point


def test_reviewers_are_put_changed_and_removed(database: Database) -> None:
    """The last one that leaves opens it to everybody again."""
    database.execute(people.put(Reviewer("ann", ["finance"], ["pay"])))
    database.execute(people.put(Reviewer("ann", [], ["*"])))
    kept = database.execute(people.reviewers())
    database.execute(people.remove("ann"))

    assert [Reviewer("ann", [], ["*"])] == kept
    assert [] == database.execute(people.reviewers())


def test_a_claimed_case_waits_for_its_claimant(database: Database) -> None:
    """Nobody else claims it or votes, until it is taken over."""
    row = opened(database)
    first = database.execute(people.claim(row.key, "ann", HOUR))
    second = database.execute(people.claim(row.key, "bob", HOUR))
    refused = votes(database, row, "bob")
    taken = database.execute(people.claim(row.key, "bob", HOUR, take_over=True))

    assert first is not None
    assert "ann" == first.claimed_by
    assert (None, "claimed") == (second, refused)
    assert taken is not None
    assert "claimed" == votes(database, row, "ann")
    assert "" == votes(database, row, "bob")


def test_a_claim_ends_by_itself(database: Database) -> None:
    """Whoever went home does not hold it up."""
    row = opened(database)
    database.execute(people.claim(row.key, "ann", timedelta(microseconds=1)))
    claimed = database.execute(people.claim(row.key, "bob", HOUR))

    assert claimed is not None
    assert "bob" == claimed.claimed_by


def test_who_may_not_decide_may_not_claim(database: Database) -> None:
    """Not by taking over, either."""
    database.execute(people.put(Reviewer("ann", competences=["book"])))
    row = opened(database)

    assert None is database.execute(people.claim(row.key, "ann", HOUR, take_over=True))


def test_a_claim_is_no_vote(database: Database) -> None:
    """Who looked before the claim can still decide behind it: the version is the same."""
    row = opened(database)
    database.execute(people.claim(row.key, "ann", HOUR))

    assert database.execute(ledger.vote(row, Ballot("ann", "approve"))) is not None


LADDER = (Rung(HOUR, "lead"), Rung(4 * HOUR, ""))


def test_what_waits_climbs_the_ladder(database: Database) -> None:
    """Each rung once, the highest it has come to; the claim is given up."""
    row = opened(database)
    database.execute(people.claim(row.key, "ann", 9 * HOUR))
    seen = []
    for hours in (0, 2, 2, 5, 9):
        age(database, hours)
        database.execute(people.escalate(LADDER))
        seen.append((look(database, row).level, look(database, row).assigned_to))

    assert [(0, ""), (1, "lead"), (1, "lead"), (2, ""), (2, "")] == seen
    assert None is look(database, row).claimed_by


def test_what_is_decided_climbs_no_more(database: Database) -> None:
    """Nor is anything of another tenant's moved."""
    decided, other = opened(database), opened(database, tenant="other")
    database.execute(ledger.vote(decided, Ballot("ann", "approve")))
    age(database, 9)
    sql = "UPDATE lg_production.reviews SET waiting_since = NULL WHERE state = 'decided'"
    database.execute(Statement(sql, {}, lambda _: None))

    assert [] == database.execute(people.escalate(LADDER, "default"))
    assert [other.key] == [row.key for row in database.execute(people.escalate(LADDER))]


def test_a_sweep_denies_the_overdue_and_tells(database: Database) -> None:
    """One event for each that ended or climbed, without arguments or words in it."""
    ended = opened(database, Verdict("review", expires=timedelta(microseconds=1)))
    waits = opened(database, Verdict("review", expires=9 * HOUR))
    age(database, 2)
    told: list[Event] = []
    changed = drive(people.sweep_steps(LADDER), database, [told.append])

    assert [ended.key, waits.key] == [row.key for row in changed]
    assert ["review.expired", "review.escalated"] == [event.name for event in told]
    assert "ann" not in str(told)
