"""`lg-production eval`: run golden data on a graph, compare two runs, look after the data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from langchain_core.messages import AIMessage
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .core.database import Database
from .cost import PriceBook
from .cost.usage import usage_of
from .errors import LgProductionError, PriceUnknown, SuiteEmpty
from .evaluation.cases import Suite, load_suite
from .evaluation.comparing import Comparison, compare
from .evaluation.gates import Exit, Gate
from .evaluation.html import html
from .evaluation.judges import Judge
from .evaluation.junit import junit
from .evaluation.preparing import ready
from .evaluation.promotion import append, promote
from .evaluation.redaction import Redaction
from .evaluation.results import Report, Trial, by_split
from .evaluation.running import Progress as Told
from .evaluation.running import Runner
from .evaluation.suites import GOLDEN, place_of, places
from .evaluation.targets import imported, target_of
from .evaluation.versions import SPLITS
from .persistence import Checkpointer
from .terminal import console, error_text, errors

evals_app = typer.Typer(no_args_is_help=True, help="Golden data: run it, compare runs, check it.")
JOURNALS = Path(".lg_production") / "evals"
BOOK = PriceBook()
MOST_FAILURES, LONGEST = 20, 240
Name = Annotated[str, typer.Argument(help="A suite under evals/golden, or its folder.")]
Version = Annotated[str | None, typer.Option(help="A version of the data; by default the newest.")]


@contextmanager
def told() -> Iterator[None]:
    """Our errors as a sentence, and an exit code that is not that of a failed gate."""
    try:
        yield
    except (LgProductionError, ValueError, OSError) as error:
        leave(error_text(error))


def leave(problem: str) -> NoReturn:
    """Say what is wrong with the input, and leave."""
    errors.print(f"[red]{escape(problem)}[/]")
    raise typer.Exit(Exit.BAD_INPUT)


# ---------------------------------------------------------------------------------- run


@evals_app.command("run")
def run(
    suite: Name,
    graph: Annotated[str | None, typer.Option(help="module:attribute, or file.py:…")] = None,
    version: Version = None,
    split: Annotated[str | None, typer.Option(help="happy, edge or adversarial.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only cases with one of these.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="Only these cases.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each case.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Trials at once.")] = 2,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds for a trial.")] = None,
    awaited: Annotated[bool, typer.Option("--async", help="Run the graph by ainvoke.")] = False,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Begin nothing above.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(min=0, help="Begin nothing above.")] = None,
    judge: Annotated[list[str] | None, typer.Option(help="module:attribute of a Judge.")] = None,
    min_pass: Annotated[float | None, typer.Option(help="Gate: the rate's lower bound.")] = None,
    every: Annotated[bool, typer.Option(help="Gate: no case may fail.")] = False,
    before: Annotated[Path | None, typer.Option(help="A report to compare with.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Gate: against --before.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on with a run that was cut off, or not.")
    ] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page.")] = None,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML.")] = None,
) -> None:
    """Run a suite. Exit code 0: passed, 1: a gate failed, 2: bad input, 3: not finished."""
    with told():
        gate = Gate(min_pass, max_drop, every)
        if max_drop is not None and before is None:
            leave("--max-drop needs a report to compare with: --before FILE")
        place = place_of(suite)
        if not (spec := graph or place.graph):
            leave(f"{place.folder}/suite.json names no graph. Say which: --graph module:attribute")
        data = chosen(load_suite(place.folder, version), split, tag or (), case or ())
        earlier = Report.read(before) if before else None
        ready(earlier, data, files := (json_file, html_file, junit_file))
        usd = None if budget_usd is None else Decimal(str(budget_usd))
        with watched() as progress:
            runner = Runner(
                target_of(named(spec), spec, awaited=awaited or None), data, repeat=repeat,
                workers=workers, timeout=timeout, price=price, budget_usd=usd,
                budget_tokens=budget_tokens, judges=[judge_of(one) for one in judge or ()],
                progress=progress,
            )  # fmt: skip
            runner.journal = journal = journal_of(runner, resume=resume)
            report = runner.run()
        finish(report, gate, earlier, files, journal)


def finish(
    report: Report,
    gate: Gate,
    before: Report | None,
    files: tuple[Path | None, Path | None, Path | None],
    journal: Path,
) -> NoReturn:
    """Write and show a run, say why it is not good enough, and leave with its exit code.

    The journal is kept until all is written.
    """
    json_file, html_file, junit_file = files
    if json_file:
        report.write(json_file)
    comparison = compare(before, report) if before and not report.stopped else None
    objections = [] if report.stopped else gate.objections(report, before)
    judged = objections if gate != Gate() and not report.stopped else None
    written(html_file, html(report, comparison, objections=judged) if html_file else "")
    written(junit_file, junit(report) if junit_file else "")
    if not report.stopped:
        journal.unlink(missing_ok=True)
    show(report, comparison)
    for objection in objections:
        errors.print(f"[red]{escape(objection)}[/]")
    if report.stopped:
        errors.print(
            f"[yellow]Not finished ({escape(report.stopped)}). The same command goes on.[/]"
        )
        raise typer.Exit(Exit.NOT_FINISHED)
    raise typer.Exit(Exit.FAILED if objections else Exit.PASSED)


def written(file: Path | None, text: str) -> None:
    """Write a text, if there is a place for it."""
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def named(spec: str) -> Any:
    """What module:attribute names. A module that cannot be imported is bad input."""
    try:
        return imported(spec)
    except (LgProductionError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a stranger's module may even exit
        leave(f"{spec} cannot be imported. {type(error).__name__}: {error}")


def judge_of(spec: str) -> Judge:
    """The judge of this name, or what a function of this name makes."""
    found = named(spec)
    try:
        found = found if isinstance(found, Judge) else found()
    except (LgProductionError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a stranger's function may even exit
        leave(f"{spec} makes no Judge. {type(error).__name__}: {error}")
    if not isinstance(found, Judge):
        leave(f"{spec} is no Judge, and makes none")
    return found


def journal_of(runner: Runner, *, resume: bool) -> Path:
    """Where a run of this data, target and settings is noted; says if some of it is known.

    It stays as long as the run is not finished.
    """
    key = sha256(json.dumps(runner.header(), sort_keys=True).encode()).hexdigest()[:12]
    file = JOURNALS / f"{runner.suite.name}-{runner.suite.version}-{key}.jsonl"
    if not resume:
        file.unlink(missing_ok=True)
    known = file.read_bytes().count(b"\n") - 1 if file.exists() else 0
    if known > 0:
        errors.print(
            f"[yellow]Going on with a run that was cut off: {known} trials are known ({file}). "
            "If your agent has changed since, begin anew with --fresh.[/]"
        )
    return file


def chosen(suite: Suite, split: Any, tags: Sequence[str], ids: Sequence[str]) -> Suite:
    """The part of a suite that was asked for."""
    if split is not None and split not in SPLITS:
        raise ValueError(f"a split is one of {', '.join(SPLITS)}, not {split!r}")
    return suite.only(split=split, tags=tags, ids=ids) if split or tags or ids else suite


# ------------------------------------------------------------------------------- compare


@evals_app.command("compare")
def compare_(
    old: Annotated[Path, typer.Argument(help="A report (JSON).")],
    new: Annotated[Path, typer.Argument(help="Another.")],
    allow_different_data: Annotated[bool, typer.Option(help="Compare what both have.")] = False,
    max_drop: Annotated[float | None, typer.Option(help="Gate.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page.")] = None,
) -> None:
    """Compare two runs of the same data, case by case. Exit code 1: worse, or beyond --max-drop."""
    with told():
        Gate(max_drop=max_drop)
        before, after = Report.read(old), Report.read(new)
        found = compare(before, after, allow_different_data=allow_different_data)
        written(html_file, html(after, found) if html_file else "")
    tell(found)
    low, allowed = found.difference.low, max_drop
    worse = found.verdict == "worse" if allowed is None else low < -allowed
    raise typer.Exit(Exit.FAILED if worse else Exit.PASSED)


# ------------------------------------------------------------------------------ the data


@evals_app.command("list")
def list_() -> None:
    """List the suites under evals/golden."""
    with told():
        found = [(place, load_suite(place.folder)) for place in places()]
    if not found:
        console.print(f"No suites under {GOLDEN}.")
        return
    table = Table(box=None)
    for heading in ("suite", "version", "cases", "data", "graph", "description"):
        table.add_column(heading, overflow="fold")
    for place, suite in found:
        said = (suite.name, suite.version, str(len(suite.cases)), suite.hash[:12], place.graph)
        table.add_row(*map(escape, (*said, place.description)))
    console.print(table)


@evals_app.command("check")
def check(
    suite: Name,
    version: Version = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Validate a suite's data and say what is in it. Exit code 2: something is wrong with it."""
    with told():
        found = load_suite(place_of(suite).folder, version)
    splits = {name: sum(case.split == name for case in found.cases) for name in SPLITS}
    if as_json:
        typer.echo(json.dumps({"version": found.version, "hash": found.hash, **splits}))
        return
    counted = ", ".join(f"{n} {name}" for name, n in splits.items())
    console.print(f"{escape(found.name)} {found.version}: {counted}; data {found.hash}")


@evals_app.command("promote")
def promote_(
    context: typer.Context,
    thread: Annotated[str, typer.Argument(help="A thread of your database.")],
    suite: Annotated[str, typer.Option(help="A suite under evals/golden, or a folder.")],
    case_id: Annotated[str, typer.Option("--id", help="What to call the case.")],
    split: Annotated[str, typer.Option(help="happy, edge or adversarial.")] = "edge",
    version: Version = None,
    name: Annotated[list[str] | None, typer.Option(help="A person's name to hide.")] = None,
    emails: Annotated[bool, typer.Option(help="Hide addresses.")] = True,
    note: Annotated[str, typer.Option(help="Why this case exists.")] = "",
    dry_run: Annotated[bool, typer.Option(help="Print the case; write nothing.")] = False,
) -> None:
    """Make a case of a thread's first run, without its secrets. Read it before you commit it."""
    with told():
        if split not in SPLITS:
            raise ValueError(f"a split is one of {', '.join(SPLITS)}, not {split!r}")
        found = promote(
            Checkpointer(database_of(context)), thread, case_id=case_id, split=split,
            redact=Redaction(emails=emails, names=name or ()), note=note,
        )  # fmt: skip
        typer.echo(found.line())
        if not dry_run:
            console.print(f"[dim]{escape(str(append(found, folder_of(suite), version)))}[/]")


def folder_of(name: str) -> Path:
    """The folder of a suite, which need not be there yet."""
    try:
        return place_of(name).folder
    except SuiteEmpty:
        return Path(name) if Path(name).is_dir() or "/" in name else GOLDEN / name


def database_of(context: typer.Context) -> Database:
    """The database that the main command can open; most of these commands need none."""
    opening = context.find_root().obj
    if not callable(opening):
        raise typer.BadParameter("no database: set DATABASE_URL or pass --database-url")
    found: Database = opening()
    return found


# ------------------------------------------------------------------------------ shown


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
    failures(report)
    for remark in report.remarks:
        console.print(f"[yellow]{escape(remark)}[/]")
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
