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
from rich.markup import escape
from rich.table import Table

from .core.database import Database
from .errors import LgProductionError, SuiteEmpty
from .eval_shown import price, show, tell, watched
from .evaluation.cases import Suite, load_suite
from .evaluation.comparing import compare
from .evaluation.gates import Exit, Gate
from .evaluation.html import html
from .evaluation.judges import Judge
from .evaluation.junit import junit
from .evaluation.preparing import ready
from .evaluation.promotion import append, promote
from .evaluation.redaction import Redaction, redact
from .evaluation.results import Report
from .evaluation.running import Runner
from .evaluation.suites import GOLDEN, place_of, places
from .evaluation.targets import imported, target_of
from .evaluation.versions import SPLITS
from .persistence import Checkpointer
from .terminal import console, error_text, errors

evals_app = typer.Typer(no_args_is_help=True, help="Golden data: run it, compare runs, check it.")
JOURNALS = Path(".lg_production") / "evals"
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
    errors.print(f"[red]{escape(redact(problem))}[/]")
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
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds for a trial, and for a judge.")
    ] = None,
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
    redacted: Annotated[bool, typer.Option("--redact/--no-redact", help="Hide secrets.")] = True,
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
        earlier = earlier.redacted() if earlier and redacted else earlier
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
            report = report.redacted() if redacted else report
        finish(report, gate, earlier, files, journal)


def finish(
    report: Report,
    gate: Gate,
    before: Report | None,
    files: tuple[Path | None, Path | None, Path | None],
    journal: Path,
) -> NoReturn:
    """Write and show a run, say why it is not good enough, and leave with its exit code.

    The journal is kept until all is written. `run` has left out the secrets, or was told not to.
    """
    json_file, html_file, junit_file = files
    if json_file:
        report.write(json_file, redact=None)
    comparison = compare(before, report) if before and not report.stopped else None
    objections = [] if report.stopped else gate.objections(report, before)
    judged = objections if gate != Gate() and not report.stopped else None
    page = html(report, comparison, objections=judged, redact=None) if html_file else ""
    written(html_file, page)
    written(junit_file, junit(report, redact=None) if junit_file else "")
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
        before, after = Report.read(old).redacted(), Report.read(new).redacted()
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
