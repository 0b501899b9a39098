"""`lg-production run`: a graph on your database, watched, and answered where it asks."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from rich.markup import escape
from rich.prompt import Prompt

from .core import schema
from .core.database import Database
from .errors import SchemaOutdated
from .persistence import Checkpointer
from .terminal import console, error_text, fail

Model = Annotated[str | None, typer.Option(help="Any string of init_chat_model.")]


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
            updates = graph.stream(step, config, stream_mode="updates", subgraphs=True, **settings)
            for namespace, update in updates:
                show(update, "  " * len(namespace))
            step = next_input(graph, config)
    except (EOFError, KeyboardInterrupt):
        console.print(f"\nIt waits for you. Go on with: {escape(again)}")
        raise typer.Exit from None
    except Exception as error:  # noqa: BLE001 - the user's graph may raise anything
        fail(error_text(error), f"Go on with: {again}")
    console.print(f"[dim]thread {escape(thread)}[/]")


DONE, LONGEST = object(), 160


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
    name, arguments = escape(action["name"]), escape(json.dumps(action["args"]))
    console.print(f"[yellow]?[/] [bold]{name}[/] {arguments}")
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


def show(update: dict[str, Any], indent: str = "") -> None:
    """What a node has just added to the state; those of sub-graphs are indented."""
    for node, change in update.items():
        for added in change if isinstance(change, list) else [change]:
            if not (isinstance(added, dict) and "messages" in added):
                if added and node != "__interrupt__":
                    said = escape(f"{node} {shortened(str(added))}")
                    console.print(f"{indent}[dim]· {said}[/]")
                continue
            messages = added["messages"]
            listed = messages if isinstance(messages, list) else [messages]
            for message in convert_to_messages(listed):
                show_message(node, message, indent)


def shortened(text: str) -> str:
    """The beginning of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[:LONGEST]}…"


def show_message(node: str, message: BaseMessage, indent: str = "") -> None:
    """One message: who said it, and what it wants done. Only an answer is shown in full."""
    whole = isinstance(message, AIMessage) and not indent
    text = escape(str(message.text) if whole else shortened(str(message.text)))
    who = escape(node)
    mark = "[red]✗[/]" if getattr(message, "status", "") == "error" else "[dim]·[/]"
    replayed = message.additional_kwargs.get("lg_production", {}).get("replayed")
    if text:
        console.print(
            f"{indent}{mark} [cyan]{who}[/] {text}{' [dim](replayed)[/]' if replayed else ''}"
        )
    for call in getattr(message, "tool_calls", ()):
        arguments = escape(json.dumps(call["args"], ensure_ascii=False))
        name = escape(call["name"])
        console.print(f"{indent}[dim]→[/] [cyan]{who}[/] [bold]{name}[/] {arguments}")
