"""`lg-production reviews`, as a reviewer types it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from lg_production import Database
from lg_production.cli import app
from lg_production.core.steps import Statement

from .graphs_for_tests import call
from .oversight.review_for_tests import Office, messages, overdue

CANARY = (
    '{"tool": "pay", "arguments": {"to": "mallory", "amount": 90000}, '
    '"evidence": {"amount": "90000"}}\n\n'
)


class Desk:
    """Runs commands against one database, in which one payment waits."""

    def __init__(self, database: Database, amount: int = 900) -> None:
        self.database = database
        self.office = Office(database, call("pay", "c1", to="ann", amount=amount))
        self.office.start()
        self.key = self.office.row().key.hex()

    def types(self, *words: str) -> Any:
        return CliRunner().invoke(app, ["--database-url", self.database.url, "reviews", *words])

    def decides(self, command: str, *words: str, version: int = 1, by: str = "ann") -> Any:
        return self.types(command, self.key[:12], *words, "--version", str(version), "--by", by)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_what_waits_is_listed_and_shown(desk: Desk) -> None:
    """A table for people, JSON for programs, and the case whole."""
    listed = desk.types("list")
    (row,) = [json.loads(line) for line in desk.types("list", "--json").stdout.splitlines()]
    shown = json.loads(desk.types("show", desk.key[:10], "--json").stdout)

    assert desk.key[:12] in listed.stdout
    assert {"to": "ann", "amount": 900} == row["arguments"] == shown["arguments"]
    assert "canary" not in row
    assert [] == shown["votes"]
    assert "amount_over" in desk.types("show", desk.key).stdout


def test_what_is_decided_here_holds_in_the_run(desk: Desk) -> None:
    """Approved at the command line: the thread goes on without an answer, and pays."""
    typed = desk.decides("approve")
    desk.office.run(None)

    assert "Resume its thread" in typed.stdout
    assert [("ann", 900)] == desk.office.bank.paid
    assert "No reviews." in desk.types("list").stdout
    assert "approve by ann" in desk.types("show", desk.key).stdout


def test_an_edit_runs_as_edited(desk: Desk) -> None:
    """All the arguments, as JSON."""
    desk.decides("edit", '{"to": "bob", "amount": "7"}')
    desk.office.run(None)

    assert [("bob", 7)] == desk.office.bank.paid


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reject", "--message", "no"], "pay was not carried out: ann rejected it. no."),
        (["respond", "--message", "paid by hand"], "paid by hand"),
    ],
)
def test_the_model_is_told(desk: Desk, words: list[str], said: str) -> None:
    """A rejection and an answer instead of the tool."""
    desk.decides(*words)

    assert said == messages(desk.office.run(None))[0][1]
    assert [] == desk.office.bank.paid


def test_who_is_late_is_told_who_was_not(desk: Desk) -> None:
    """It changes nothing, and is kept."""
    desk.decides("reject")
    typed = desk.decides("approve", version=2, by="bob")
    shown = desk.types("show", desk.key).stdout

    assert 2 == typed.exit_code
    assert "too late: it is reject by ann" in " ".join(typed.output.replace("│", "").split())
    assert "approve by bob (too late)" in shown


def test_two_people_decide(database: Database) -> None:
    """The first is told that it takes another, and cannot be that other."""
    desk = Desk(database, 20_000)
    first = desk.decides("approve")
    again = desk.decides("approve", version=2)
    second = desk.decides("approve", version=2, by="bob")

    assert "1 more must agree" in first.stdout
    assert "this one has agreed already" in " ".join(again.output.replace("│", "").split())
    assert "approve by ann, bob" in second.stdout


def test_a_claim_keeps_others_away(desk: Desk) -> None:
    """Until it is taken over."""
    claimed = desk.types("claim", desk.key, "--by", "ann")
    others = [desk.types("claim", desk.key, "--by", "bob").exit_code,
              desk.decides("approve", by="bob").exit_code]  # fmt: skip
    taken = desk.types("claim", desk.key, "--by", "bob", "--take-over")

    assert "claimed until" in claimed.stdout
    assert [2, 2] == others
    assert 0 == taken.exit_code
    assert 0 == desk.decides("approve", by="bob").exit_code


def test_what_is_overdue_is_denied_by_the_list(desk: Desk) -> None:
    """Who looks at the queue sees what is true."""
    overdue(desk.database)
    waiting, expired = desk.types("list"), desk.types("list", "--state", "expired")

    assert "No reviews." in waiting.stdout
    assert desk.key[:12] in expired.stdout


def test_a_stop_stands_until_it_is_lifted(desk: Desk) -> None:
    """Pressed, seen, lifted once."""
    pressed = desk.types("stop", "agent:booking", "--reason", "odd", "--by", "ann")
    stats = json.loads(desk.types("stats", "--json").stdout)
    lifted = [desk.types("lift", "agent:booking").exit_code for _ in range(2)]

    assert "agent:booking is stopped" in pressed.stdout
    assert ["agent:booking"] == [stop["scope"] for stop in stats["stops"]]
    assert [0, 2] == lifted


def test_the_numbers_are_shown(desk: Desk) -> None:
    """The queue, and how each reviewer decides."""
    desk.decides("approve")
    told = json.loads(desk.types("stats", "--json").stdout)
    shown = desk.types("stats").stdout

    assert (1, 0) == (told["queue"]["routed"], told["queue"]["waiting"])
    assert [("ann", "pay", 1)] == [(h["reviewer"], h["tool"], h["n"]) for h in told["habits"]]
    assert "1 routed, 100% to people" in shown
    assert "ann" in shown


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--state", "unknown"], ["show", "zz"], ["show", "00"],
        ["stop", "everything", "--reason", "x"], ["stop", "all", "--reason", " "],
        ["lift", "everything"],
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(desk: Desk, words: list[str]) -> None:
    """Before anything is changed."""
    assert 2 == desk.types(*words).exit_code


@pytest.mark.parametrize(
    "words",
    [["edit", "[]"], ["edit", "{"], ["respond", "--message", " "], ["approve", "--message", "x"]],
)
def test_a_decision_that_makes_no_sense_is_refused(desk: Desk, words: list[str]) -> None:
    """The case stays open."""
    assert 2 == desk.decides(*words).exit_code
    assert desk.office.row().waits


def test_what_has_changed_is_looked_at_again(desk: Desk) -> None:
    """A version that nobody sees any more is not decided about."""
    sql = "UPDATE lg_production.reviews SET version = 7"
    desk.database.execute(Statement(sql, {}, lambda _: None))

    assert 2 == desk.decides("approve").exit_code
    assert desk.office.row().waits


def test_canaries_are_put_among_the_rest_and_told_of_afterwards(desk: Desk, tmp_path: Any) -> None:
    """In the list they are like any case; whoever approves one is told, and it is counted."""
    file = tmp_path / "canaries.jsonl"
    file.write_text(CANARY)
    seeded = desk.types("seed", str(file), "--rate", "1")
    rows = [json.loads(line) for line in desk.types("list", "--json").stdout.splitlines()]
    (canary,) = [row for row in rows if row["arguments"]["to"] == "mallory"]
    (real,) = [row for row in rows if row["arguments"]["to"] == "ann"]

    approved = desk.types("approve", canary["key"][:12], "--version", "1", "--by", "bo")
    told = json.loads(desk.types("stats", "--json").stdout)

    assert "1 canaries wait" in seeded.stdout
    assert canary.keys() == real.keys()
    assert canary["reasons"] == real["reasons"]
    assert "You missed it" in approved.stdout
    assert "known to be wrong" in desk.types("show", canary["key"][:12]).stdout
    assert [1] == [habit["missed"] for habit in told["habits"]]
    refused = desk.types("incident", canary["key"][:12], "--note", "x")
    same = desk.types("incident", real["key"][:12], "--note", "x")
    assert (refused.exit_code, refused.output) == (same.exit_code, same.output)
    assert refused.exit_code


def test_a_file_of_canaries_that_is_none_is_refused(desk: Desk, tmp_path: Any) -> None:
    """With the number of the line."""
    file = tmp_path / "canaries.jsonl"
    file.write_text('{"tool": "pay", "arguments": {}}\n{"tool": "pay"}\n')

    refused = desk.types("seed", str(file))

    assert refused.exit_code
    assert "line 2" in refused.output


def test_nothing_can_have_come_of_what_was_rejected(desk: Desk) -> None:
    """An incident is of a call that people let run."""
    desk.decides("reject")

    refused = desk.types("incident", desk.key[:12], "--note", "paid the wrong Ann")

    assert refused.exit_code
    assert "what then ran" in refused.output


def test_what_went_wrong_after_all_is_counted(desk: Desk) -> None:
    """An incident after approval is reported, and shows in the numbers."""
    refused = desk.types("incident", desk.key[:12], "--note", "not even decided")
    desk.decides("approve")
    noted = desk.types("incident", desk.key[:12], "--note", "paid the wrong Ann", "--by", "cy")
    told = json.loads(desk.types("stats", "--json").stdout)

    assert refused.exit_code
    assert "noted for pay" in noted.stdout
    assert (1.0, 1) == (told["queue"]["incidents"]["value"], told["queue"]["incidents"]["n"])
    assert "100% went wrong" in desk.types("stats").stdout
