"""`lg-production prices`: the table that calls are priced from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .cost.prices import PriceBook, Rates, Tiers, table, table_hash, table_version
from .errors import PriceUnknown

console = Console()
errors = Console(stderr=True, highlight=False)
HOW = 'PriceBook(declared={{"{model}": Price(input="0.15", output="0.60")}})'


def prices(
    model: Annotated[str | None, typer.Argument(help="A model, as its provider names it.")] = None,
    provider: Annotated[str, typer.Option(help="Whose price: openai, aws, azure.")] = "",
    declared: Annotated[Path | None, typer.Option(help="Your prices, in JSON or TOML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which price table counts, and what a model costs in it."""
    try:
        book = PriceBook.from_file(declared) if declared else PriceBook()
        found = of_model(book, model, provider) if model else about(book)
    except PriceUnknown as error:
        fail(str(error), f"In code: {HOW.format(model=model)}; here: --declared FILE.")
    except ValueError as error:
        fail(str(error), "Correct the file.")
    if as_json:
        typer.echo(json.dumps(found, default=str))
        return
    shown = Table("", Column(overflow="fold"), box=None, show_header=False)
    for name, value in found.items():
        shown.add_row(name.replace("_", " "), escape(f"{'unknown' if value is None else value}"))
    console.print(shown)


def about(book: PriceBook) -> dict[str, Any]:
    """The table: what it is, and how old. The package does not say when its prices were read."""
    providers, newest = table().providers, newest_price()
    return {
        "table": "genai-prices",
        "version": version("genai-prices"),
        "sha256": table_hash(),
        "recorded_as": book.version,
        "providers": len(providers),
        "models": sum(len(provider.models) for provider in providers),
        "declared": len(book.declared),
        "newest_dated_price": newest,
        "days_since": (datetime.now(UTC).date() - newest).days if newest else None,
    }


def newest_price() -> date | None:
    """The latest day on which a price of the table began: it was made about then, or later."""
    today = datetime.now(UTC).date()
    return max((day for day in starts() if day <= today), default=None)


def starts() -> Iterator[date]:
    """Every day on which a price of the table begins."""
    for provider in table().providers:
        for info in provider.models:
            for one in info.prices if isinstance(info.prices, list) else ():
                start = getattr(one.constraint, "start_date", None)
                if start is not None:
                    yield start


def of_model(book: PriceBook, model: str, provider: str) -> dict[str, Any]:
    """What a model costs, in USD for a million tokens. Raises `PriceUnknown`."""
    rates: Rates = book.prices(model, provider)
    parts: dict[str, Tiers | None] = {
        "input": rates.input,
        "cache_read": rates.cache_read,
        "cache_write": rates.cache_write,
        "cache_write_1h": rates.cache_write_1h,
        "output": rates.output,
        "reasoning": rates.reasoning,
    }
    per_call = {"usd_per_call": str(rates.per_call / 1_000_000)} if rates.per_call else {}
    return {
        "model": model,
        "prices_from": "declared" if model in book.declared else table_version(),
        "unit": "USD for a million tokens",
        **{name: told(tiers) for name, tiers in parts.items()},
        **per_call,
    }


def told(tiers: Tiers | None) -> str | None:
    """A price; with tiers, each with the size of the input that it holds above."""
    if not tiers:
        return None
    (_, base), *more = tiers
    return ", ".join([_plain(base), *(f"{_plain(p)} above {start:,}" for start, p in more)])


def _plain(price: Decimal) -> str:
    return f"{price.normalize():f}"


def fail(problem: str, remedy: str) -> NoReturn:
    """Say what is wrong and what to do, and leave."""
    errors.print(f"[red]{escape(problem)}[/]\n{escape(remedy)}")
    raise typer.Exit(1)
