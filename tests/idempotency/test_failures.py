"""What a production day brings: zombies, lost servers, strange clocks, strange values."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import ExecutionInfo
from langgraph.types import Command, interrupt

from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    Happened,
    IdempotentToolNode,
    InjectedConnection,
    NotHappened,
)
from lg_production.core.embedded import embedded_server
from lg_production.core.steps import Statement
from lg_production.errors import IdempotencyInProgress, LgProductionError
from lg_production.idempotency.compensation import compensate
from lg_production.idempotency.decisions import Decision, resolve
from lg_production.idempotency.maintenance import entries, prune
from lg_production.idempotency.questions import outcome_of

from ..graphs_for_tests import ASK, agent, call, says, thread
from ..walk import Airline, in_task

SHORT = timedelta(milliseconds=200)


def compiled(database: Database, model: Any, tools: Any, *, send: bool = True) -> Any:
    return agent(model, tools, send=send).compile(checkpointer=Checkpointer(database))


def rows(database: Database, sql: Any) -> list[Any]:
    return database.execute(Statement(sql, {}, list))


def do(database: Database, sql: Any) -> None:
    database.execute(Statement(sql, {}, lambda _: None))


def texts(result: Any) -> list[str]:
    return [m.content for m in result["messages"] if isinstance(m, ToolMessage)]


class Slow:
    """A tool that waits before it books, and says that it has begun."""

    def __init__(self) -> None:
        self.airline, self.begun, self.go_on = Airline(), threading.Event(), threading.Event()
        self.waits = 1

        @tool
        def book(order: str) -> str:
            """Book."""
            if self.waits:
                self.waits -= 1
                self.begun.set()
                assert self.go_on.wait(20)
            return self.airline.book(order)

        self.book = book

    def probe(self, key: str, arguments: Any) -> Any:
        done = self.airline.booked(arguments["order"])
        return Happened("probed") if done else NotHappened()

    def policies(self, recovery: str) -> dict[str, EffectPolicy]:
        more = {"probe": self.probe} if recovery == "probe" else {}
        return {"book": EffectPolicy(recovery=recovery, **more)}  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ zombies


def test_a_zombie_adopts_the_record(database: Database, database_url: str) -> None:
    """Its lease ran out while it was away and a person settled the effect: their word stands."""
    slow, config = Slow(), thread()
    model = says(call("book", "one", order="A"))
    long = timedelta(minutes=10)  # nothing renews it meanwhile
    ours = compiled(database, model, IdempotentToolNode([slow.book], database, lease=long))
    with Database(database_url, max_connections=4) as other, ThreadPoolExecutor() as pool:
        zombie = pool.submit(ours.invoke, ASK, config, durability="sync")
        assert slow.begun.wait(10)
        do(other, "UPDATE lg_production.effects SET lease_until = now() - interval '1 hour'")
        theirs = compiled(other, model, IdempotentToolNode([slow.book], other, wait=SHORT))
        paused = theirs.invoke(None, config, durability="sync")
        settled = theirs.invoke(
            Command(resume={"type": "respond", "message": "settled"}), config, durability="sync"
        )
        slow.go_on.set()
        woken = zombie.result(20)

    assert 1 == len(paused["__interrupt__"])
    assert ["settled"] == texts(settled) == texts(woken)
    assert ["A"] == slow.airline.bookings


def test_a_worker_that_lost_its_session_but_lives_is_not_dead(
    database: Database, database_url: str
) -> None:
    """The server dropped a connection; the process goes on, so no probe may call it dead."""
    slow, config = Slow(), thread()
    model = says(call("book", "one", order="A"))
    policies = slow.policies("probe")
    ours = compiled(database, model, IdempotentToolNode([slow.book], database, policies=policies))
    with Database(database_url, max_connections=4) as other, ThreadPoolExecutor() as pool:
        first = pool.submit(ours.invoke, ASK, config, durability="sync")
        assert slow.begun.wait(10)
        do(
            other,
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l "
            "WHERE l.locktype = 'advisory' AND l.classid = 27751 AND l.pid <> pg_backend_pid()",
        )
        time.sleep(0.3)
        theirs = compiled(
            other, model, IdempotentToolNode([slow.book], other, policies=policies, wait=SHORT)
        )
        try:
            theirs.invoke(None, config, durability="sync")
        except IdempotencyInProgress:
            pass
        slow.go_on.set()
        first.result(20)

    assert ["A"] == slow.airline.bookings


def test_a_cancelled_call_whose_thread_goes_on_is_not_over(database: Database) -> None:
    """A sync tool under `ainvoke` cannot be stopped: a probe that sees nothing proves nothing."""
    slow, config = Slow(), thread()
    model = says(call("book", "one", order="A"))
    tools = IdempotentToolNode([slow.book], database, policies=slow.policies("probe"))
    graph = compiled(database, model, tools)

    async def cancelled() -> None:
        running = asyncio.create_task(graph.ainvoke(ASK, config, durability="sync"))
        await asyncio.to_thread(slow.begun.wait, 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        again = asyncio.create_task(graph.ainvoke(None, config, durability="sync"))
        await asyncio.wait([again], timeout=2)
        slow.go_on.set()
        await again

    asyncio.run(cancelled())
    time.sleep(0.2)

    assert ["A"] == slow.airline.bookings


def test_a_cancelled_call_is_in_doubt(database: Database) -> None:
    """Cancelled while it ran: a person is asked, and their word is the result."""
    airline, config = Airline(), thread()

    @tool
    async def book(order: str) -> str:
        """Book, then hang."""
        airline.book(order)
        await asyncio.sleep(20)
        return "never"

    graph = compiled(database, says(call("book", order="A")), IdempotentToolNode([book], database))

    async def story() -> tuple[Any, Any]:
        running = asyncio.create_task(graph.ainvoke(ASK, config, durability="sync"))
        while not airline.bookings:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        asked = await graph.ainvoke(None, config, durability="sync")
        word = Command(resume={"type": "respond", "message": "it is booked"})
        return asked, await graph.ainvoke(word, config, durability="sync")

    asked, last = asyncio.run(story())

    assert "CancelledError" in asked["__interrupt__"][0].value["action_requests"][0]["description"]
    assert ["it is booked"] == texts(last)
    assert ["A"] == airline.bookings


def test_a_cancelled_transaction_gives_its_connection_back(database: Database) -> None:
    """Cancelled at any moment, a transactional call holds no connection of the pool."""
    do(database, "CREATE TABLE bookings (name text)")

    @tool
    def book(
        order: str, connection: Annotated[psycopg.Connection[Any], InjectedConnection()]
    ) -> str:
        """Book here."""
        connection.execute("INSERT INTO bookings VALUES (%s)", (order,))
        time.sleep(0.02)
        return "booked"

    policies = {"book": EffectPolicy(recovery="transactional")}
    tools = IdempotentToolNode([book], database, policies=policies)

    async def story(moment: float) -> None:
        config = thread()
        graph = compiled(
            database, says(call("book", order=config["configurable"]["thread_id"])), tools
        )
        running = asyncio.create_task(graph.ainvoke(ASK, config, durability="sync"))
        await asyncio.sleep(moment)
        running.cancel()
        await asyncio.wait([running])
        await graph.ainvoke(None if graph.get_state(config).created_at else ASK, config)

    for n in range(12):
        asyncio.run(story(0.008 * n))
    time.sleep(0.2)
    left = rows(
        database,
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()",
    )

    assert [(12, 12)] == rows(database, "SELECT count(*), count(DISTINCT name) FROM bookings")
    assert [(0,)] == left


# ---------------------------------------------------------------------- lost connections


def test_a_backend_terminated_in_mid_claim_costs_nothing(database: Database) -> None:
    """Every connection is cut again and again while calls run: each happens once."""
    airline, stop = Airline(), threading.Event()

    @tool
    def book(order: str) -> str:
        """Book."""
        return airline.book(order)

    tools = IdempotentToolNode(
        [book], database, policies={"book": EffectPolicy(business=lambda a: a["order"])}
    )
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"

    def cutter() -> None:
        with psycopg.connect(
            database.url.replace(f"/{database.name}?", "/postgres?"), autocommit=True
        ) as c:
            while not stop.wait(0.2):
                c.execute(cut, (database.name,))

    def run(n: int) -> None:
        config = thread()
        graph = compiled(database, says(call("book", order=str(n))), tools)
        for _ in range(60):
            try:
                if texts(graph.invoke(ASK, config, durability="sync")) and airline.booked(str(n)):
                    return
            except (LgProductionError, psycopg.Error):
                config = thread()
        raise AssertionError(n)

    cutting = threading.Thread(target=cutter)
    cutting.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(run, range(6)))
    finally:
        stop.set()
        cutting.join()

    assert {str(n): 1 for n in range(6)} == Counter(airline.bookings)


def test_a_server_that_is_stopped_at_once_and_started_again_costs_nothing() -> None:
    """`pg_ctl stop -m immediate` while a tool runs: the effect is once, and is told as it was."""
    with embedded_server() as url, Database(url, timeout=timedelta(seconds=20)) as database:
        database.migrate()
        Checkpointer(database).setup()
        slow, config = Slow(), thread()
        graph = compiled(
            database, says(call("book", order="A")), IdempotentToolNode([slow.book], database)
        )
        place = rows(database, "SELECT current_setting('data_directory')")[0][0]
        options = (Path(place) / "postmaster.opts").read_text().strip()
        owner = Path(place).stat()
        with ThreadPoolExecutor() as pool:
            running = pool.submit(graph.invoke, ASK, config, durability="sync")
            assert slow.begun.wait(10)
            os.kill(
                int((Path(place) / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT
            )
            time.sleep(0.5)
            server = restart(options, owner.st_uid, owner.st_gid)
            slow.go_on.set()
            try:
                running.result(30)
            except (LgProductionError, psycopg.Error):
                pass
        result = graph.invoke(None, config, durability="sync")
        if "__interrupt__" in result:
            word = {"type": "respond", "message": "booked A"}
            result = graph.invoke(Command(resume=word), config, durability="sync")
    server.wait(20)

    assert ["booked A"] == texts(result)
    assert ["A"] == slow.airline.bookings


def restart(options: str, uid: int, gid: int) -> subprocess.Popen[bytes]:
    """Start the server again as it was started: same binary, same options, same user."""
    mine = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.Popen(
        shlex.split(options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd="/", **mine,
    )  # fmt: skip


# ------------------------------------------------------------------------- strange values


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_the_client_means_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """An hour off either way: a live owner is waited for, a dead one is not."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    slow, config = Slow(), thread()
    model = says(call("book", order="A"))
    graph = compiled(database, model, IdempotentToolNode([slow.book], database))
    again = compiled(database, model, IdempotentToolNode([slow.book], database, wait=SHORT))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(graph.invoke, ASK, config, durability="sync")
        assert slow.begun.wait(10)
        with pytest.raises(IdempotencyInProgress):
            again.invoke(None, config, durability="sync")
        slow.go_on.set()
        running.result(20)

    assert ["A"] == slow.airline.bookings


def big() -> Any:
    return "x" * 10_000_000, None


def unserialisable() -> Any:
    return "done", threading.Lock()


@pytest.mark.filterwarnings("ignore:The result of")
@pytest.mark.parametrize("result", [big, unserialisable])
def test_a_result_that_cannot_be_kept_still_happened(
    database: Database, result: Callable[[], Any]
) -> None:
    """The first run gives it whole; a replay says that it was done, and does nothing."""
    ran = []

    @tool(response_format="content_and_artifact")
    def act() -> Any:
        """Act."""
        ran.append(1)
        return result()

    policies = {"act": EffectPolicy(business=lambda _: "x")}
    node = IdempotentToolNode([act], database, policies=policies, barrier=False)
    first, second = one_call(node, "one", {}), one_call(node, "two", {})

    assert result()[0] == first.content
    assert [1] == ran
    assert "two" == second.tool_call_id
    assert ("done" == second.content) or ("was carried out" in second.content)


def one_call(node: IdempotentToolNode, call_id: str, arguments: dict[str, Any]) -> Any:
    """One call of `act` through the wrapper, in a task but outside of a graph."""
    one = {"name": "act", "args": arguments, "id": call_id, "type": "tool_call"}
    state = {"messages": [AIMessage("", id="ai", tool_calls=[one])]}
    runtime = ToolRuntime(
        state=state, tool_call_id=call_id, config={}, context=None, store=None,
        stream_writer=lambda _: None,
        execution_info=ExecutionInfo("checkpoint", "tools:task", "task", "thread"),
    )  # fmt: skip
    request = ToolCallRequest(one, node.tools_by_name["act"], state, runtime)  # type: ignore[arg-type]
    with in_task():
        return node.idempotent.wrap_tool_call(
            request, lambda r: r.tool.invoke({**r.tool_call, "type": "tool_call"})
        )


def test_equal_order_ids_of_two_tenants_are_two_orders(database: Database) -> None:
    """The tenant is part of every key."""
    airline = Airline()

    @tool
    def book(order: str) -> str:
        """Book."""
        return airline.book(order)

    policies = {"book": EffectPolicy(business=lambda a: a["order"])}
    for tenant in ("a", "b", "a"):
        tools = IdempotentToolNode([book], database, policies=policies, tenant=tenant)
        compiled(database, says(call("book", order="1")), tools).invoke(
            ASK, thread(), durability="sync"
        )

    assert ["1", "1"] == airline.bookings


@pytest.mark.parametrize(
    "arguments",
    [
        {"a": "Žluťoučký 🐎 \u202e \u0000 \x1b"}, {"a": 300.0}, {"a": 1e300}, {"a": -0.0},
        {"a": float("nan")}, {"a": float("inf")}, {"a": 2**80}, {"a": "\ud800"}, {"a": [{"ü": None}]}, {"a": ""},
    ],
    ids=repr,
)  # fmt: skip
def test_any_arguments_are_booked_once(database: Database, arguments: dict[str, Any]) -> None:
    """Unicode, floats, controls: the call is made, once, with what the model gave."""
    seen: list[Any] = []

    @tool
    def act(a: Any) -> str:
        """Act."""
        seen.append(a)
        return "acted"

    node = IdempotentToolNode([act], database, barrier=False)
    one_call(node, "one", arguments)
    one_call(node, "one", arguments)

    assert repr([arguments["a"]]) == repr(seen)


# ------------------------------------------------------------------------------ upkeep


def test_pruning_while_claiming_loses_nothing(database: Database) -> None:
    """Prune as fast as you can beside calls of one business key: no error, none in doubt lost."""
    airline, stop, pruned = Airline(), threading.Event(), []

    @tool
    def book(order: str) -> str:
        """Book."""
        return airline.book(order)

    policies = {"book": EffectPolicy(business=lambda a: a["order"])}
    tools = IdempotentToolNode([book], database, policies=policies)

    def pruner() -> None:
        while not stop.is_set():
            pruned.append(database.execute(prune(timedelta(0))))

    def run(n: int) -> list[str]:
        graph = compiled(database, says(call("book", order=str(n % 3))), tools)
        return texts(graph.invoke(ASK, thread(), durability="sync"))

    pruning = threading.Thread(target=pruner)
    pruning.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            told = list(pool.map(run, range(24)))
    finally:
        stop.set()
        pruning.join()

    assert [[f"booked {n % 3}"] for n in range(24)] == told
    assert sum(pruned) + len(rows(database, "SELECT 1 FROM lg_production.effects")) == len(
        airline.bookings
    )


def test_pruning_keeps_what_is_in_doubt_and_what_a_window_still_covers(database: Database) -> None:
    """A doubt has no age, and a window that has not ended is a promise."""
    airline = Airline()

    @tool
    def remind(name: str) -> str:
        """Remind."""
        return airline.book(name)

    @tool
    def pay(name: str) -> str:
        """Pay."""
        raise TimeoutError

    policies = {"remind": EffectPolicy(window=timedelta(days=1))}
    tools = IdempotentToolNode([remind, pay], database, policies=policies)
    config = thread()
    one, two = (
        {"name": "remind", "args": {"name": "x"}, "id": "1"},
        {"name": "pay", "args": {"name": "x"}, "id": "2"},
    )
    compiled(database, says(one), tools).invoke(ASK, config, durability="sync")
    compiled(database, says(two), tools).invoke(ASK, thread(), durability="sync")
    do(
        database,
        "UPDATE lg_production.effects SET created_at = now() - interval '2 hours', updated_at = now() - interval '2 hours'",
    )

    gone = database.execute(prune(timedelta(hours=1)))
    compiled(database, says({**one, "id": "3"}), tools).invoke(ASK, config, durability="sync")

    assert 0 == gone
    assert ["x"] == airline.bookings


def test_a_compensation_that_a_person_rejected_is_not_done(database: Database) -> None:
    """Rejected means: it did not happen and shall not. The effect is not told as undone."""
    undone: list[str] = []

    @tool
    def book(order: str) -> str:
        """Book."""
        return "booked"

    def refund(key: str, arguments: Any, result: Any) -> None:
        raise TimeoutError

    tools = IdempotentToolNode([book], database, policies={"book": EffectPolicy(compensate=refund)})
    config = thread()
    compiled(database, says(call("book", order="A")), tools).invoke(ASK, config, durability="sync")
    name = config["configurable"]["thread_id"]
    with pytest.raises((LgProductionError, TimeoutError)):
        compensate(tools.idempotent, name)
    doubt = database.execute(entries(state="in_doubt"))[0].effect
    reject = Decision("reject", "no refund")
    database.execute(
        resolve(
            doubt,
            reject,
            outcome=outcome_of(doubt, reject, doubt.tool),
            decided_by="me",
            reason="no",
        )
    )
    try:
        undone = compensate(tools.idempotent, name)
    except LgProductionError:
        pass

    assert [] == undone
    assert [] == rows(database, "SELECT 1 FROM lg_production.effects WHERE state = 'compensated'")


def test_concurrent_resumes_act_once(database: Database) -> None:
    """Six resume one interrupt at once: one acts, the others are told the same or to wait."""
    airline = Airline()

    @tool
    def pay(order: str) -> str:
        """Confirm, pay."""
        interrupt({"question": order})
        time.sleep(0.05)
        return airline.book(order)

    graph = compiled(database, says(call("pay", order="A")), IdempotentToolNode([pay], database))
    config = thread()
    graph.invoke(ASK, config, durability="sync")

    def resume(_: int) -> Any:
        try:
            return texts(graph.invoke(Command(resume="yes"), config, durability="sync"))
        except IdempotencyInProgress:
            return ["booked A"]

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(resume, range(6)))

    assert ["A"] == airline.bookings
    assert all(t == ["booked A"] for t in told), told
