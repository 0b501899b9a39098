"""`lg-production budgets`, as whoever pays types it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from lg_production import BreakerPolicy, Database, ModelBreaker, wrapped_model
from lg_production.cli import app
from lg_production.core.steps import Statement, drive
from lg_production.cost.budget import Budget, Exhausted
from lg_production.cost.decisions import Place, decide
from lg_production.cost.policy import MOST, BudgetPolicy, Limit

from .cost.models_for_tests import model


class Payer:
    """Runs commands against one database, where user ada has used all of her 100 tokens."""

    def __init__(self, database: Database) -> None:
        self.database = database
        limits = (
            Limit(scope="user", per="month", total_tokens=100), Limit(scope="thread", steps=5),
        )  # fmt: skip
        self.budget = Budget(database, BudgetPolicy(limits=limits))
        self.who = self.budget.who({"configurable": {"thread_id": "t1", "user_id": "ada"}})
        self.spends(b"1", 100)

    def spends(self, key: bytes, tokens: int) -> None:
        held = self.budget.reserve(key, self.who, {"total_tokens": tokens, "steps": 1})
        self.budget.settle(held, {"total_tokens": tokens, "steps": 1})

    def types(self, *words: str) -> Any:
        return CliRunner().invoke(app, ["--database-url", self.database.url, "budgets", *words])


@pytest.fixture
def payer(database: Database) -> Payer:
    return Payer(database)


def test_budgets_are_listed_and_shown(payer: Payer) -> None:
    """A table for people, JSON for programs, and the calls that spent from one."""
    listed = payer.types("list")
    rows = [json.loads(line) for line in payer.types("list", "--json").stdout.splitlines()]
    shown = json.loads(payer.types("show", "user:ada", "--json").stdout)

    assert "user:ada" in listed.stdout
    assert "100%" in listed.stdout
    assert {("user:ada", 100, 100), ("thread:t1", 1, 5)} == {
        (row["scope"], row["used"], row["limit"]) for row in rows
    }
    assert [("settled", "t1")] == [(call["state"], call["thread_id"]) for call in shown["calls"]]


def test_a_budget_that_is_extended_lets_more_through(payer: Payer) -> None:
    """Who extended it, by how much and why is kept and shown."""
    with pytest.raises(Exhausted):
        payer.spends(b"2", 50)

    extended = payer.types("extend", "user:ada", "total_tokens", "50", "--reason", "deadline",
                           "--by", "finance")  # fmt: skip
    payer.spends(b"2", 50)

    assert "150" in extended.stdout
    assert "50 by finance: deadline" in payer.types("show", "user:ada").stdout


def test_a_limit_that_is_set_holds_whatever_the_code_says(payer: Payer) -> None:
    """An operator's limit is not undone by the next call's policy."""
    payer.types("set", "thread:t1", "steps", "1", "--reason", "runaway")

    with pytest.raises(Exhausted, match="1 of 1 used"):
        payer.spends(b"2", 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "user:bob"), "no budget"),
        (("extend", "user:ada", "tokens", "5", "--reason", "x"), "is not one of"),
        (
            ("extend", "user:ada", "total_tokens", "-5", "--reason", "x"),
            "greater than or equal to 0",
        ),
        (("set", "user:ada", "total_tokens", "-5", "--reason", "x"), "greater than or equal to 0"),
        (("extend", "user:ada", "total_tokens", "5"), "reason"),
        (("extend", "user:ada", "total_tokens", "5", "--reason", " "), "why"),
        (("set", "team:x", "steps", "5", "--reason", "x"), "made by its first"),
        (("set", "user:ada", "total_tokens", str(10**16), "--reason", "x"), "1000000000000000"),
        (("prune",), "--older-than-days"),
        (("prune", "--older-than-days", "1e12"), "less than or equal to 100000"),
        (("prune", "--older-than-days", "nan"), "less than or equal to 100000"),
        (("extend", "user:ada", "total_tokens", "5", "--reason", "x", "--period", "day"), "month"),
        (("extend", "[red]x[/bold]", "total_tokens", "5", "--reason", "x"), "[red]x[/bold]"),
    ],
)
def test_what_cannot_be_meant_is_refused(payer: Payer, words: tuple[str, ...], told: str) -> None:
    """With a usage error that says what to write."""
    refused = payer.types(*words)

    assert 2 == refused.exit_code
    assert told in " ".join(refused.output.replace("│", " ").split())


def test_pruning_forgets_closed_calls_and_nothing_that_counts(payer: Payer) -> None:
    """What is used in a period that is not over stays used."""
    pruned = payer.types("prune", "--older-than-days", "0")

    assert "1 calls and 0 past periods" in pruned.stdout
    with pytest.raises(Exhausted):
        payer.spends(b"2", 1)


def test_pruning_forgets_a_period_once_it_is_over(payer: Payer) -> None:
    """By its own calendar, not by the age of its row."""
    over = (
        "UPDATE lg_production.budgets SET period = 'month ' || "
        "to_char(now() - interval '1 month 10 days', 'YYYY-MM-DD\"T\"HH24') || "
        "' Asia/Tokyo' WHERE period <> ''"
    )
    payer.database.execute(Statement(over, {}, lambda _: None))

    kept = payer.types("prune", "--older-than-days", "30")
    forgotten = payer.types("prune", "--older-than-days", "1")

    assert "0 past periods" in kept.stdout
    assert "1 past periods" in forgotten.stdout


def test_any_id_can_be_listed_and_shown(payer: Payer) -> None:
    """An id that looks like markup is an id."""
    odd = payer.budget.who({"configurable": {"thread_id": "[red]x[/bold]", "user_id": "ada"}})
    payer.budget.reserve(b"odd", odd, {"steps": 1})

    listed = payer.types("list", "--scope", "thread:[red]")
    shown = payer.types("show", "thread:[red]x[%2Fbold]")

    assert "thread:[red]x[" in listed.stdout
    assert (0, True) == (shown.exit_code, "[red]" in shown.stdout)


def test_whatever_a_call_and_a_decision_are_named_is_shown(payer: Payer) -> None:
    """Nodes, models and people may write brackets."""
    config = {"configurable": {"thread_id": "t1", "user_id": "ada"}}
    who = payer.budget.who(config, {"langgraph_node": "[/b]node"})
    steps = payer.budget.reserve_steps(b"m", who, {"steps": 1}, requested="[/i]model")
    drive(steps, payer.database)
    payer.types("extend", "thread:t1", "steps", "5", "--reason", "[/u]why", "--by", "[/s]who")

    shown = payer.types("show", "thread:t1")

    assert 0 == shown.exit_code
    assert 4 == sum(word in shown.stdout for word in ("[/b]no", "[/i]mo", "[/u]why", "[/s]who"))


def test_a_lasting_budget_beside_a_monthly_one_can_be_named(payer: Payer) -> None:
    """Of several periods one must be named, and for ever has a name."""
    both = BudgetPolicy(limits=(Limit(scope="user", total_tokens=500),))
    other = Budget(payer.database, both)
    other.reserve(b"l", other.who({"configurable": {"user_id": "ada", "thread_id": "t"}}),
                  {"total_tokens": 1})  # fmt: skip
    command = ("extend", "user:ada", "total_tokens", "7", "--reason", "x")

    unclear = payer.types(*command)
    named = payer.types(*command, "--period", "ever")
    empty = payer.types(*command, "--period", "")

    assert "2 budgets match" in unclear.output
    assert "the limit is 507 now" in named.stdout
    assert "the limit is 514 now" in empty.stdout


def test_a_limit_has_an_end(payer: Payer) -> None:
    """An extension over what can be counted changes nothing, and says so."""
    refused = payer.types("extend", "user:ada", "total_tokens", str(10**15), "--reason", "x")

    assert (2, True) == (refused.exit_code, "at most" in refused.output)
    with pytest.raises(Exhausted):
        payer.spends(b"2", 1)


def extension(amount: int, key: bytes) -> Statement[Any]:
    place = Place("default", "thread:t1", "", "steps")
    return decide(place, "extend", amount, key=key, decided_by="a", reason="b")


def test_extensions_at_once_do_not_pass_the_end_together(payer: Payer) -> None:
    """Whoever waits for another's decision is judged by what that one left."""
    waits: Statement[bool] = Statement(
        "SELECT count(*) > 0 FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()",
        {}, lambda rows: rows[0][0],
    )  # fmt: skip
    with ThreadPoolExecutor(1) as other:
        with payer.database.transaction() as transaction:
            first = transaction.execute(extension(MOST // 2, b"1"))
            second = other.submit(payer.database.execute, extension(MOST // 2, b"2"))
            while not payer.database.execute(waits):
                time.sleep(0.01)

    assert ((MOST // 2 + 5, True), (MOST // 2 + 5, False)) == (first, second.result())


def test_a_decision_whose_answer_was_lost_is_not_a_refusal(payer: Payer) -> None:
    """Sent again it changes nothing, and is told as made: only what would not fit is refused."""
    once, again = (payer.database.execute(extension(MOST - 5, b"1")) for _ in range(2))
    other = payer.database.execute(extension(1, b"2"))

    assert ((MOST, True), (MOST, True), (MOST, False)) == (once, again, other)


def test_circuits_are_listed(database: Database) -> None:
    """What is left alone, and for how long."""
    breaker = ModelBreaker(database, BreakerPolicy(minimum_calls=1, lag=timedelta(0)), name="big")
    with pytest.raises(ConnectionError):
        wrapped_model(model(fails=[ConnectionError()]), breaker).invoke("x")
    words = ["--database-url", database.url, "circuits"]

    table = CliRunner().invoke(app, words)
    listed = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)

    assert "model:big" in table.stdout
    assert ("model:big", "open", 1) == (listed["dependency"], listed["state"], listed["failures"])
