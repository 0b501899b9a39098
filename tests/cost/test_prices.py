"""What a call costs: never more than was held for it, never nothing by mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import data_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lg_production.cost import prices
from lg_production.cost.prices import Price, PriceBook, found_model, possible, table
from lg_production.cost.usage import Usage
from lg_production.errors import PriceUnknown

BOOK = PriceBook()
EVERY = [(provider.id, info) for provider in table().providers for info in provider.models]
FEW = st.integers(0, 3_000_000)


def is_priced(provider: str, model: str) -> bool:
    try:
        BOOK.ceiling(model, input_tokens=1, output_tokens=1, provider=provider)
    except PriceUnknown:
        return False
    return True


PRICED = [(p, i) for p, i in EVERY if is_priced(p, i.id) and found_model(i.id, p) is i]


@st.composite
def usages(draw: Any) -> Usage:
    """Any usage whose parts are within its totals."""
    asked, answered = draw(FEW), draw(FEW)
    read = draw(st.integers(0, asked))
    write = draw(st.integers(0, asked - read))
    hour, reasoning = draw(st.integers(0, write)), draw(st.integers(0, answered))
    return Usage(asked, answered, read, write, reasoning, hour)


@settings(max_examples=60, deadline=None)
@given(usages(), st.integers(0, 100_000), st.integers(0, 100_000))
def test_no_model_costs_more_than_was_held_for_it(usage, more_in, more_out):
    """For every model of the table, and any usage within the bounds, cost() <= ceiling()."""
    asked, answered = usage.input_tokens + more_in, usage.output_tokens + more_out

    over = [
        (provider, info.id)
        for provider, info in PRICED
        if BOOK.cost(info.id, usage, provider=provider)
        > BOOK.ceiling(info.id, input_tokens=asked, output_tokens=answered, provider=provider)
    ]

    assert [] == over


@settings(max_examples=25, deadline=None)
@given(usages())
def test_a_cost_is_that_of_genai_prices_rounded_up(usage):
    """Their arithmetic is the oracle: ours is thirty times as fast, and as exact."""
    theirs = TheirUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_reasoning_tokens=usage.reasoning,
    )
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def difference(provider: str, info: Any) -> Decimal:
        price = info.get_prices(now).calc_price(theirs)["total_price"] * 1_000_000
        return BOOK.cost(info.id, usage, provider=provider, at=now) - price

    plain = [(p, i) for p, i in PRICED[::9] if only_text(i.get_prices(now))]
    wrong = [(p, i.id) for p, i in plain if not 0 <= difference(p, i) < 1]

    assert len(plain) > 100
    assert [] == wrong


def only_text(price: Any) -> bool:
    """Without prices for what no message tells of, and with those for what it does."""
    tokens = {
        "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok",
        "output_reasoning_mtok",
    }  # fmt: skip
    return {name for name, value in vars(price).items() if value is not None} <= tokens


def test_every_model_of_the_table_has_a_price_or_is_refused():
    """Most are priced; those that are not (free, embeddings, speech) are never free by mistake."""
    free = [
        (provider, info.id)
        for provider, info in PRICED
        if BOOK.ceiling(info.id, input_tokens=10**6, output_tokens=10**6, provider=provider) == 0
    ]

    assert [] == free
    assert len(PRICED) > 0.8 * len(EVERY)


def test_parts_of_the_usage_are_priced_apart_and_once():
    """Claude Sonnet 4.5: 3 in, 0.30 read, 3.75 written, 6 for an hour, 15 out."""
    cost = BOOK.cost("claude-sonnet-4-5", Usage(100_000, 10_000, 40_000, 30_000, 5_000, 10_000))

    assert 90_000 + 12_000 + 75_000 + 60_000 + 150_000 == cost


def test_a_price_that_begins_while_a_call_is_under_way_is_held(monkeypatch):
    """The ceiling looks a day ahead, and at all hours of a price that depends on the hour."""
    info = found_model("deepseek-chat", "")

    hourly = list(possible(info, datetime(2026, 11, 24, 2, tzinfo=UTC)))

    assert len(hourly) > 1
    assert BOOK.ceiling("deepseek-chat", input_tokens=10**6, output_tokens=0) == max(
        BOOK.cost("deepseek-chat", Usage(10**6, 0), at=datetime(2026, 11, 24, h, tzinfo=UTC))
        for h in range(24)
    )


def test_a_price_of_the_past_is_found():
    """An old call can be priced as it was."""
    usage = Usage(1_000_000, 0)
    then, now = (
        BOOK.cost("o3", usage, at=datetime(year, 1, 2, tzinfo=UTC)) for year in (2025, 2026)
    )

    assert then > now


@pytest.mark.parametrize(
    ("model", "provider", "entry"),
    [
        ("gpt-4o-2024-08-06", "openai", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5"),
        ("gemini-2.5-flash", "google_genai", "gemini-2.5-flash"),
        ("gemini-2.5-flash", "google_vertexai", "gemini-2.5-flash"),
        ("gpt-4o", "azure", "gpt-4o"),
        ("gpt-4o", "azure_openai", "gpt-4o"),
        ("gpt-4o", "a test's own model", "gpt-4o"),
        ("deepseek-chat", "openai", "deepseek-chat"),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "amazon_bedrock",
            "regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
    ],
)
def test_names_of_langchain_are_found(model, provider, entry):
    """Dated names, and the providers as LangChain calls them."""
    assert entry == found_model(model, provider).id


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-99", "openai"),
        ("gpt-4o-ultra", "openai"),
        ("claude-opus-99", "anthropic"),
        ("my-deployment", "azure"),
        ("claude-sonnet-4-5", "groq"),
        ("gemma-3", "google_genai"),
        ("text-embedding-3-small", "openai"),
        ("", ""),
    ],
)
def test_a_model_without_a_price_is_refused(model, provider):
    """Never zero, and never the price of a sibling: the error says how to declare one."""
    with pytest.raises(PriceUnknown, match="declared"):
        BOOK.ceiling(model, input_tokens=1, output_tokens=1, provider=provider)
    with pytest.raises(PriceUnknown):
        BOOK.cost(model, Usage(1, 1), provider=provider)


def test_a_dearer_service_tier_is_held_and_paid():
    """What a request chose (priority) changes the price, where the table knows it."""
    priority = {"service_tier": "priority"}
    usage = Usage(1_000_000, 1_000_000)

    plain = BOOK.cost("gpt-4o", usage, provider="openai")
    dear = BOOK.cost("gpt-4o", usage, provider="openai", context=priority)
    held = BOOK.ceiling(
        "gpt-4o", input_tokens=10**6, output_tokens=10**6, provider="openai", context=priority
    )

    assert plain < dear <= held


# ---------------------------------------------------------------------------- declared


def test_a_declared_price_counts_before_the_table():
    """Negotiated prices, private models, and models that are really free."""
    book = PriceBook({"gpt-4o": Price(input="1", output=2), "llama": Price(input=0, output=0)})

    assert 3_000_000 == book.ceiling("gpt-4o", input_tokens=10**6, output_tokens=10**6)
    assert 3_000_000 == book.cost("gpt-4o", Usage(10**6, 10**6))
    assert 0 == book.cost("llama", Usage(10**6, 10**6))


def test_declared_parts_are_priced_apart():
    """Reading the cache, writing it, and reasoning may have prices of their own."""
    price = Price(input=10, output=20, cache_read=1, cache_write="12.5", reasoning=40)
    book = PriceBook({"m": price})

    cost = book.cost("m", Usage(100, 10, cache_read=50, cache_write=20, reasoning=4))

    assert 30 * 10 + 50 * 1 + 250 + 6 * 20 + 4 * 40 == cost
    assert 1250 + 400 == book.ceiling("m", input_tokens=100, output_tokens=10)


def test_a_fraction_of_a_micro_dollar_is_rounded_up():
    """A budget is never short of what was paid."""
    book = PriceBook({"m": Price(input="0.1", output=0)})

    assert 1 == book.cost("m", Usage(1, 0))
    assert 1 == book.ceiling("m", input_tokens=1, output_tokens=0)
    assert 0 == book.cost("m", Usage(0, 0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": 0.15, "output": 1},
        {"input": -1, "output": 1},
        {"input": "1e400", "output": 1},
        {"input": "NaN", "output": 1},
        {"input": "Infinity", "output": 1},
        {"input": "1 EUR", "output": 1},
        {"input": True, "output": 1},
        {"input": 1},
        {"input": 1, "output": 1, "cached": 1},
    ],
)
def test_a_price_that_is_no_price_is_refused(wrong):
    """Floats are inexact; the rest is none."""
    with pytest.raises(ValidationError):
        Price(**wrong)


def test_the_version_names_package_data_and_declared_prices():
    """It stands on every settled row, so it is short, stable and tells books apart."""
    declared = PriceBook({"m": Price(input=1, output=2)})
    other = PriceBook({"m": Price(input=1, output=3)})

    assert BOOK.version.startswith("genai-prices 0.2.3 ")
    assert declared.version == PriceBook({"m": Price(input="1", output="2")}).version
    assert 3 == len({BOOK.version, declared.version, other.version})
    assert len(declared.version) < 48


def test_prices_that_an_updater_fetched_are_not_used(monkeypatch):
    """Whatever else runs in the process: the table is the one whose hash is recorded."""
    before = BOOK.ceiling("gpt-4o", input_tokens=100, output_tokens=100)
    empty = data_snapshot.DataSnapshot(providers=[], from_auto_update=True)
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", empty)
    prices.found_model.cache_clear()
    prices.ahead.cache_clear()

    assert before == BOOK.ceiling("gpt-4o", input_tokens=100, output_tokens=100)


def test_importing_the_package_does_not_load_the_table():
    """It is a megabyte and a half of Python; only a price that is asked for loads it."""
    code = (
        "import sys, lg_production, lg_production.cost.metering as m; m.PriceBook().version;"
        "print([n for n in ('genai_prices', 'genai_prices.data') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


# ------------------------------------------------------------------------------- a file


def test_prices_are_read_from_json_and_toml_exactly(tmp_path):
    """A number in a file is the number that is written there."""
    told = {"currency": "USD", "models": {"m": {"input": 0.15, "output": "0.60"}}}
    (tmp_path / "prices.json").write_text(json.dumps(told))
    (tmp_path / "prices.toml").write_text('[models."m"]\ninput = 0.15\noutput = "0.60"\n')

    books = [PriceBook.from_file(tmp_path / name) for name in ("prices.json", "prices.toml")]

    assert [{"m": Price(input="0.15", output="0.60")}] * 2 == [book.declared for book in books]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.json", "{", "p.json does not parse"),
        ("p.toml", "= 1", "p.toml does not parse"),
        ("p.json", "[1]", "p.json must hold an object"),
        ("p.json", '{"m": {"input": 1, "output": 1}}', "models"),
        ("p.json", '{"currency": "EUR", "models": {}}', "prices are in USD, not in 'EUR'"),
        ("p.json", '{"models": {"m": {"input": -1, "output": 1}}}', "m.input"),
        ("p.json", '{"models": {"m": {"input": 1e999, "output": 1}}}', "m.input"),
        ("p.json", '{"models": {"m": {"input": NaN, "output": 1}}}', "m.input"),
        ("p.json", '{"models": {"m": {"input": "3 €", "output": 1}}}', "m.input"),
        ("p.json", '{"models": {"m": {"input": 1}}}', "m.output"),
        ("p.json", '{"models": {"m": 3}}', "p.json: m"),
        ("p.toml", '[models.m]\ninput = 1\noutput = 1\ncurrency = "EUR"\n', "m.currency"),
        ("p.json", None, "p.json cannot be read"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path, name, text, problem):
    """The file, the model, the field; and no guess."""
    if text is not None:
        (tmp_path / name).write_text(text)

    with pytest.raises(ValueError, match="(?s).*" + problem.replace(".", r"\.")):
        PriceBook.from_file(tmp_path / name)


def test_a_price_file_with_a_model_twice_is_refused(tmp_path) -> None:
    """Which of the two would be meant?"""
    file = tmp_path / "prices.json"
    file.write_text('{"models": {"m": {"input": 1, "output": 1}, "m": {"input": 0, "output": 0}}}')

    with pytest.raises(ValueError, match="m stands there twice"):
        PriceBook.from_file(file)


def test_toml_refuses_a_model_twice(tmp_path) -> None:
    """By itself."""
    file = tmp_path / "prices.toml"
    file.write_text("[models.m]\ninput = 1\noutput = 1\n[models.m]\ninput = 0\noutput = 0\n")

    with pytest.raises(ValueError, match=r"prices.toml does not parse.*'models', 'm'"):
        PriceBook.from_file(file)


def test_a_declared_price_may_be_written_as_a_mapping() -> None:
    """It is checked when it is written, not when it is used."""
    book = PriceBook({"m": {"input": "1", "output": "2"}})  # type: ignore[dict-item]

    assert 3 == book.cost("m", Usage(1, 1))
    with pytest.raises(ValueError, match=r"mine.*output"):
        PriceBook({"mine": {"input": "1"}})  # type: ignore[dict-item]
