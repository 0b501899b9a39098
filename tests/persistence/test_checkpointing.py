"""Checkpoints on our pool."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from lg_production import Checkpointer, Database
from tests.graphs_for_tests import thread


@dataclass
class Fare:
    """A type of the user's."""

    euro: int


class Trip(TypedDict, total=False):
    fare: Any
    ok: bool


def asking(checkpointer: Checkpointer) -> Any:
    builder = StateGraph(Trip)
    builder.add_node("ask", lambda state: {"ok": interrupt("ok?")})
    builder.add_edge(START, "ask")
    return builder.compile(checkpointer=checkpointer)


def test_setup_may_be_called_by_many_at_once(server_url, template):
    """Workers that start together do not fall over each other's migrations."""
    url = server_url.replace("/postgres?", "/set_up?")
    with Database(server_url) as admin, admin.connection() as connection:
        connection.execute("CREATE DATABASE set_up")
    failures = []

    def start() -> None:
        try:
            with Database(url, max_connections=2) as database:
                Checkpointer(database).setup()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert [] == failures


def test_one_object_serves_sync_and_async_on_any_loop(database):
    """Interrupted under one event loop, resumed under another, read without one."""
    graph, config = asking(Checkpointer(database)), thread()

    asyncio.run(graph.ainvoke({"fare": 3}, config))
    result = asyncio.run(graph.ainvoke(Command(resume=True), config))

    assert {"fare": 3, "ok": True} == result == graph.get_state(config).values
    assert ["ask", "__start__"] == [s.next[0] for s in graph.get_state_history(config) if s.next]


def test_a_thread_can_be_deleted(database):
    """Sync and async, and its rows are gone."""
    checkpointer = Checkpointer(database)
    graph, config = asking(checkpointer), thread()
    graph.invoke({"fare": 3}, config)
    asyncio.run(checkpointer.adelete_thread(config["configurable"]["thread_id"]))

    assert {} == graph.get_state(config).values


@pytest.mark.parametrize(("types", "revived"), [((Fare,), Fare(3)), ((), {"euro": 3})])
def test_only_named_types_are_revived(database, types, revived):
    """A row cannot name a class to import: others come back as plain data."""
    graph, config = asking(Checkpointer(database, types=types)), thread()
    graph.invoke({"fare": Fare(3)}, config)

    assert revived == graph.get_state(config).values["fare"]


def test_writers_do_not_wait_for_each_other(database):
    """As many puts at once as there are connections: a PostgresSaver would hold one lock."""
    checkpointer = Checkpointer(database)
    together = threading.Barrier(3, timeout=10)
    put = checkpointer.put

    def slow_put(*args: Any) -> Any:
        with checkpointer._cursor():
            together.wait()
        return put(*args)

    checkpointer.put = slow_put
    graph = asking(checkpointer)
    threads = [
        threading.Thread(target=lambda: graph.invoke({"fare": 1}, thread())) for _ in range(3)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=30)

    assert not any(each.is_alive() for each in threads)
    assert not together.broken
