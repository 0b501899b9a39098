"""Concurrent callers share statements, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from lg_production import Database
from lg_production.core.combiner import MAX_ROWS, Combiner, array
from lg_production.core.database import finished
from lg_production.core.steps import Row, Statement
from lg_production.errors import DatabaseUnavailable
from lg_production.idempotency import ledger

WAIT = 20


class Server:
    """Echoes every value with its ordinal, in the reverse order; can be stopped and can refuse."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.error: Callable[[list[str]], BaseException | None] = lambda values: None

    def run(self, statement: Statement[Any]) -> Sequence[Row]:
        values = statement.params["value"][1:-1].replace('"', "").split(",")
        self.batches.append(values)
        self.entered.release()
        assert self.open.wait(WAIT)
        if error := self.error(values):
            raise error
        return [(n, value) for n, value in reversed([*enumerate(values, 1)])]


def echo(*values: str) -> Statement[Any]:
    return Statement("SELECT", {"value": list(values)}, list, shared=True, repeatable=True)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


@pytest.fixture
def combiner(server: Server, threads: ThreadPoolExecutor) -> Combiner:
    return Combiner(server.run, threads.submit, lanes=1)


def queue_up(combiner: Combiner, server: Server, pool: ThreadPoolExecutor, calls: Sequence[Any]):
    """Run one call, hold it at the server, and let the others queue behind it."""
    server.open.clear()
    first = pool.submit(combiner.execute, echo("first"))
    assert server.entered.acquire(timeout=WAIT)
    waiting = combiner._lines["SELECT"].waiting
    futures = []
    for number, call in enumerate(calls, 1):
        futures.append(pool.submit(combiner.execute, call))
        until(lambda n=number: len(waiting) == n)
    return first, futures


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_lone_caller_runs_at_once_in_its_own_thread(server: Server) -> None:
    """No window: nobody waits in the hope that others come, and nothing is spawned."""
    combiner = Combiner(server.run, lambda _: pytest.fail("spawned"))

    rows = combiner.execute(echo("a"))

    assert [(1, "a")] == list(rows)


def test_callers_that_queue_share_one_statement(combiner, server, threads) -> None:
    """While one batch is under way, the rest become the next."""
    first, futures = queue_up(combiner, server, threads, [echo("b"), echo("c"), echo("d")])
    server.open.set()

    assert [[(1, "b")], [(1, "c")], [(1, "d")]] == [f.result(WAIT) for f in futures]
    assert [(1, "first")] == first.result(WAIT)
    assert [["first"], ["b", "c", "d"]] == server.batches


def test_ordinals_count_from_one_for_every_caller(combiner, server, threads) -> None:
    """Rows come back in any order; each caller sees its own, numbered as it sent them."""
    _, futures = queue_up(combiner, server, threads, [echo("b", "c"), echo("d"), echo("e", "f")])
    server.open.set()

    answers = [sorted(f.result(WAIT)) for f in futures]

    assert [[(1, "b"), (2, "c")], [(1, "d")], [(1, "e"), (2, "f")]] == answers


def test_a_batch_is_bounded(combiner, server, threads) -> None:
    """Past MAX_ROWS the next batch begins; a statement is never cut in two."""
    half = ["x"] * (MAX_ROWS // 2 + 1)
    _, futures = queue_up(combiner, server, threads, [echo(*half), echo(*half), echo("last")])
    server.open.set()

    assert [len(half), len(half), 1] == [len(f.result(WAIT)) for f in futures]
    assert [1, len(half), len(half) + 1] == [len(batch) for batch in server.batches]


def test_one_bad_row_fails_only_its_caller(combiner, server, threads) -> None:
    """The others get their rows although the statement that carried them all failed."""
    server.error = lambda values: psycopg.DataError("bad") if "bad" in values else None
    calls = [echo(str(n)) for n in range(7)]
    _, futures = queue_up(combiner, server, threads, [*calls[:3], echo("bad"), *calls[3:]])
    server.open.set()

    with pytest.raises(psycopg.DataError):
        futures.pop(3).result(WAIT)
    assert [[(1, str(n))] for n in range(7)] == [f.result(WAIT) for f in futures]


def test_a_lost_database_fails_all_callers_at_once(combiner, server, threads) -> None:
    """`run` has tried for as long as it may; nobody tries again for each caller in turn."""
    server.error = lambda values: None if values == ["first"] else DatabaseUnavailable()
    _, futures = queue_up(combiner, server, threads, [echo("b"), echo("c")])
    server.open.set()

    for future in futures:
        with pytest.raises(DatabaseUnavailable):
            future.result(WAIT)
    assert [["first"], ["b", "c"]] == server.batches


def test_an_interrupted_leader_leaves_nobody_behind(combiner, server, threads) -> None:
    """Ctrl-C is for one thread: the callers it led are led by another."""
    struck = iter([KeyboardInterrupt()])
    server.error = lambda values: next(struck, None) if "b" in values else None
    _, futures = queue_up(combiner, server, threads, [echo("b"), echo("c"), echo("d")])
    server.open.set()

    with pytest.raises(KeyboardInterrupt):
        futures[0].result(WAIT)
    assert [[(1, "c")], [(1, "d")]] == [f.result(WAIT) for f in futures[1:]]
    assert [(1, "after")] == combiner.execute(echo("after"))


def test_a_cancelled_task_loses_no_other_callers_rows(combiner, server) -> None:
    """A batch belongs to all whose rows it carries; what was sent is waited for."""

    async def main() -> list[Any]:
        server.open.clear()
        tasks = [asyncio.create_task(finished(combiner.submit(echo(str(n))))) for n in range(5)]
        await asyncio.to_thread(server.entered.acquire, timeout=WAIT)
        tasks[1].cancel()
        tasks[3].cancel()
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        server.open.set()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT)

    answers = asyncio.run(main())

    assert [[(1, "0")], [(1, "2")], [(1, "4")]] == answers[::2]
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[1::2])


def test_a_cancelled_future_loses_no_other_callers_rows(combiner, server, threads) -> None:
    """The same for the futures of `submit`."""
    server.open.clear()
    futures = [combiner.submit(echo(str(n))) for n in range(3)]
    futures[1].cancel()
    server.open.set()

    assert [[(1, "0")], [(1, "2")]] == [list(f.result(WAIT)) for f in futures[::2]]


def test_a_loop_that_was_closed_holds_nobody_up(combiner, server, threads) -> None:
    """Its callers are gone; the threads and tasks of other loops are not."""
    loop = asyncio.new_event_loop()

    async def enqueue() -> None:
        # The future alone: a task would complain that its loop was closed under it.
        asyncio.wrap_future(combiner.submit(echo("gone")))

    server.open.clear()
    loop.run_until_complete(enqueue())
    loop.close()
    later = threads.submit(combiner.execute, echo("later"))
    server.open.set()

    assert [(1, "later")] == list(later.result(WAIT))


def test_an_executor_that_refuses_is_heard(server) -> None:
    """A database that was closed: an exception, not a wait without end."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    combiner = Combiner(server.run, pool.submit)

    with pytest.raises(RuntimeError):
        combiner.submit(echo("a")).result(WAIT)
    with pytest.raises(RuntimeError):
        asyncio.run(asyncio.wait_for(finished(combiner.submit(echo("b"))), WAIT))


def test_an_executor_full_of_callers_does_not_block_itself(server) -> None:
    """A leader that waits for a free thread keeps no lane from the threads that wait for it."""
    with ThreadPoolExecutor(1) as pool:
        combiner = Combiner(server.run, pool.submit, lanes=1)
        inside = pool.submit(lambda: (combiner.submit(echo("a")), combiner.execute(echo("b"))))

        future, rows = inside.result(WAIT)

        assert [(1, "b")] == list(rows)
        assert [(1, "a")] == list(future.result(WAIT))


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_everybody_gets_their_own_rows_under_load(lanes: int) -> None:
    """Threads, tasks of two loops and futures at once, with faults, until all are answered."""
    server = Server()
    server.error = lambda values: psycopg.DataError() if "bad" in values else None

    with ThreadPoolExecutor(4) as spawned, ThreadPoolExecutor(24) as callers:
        combiner = Combiner(server.run, spawned.submit, lanes=lanes)

        def in_threads(number: int) -> bool:
            return all(
                list(combiner.execute(echo(f"t{number}.{n}"))) == [(1, f"t{number}.{n}")]
                for n in range(60)
            )

        def with_faults(number: int) -> bool:
            for _ in range(20):
                with pytest.raises(psycopg.DataError):
                    combiner.execute(echo("bad"))
            return True

        def in_a_loop(number: int) -> bool:
            async def one(name: str) -> bool:
                return list(await finished(combiner.submit(echo(name)))) == [(1, name)]

            async def main() -> bool:
                names = [f"a{number}.{n}" for n in range(200)]
                return all(await asyncio.gather(*map(one, names)))

            return asyncio.run(main())

        jobs = [callers.submit(in_threads, n) for n in range(16)]
        jobs += [callers.submit(with_faults, n) for n in range(2)]
        jobs += [callers.submit(in_a_loop, n) for n in range(2)]

        assert all(job.result(60) for job in jobs)
        until(lambda: combiner._lines["SELECT"].busy == 0)
        assert not combiner._lines["SELECT"].waiting


# ------------------------------------------------------------------ with a real ledger


def wanted(key: bytes, **changes: Any) -> ledger.Wanted:
    return ledger.Wanted(
        **{
            "key": key, "tenant": "default", "tool": "book", "tool_version": "1",
            "recovery": "surface", "fingerprint": b"f", "native_key": "n", "owner": uuid4(),
            "worker": None, "lease": timedelta(seconds=30), "task": None, "barrier": False,
            "tool_call_id": "call", "arguments": "{}", "evidence": "{}", "window": None,
        }
        | changes
    )  # fmt: skip


def test_one_key_twice_in_a_batch_has_one_winner(database: Database) -> None:
    """The owner token tells whose row it is; the others read who won, or ask again."""
    rivals = [wanted(b"same") for _ in range(30)] + [wanted(b"other")]
    start = threading.Barrier(len(rivals))

    def claim(mine: ledger.Wanted) -> UUID | None:
        start.wait(WAIT)
        while (seen := database.execute(ledger.claim([mine]))[0]) == "raced":
            pass
        assert isinstance(seen, ledger.Effect)
        return seen.owner

    with ThreadPoolExecutor(len(rivals)) as pool:
        *owners, other = pool.map(claim, rivals)

    assert 1 == len(set(owners))
    assert owners[0] in {rival.owner for rival in rivals[:-1]}
    assert rivals[-1].owner == other


def test_a_row_the_server_refuses_fails_only_its_caller(database: Database) -> None:
    """A NUL character cannot be stored; whoever shares the batch is not to blame."""

    async def main() -> list[Any]:
        claims = [ledger.claim([wanted(bytes([n]))]) for n in range(8)]
        claims[5] = ledger.claim([wanted(b"5", arguments="\0")])
        return await asyncio.gather(*map(database.aexecute, claims), return_exceptions=True)

    answers = asyncio.run(main())

    assert isinstance(answers.pop(5), psycopg.DataError)
    assert all(isinstance(answer, ledger.Effect) for (answer,) in answers)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["", "NULL", None, 'a"b', "back\\slash", "{,}", "ü🛫\n\t '"], "text"),
        ([b"", b'\x00\xff\\"', None], "bytea"),
        ([1, -(2**31), None], "int"),
        ([0.1, float("inf"), 1e300, None], "float8"),
        ([True, False, None], "bool"),
        ([UUID(int=7), None], "uuid"),
        ([], "text"),
    ],
)
def test_a_column_reads_back_as_it_was(database: Database, column: list[Any], kind: str) -> None:
    """Our text of an array is PostgreSQL's, whatever the values hold."""
    with database.connection() as connection:
        found = connection.execute(f"SELECT %s::{kind}[]", [array(column)]).fetchone()

    assert (column,) == found


def test_a_value_beyond_us_is_left_to_psycopg() -> None:
    """A subclass may have an adapter of its own."""

    class Name(str):
        __slots__ = ()

    column = [Name("a")]

    assert column == array(column)
