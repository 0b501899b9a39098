"""One table, or the numbers for a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .judge import Result

Results = Mapping[str, Mapping[str, Result]]
"""By column, then by domain, with the sum as `both`."""

TITLES = {
    "calm": "plain ToolNode\nonce",
    "plain": "plain ToolNode\ntwice",
    "ours": "lg_production\ntwice, and kill -9",
    "surface": "lg_production\nundeclared (sample)",
}


def show(console: Console, results: Results, seconds: float) -> None:
    """The table, and under it what was done to the workers."""
    table = Table(
        title="tau2-bench: reference actions, re-delivered",
        caption="twice: every write's acknowledgement is lost once, and its node runs again.\n"
        f"harmed: done twice, or reported as an error although it was done. {seconds:.0f} s",
        box=box.SIMPLE_HEAD,
        show_lines=True,
    )
    table.add_column("run", no_wrap=True)
    table.add_column("domain", no_wrap=True)
    for heading in ("diverging\ntasks", "harmed\nwrites", "extra\nerrors", "a person\nwas asked"):
        table.add_column(heading, justify="right", no_wrap=True)
    for column, domains in results.items():
        lines = [_cells(name, domain) for name, domain in domains.items()]
        table.add_row(_title(column, domains["both"]), *map("\n".join, zip(*lines, strict=True)))
    console.print(table)
    plain = results["plain"]["both"]
    console.print(
        f"  plain: {plain.duplicates} writes done twice, {plain.false_errors} false errors"
    )
    for column in ("ours", "surface"):
        console.print(f"  {column}: {_trouble(results[column]['both'])}")


def _cells(name: str, result: Result) -> list[str]:
    def good(number: int, of: int | None = None) -> str:
        text = str(number) if of is None else f"{number} / {of}"
        return f"[{'red' if number else 'green'}]{text}[/]"

    return [
        name,
        good(result.diverging, result.tasks),
        good(result.harmed, result.writes),
        good(result.extra_errors),
        str(result.questions),
    ]


def _title(column: str, both: Result) -> str:
    kills = f"\n[dim]{both.trouble.kills} workers killed[/]" if both.trouble.kills else ""
    return TITLES[column] + kills


def _trouble(result: Result) -> str:
    trouble, looks = result.trouble, result.looks
    return (
        f"{trouble.kills} workers killed, {trouble.aimed} of them while a write was under way; "
        f"the journal was asked {sum(looks.values())} times and had the effect "
        f"{looks.get('found', 0)} times; {result.executed} effects of {result.wanted}"
    )


def plain(results: Results, seconds: float) -> dict[str, Any]:
    """The numbers, for a machine."""
    return {
        "seconds": round(seconds, 1),
        "columns": {
            column: {name: _numbers(result) for name, result in domains.items()}
            for column, domains in results.items()
        },
    }


def _numbers(result: Result) -> dict[str, Any]:
    numbers = {k: v for k, v in vars(result).items() if isinstance(v, int)}
    trouble = {k: v for k, v in vars(result.trouble).items() if isinstance(v, int)}
    return {**numbers, "harmed": result.harmed, **trouble, "looks": dict(result.looks)}
