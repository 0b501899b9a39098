"""One PostgreSQL, one pool. Every SQL statement of lg_production passes here."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from socket import SHUT_RDWR, socket
from typing import Any, Self, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from ..errors import DatabaseUnavailable, PoolExhausted, SchemaOutdated
from . import schema
from .combiner import Combiner
from .steps import Row, Statement
from .worker import Worker

T = TypeVar("T")
UNPREPARED: dict[str, Any] = {"prepare_threshold": None}
Connection = psycopg.Connection[Row]


class Database:
    """A PostgreSQL database, by URL: one pool, autocommit, one statement a transaction.

    `url` is a libpq URL or connection string. `max_connections` bounds the pool, which is
    also the number of threads that serve `aexecute`. `timeout` bounds both the wait for a
    connection and the time for which a repeatable statement is tried again when the server
    has gone away. Prepared statements get generic plans; `prepared_statements=False` is for a
    transaction pooler that does not know them (PgBouncer before 1.21, or without
    max_prepared_statements).

    Raises `DatabaseUnavailable`, `PoolExhausted` and `SchemaOutdated`, never psycopg's
    connection errors; errors of a statement itself pass through.
    """

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 16,
        timeout: timedelta = timedelta(seconds=10),
        prepared_statements: bool = True,
    ) -> None:
        try:
            parameters = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise DatabaseUnavailable(
                "The URL is not a PostgreSQL URL; expected postgresql://user@host:port/name."
            ) from None
        self.url = url
        self.name = str(parameters.get("dbname") or "")
        self.timeout = timeout
        self.max_connections = max_connections
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            kwargs={"autocommit": True, **({} if prepared_statements else UNPREPARED)},
            min_size=1,
            max_size=max_connections,
            timeout=timeout.total_seconds(),
            configure=generic_plans if prepared_statements else None,
            open=False,
        )
        self._opening = threading.Lock()
        self._opened = self._ready = False
        self._closing: list[Callable[[], None]] = []
        self._threads = ThreadPoolExecutor(max_connections, "lg_production")
        self._combiner = Combiner(self._rows, self._threads.submit)
        self._transactions = threading.BoundedSemaphore(max(1, max_connections // 2))
        self.worker = Worker(url)

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ------------------------------------------------------------------ statements

    def execute(self, statement: Statement[T]) -> T:
        """Run one statement and return what its `read` makes of the rows."""
        self._check()
        if statement.shared:
            return statement.read(self._combiner.execute(statement))
        return statement.read(self._rows(statement))

    async def aexecute(self, statement: Statement[T]) -> T:
        """Run one statement without blocking the event loop, which may be any loop."""
        if not self._ready:
            await asyncio.wrap_future(self._threads.submit(self._check))
        if statement.shared:
            return statement.read(await finished(self._combiner.submit(statement)))
        return statement.read(await finished(self._threads.submit(self._rows, statement)))

    async def arun(self, function: Callable[[], T]) -> T:
        """Run blocking database work in one of this database's own threads."""
        return await finished(self._threads.submit(function))

    def _rows(self, statement: Statement[Any]) -> Sequence[Row]:
        """The rows; of a repeatable statement, through any number of reconnections."""
        return self._run(lambda c: fetch(c, statement), repeatable=statement.repeatable)

    def _run(self, work: Callable[[Connection], T], *, repeatable: bool) -> T:
        """Work on a connection; what is repeatable is begun again within the time-out."""
        deadline, pause = time.monotonic() + self.timeout.total_seconds(), 0.05
        while True:
            try:
                with self.connection() as connection:
                    return work(connection)
            except DatabaseUnavailable:
                given_up = self._pool.closed or time.monotonic() + pause > deadline
                if given_up or not repeatable:
                    raise
                time.sleep(pause)
                self._recover()
                pause = min(2 * pause, 1.0)

    def _recover(self) -> None:
        """What broke one connection has likely broken the others, and the worker's lock."""
        with suppress(DatabaseUnavailable):
            self._pool.check()
            self.worker.renew()

    # ----------------------------------------------------------------- connections

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection of the pool, in autocommit, for this block."""
        connection = self._borrow()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A connection in a transaction: it commits with the block, or not at all.

        What the block raises passes through unchanged; a failed BEGIN or COMMIT raises
        `DatabaseUnavailable`, and only the tables can tell whether the COMMIT happened.
        """
        self._check()
        with self._turn(), self.connection() as connection:
            scope = connection.transaction()
            with translated():
                scope.__enter__()
            try:
                yield Transaction(connection)
            except BaseException as error:
                with suppress(psycopg.OperationalError, psycopg.InterfaceError):
                    scope.__exit__(type(error), error, error.__traceback__)
                raise
            with translated():
                scope.__exit__(None, None, None)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Half the pool stays free of transactions: what they wait for needs connections too."""
        if not self._transactions.acquire(timeout=self.timeout.total_seconds()):
            raise PoolExhausted(f"(max_connections={self.max_connections}, half for transactions)")
        try:
            yield
        finally:
            self._transactions.release()

    def _borrow(self) -> Connection:
        self._open()
        try:
            return self._pool.getconn()
        except PoolTimeout:
            pass
        except PoolClosed:
            raise DatabaseUnavailable("This Database was closed; make a new one.") from None
        with translated(), psycopg.connect(self.url, connect_timeout=2):
            raise PoolExhausted(f"(max_connections={self.max_connections})")

    @property
    def pool(self) -> ConnectionPool[Connection]:
        """The open pool, for libraries that take one (PostgresSaver); share it, do not close it."""
        self._open()
        return self._pool

    def _open(self) -> None:
        if not self._opened:
            with self._opening:
                if not self._opened:
                    self._pool.open()
                    self._opened = True

    # ---------------------------------------------------------------------- schema

    def migrate(self) -> None:
        """Bring the schema `lg_production` up to date. Safe to call twice, and from many."""

        def work(connection: Connection) -> None:
            with translated(), connection.transaction():
                schema.migrate(connection)

        self._run(work, repeatable=True)
        self._ready = False

    def _check(self) -> None:
        """Refuse to work on a schema that is older or newer than this code."""
        if self._ready:
            return

        def work(connection: Connection) -> str | None:
            with translated():
                return schema.problem(connection)

        if problem := self._run(work, repeatable=True):
            raise SchemaOutdated(problem)
        self._ready = True

    # ------------------------------------------------------------------------- end

    def on_close(self, function: Callable[[], None]) -> None:
        """Call `function` when this database is closed, before its pool is."""
        self._closing.append(function)

    def close(self) -> None:
        """Close the pool. A second call does nothing; a closed database cannot be used again."""
        while self._closing:
            self._closing.pop()()
        self.worker.close()
        self._threads.shutdown(wait=True)
        self._opened = True  # a pool that was never opened stays closed
        self._pool.close()


async def finished(future: Future[T]) -> T:
    """The result. A statement that was sent is waited for, also when its caller is cancelled."""
    waiting = asyncio.ensure_future(asyncio.wrap_future(future))
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait([waiting])
        raise


@dataclass(frozen=True, slots=True)
class Transaction:
    """The open transaction of `Database.transaction`, which runs statements like a database."""

    connection: Connection
    thread: ThreadPoolExecutor | None = None
    """Where `aexecute` runs: one of its own, or transactions would wait for each other's."""

    def execute(self, statement: Statement[T]) -> T:
        """Run a statement inside this transaction."""
        return statement.read(fetch(self.connection, statement))

    async def aexecute(self, statement: Statement[T]) -> T:
        """Run a statement inside this transaction, off the event loop."""
        assert self.thread is not None  # noqa: S101 - set by whoever drives it on a loop
        return await finished(self.thread.submit(self.execute, statement))


def cut(connection: Connection) -> None:
    """Cut a connection, also under a thread that waits for an answer on it.

    Closing it would let that thread wait for ever; this way it hears `OperationalError` at
    once, and the server rolls back.
    """
    with (
        suppress(OSError, psycopg.OperationalError),
        socket(fileno=os.dup(connection.fileno())) as s,
    ):
        s.shutdown(SHUT_RDWR)


def generic_plans(connection: Connection) -> None:
    """Plan a prepared statement once: planning a claim takes longer than carrying it out."""
    connection.execute("SET plan_cache_mode = force_generic_plan")


def fetch(connection: Connection, statement: Statement[Any]) -> list[Row]:
    """Send a statement; no rows if it returns none."""
    with translated():
        cursor = connection.execute(statement.sql, statement.params)
        # Not cursor.description, which builds an object for every column.
        return cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []


@contextmanager
def translated() -> Iterator[None]:
    """Psycopg's connection errors as ours; a connection error names no password."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if is_connection_loss(error):
            raise DatabaseUnavailable(f"({str(error).strip().splitlines()[0]})") from None
        raise


def is_connection_loss(error: psycopg.Error) -> bool:
    """Whether the connection, not the statement, failed."""
    state = error.sqlstate
    return state is None or state[:2] == "08" or state in {"57P01", "57P02", "57P03", "57P05"}
