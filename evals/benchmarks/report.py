"""The figures as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .measure import Figure

WORDS = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}
SIGNS = {"at_least": "≥", "at_most": "≤", "report": ""}


def show(figures: Sequence[Figure], server: dict[str, str], console: Console) -> None:
    """One table: ratios to the floor of the same run, quartiles of its rounds beside them."""
    console.print("  ".join(f"{name} {value}" for name, value in server.items()))
    table = Table(title="x: ratios to a hand-written floor on the same server, in the same run")
    for column in ("", "median", "quartiles", "target", "", ""):
        table.add_column(column, justify="left" if not column else "right")
    section = ""
    for found in figures:
        if found.section != section:
            section = found.section
            table.add_section()
            table.add_row(f"[bold]{section}[/]")
        table.add_row(*_cells(found))
    console.print(table)


def _cells(found: Figure) -> tuple[str, ...]:
    target = "" if found.target is None else f"{SIGNS[found.kind]} {found.target:g}"
    spread = "" if found.low == found.high else f"{_number(found.low)} – {_number(found.high)}"
    unit = "" if found.unit == "x" else f" {found.unit}"
    return (
        f"  {found.name}", _number(found.value) + unit, spread, target, WORDS[found.met], found.note
    )  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def write(figures: Sequence[Figure], server: dict[str, str], path: Path) -> None:
    """The same as JSON, for comparing runs."""
    found = [{**asdict(f), "met": f.met} for f in figures]
    path.write_text(json.dumps({"server": server, "figures": found}, indent=2) + "\n")
