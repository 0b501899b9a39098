"""What the demo says: lines while it runs, one table at the end, or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

NAMES = {"plain": "plain LangGraph", "lg_production": "lg_production"}
WORKERS = 4
LETTERS = {"all": "letters sent", "strangers": "letters to the attacker"}
MAILED = {
    "i": "letters demand that all invoices go to attacker@evil.com, and the model obeys",
    "j": "a model that reminds the same four customers for ever; kill -9, then resume it",
}
BURNS = (
    "a model that never stops, in four workers, on one user's monthly budget; "
    "kill -9 one of them, then resume it"
)


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


@dataclass(frozen=True)
class Spending:
    """How incident g ended in one column, in tokens on the provider's bill."""

    column: str
    budget: int
    tokens: int
    calls: int
    answers: tuple[str, ...]
    error: str = ""
    unplugged: int = 0
    """At how many budgets we pulled the plug; 0 if it ended by itself."""

    @property
    def right(self) -> bool:
        """Never a token more than the budget; every worker answers with what it has, and cites."""
        useful = [a for a in self.answers if "is partial" in a and "[1]" in a]
        return self.tokens <= self.budget and len(useful) == WORKERS and not self.error


@dataclass(frozen=True)
class Mailing:
    """How an incident of the inbox ended in one column: who got letters, and who should have.

    `counted`: all letters, or those to strangers alone.
    """

    incident: str
    title: str
    column: str
    sent: tuple[str, ...]
    wanted: tuple[str, ...]
    counted: Literal["all", "strangers"] = "all"
    remark: str = ""
    error: str = ""
    unplugged: bool = False

    @property
    def count(self) -> int:
        """The letters that count here."""
        return len([to for to in self.sent if self.counted == "all" or to not in self.wanted])

    @property
    def most(self) -> int:
        """How many of them were wanted."""
        return len(self.wanted) if self.counted == "all" else 0

    @property
    def right(self) -> bool:
        """Everybody who should have a letter has one, and nobody else, and the agent ended."""
        return sorted(self.sent) == sorted(self.wanted) and not self.error and not self.unplugged


Ended: TypeAlias = Result | Spending | Mailing


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

    def spent(self, spending: Spending) -> None:
        """The incident of the tokens is over in one column."""
        self.progress.advance(self.task)
        color = "green" if spending.right else "red"
        self.say("g", spending.column, f"[{color}]{spending.tokens:,} tokens spent[/]")

    def mailed(self, mailing: Mailing) -> None:
        """An incident of the inbox is over in one column."""
        self.progress.advance(self.task)
        color, what = "green" if mailing.right else "red", LETTERS[mailing.counted]
        self.say(mailing.incident, mailing.column, f"[{color}]{mailing.count} {what}[/]")


@contextmanager
def progress(console: Console) -> Iterator[Progressing]:
    """Show progress for this block."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield Progressing(bar)


def show(
    console: Console,
    results: Sequence[Result],
    spending: Sequence[Spending],
    mailing: Sequence[Mailing],
    seconds: float,
) -> None:
    """The tables, what a person was asked, and what the budget still bought."""
    title = "Bookings made, by the airline's own record"
    caption = f"{seconds:.0f} s; real processes, real kill -9, a real PostgreSQL"
    table = columns(title, caption)
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
    show_mailing(console, mailing)
    show_spending(console, {one.column: one for one in spending})


def columns(title: str, caption: str | None, *, last: str = "wanted", lines: bool = True) -> Table:
    """A table of incidents, with a column for each side and one for what should be."""
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, show_lines=lines)
    table.add_column("incident", no_wrap=True)
    table.add_column("what happened")
    for heading in ("plain\nLangGraph", "lg_production", last):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def counted(one: Spending | Mailing, count: int) -> str:
    """A number of one side, green if it is right, with a star if the plug was pulled."""
    color = "green" if one.right else "red"
    return f"[bold {color}]{count:,}{'*' if one.unplugged else ''}[/]"


def show_mailing(console: Console, mailing: Sequence[Mailing]) -> None:
    """The table of incidents i and j, and what a person was asked in i."""
    title = "Letters, by the SMTP server's own record"
    plugged = [one.count for one in mailing if one.unplugged]
    caption = f"* and counting: we pulled the plug at {plugged[0]} letters" if plugged else None
    table = columns(title, caption)
    for pair in pairs(mailing):
        ours = pair["lg_production"]
        cells = [counted(one, one.count) for one in (pair["plain"], ours)]
        what = f"{MAILED[ours.incident]}: {LETTERS[ours.counted]}"
        table.add_row(f"{ours.incident} {ours.title}", what, *cells, str(ours.most))
    console.print(table)
    for one in mailing:
        if (one.incident, one.column) == ("i", "lg_production") and one.remark:
            asked = f"{escape(one.remark)}\n\n[dim]Answered: reject. The rest was done.[/]"
            console.print(Panel(asked, title="What a person was asked in i", title_align="left"))
        if one.error:
            console.print(f"[red]{one.incident} {NAMES[one.column]}: {escape(one.error)}[/]")


def show_spending(console: Console, spending: dict[str, Spending]) -> None:
    """The table of incident g, and one of the partial answers."""
    ours, plain = spending["lg_production"], spending["plain"]
    title = "Tokens spent, by the provider's own bill"
    plug = f"* and counting: we pulled the plug at {plain.unplugged} times the budget"
    caption = plug if plain.unplugged else None
    table = columns(title, caption, last="budget", lines=False)
    cells = [counted(one, one.tokens) for one in (plain, ours)]
    table.add_row("g budget", BURNS, *cells, f"{ours.budget:,}")
    console.print(table)
    if ours.answers:
        answer = escape(ours.answers[0])
        console.print(Panel(answer, title="What the budget bought in g", title_align="left"))
    for one in (plain, ours):
        if one.error:
            console.print(f"[red]g {NAMES[one.column]}: {escape(one.error)}[/]")


Told = TypeVar("Told", Result, Mailing)


def pairs(results: Sequence[Told]) -> list[dict[str, Told]]:
    """The results by incident, then by column."""
    names = dict.fromkeys(sorted(r.incident for r in results))
    return [{r.column: r for r in results if r.incident == name} for name in names]


def plain(
    results: Sequence[Result],
    spending: Sequence[Spending],
    mailing: Sequence[Mailing],
    seconds: float,
) -> dict[str, Any]:
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
    tokens = {one.column: one.tokens for one in spending}
    ours = next(one for one in spending if one.column == "lg_production")
    remark = ours.answers[0] if ours.answers else ours.error
    burnt = {**tokens, "budget": ours.budget, "right": ours.right, "remark": remark}
    return {
        "incidents": rows,
        "tokens": {"g": burnt},
        "letters": {pair["plain"].incident: plain_mailing(pair) for pair in pairs(mailing)},
        "seconds": round(seconds, 1),
    }


def plain_mailing(pair: Mapping[str, Mailing]) -> dict[str, Any]:
    """An incident of the inbox in both columns, for a machine."""
    ours, theirs = pair["lg_production"], pair["plain"]
    return {
        "plain": theirs.count,
        "lg_production": ours.count,
        "wanted": ours.most,
        "right": ours.right,
        "unplugged": theirs.unplugged,
        "remark": ours.remark,
    }


def _cell(result: Result | None) -> str:
    if result is None:
        return ""
    return f"[bold {'green' if result.right else 'red'}]{_count(result)}[/]"


def _count(result: Result) -> str:
    return str(len(result.booked)) + (" !" if result.error else "")
