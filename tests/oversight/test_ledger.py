"""The ledger of reviews, one statement at a time, and several workers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from lg_production import Database
from lg_production.core.steps import Statement, drive
from lg_production.oversight import ledger
from lg_production.oversight.ledger import Ballot
from lg_production.oversight.records import ASKED, Recorded, Routed, Verdict, review_key

NUMBERS = count()


def routed(verdict: Verdict | None = None, **changes: Any) -> Routed:
    """A payment that was routed."""
    key = review_key("default", "thread", "message", f"call-{next(NUMBERS)}")
    row = Routed(
        key, "default", "thread", "pay", "call", {"to": "ann", "amount": 900},
        verdict or Verdict("review", ("amount_over",)), "policy",
    )  # fmt: skip
    return replace(row, **changes)


def opened(database: Database, verdict: Verdict | None = None, **changes: Any) -> Recorded:
    """It, once a person is asked."""
    row = routed(verdict, **changes)
    drive(ledger.freeze([row]), database)
    found = database.execute(ledger.opened(row.key))
    assert found is not None
    return found


def look(database: Database, row: Recorded) -> Recorded:
    return database.execute(ledger.look([row.key]))[0]


def test_the_first_verdict_holds(database: Database) -> None:
    """Whoever routes the call again, and however, reads what was frozen."""
    first = routed(Verdict("review", ("amount_over",), 1, "pay/0.7", 0.25))
    second = replace(first, verdict=Verdict("auto"), policy_hash="other", confidence=0.99)
    (frozen,) = drive(ledger.freeze([first]), database)
    (again,) = drive(ledger.freeze([second]), database)

    assert frozen == again
    assert ("review", ["amount_over"], "pay/0.7", 0.25) == (
        again.verdict, list(again.reasons), again.stratum, again.probability,
    )  # fmt: skip


def test_what_is_shown_is_kept_whole(database: Database) -> None:
    """Any text, number and nesting that JSON has comes back as it was shown."""
    arguments = {"note": "é\x00\ud800'\"\\", "list": [1, 2.5, None, {"a": True}], "big": 2**70}
    row = routed(
        arguments=arguments, confidence=0.5, scores={"a": {"value": 0.5}},
        alternatives=[{"name": "x"}], provenance={"to": "document"}, evidence={"risk": "high"},
    )  # fmt: skip
    (found,) = drive(ledger.freeze([row]), database)

    assert arguments == found.arguments
    assert row.digest == found.digest
    assert (row.scores, row.alternatives, row.provenance, row.evidence) == (
        found.scores, found.alternatives, found.provenance, found.evidence,
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": {"to": "eve"}}, {"policy_hash": "other"}, {"evidence": {"risk": "low"}},
        {"confidence": 0.25}, {"provenance": {"to": "document"}}, {"alternatives": [{"name": "x"}]},
    ],
)  # fmt: skip
def test_the_digest_is_of_all_that_a_person_is_shown(change: dict[str, Any]) -> None:
    """An approval of one picture is none of another."""
    row = routed(confidence=0.5)

    assert row.digest == replace(row, confidence=0.5).digest
    assert row.digest != replace(row, **change).digest


def test_many_are_frozen_at_once_in_their_order(database: Database) -> None:
    """Known and new, twice the same: each is answered in its place."""
    rows = [routed(arguments={"n": n}) for n in range(5)]
    drive(ledger.freeze(rows[1:3]), database)
    found = drive(ledger.freeze([*rows, rows[0]]), database)

    assert [r.key for r in [*rows, rows[0]]] == [f.key for f in found]
    assert [0, 1, 2, 3, 4, 0] == [f.arguments["n"] for f in found]


def test_workers_that_route_one_call_read_one_verdict(database: Database) -> None:
    """Sixteen at the same time, each with its own opinion."""
    row = routed()
    rows = [replace(row, policy_hash=str(n)) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        found = [*pool.map(lambda r: drive(ledger.freeze([r]), database)[0], rows)]

    assert 1 == len({f.policy_hash for f in found})


@pytest.mark.parametrize("verdict", ["auto", "sample", "review", "two_person", "deny"])
def test_only_what_is_asked_waits(database: Database, verdict: Any) -> None:
    """auto runs and deny does not; the others wait, and run when they are approved."""
    (row,) = drive(ledger.freeze([routed(Verdict(verdict))]), database)

    assert (verdict in ASKED, verdict == "auto") == (row.waits, row.runs)


def test_the_deadline_is_set_when_it_is_asked(database: Database) -> None:
    """Once: asking again does not move it."""
    row = opened(database, Verdict("review", expires=timedelta(hours=1)))
    again = database.execute(ledger.opened(row.key))

    assert again is not None
    assert row.opened_at is not None
    assert row.expires_at is not None
    assert timedelta(hours=1) == row.expires_at - row.opened_at
    assert row == again


def test_one_vote_of_many_wins(database: Database) -> None:
    """Compare-and-set on the version: one of sixteen, and one row of those that counted."""
    row = opened(database)
    ballots = [Ballot(f"r{n}", "approve" if n % 2 else "reject") for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = [*pool.map(lambda b: database.execute(ledger.vote(row, b)), ballots)]

    found = look(database, row)
    assert 1 == len([w for w in won if w is not None])
    assert [found] == [w for w in won if w is not None]
    assert 1 == database.execute(Statement(COUNT, {}, lambda rows: rows[0][0]))


COUNT = "SELECT count(*)::int FROM lg_production.review_votes WHERE counted"


def test_a_vote_on_what_has_changed_does_not_count(database: Database) -> None:
    """It was shown at a version that is gone."""
    row = opened(database, Verdict("two_person", quorum=2))
    database.execute(ledger.vote(row, Ballot("ann", "approve")))

    assert None is database.execute(ledger.vote(row, Ballot("bob", "approve")))
    assert ["ann"] == list(look(database, row).voters)


def test_a_quorum_of_three_takes_three(database: Database) -> None:
    """Each counts once, and the third decides."""
    row = opened(database, Verdict("two_person", quorum=3))
    states = []
    for name in ("ann", "bob", "cat"):
        voted = database.execute(ledger.vote(look(database, row), Ballot(name, "approve")))
        assert voted is not None
        states.append(voted.state)

    assert ["open", "open", "decided"] == states
    assert ["ann", "bob", "cat"] == list(look(database, row).decided_by)


def test_an_edit_is_a_new_proposal(database: Database) -> None:
    """Earlier agreement was to something else: a round of its own, another digest."""
    row = opened(database, Verdict("two_person", quorum=2))
    database.execute(ledger.vote(row, Ballot("ann", "approve")))
    edit = Ballot("bob", "edit", arguments={"to": "ann", "amount": 1})
    edited = database.execute(ledger.vote(look(database, row), edit))

    assert edited is not None
    assert (["bob"], 2, "open") == (list(edited.voters), edited.round, edited.state)
    assert {"to": "ann", "amount": 1} == edited.proposed
    assert row.digest != edited.digest


def test_nothing_is_decided_behind_the_deadline(database: Database) -> None:
    """The database's clock says so, and what is overdue expires once."""
    row = opened(database, Verdict("review", expires=timedelta(microseconds=1)))
    voted = database.execute(ledger.vote(row, Ballot("ann", "approve")))
    ended = [database.execute(ledger.expire()), database.execute(ledger.expire(row.key))]

    assert None is voted
    assert [[row.key], []] == [[r.key for r in rows] for rows in ended]
    assert ("expired", False, False) == (
        look(database, row).state, look(database, row).waits, look(database, row).runs,
    )  # fmt: skip


def test_what_never_expires_waits(database: Database) -> None:
    """Without a deadline it is open until somebody decides."""
    row = opened(database)

    assert [] == database.execute(ledger.expire())
    assert look(database, row).waits


def test_a_canary_never_runs(database: Database) -> None:
    """Whoever approves it: that is what it is for."""
    row = opened(database, canary=True)
    voted = database.execute(ledger.vote(row, Ballot("ann", "approve")))

    assert voted is not None
    assert ("decided", "approve", False) == (voted.state, voted.outcome, voted.runs)


def test_other_arguments_are_decided_anew(database: Database) -> None:
    """What was approved counts no more, and who is slower changes nothing."""
    row = opened(database)
    voted = database.execute(ledger.vote(row, Ballot("ann", "approve")))
    assert voted is not None
    other = replace(routed(), key=row.key, arguments={"to": "eve", "amount": 9})
    anew = database.execute(ledger.restate(voted, other))
    late = database.execute(ledger.restate(voted, replace(other, arguments={})))

    assert anew is not None
    assert ("routed", None, [], 2) == (anew.state, anew.outcome, list(anew.voters), anew.round)
    assert {"to": "eve", "amount": 9} == anew.proposed
    assert None is late


def test_the_time_to_decide_begins_when_it_is_shown(database: Database) -> None:
    """Seconds, by the database's clock; of the second vote since the first."""
    row = opened(database, Verdict("two_person", quorum=2))
    aged = "UPDATE lg_production.reviews SET shown_at = now() - interval '1 hour'"
    database.execute(Statement(aged, {}, lambda _: None))
    database.execute(ledger.vote(row, Ballot("ann", "approve")))
    database.execute(ledger.vote(look(database, row), Ballot("bob", "approve")))
    seconds = database.execute(Statement(SECONDS, {}, lambda rows: [r[0] for r in rows]))

    assert [60, 0] == [round(s / 60) for s in seconds]


SECONDS = "SELECT seconds FROM lg_production.review_votes ORDER BY voted_at"


@pytest.mark.parametrize("name", ["tenant", "thread", "message", "call"])
def test_a_key_is_of_tenant_thread_message_and_call(name: str) -> None:
    """And of nothing else: they survive crash, retry, resume, time travel and fork."""
    parts = {"tenant": "t", "thread": "h", "message": "m", "call": "c"}

    assert review_key(*parts.values()) == review_key(*parts.values())
    assert review_key(*parts.values()) != review_key(*{**parts, name: "x"}.values())
