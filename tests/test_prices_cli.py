"""`lg-production prices`, as an operator types it: without any database."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from lg_production.cli import app
from lg_production.cost.prices import PriceBook, table_hash


def types(*words: str) -> Any:
    return CliRunner().invoke(app, ["prices", *words])


def told(*words: str) -> dict[str, Any]:
    return json.loads(types(*words, "--json").stdout)


def test_the_table_is_named_with_its_hash_and_age():
    """What stands on every settled row can be found again."""
    about = told()

    assert ("genai-prices", "0.2.3") == (about["table"], about["version"])
    assert (table_hash(), PriceBook().version) == (about["sha256"], about["recorded_as"])
    assert about["providers"] > 40
    assert about["models"] > 2000
    assert about["days_since"] >= 0
    assert PriceBook().version in types().stdout


def test_a_model_is_shown_with_its_prices():
    """In USD for a million tokens, cache and tiers told apart."""
    sonnet = told("claude-sonnet-4-5-20250929", "--provider", "anthropic")
    gemini = told("gemini-2.5-pro")

    assert ("3, 6 above 200,000", "0.3, 0.6 above 200,000") == (
        sonnet["input"],
        sonnet["cache_read"],
    )
    assert "above 200,000" in gemini["input"]


def test_an_unknown_model_says_how_to_declare_it():
    """Exit code 1, and the line to write."""
    done = types("nobody-knows-me")

    assert 1 == done.exit_code
    assert "There is no price for this model" in done.stderr.replace("\n", " ")
    assert 'declared={"nobody-knows-me"' in done.stderr.replace("\n", " ")


def test_declared_prices_are_read_from_a_file(tmp_path):
    """And a file that is wrong is refused with its reason."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"models": {"mine": {"input": "0.150", "output": 10}}}')
    bad.write_text('{"currency": "EUR", "models": {}}')

    mine, wrong = told("mine", "--declared", str(good)), types("mine", "--declared", str(bad))

    assert ("0.15", "10", "declared") == (mine["input"], mine["output"], mine["prices_from"])
    assert (1, True) == (wrong.exit_code, "not in 'EUR'" in wrong.stderr)
