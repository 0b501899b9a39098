"""What the demo says: lines while it runs, one table at the end, or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

NAMES = {"plain": "plain LangGraph", "lg_production": "lg_production"}


@dataclass(frozen=True)
class Result:
    """How one incident ended in one column."""

    incident: str
    title: str
    happened: str
    column: str
    wanted: tuple[str, ...]
    booked: tuple[str, ...]
    remark: str = ""
    error: str = ""

    @property
    def right(self) -> bool:
        """Every wanted seat booked once, no other, and the agent came to its end."""
        return sorted(self.booked) == sorted(self.wanted) and not self.error


class Progressing:
    """Lines and a bar while the incidents run."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("importing LangGraph, starting PostgreSQL", total=None)

    def begin(self, total: int) -> None:
        """The stage is set; so many runs follow."""
        self.progress.update(self.task, description="incidents", total=total)

    def say(self, incident: str, column: str, text: str) -> None:
        """Something happened in one of them."""
        self.progress.console.print(f"  [dim]{incident}  {NAMES[column]:<15}[/]  {text}")

    def end(self, result: Result) -> None:
        """One of them is over."""
        self.progress.advance(self.task)
        text = f"[{'green' if result.right else 'red'}]{_count(result)} booked[/]"
        self.say(result.incident, result.column, text)


@contextmanager
def progress(console: Console) -> Iterator[Progressing]:
    """Show progress for this block."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield Progressing(bar)


def show(console: Console, results: Sequence[Result], seconds: float) -> None:
    """The table, and what a person was asked about the tool nobody declared."""
    title = "Bookings made, by the airline's own record"
    caption = f"{seconds:.0f} s; real processes, real kill -9, a real PostgreSQL"
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, show_lines=True)
    table.add_column("incident", no_wrap=True)
    table.add_column("what happened")
    for heading in ("plain\nLangGraph", "lg_production", "wanted"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in pairs(results):
        ours, plain = pair["lg_production"], pair.get("plain")
        counts = [_cell(plain), _cell(ours), str(len(ours.wanted))]
        table.add_row(f"{ours.incident} {ours.title}", ours.happened, *counts)
    console.print(table)
    for result in results:
        if result.incident == "f" and result.column == "lg_production":
            asked = f"{result.remark}\n\n[dim]Answered: respond, as the record shows it.[/]"
            console.print(Panel(asked, title="What a person was asked in f", title_align="left"))
        if result.error:
            console.print(f"[red]{result.incident} {NAMES[result.column]}: {result.error}[/]")


def pairs(results: Sequence[Result]) -> list[dict[str, Result]]:
    """The results by incident, then by column."""
    names = dict.fromkeys(sorted(r.incident for r in results))
    return [{r.column: r for r in results if r.incident == name} for name in names]


def plain(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """The numbers, for a machine."""
    rows = {
        pair["lg_production"].incident: {
            "plain": len(pair["plain"].booked),
            "lg_production": len(pair["lg_production"].booked),
            "wanted": len(pair["lg_production"].wanted),
            "right": pair["lg_production"].right,
            "remark": pair["lg_production"].remark,
        }
        for pair in pairs(results)
    }
    return {"incidents": rows, "seconds": round(seconds, 1)}


def _cell(result: Result | None) -> str:
    if result is None:
        return ""
    return f"[bold {'green' if result.right else 'red'}]{_count(result)}[/]"


def _count(result: Result) -> str:
    return str(len(result.booked)) + (" !" if result.error else "")
