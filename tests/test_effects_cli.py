"""`lg-production effects`, as an operator types it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.tools import tool
from typer.testing import CliRunner

from lg_production import IdempotentToolNode
from lg_production.cli import app
from lg_production.idempotency import maintenance
from tests.graphs_for_tests import ASK, call, thread
from tests.idempotency.test_tool import answers, compiled


class Operator:
    """Runs commands against one database, with one effect in doubt."""

    def __init__(self, database: Any) -> None:
        @tool
        def book(flight: str) -> str:
            """Book a flight."""
            raise TimeoutError

        self.database = database
        self.graph = compiled(
            database, IdempotentToolNode([book], database), call("book", flight="LIS")
        )
        self.config = thread()
        self.graph.invoke(ASK, self.config)
        (self.entry,) = database.execute(maintenance.entries(state="in_doubt"))
        self.key = self.entry.effect.key.hex()[:12]
        self.version = str(self.entry.effect.version)

    def types(self, *words: str) -> Any:
        return CliRunner().invoke(app, ["--database-url", self.database.url, "effects", *words])

    def resolves(self, *words: str) -> Any:
        return self.types("resolve", self.key, *words)


@pytest.fixture
def operator(database) -> Operator:
    return Operator(database)


def test_what_is_in_doubt_is_listed_and_shown(operator):
    """A table for people, JSON for programs, and everything about one effect."""
    listed = operator.types("list", "--state", "in_doubt")
    as_json = json.loads(operator.types("list", "--json").stdout)
    shown = operator.types("show", operator.key)

    assert operator.key in listed.stdout
    assert ("in_doubt", {"flight": "LIS"}) == (as_json["state"], as_json["arguments"])
    assert "TimeoutError" in shown.stdout


def test_a_resolution_holds_at_the_next_resume(operator):
    """respond: the agent goes on with the operator's word, and the decision is kept."""
    done = operator.resolves(
        "respond", "--message", "seat 3", "--version", operator.version, "--reason", "looked it up",
        "--by", "ann",
    )  # fmt: skip
    state = operator.graph.invoke(None, operator.config)

    assert 0 == done.exit_code
    assert ["seat 3"] == answers(state)
    assert "looked it up" in operator.types("show", operator.key).stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["approve", "--version", "1", "--reason", "r"], "at version"),
        (["maybe", "--version", "2", "--reason", "r"], "maybe"),
        (["respond", "--version", "2", "--reason", "r"], "--message"),
        (["approve", "--version", "2", "--reason", " "], "--reason"),
        (["approve", "--version", "2"], "--reason"),
    ],
)
def test_a_decision_needs_the_version_seen_and_a_reason(operator, words, problem):
    """Anything less is refused, and the effect stays in doubt."""
    refused = operator.resolves(*words)

    assert 2 == refused.exit_code
    assert problem in refused.output.replace("\n", " ")
    assert 1 == len(operator.database.execute(maintenance.entries(state="in_doubt")))


@pytest.mark.parametrize("key", ["zz", "0000", ""])
def test_a_key_that_names_nothing_is_refused(operator, key):
    """Not hexadecimal, unknown, empty."""
    assert 2 == operator.types("show", key).exit_code


def test_pruning_never_touches_what_is_in_doubt(operator):
    """Even at an age of nothing."""
    pruned = operator.types("prune", "--older-than-days", "0")

    assert "0 effects pruned" in pruned.stdout
    assert 2 == operator.types("prune", "--older-than-days", "1e12").exit_code
    assert 1 == len(operator.database.execute(maintenance.entries()))
