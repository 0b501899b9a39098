"""Canaries stand among the real cases, and nothing ever comes of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import RFC_4122, UUID

import pytest

from lg_production import Database
from lg_production.core.keys import digest
from lg_production.core.steps import Statement, drive
from lg_production.oversight import ledger, queries
from lg_production.oversight.canaries import Canary, beside, seed_steps, shaped
from lg_production.oversight.ledger import Ballot
from lg_production.oversight.records import Recorded
from lg_production.oversight.routing import SECRET
from tests.graphs_for_tests import call
from tests.oversight.review_for_tests import APPROVE, Office, messages

WRONG = Canary("pay", {"to": "mallory", "amount": 90_000}, {"amount": "90000"})


def office(database: Database, number: int = 0) -> Office:
    """A payment that waits, in a thread of its own."""
    opened = Office(database, call("pay", f"c{number}", to="ann", amount=900))
    opened.start()
    return opened


def seeded(database: Database, rate: float = 1.0, **options: Any) -> list[Recorded]:
    return drive(seed_steps([WRONG], rate, **options), database)


def waiting(database: Database) -> list[Recorded]:
    return database.execute(queries.listed(None, None, None, 1000))


def test_a_canary_stands_beside_a_real_case(database: Database) -> None:
    """It looks like its neighbour in everything but what is asked for."""
    real = office(database).row()

    (canary,) = seeded(database)

    assert (real.tool, real.agent, real.reasons, real.verdict) == (
        canary.tool, canary.agent, canary.reasons, canary.verdict,
    )  # fmt: skip
    assert {"to": "mallory", "amount": 90_000} == canary.arguments
    assert "90000" == canary.evidence["amount"]
    assert {real.key, canary.key} == {row.key for row in waiting(database)}


def test_a_case_gets_its_canary_once(database: Database) -> None:
    """Whoever seeds again, and whoever seeds after it was decided, plants nothing."""
    office(database)
    (canary,) = seeded(database)

    again = seeded(database)
    database.execute(ledger.vote(canary, Ballot("ann", "reject")))

    assert ([], []) == (again, seeded(database))


def test_a_canary_whose_planter_died_is_planted_by_the_next(database: Database) -> None:
    """Recorded, and not yet among the waiting."""
    real = office(database).row()
    drive(
        ledger.freeze(
            [beside(real, WRONG, digest("canaries", database.execute(SECRET).hex()), real)]
        ),
        database,
    )

    (canary,) = seeded(database)

    assert ("open", True) == (canary.state, canary.canary)


def test_its_ids_have_the_shape_of_its_neighbours() -> None:
    """Other digits for digits, other letters for letters; a prefix stays."""
    assert "call_" == shaped("call_ab12", b"noise")[:5]
    assert re.fullmatch(r"call_[a-f]{2}\d{2}", shaped("call_ab12", b"noise"))
    assert re.fullmatch(r"\d{3}-[a-z]{3}", shaped("123-xyz", b"noise"))


def test_an_id_that_is_a_uuid_stays_one() -> None:
    """Digits that no UUID has at their place would give it away."""
    for version in (1, 4):
        shape = f"0b5f9d6e-1c2d-{version}a3b-9c4d-0123456789ab"

        told = UUID(shaped(shape, b"0123456789abcdef"))

        assert (version, RFC_4122) == (told.version, told.variant)
        assert shape != str(told)


def test_a_case_that_was_escalated_gets_none(database: Database) -> None:
    """Its canary would begin at the foot of the ladder, assigned to somebody higher up."""
    row = office(database).row()
    params = {"key": row.key}
    database.execute(Statement(ESCALATE, params, lambda _: None))

    assert [] == seeded(database)


ESCALATE = "UPDATE lg_production.reviews SET level = 1 WHERE key = %(key)s"


def test_what_else_the_agent_considered_is_not_the_neighbours(database: Database) -> None:
    """The neighbour's alternatives name what the canary should have been."""
    real = replace(office(database).row(), alternatives=({"name": "pay"},), confidence=0.5)
    other = replace(real, confidence=0.75)

    canary = beside(real, WRONG, b"secret", other)

    assert ((), 0.75) == (canary.alternatives, canary.confidence)


@pytest.mark.parametrize(
    ("arguments", "counts_as"),
    [({"to": "mallory", "amount": 90_000}, "approve"), ({"to": "ann", "amount": 900}, "edit")],
)
def test_an_edit_that_changes_nothing_has_missed_it(
    database: Database, arguments: dict[str, Any], counts_as: str
) -> None:
    """Whoever agrees to the wrong arguments has not seen that they are wrong."""
    office(database)
    (canary,) = seeded(database)
    database.execute(ledger.vote(canary, Ballot("ann", "edit", arguments=arguments)))

    (vote,) = database.execute(queries.decided(WEEK))

    assert counts_as == vote.action


def test_a_share_of_the_cases_gets_one(database: Database) -> None:
    """About the rate, by a keyed hash: the same cases at every try, more of them at a higher."""
    for number in range(24):
        office(database, number)

    few, more, all_of_them = (seeded(database, rate) for rate in (0.3, 0.7, 1.0))

    assert 24 == len(few) + len(more) + len(all_of_them)
    assert all([few, more, all_of_them])


def test_tools_without_a_canary_get_none(database: Database) -> None:
    """Only a call of the same tool looks like its neighbour."""
    office(database)

    assert [] == drive(seed_steps([Canary("wipe", {"table": "users"})], 1.0), database)


def test_an_approved_canary_never_runs(database: Database) -> None:
    """Even a call that comes under the canary's own key is refused, whatever people said."""
    real = office(database)
    row = real.row()
    (canary,) = seeded(database)
    database.execute(ledger.vote(canary, Ballot("ann", "approve")))
    (approved,) = database.execute(ledger.look([canary.key]))
    for sql in TAKE_ITS_PLACE:
        params = {"real": row.key, "canary": canary.key, "a": json.dumps(row.arguments)}
        database.execute(Statement(sql, params, lambda _: None))

    ended = real.run(None)

    assert ("approve", False) == (approved.outcome, approved.runs)
    assert [] == real.bank.paid
    assert "error" == messages(ended)[-1][0]


TAKE_ITS_PLACE = (
    "DELETE FROM lg_production.reviews WHERE key = %(real)s",
    "UPDATE lg_production.reviews SET key = %(real)s, arguments = %(a)s WHERE key = %(canary)s",
)


def test_the_real_case_is_decided_as_ever(database: Database) -> None:
    """A canary beside it changes nothing for the call that waits."""
    real = office(database)
    seeded(database)

    real.resume(APPROVE, by="ann")

    assert [("ann", 900)] == real.bank.paid


def test_a_canary_is_no_label_and_no_case(database: Database) -> None:
    """What people say about it is about them, not about the agent."""
    office(database)
    (canary,) = seeded(database)
    database.execute(ledger.vote(canary, Ballot("ann", "approve")))
    now = database.execute(queries.now())

    (vote,) = database.execute(queries.decided(WEEK))

    assert (True, "approve") == (vote.canary, vote.action)
    assert [] == database.execute(queries.labels(now - WEEK, now))
    assert 1 == len(database.execute(queries.cases(WEEK)))
    assert not database.execute(queries.report(canary.key, "it ran", "ann"))


def test_a_rate_that_is_none_is_refused(database: Database) -> None:
    """A share is from 0 to 1."""
    with pytest.raises(ValueError, match="share"):
        seeded(database, 5)


def test_two_people_are_asked_where_the_neighbour_needs_two(database: Database) -> None:
    """Otherwise the number of people would give it away."""
    big = Office(database, call("pay", "c1", to="ann", amount=20_000))
    big.start()

    canary = beside(big.row(), WRONG, b"secret", big.row())

    assert ("two_person", 2) == (canary.verdict.verdict, canary.verdict.quorum)


WEEK = timedelta(days=7)
