"""The hand-written floor, and us. Each can do one effect, and many at once for a while."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import tool
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import ExecutionInfo

from lg_production import Database, Idempotent

RUN, NUMBERS = secrets.token_hex(4), count()
THREAD, CHECKPOINT = f"benchmark-{RUN}", "checkpoint"


class Contender(Protocol):
    """Somebody who carries out effects."""

    name: str

    def one(self) -> float:
        """Seconds for one new effect."""
        ...

    def crowd(self, workers: int, seconds: float) -> float:
        """Effects a second, by that many workers at once."""
        ...

    def close(self) -> None: ...


def sibling(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def threads(workers: int, seconds: float, work: Callable[[int], int]) -> float:
    """Effects a second of threads that each repeat `work(number)`, which counts its effects."""
    stop, counts = time.perf_counter() + seconds, [0] * workers

    def run(number: int) -> None:
        while time.perf_counter() < stop:
            counts[number] += work(number)

    running = [threading.Thread(target=run, args=(n,)) for n in range(workers)]
    start = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


async def tasks(workers: int, seconds: float, work: Callable[[], Awaitable[object]]) -> float:
    """Effects a second of asyncio tasks that each repeat `work()`."""
    stop, done = time.perf_counter() + seconds, 0

    async def run() -> None:
        nonlocal done
        while time.perf_counter() < stop:
            await work()
            done += 1

    start = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(workers)))
    return done / (time.perf_counter() - start)


# ---------------------------------------------------------------------------- the floor
CREATE = """
CREATE TABLE IF NOT EXISTS floor (
  key bytea PRIMARY KEY, token uuid NOT NULL, state text NOT NULL DEFAULT 'claimed',
  result bytea)
"""
CLAIM = "INSERT INTO floor (key, token) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING token"
COMPLETE = "UPDATE floor SET state = 'succeeded', result = %s WHERE key = %s AND token = %s"


class Floor:
    """Claim and complete by hand: two prepared statements, two commits, a connection a worker.

    With `relaxed` the completion does not wait for the disk. That is the most that any
    ledger with one durable statement before the effect could reach.
    """

    def __init__(self, url: str, connections: int = 1, *, relaxed: bool = False) -> None:
        self.name = "floor, completion not durable" if relaxed else "hand-written floor"
        self._claims = [psycopg.connect(url, autocommit=True) for _ in range(connections)]
        self._completes = self._claims
        self._claims[0].execute(CREATE)
        if relaxed:
            self._completes = [psycopg.connect(url, autocommit=True) for _ in range(connections)]
            for connection in self._completes:
                connection.execute("SET synchronous_commit = off")

    def one(self) -> float:
        start = time.perf_counter()
        self.effect(0)
        return time.perf_counter() - start

    def effect(self, number: int) -> int:
        key, token = secrets.token_bytes(32), uuid4()
        claimed = self._claims[number].execute(CLAIM, (key, token), prepare=True).fetchone()
        assert claimed is not None
        done = self._completes[number].execute(COMPLETE, (b"booked", key, token), prepare=True)
        assert done.rowcount == 1
        return 1

    def crowd(self, workers: int, seconds: float) -> float:
        size = len(self._claims)
        assert workers <= size, f"the floor has a connection a worker, {size} of them"
        return threads(workers, seconds, self.effect)

    def close(self) -> None:
        for connection in {*self._claims, *self._completes}:
            connection.close()


# ------------------------------------------------------------------------------- ours
@tool
def book(order: str) -> str:
    """Book a flight."""
    return f"booked {order}"


def in_a_task() -> None:
    """What LangGraph sets around a task, for wrappers that run without a graph here."""
    pad = SimpleNamespace(
        interrupt_counter=lambda: 0, resume=[], get_null_resume=lambda _consume=False: None
    )
    var_child_runnable_config.set({"configurable": {"__pregel_scratchpad": pad}})


def request(number: int) -> ToolCallRequest:
    """The request that a ToolNode would make for one tool call of a model answer."""
    call_id = f"call_{RUN}_{number}"
    call: Any = {"name": "book", "args": {"order": str(number)}, "id": call_id, "type": "tool_call"}
    state = {"messages": [AIMessage("", id=f"message_{number}", tool_calls=[call])]}
    runtime: ToolRuntime[Any, Any] = ToolRuntime(
        state=state,
        tool_call_id=call_id,
        config={"configurable": {}},
        context=None,
        store=None,
        stream_writer=lambda _: None,
        execution_info=ExecutionInfo(
            checkpoint_id=CHECKPOINT, checkpoint_ns="tools:1", task_id="task", thread_id=THREAD
        ),
    )
    return ToolCallRequest(tool_call=call, tool=book, state=state, runtime=runtime)


def booked(asked: ToolCallRequest) -> ToolMessage:
    """The effect: nothing, so that only our own cost is measured."""
    return ToolMessage("booked", name="book", tool_call_id=asked.tool_call["id"])


async def abooked(asked: ToolCallRequest) -> ToolMessage:
    return booked(asked)


class Ours:
    """`Idempotent` around a tool that does nothing, without a graph."""

    def __init__(self, url: str, *, barrier: bool = True, asynchronous: bool = False) -> None:
        self.name = "lg_production"
        self.database = Database(url)
        self.asynchronous = asynchronous
        self.idempotent = Idempotent(self.database, barrier=barrier)
        in_a_task()
        for _ in range(8):
            self.effect()

    def one(self) -> float:
        asked = request(next(NUMBERS))
        start = time.perf_counter()
        self.idempotent.wrap_tool_call(asked, booked)
        return time.perf_counter() - start

    def effect(self, _: int = 0) -> int:
        in_a_task()
        self.idempotent.wrap_tool_call(request(next(NUMBERS)), booked)
        return 1

    async def aeffect(self) -> None:
        await self.idempotent.awrap_tool_call(request(next(NUMBERS)), abooked)

    def crowd(self, workers: int, seconds: float) -> float:
        if self.asynchronous:
            return asyncio.run(tasks(workers, seconds, self.aeffect))
        return threads(workers, seconds, self.effect)

    def close(self) -> None:
        with suppress(Exception):
            self.database.close()


def make_durable(database: Database) -> None:
    """The checkpoint that asked for our calls, so that the barrier lets them pass."""
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint) "
            "VALUES (%s, '', %s, '{}') ON CONFLICT DO NOTHING",
            (THREAD, CHECKPOINT),
        )
