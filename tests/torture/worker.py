"""One worker: it resumes the agent runs it is given until they are done, or until it is killed."""

from __future__ import annotations

import asyncio
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import uuid4

import psycopg
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.types import Command

from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    Happened,
    IdempotentToolNode,
    InjectedConnection,
    InjectedIdempotencyKey,
    NotHappened,
)
from lg_production.core.steps import Statement
from lg_production.errors import IdempotencyInProgress
from lg_production.middleware import IdempotentMiddleware

from ..graphs_for_tests import agent
from .world import World

RUNGS = ("transactional", "native_key", "probe", "surface", "at_least_once")
LEASE = timedelta(seconds=1)


@dataclass(frozen=True)
class Cell:
    """One cell of the campaign's matrix."""

    surface: str
    durability: Any
    asynchronous: bool

    def __str__(self) -> str:
        return f"{self.surface}/{self.durability}/{'ainvoke' if self.asynchronous else 'invoke'}"


def orders_of(thread: str) -> list[str]:
    """Two calls of each rung, in one answer of the model."""
    return [f"{thread}.{rung}.{n}" for rung in RUNGS for n in (1, 2)]


def tools_of(world: World) -> list[Any]:
    """One tool for each rung."""

    @tool
    def native_key(order: str, key: Annotated[str, InjectedIdempotencyKey()]) -> str:
        """Book with a key."""
        return world.book(order, key)

    @tool
    def transactional(
        order: str, connection: Annotated[psycopg.Connection[Any], InjectedConnection()]
    ) -> str:
        """Book in our own database."""
        world.write("progress", f"{os.getpid()} tool {order}")
        connection.execute("INSERT INTO bookings VALUES (%s)", (order,))
        time.sleep(0.01)
        return f"booked {order}"

    def named(name: str) -> Any:
        def book(order: str) -> str:
            """Book."""
            return world.book(order)

        return tool(name)(book)

    return [transactional, native_key, *map(named, ("probe", "surface", "at_least_once"))]


def policies_of(world: World) -> dict[str, EffectPolicy]:
    """The rungs, declared."""

    def probe(key: str, arguments: Any) -> Any:
        order = arguments["order"]
        return Happened(f"booked {order}") if world.bookings()[order] else NotHappened()

    return {
        "transactional": EffectPolicy(recovery="transactional"),
        "native_key": EffectPolicy(recovery="native_key", native_ttl=timedelta(hours=1)),
        "probe": EffectPolicy(recovery="probe", probe=probe),
        "surface": EffectPolicy(),
        "at_least_once": EffectPolicy(recovery="at_least_once"),
    }


def think(world: World, messages: Sequence[Any]) -> AIMessage:
    """The model: all calls of the thread at once, under ids that are new each time."""
    world.write("progress", f"{os.getpid()} model")
    if not isinstance(messages[-1], HumanMessage):
        return AIMessage("done")
    calls = [
        {"name": o.split(".")[1], "args": {"order": o}, "id": f"call-{uuid4()}"}
        for o in orders_of(messages[-1].content)
    ]
    return AIMessage("", id=str(uuid4()), tool_calls=calls)


class Model(BaseChatModel):
    """`think` as a chat model."""

    folder: Any

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        return ChatResult(generations=[ChatGeneration(message=think(World(self.folder), messages))])


def graph_of(cell: Cell, database: Database, world: World) -> Any:
    """The agent of this cell."""
    tools, policies = tools_of(world), policies_of(world)
    options: dict[str, Any] = {"policies": policies, "lease": LEASE, "wait": timedelta(seconds=3)}
    if cell.surface == "create_agent":
        middleware = [IdempotentMiddleware(database, **options)]
        model = Model(folder=world.folder)
        return create_agent(
            model, tools, middleware=middleware, checkpointer=Checkpointer(database)
        )
    node = IdempotentToolNode(tools, database, **options)
    model = lambda state: {"messages": [think(world, state["messages"])]}  # noqa: E731
    return agent(model, node, send=cell.surface == "Send").compile(
        checkpointer=Checkpointer(database)
    )


def booked(world: World, database: Database, order: str) -> bool:
    """What a person sees who looks it up."""
    sql = "SELECT 1 FROM bookings WHERE name = %(order)s"
    return bool(world.bookings()[order] or database.execute(Statement(sql, {"order": order}, list)))


def answer(world: World, database: Database, value: Any) -> Any:
    """An honest person's decisions; None to wait, while a stopped worker may still act."""
    decisions = []
    for action in value.get("action_requests", ()):
        order = action["args"]["order"]
        if booked(world, database, order):
            decisions.append({"type": "respond", "message": f"booked {order}"})
        elif (world.folder / "stopped").exists():
            return None
        else:
            decisions.append({"type": "approve"})
    return {"decisions": decisions} if decisions else {"type": "what?"}


def carry_on(graph: Any, cell: Cell, database: Database, world: World, thread: str) -> None:
    """Bring one agent run to its end."""
    config = {"configurable": {"thread_id": thread}}
    for _ in range(40):
        state = graph.get_state(config)
        messages = state.values.get("messages") or [HumanMessage(thread)]
        if not state.next and isinstance(messages[-1], HumanMessage):
            # Not begun, or killed before its first step was durable: LangGraph forgot it.
            if state.created_at:
                world.write("forgotten", f"{thread} {state.metadata} {state.values}")
            given: Any = {"messages": [("user", thread)]}
        elif state.interrupts:
            answers = {i.id: answer(world, database, i.value) for i in state.interrupts}
            if None in answers.values():
                time.sleep(0.1)
                continue
            world.write("questions", thread)
            given = Command(resume=answers)
        elif messages[-1].content != "done":
            # Killed between a step's writes and its checkpoint, `next` is empty all the same.
            given = None
        else:
            break
        try:
            if cell.asynchronous:
                asyncio.run(graph.ainvoke(given, config, durability=cell.durability))
            else:
                graph.invoke(given, config, durability=cell.durability)
        except IdempotencyInProgress:
            time.sleep(0.1)
    else:
        return
    told = [m.content for m in state.values["messages"] if isinstance(m, ToolMessage)]
    for text in told:
        world.write("told", f"{thread} {text}")
    world.write("done", thread)


def work(cell: Cell, threads: list[str], url: str, world: World) -> None:
    """The life of one worker process."""
    warnings.simplefilter("ignore")
    with Database(url, max_connections=6) as database:
        graph = graph_of(cell, database, world)
        for thread in threads:
            world.write("progress", f"{os.getpid()} idle")
            if (world.folder / f"retire-{os.getpid()}").exists():
                return  # a thread has one driver: another one took over the rest
            if thread not in world.read("done"):
                carry_on(graph, cell, database, world, thread)
        world.write("progress", f"{os.getpid()} idle")
