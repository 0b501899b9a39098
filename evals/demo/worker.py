"""What one worker process does: build the travel agent, and start, resume or answer a thread."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Literal, TypeAlias

from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from evals.demo.confirming import ask_before_booking
from graphs.airline import Airline
from graphs.booking import POLICIES, Settings, booking_tools, wire
from graphs.booking_review import Guards, oversight, review_policy
from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    Idempotent,
    IdempotentToolNode,
    tool_node,
)

Column: TypeAlias = Literal["plain", "lg_production"]


@dataclass(frozen=True)
class Setting:
    """Where one run of an incident takes place. The same for all of its processes."""

    column: Column
    database_url: str
    airline: Airline
    thread: str
    model: str
    confirm: bool = False
    declared: bool = True
    people: bool = False


@dataclass(frozen=True)
class Job:
    """One process: a new wish, an answer to an interrupt, or neither, which resumes."""

    wish: str | None = None
    answer: Any = None


def work(setting: Setting, job: Job, start: Barrier | None, report: Connection) -> None:
    """Do the job and report how it ended."""
    os.environ["LANGSMITH_TRACING"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it kills us
    try:
        with agent(setting) as graph:
            if start is not None:
                start.wait(timeout=30)
            config: Any = {"configurable": {"thread_id": setting.thread}}
            state = graph.invoke(input_of(job), config, context=Settings(setting.model))
            asked = [i.value for i in state.get("__interrupt__", ())]
            report.send({"said": state["messages"][-1].text, "asked": asked})
    except Exception as error:  # whatever it is, the parent shall hear of it
        report.send({"error": f"{type(error).__name__}: {error}"})


def input_of(job: Job) -> Any:
    """The input of this job, as LangGraph takes it."""
    if job.wish is not None:
        return {"messages": [("user", job.wish)]}
    return None if job.answer is None else Command(resume=job.answer)


@contextmanager
def agent(setting: Setting) -> Iterator[CompiledStateGraph[Any, Any]]:
    """The travel agent of this column. Nothing differs but the tool node and the key."""
    url, errors = setting.database_url, {"handle_tool_errors": True}
    if setting.column == "plain":
        tools = ToolNode(keyless_tools(setting.airline), **errors)  # type: ignore[arg-type]
        with PostgresSaver.from_conn_string(url) as saver:
            yield wire(tools, confirming(setting)).compile(checkpointer=saver)
        return
    with Database(url) as database:
        if setting.people:
            yield reviewed(setting, database).compile(checkpointer=Checkpointer(database))
            return
        node = our_tools(setting, database, **errors)
        yield wire(node, confirming(setting)).compile(checkpointer=Checkpointer(database))


def confirming(setting: Setting) -> Guards:
    """The hand-written question, where the incident has one."""
    if not setting.confirm:
        return {}
    return {"confirm": (ask_before_booking, ("tools", "model", "__end__"))}


def reviewed(setting: Setting, database: Database) -> StateGraph[Any, Any]:
    """As in the reference graph: a policy says what people decide. The airline gets no key."""
    tools = keyless_tools(setting.airline)
    people = oversight(database, review_policy(setting.airline, sample_rate=0), tools)
    once = Idempotent(database)
    return wire(tool_node(tools, people.review, once), people.guards)


def our_tools(setting: Setting, database: Database, **arguments: Any) -> IdempotentToolNode:
    """Declared as in the reference graph; or not at all."""
    if not setting.declared:
        return IdempotentToolNode(keyless_tools(setting.airline), database, **arguments)
    tools = [*booking_tools(setting.airline), ask_traveller]
    policies = {**POLICIES, "ask_traveller": EffectPolicy(recovery="read_only")}
    return IdempotentToolNode(tools, database, policies=policies, **arguments)


@tool
def ask_traveller(question: str) -> str:
    """Ask the traveller a question."""
    return f"The traveller says: {interrupt(question)}"


def keyless_tools(airline: Airline) -> list[BaseTool]:
    """The same tools as people write them: LangGraph has no key to give."""

    @tool
    def book_flight(flight: str) -> str:
        """Book one seat on a flight, by its number. This costs money."""
        return f"Booked {flight}, reference {airline.book(flight)['reference']}"

    return [booking_tools(airline)[0], book_flight, ask_traveller]
