"""What `lg-production eval` shows of a run: a bar, a table, what failed, and a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from langchain_core.messages import AIMessage
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .cost import PriceBook
from .cost.usage import usage_of
from .errors import PriceUnknown
from .evaluation.comparing import Comparison
from .evaluation.results import Report, Trial, by_split
from .evaluation.running import Progress as Told
from .terminal import console, errors

BOOK = PriceBook()
MOST_FAILURES, LONGEST = 20, 240


@contextmanager
def watched() -> Iterator[Told]:
    """A bar that moves with each trial, on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as bar:
        task = bar.add_task("running", total=None)
        failed = 0

        def progress(trial: Trial, done: int, total: int) -> None:
            nonlocal failed
            failed += not trial.passed
            told = f"{failed} failed" if failed else "running"
            bar.update(task, completed=done, total=total, description=told)

        yield progress


def price(message: AIMessage) -> Decimal | None:
    """What an answer cost, in US dollars, by the price table; None if it has no price."""
    usage, told = usage_of(message), message.response_metadata
    name = str(told.get("model_name") or told.get("model") or "")
    if usage is None or not name:
        return None
    try:
        micros = BOOK.cost(name, usage, provider=str(told.get("model_provider") or ""))
    except PriceUnknown:
        return None
    return Decimal(micros) / 10**6


def show(report: Report, comparison: Comparison | None = None) -> None:
    """The run in a table, what it took, what failed, and what has changed."""
    table = Table(title=f"{report.suite} {report.version}, data {report.hash[:12]}")
    for heading in ("split", "cases", "passed", "pass rate", "95 %"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for name, found in {**by_split(report.results), "all": list(report.results)}.items():
        rate, whole = report.rate(found), sum(one.rate == 1 for one in found)
        interval = f"{rate.low:.0%}–{rate.high:.0%}"
        table.add_row(escape(name), f"{len(found)}", f"{whole}", f"{rate.value:.1%}", interval)
    console.print(table)
    if report.repeat > 1:
        console.print(f"pass^{report.repeat} = {report.pass_hat(report.repeat):.1%}")
    money = "" if report.usd is None else f", ${report.usd:.4f}"
    console.print(
        f"{len(report.trials)} trials, {report.seconds:.1f} s, {report.tokens:,} tokens{money}"
    )
    for remark in report.remarks:
        console.print(f"[yellow]{escape(remark)}[/]")
    failures(report)
    if comparison:
        tell(comparison)


def failures(report: Report) -> None:
    """What failed, and why."""
    failed = [one for one in report.results if one.rate < 1]
    for result in failed[:MOST_FAILURES]:
        for name, why in list(result.failures.items())[:3]:
            told = " ".join(why.split())[:LONGEST]
            console.print(f"[red]✗[/] {escape(result.id)}: {escape(name)}: {escape(told)}")
    if len(failed) > MOST_FAILURES:
        console.print(f"{len(failed) - MOST_FAILURES} more cases failed: see --html or --json.")


def tell(comparison: Comparison) -> None:
    """A comparison: the verdict, and which cases got worse."""
    found = comparison.difference
    value, low, high = (f"{100 * share:+.1f}" for share in (found.value, found.low, found.high))
    console.print(
        f"Against the run before: [bold]{comparison.verdict}[/], {value} points "
        f"({low} to {high}, p = {comparison.p:.2g}, {found.n} cases)"
    )
    for change in sorted(comparison.changes, key=lambda one: one.difference)[:10]:
        if change.difference < 0:
            console.print(f"[red]↓[/] {escape(change.id)} {escape(change.why)}")
    listed("Not compared", comparison.left_out)
    for note in comparison.notes:
        console.print(f"[yellow]{escape(note)}[/]")


def listed(what: str, names: Sequence[str]) -> None:
    """Some names, if there are any."""
    if names:
        console.print(f"{what}: {escape(', '.join(names))}")
