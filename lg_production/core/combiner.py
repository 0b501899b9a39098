"""Concurrent callers share one statement: one round trip and one fsync for all of them.

Group commit, one level up. While a batch is under way, callers queue; whoever finishes
hands the queue to a caller that waits in it. A lone caller runs at once, in its own
thread, and nobody ever waits in the hope that others come.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any
from uuid import UUID

from ..errors import LgProductionError
from .steps import Row, Statement

MAX_ROWS = 256
"""Rows in one batch: past this a batch costs more than the round trip it saves."""


class Entry:
    """A caller that waits for its part of a batch: a thread at its latch, or a future."""

    __slots__ = ("done", "error", "future", "latch", "leads", "rows", "size", "statement")

    def __init__(self, statement: Statement[Any], future: Future[Any] | None = None) -> None:
        self.statement, self.future = statement, future
        self.size = len(next(iter(statement.params.values())))
        self.rows: Sequence[Row] = ()
        self.error: BaseException | None = None
        self.latch: threading.Lock | None = None
        self.leads = self.done = False

    def result(self) -> Sequence[Row]:
        """Its rows, or the exception that is its own."""
        if self.error is not None:
            raise self.error
        return self.rows


class Line:
    """The callers of one SQL text, and how many batches of it are under way."""

    __slots__ = ("busy", "lock", "spawned", "waiting")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[Entry] = deque()
        self.busy = 0
        self.spawned = False


class Combiner:
    """Merge concurrent `shared` statements of one SQL text into one.

    `run` sends a statement and returns its rows; `spawn` runs a function elsewhere. At
    most `lanes` batches of the same SQL are under way at a time.
    """

    def __init__(
        self,
        run: Callable[[Statement[Any]], Sequence[Row]],
        spawn: Callable[[Callable[[], None]], object],
        *,
        lanes: int = 1,
    ) -> None:
        self._run, self._spawn, self._lanes = run, spawn, lanes
        self._lines: dict[str, Line] = {}

    def execute(self, statement: Statement[Any]) -> Sequence[Row]:
        """Run it, alone or with others, and return its own rows, their ordinals from 1."""
        entry, line = Entry(statement), self._line(statement.sql)
        with line.lock:
            if line.busy < self._lanes:
                line.busy += 1
                entry.leads = True
            else:
                entry.latch = threading.Lock()
                entry.latch.acquire()
                line.waiting.append(entry)
        if entry.latch is not None:
            self._await_turn(line, entry, entry.latch)
        if entry.leads:
            self._lead(line, entry)
        return entry.result()

    def submit(self, statement: Statement[Any]) -> Future[Sequence[Row]]:
        """Run it elsewhere; the future holds its own rows."""
        future: Future[Sequence[Row]] = Future()
        self._enqueue(Entry(statement, future))
        return future

    # ------------------------------------------------------------------------ the queue

    def _line(self, sql: str) -> Line:
        return self._lines.get(sql) or self._lines.setdefault(sql, Line())

    def _enqueue(self, entry: Entry) -> None:
        line = self._line(entry.statement.sql)
        with line.lock:
            line.waiting.append(entry)
            spawn = line.busy < self._lanes and not line.spawned
            line.spawned = line.spawned or spawn
        if spawn:
            self._spawn_leader(line)

    def _await_turn(self, line: Line, entry: Entry, latch: threading.Lock) -> None:
        """Sleep until the rows are there, or until it is this thread's turn to lead."""
        try:
            latch.acquire()
        except BaseException:
            # Ctrl-C. A leader that has gone away would leave the others waiting for ever.
            with line.lock, suppress(ValueError):
                line.waiting.remove(entry)
            if entry.leads:
                self._pass_on(line)
            raise

    def _spawn_leader(self, line: Line) -> None:
        try:
            self._spawn(lambda: self._lead_elsewhere(line))
        except BaseException as error:  # noqa: BLE001 - the executor is shut down
            with line.lock:
                line.spawned = False
                left = [*line.waiting]
                line.waiting.clear()
            for entry in left:
                entry.error = error
            tell(left)

    def _lead_elsewhere(self, line: Line) -> None:
        # Until it runs, a spawned leader holds no lane: a thread that comes first leads, so
        # an executor whose threads all wait here cannot block itself.
        with line.lock:
            line.spawned = False
            if not line.waiting or line.busy >= self._lanes:
                return
            line.busy += 1
        self._lead(line, None)

    def _lead(self, line: Line, own: Entry | None) -> None:
        """Run the batch that `own` is in; without one, batches while only futures wait."""
        batch: list[Entry] = []
        try:
            while True:
                batch = take(line, own)
                self._answer(batch)
                if own is not None or not only_futures(line):
                    break
                tell(batch)
        finally:
            left = [entry for entry in batch if not entry.done and entry is not own]
            if left:
                # Ctrl-C hit this thread. The others go back to the head of the queue.
                with line.lock:
                    line.waiting.extendleft(reversed(left))
            self._pass_on(line)
            tell(entry for entry in batch if entry.done)

    def _pass_on(self, line: Line) -> None:
        """Give the lane to the first in the queue, or back."""
        with line.lock:
            if line.waiting and line.waiting[0].latch is not None:
                heir = line.waiting.popleft()
                heir.leads = True
                heir.latch.release()  # type: ignore[union-attr]
                return
            line.busy -= 1
            spawn = bool(line.waiting) and not line.spawned
            line.spawned = line.spawned or spawn
        if spawn:
            self._spawn_leader(line)

    # ------------------------------------------------------------------------ the batch

    def _answer(self, batch: list[Entry]) -> None:
        try:
            if batch:
                split(self._run(merge(batch)), batch)
        except LgProductionError as error:
            fail(batch, error)
        except Exception as error:  # noqa: BLE001 - every caller must hear of it
            if len(batch) == 1:
                fail(batch, error)
                return
            # One bad row fails a batch: halve it until only its own caller is left.
            half = len(batch) // 2
            self._answer(batch[:half])
            self._answer(batch[half:])


def only_futures(line: Line) -> bool:
    """Whether the first in the queue has no thread of its own to lead with."""
    with line.lock:
        return bool(line.waiting) and line.waiting[0].latch is None


def take(line: Line, own: Entry | None) -> list[Entry]:
    """The next batch: `own` and everything that waits, up to MAX_ROWS."""
    batch = [own] if own is not None else []
    rows = own.size if own is not None else 0
    with line.lock:
        while line.waiting and (not batch or rows + line.waiting[0].size <= MAX_ROWS):
            batch.append(line.waiting.popleft())
            rows += batch[-1].size
    return batch


def merge(batch: list[Entry]) -> Statement[Any]:
    """One statement whose columns are those of all entries, one after the other."""
    first = batch[0].statement
    params = {
        name: array(
            first.params[name]
            if len(batch) == 1
            else [value for entry in batch for value in entry.statement.params[name]]
        )
        for name in first.params
    }
    return Statement(first.sql, params, first.read, shared=True, repeatable=first.repeatable)


def split(rows: Sequence[Row], batch: list[Entry]) -> None:
    """Give each entry its rows, their ordinals counted from 1 again."""
    if len(batch) == 1:
        batch[0].rows, batch[0].done = rows, True
        return
    owner: list[tuple[list[Row], int]] = []
    for entry in batch:
        own: list[Row] = []
        owner.extend([(own, len(owner))] * entry.size)
        entry.rows = own
    for row in rows:
        own, start = owner[row[0] - 1]
        own.append((row[0] - start, *row[1:]))
    for entry in batch:
        entry.done = True


def fail(batch: Iterable[Entry], error: BaseException) -> None:
    """The same exception for every entry."""
    for entry in batch:
        entry.error, entry.done = error, True


def tell(batch: Iterable[Entry]) -> None:
    """Wake whoever waits for these entries."""
    for entry in batch:
        if entry.future is not None:
            settle(entry, entry.future)
        elif entry.latch is not None and not entry.leads:
            entry.latch.release()


def settle(entry: Entry, future: Future[Any]) -> None:
    """Fill the future, unless its caller has cancelled it."""
    with suppress(InvalidStateError):
        if entry.error is not None:
            future.set_exception(entry.error)
        else:
            future.set_result(entry.rows)


# ------------------------------------------------------------------------------ columns
# psycopg dumps lists element by element through its adapters, in Python; the statements
# cast every column, so PostgreSQL's own text form will do, at a fifth of the cost.


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


ELEMENTS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    str: _quoted,
    bytes: lambda value: f'"\\\\x{value.hex()}"',
    int: str,
    float: repr,
    bool: lambda value: "t" if value else "f",
    UUID: str,
}


def array(column: Sequence[Any]) -> Any:
    """A column as the text of a PostgreSQL array; as it is, if that is beyond us."""
    try:
        return "{" + ",".join([ELEMENTS[type(value)](value) for value in column]) + "}"
    except KeyError:
        return list(column)
