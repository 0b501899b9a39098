"""What the suites share: a PostgreSQL for the process, worlds as data, watched graphs."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.types import StateSnapshot

from graphs.processes import kept
from lg_production import Checkpointer, Database, embedded_database
from lg_production.core.embedded import OpensDirectories

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
STARTING = threading.Lock()
MOST_STEPS = 400
"""Steps of LangGraph's, which no agent needs that comes to an end."""
World: TypeAlias = Mapping[str, Any]
"""What is different from the usual world; each suite says what may stand in one."""
Record: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""The state of a graph, to what its world has on record."""


def database() -> Database:
    """A PostgreSQL of this process, thrown away at its end: no trial meets yesterday's."""
    with STARTING:  # trials begin in several threads
        return _database()


@cache
def _database() -> Database:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OpensDirectories)
        opened = kept(embedded_database())
    with psycopg.connect(opened.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    opened.migrate()
    Checkpointer(opened).setup()
    return opened


def world(suite: str, script: str) -> World:
    """The world of this name; the usual one for "". Raises `LookupError` with those there are."""
    if not script:
        return {}
    folder = GOLDEN / suite / "worlds"
    names = sorted(file.stem for file in folder.glob("*.json"))
    if script not in names:
        raise LookupError(
            f"There is no world {script!r} for {suite}; there are {', '.join(names)}."
        )
    found: World = json.loads((folder / f"{script}.json").read_text(encoding="utf-8"))
    return found


def pins(suite: str) -> dict[str, str]:
    """The SHA-256 of every world of a suite: a case names its world, so its hash cannot hold it."""
    files = sorted((GOLDEN / suite / "worlds").glob("*.json"))
    return {file.stem: sha256(file.read_bytes()).hexdigest() for file in files}


def somebody() -> str:
    """A user whom nobody has seen before: budgets of a month begin with him."""
    return uuid4().hex


def spelled(values: Iterable[str]) -> str:
    """Facts in a line, in the order of the alphabet, as behaviours compare them."""
    return ", ".join(sorted(values)) or "nothing"


class Watched:
    """A compiled graph that tells beside its state what its world has on record.

    An agent may say what it likes; whether a seat was booked is the airline's to say. What was
    said inside of its sub-graphs stands among the messages, in front of the last one. A graph that
    goes round in circles is stopped after MOST_STEPS.
    """

    def __init__(self, graph: StateGraph[Any, Any], record: Record, *, user: str = "") -> None:
        self.saver = Checkpointer(database())
        self.graph = graph.compile(checkpointer=self.saver)
        self.record, self.who = record, {"user_id": user} if user else {}

    def invoke(self, given: Any, config: RunnableConfig, **more: Any) -> dict[str, Any]:
        """As the graph's; the record's values are added to its state."""
        who = {**config.get("configurable", {}), **self.who}
        config = {"recursion_limit": MOST_STEPS, **config, "configurable": who}
        return self.seen(self.graph.invoke(given, config, **more), config)

    def get_state(self, config: RunnableConfig, **more: Any) -> StateSnapshot:
        """As the graph's, with the record's values."""
        found = self.graph.get_state(config, **more)
        return found._replace(values=self.seen(found.values, config))

    def seen(self, state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        """A state, and all that can be known beside it."""
        messages, inner = list(state.get("messages") or []), inside(self.saver, config)
        return {**state, "messages": [*messages[:-1], *inner, *messages[-1:]], **self.record(state)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.graph, name)


def inside(saver: Checkpointer, config: RunnableConfig) -> list[BaseMessage]:
    """What was said in sub-graphs of a thread, one after the other, by their newest checkpoints.

    Whoever listens to all of them at once cannot tell whose call is whose: scripted models count
    their calls, and so two of them give one id to two calls.
    """
    thread = config["configurable"]["thread_id"]
    found: dict[str, list[BaseMessage]] = {}
    for each in saver.list({"configurable": {"thread_id": thread}}):
        place = each.config["configurable"]["checkpoint_ns"]
        if place and place not in found:
            found[place] = each.checkpoint["channel_values"].get("messages", [])
    return [message for messages in reversed(found.values()) for message in messages]
