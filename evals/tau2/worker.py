"""A worker: it holds the agent and no environment, and it may be killed at any moment."""

from __future__ import annotations

import os
import time
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy

from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    Happened,
    IdempotentToolNode,
    NotHappened,
    current_effect,
)

from .world import Client

READ_ONLY = EffectPolicy(recovery="read_only")


@dataclass(frozen=True)
class Column:
    """One way to run the tasks. `delay`: seconds between an effect and its acknowledgement."""

    name: str
    ours: bool = False
    twice: bool = True
    declared: bool = True
    kills: bool = False
    delay: float = 0.0


@dataclass(frozen=True)
class Setting:
    """Where a worker works."""

    column: Column
    database_url: str
    address: str


@dataclass(frozen=True)
class Script:
    """What the scripted model will ask for."""

    actions: Sequence[Mapping[str, Any]]


class ReplyLost(Exception):
    """The tool has acted, and the acknowledgement is lost."""


class RetriedReplyLost(ReplyLost):
    """A loss that LangGraph's RetryPolicy answers by running the node again."""


def work(setting: Setting, places: Sequence[str], acted: Connection) -> None:
    """Carry on with every task that is not done. Tells `acted` after every effect."""
    os.environ["LANGSMITH_TRACING"] = "false"
    warnings.simplefilter("ignore")
    world = Client(setting.address)
    done = set(world.ask("finished", column=setting.column.name))
    with Database(setting.database_url, max_connections=4) as database:
        graphs: dict[str, CompiledStateGraph[Any, Any]] = {}
        for place in places:
            if place in done:
                continue
            domain = place.split("/")[1]
            if domain not in graphs:
                graphs[domain] = agent(setting.column, world, domain, database, acted)
            carry_on(graphs[domain], world, place)
            world.ask("finish", place=place)


def carry_on(graph: CompiledStateGraph[Any, Any], world: Client, place: str) -> None:
    """Start a task, or resume it wherever an earlier worker left it, until it is done."""
    config: RunnableConfig = {"configurable": {"thread_id": place}, "recursion_limit": 200}
    script = Script(world.ask("actions", place=place))
    durability: Any = ("sync", "async")[zlib.crc32(place.encode()) % 2]
    while True:
        state = graph.get_state(config)
        last = (state.values.get("messages") or [None])[-1]
        if state.interrupts:
            given: Any = Command(
                resume={i.id: answer(world, place, i.value) for i in state.interrupts}
            )
        elif not state.next and not isinstance(last, AIMessage | ToolMessage):
            # Not begun, or killed before its first step was durable: LangGraph forgot it.
            given = {"messages": [("user", place)]}
        elif isinstance(last, AIMessage) and not last.tool_calls:
            return
        else:
            # Killed between a task's result and its checkpoint, `next` is empty all the same.
            given = None
        try:
            graph.invoke(given, config, context=script, durability=durability)
        except ReplyLost:
            continue


def answer(world: Client, place: str, question: Any) -> Any:
    """An honest person's answer: they look it up in the world's journal."""
    decisions = []
    for action in question["action_requests"]:
        key, version = action["native_key"], action["version"]
        world.ask("question", place=place, key=key, version=version)
        found = world.ask("look", key=key)
        known = {"type": "respond", "message": found}
        decisions.append({"type": "approve"} if found is None else known)
    return {"decisions": decisions}


# ------------------------------------------------------------------------------- the agent


def agent(
    column: Column, world: Client, domain: str, database: Database, acted: Connection
) -> CompiledStateGraph[Any, Any]:
    """Model and tools in a loop. Nothing differs between the columns but the tool node."""
    described = world.ask("tools", domain=domain)
    tools = [_tool(d, column, world, acted) for d in described]
    node = ToolNode(tools, handle_tool_errors=True)
    if column.ours:
        policies = policies_of(described, world, declared=column.declared)
        node = IdempotentToolNode(tools, database, policies=policies, handle_tool_errors=True)
    effects = {d["name"] for d in described if d["effect"]}
    lossy = node | RunnableLambda(_losing_replies(world, effects if column.twice else set()))
    retry = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=RetriedReplyLost)
    builder = StateGraph(MessagesState, context_schema=Script)
    builder.add_node("model", model)
    builder.add_node("tools", lossy, retry_policy=retry)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=Checkpointer(database))


def model(state: MessagesState, runtime: Runtime[Script]) -> dict[str, Any]:
    """Ask for action number n, n being the answers so far. As a real one: under new ids."""
    number = sum(isinstance(m, AIMessage) for m in state["messages"])
    if number >= len(runtime.context.actions):
        return {"messages": [AIMessage("done", id=str(uuid4()))]}
    action = runtime.context.actions[number]
    call = {"name": action["name"], "args": action["arguments"], "id": f"call-{uuid4()}"}
    return {"messages": [AIMessage("", id=str(uuid4()), tool_calls=[call])]}


def policies_of(
    described: Sequence[Mapping[str, Any]], world: Client, *, declared: bool
) -> dict[str, EffectPolicy]:
    """tau2 honours no key, but has a journal to look in: `probe`. Undeclared is `surface`."""

    def probe(native_key: str, _: Mapping[str, Any]) -> Happened | NotHappened:
        found = world.ask("look", key=native_key)
        return NotHappened() if found is None else Happened(found)

    effect = EffectPolicy(recovery="probe", probe=probe) if declared else EffectPolicy()
    return {d["name"]: effect if d["effect"] else READ_ONLY for d in described}


def _tool(
    described: Mapping[str, Any], column: Column, world: Client, acted: Connection
) -> BaseTool:
    name, effect = described["name"], described["effect"]

    def use(config: RunnableConfig, **arguments: Any) -> str:
        current, place = current_effect(), config["configurable"]["thread_id"]
        key = current.native_key if current else None
        told = world.ask("use", place=place, tool=name, arguments=arguments, key=key)
        if effect:
            acted.send_bytes(b"acted")
            time.sleep(column.delay)
        if told["refused"]:
            raise ToolException(told["text"])
        return str(told["text"])

    return StructuredTool(
        name=name,
        description=described["description"],
        args_schema=described["schema"],
        func=use,
    )


def _losing_replies(world: Client, effects: set[str]) -> Any:
    """The second half of the tools node: the first result of every effect is lost.

    Every other loss is answered by LangGraph's RetryPolicy, the rest by `invoke(None)`.
    """

    def lose(output: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        message = output["messages"][-1]
        if message.name not in effects:
            return output
        call, place = message.tool_call_id, config["configurable"]["thread_id"]
        if world.ask("delivered", place=place, call=call) == 1:
            raise (RetriedReplyLost if call[-1] in "01234567" else ReplyLost)(call)
        return output

    return lose
