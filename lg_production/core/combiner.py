"""Concurrent callers share one statement: one round trip and one fsync for all of them.

Group commit, one level up. While a batch is under way, callers queue; whoever finishes
hands the queue to the next. A lone caller runs at once, in its own thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from .steps import Row, Statement

MAX_ROWS = 256
"""Rows in one batch: past this a batch costs more than the round trip it saves."""


class Entry:
    """A caller that waits for its part of a batch."""

    __slots__ = ("future", "size", "statement")

    def __init__(self, statement: Statement[Any]) -> None:
        self.statement = statement
        self.size = len(next(iter(statement.params.values())))
        self.future: Future[Sequence[Row]] = Future()


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
        lanes: int = 2,
    ) -> None:
        self._run, self._spawn, self._lanes = run, spawn, lanes
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Entry]] = {}
        self._busy: dict[str, int] = {}

    def execute(self, statement: Statement[Any]) -> Sequence[Row]:
        """Run it, alone or with others, and return its own rows without the ordinal's shift."""
        entry, mine = self._join(statement)
        if mine:
            self._lead(statement.sql)
        return entry.future.result()

    def submit(self, statement: Statement[Any]) -> Future[Sequence[Row]]:
        """Run it elsewhere; the future holds its own rows."""
        entry, mine = self._join(statement)
        if mine:
            self._spawn(lambda: self._lead(statement.sql))
        return entry.future

    def _join(self, statement: Statement[Any]) -> tuple[Entry, bool]:
        entry, sql = Entry(statement), statement.sql
        with self._lock:
            self._waiting.setdefault(sql, deque()).append(entry)
            lead = self._busy.get(sql, 0) < self._lanes
            self._busy[sql] = self._busy.get(sql, 0) + lead
        return entry, lead

    def _lead(self, sql: str) -> None:
        batch = self._take(sql)
        try:
            if batch:
                self._answer(batch)
        finally:
            with self._lock:
                more = bool(self._waiting[sql])
                self._busy[sql] -= not more
            if more:
                self._spawn(lambda: self._lead(sql))

    def _take(self, sql: str) -> list[Entry]:
        batch: list[Entry] = []
        rows = 0
        with self._lock:
            waiting = self._waiting[sql]
            while waiting and (not batch or rows + waiting[0].size <= MAX_ROWS):
                batch.append(waiting.popleft())
                rows += batch[-1].size
        return batch

    def _answer(self, batch: list[Entry]) -> None:
        try:
            answers = split(self._run(merge(batch)), batch)
        except BaseException as error:  # noqa: BLE001 - every caller must hear of it
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                # One bad row fails a batch: let each caller meet its own fate.
                for entry in batch:
                    self._answer([entry])
            return
        for entry, rows in zip(batch, answers, strict=True):
            entry.future.set_result(rows)


def merge(batch: list[Entry]) -> Statement[Any]:
    """One statement whose columns are those of all entries, one after the other."""
    first = batch[0].statement
    if len(batch) == 1:
        return first
    params = {
        name: [value for entry in batch for value in entry.statement.params[name]]
        for name in first.params
    }
    return Statement(first.sql, params, first.read, shared=True, repeatable=first.repeatable)


def split(rows: Sequence[Row], batch: list[Entry]) -> list[list[Row]]:
    """Each entry's rows, their ordinals counted from 1 again."""
    if len(batch) == 1:
        return [list(rows)]
    owner = _starts(batch)
    answers: list[list[Row]] = [[] for _ in batch]
    for row in rows:
        index, start = owner[row[0] - 1]
        answers[index].append((row[0] - start, *row[1:]))
    return answers


def _starts(batch: list[Entry]) -> list[tuple[int, int]]:
    starts: list[tuple[int, int]] = []
    for index, entry in enumerate(batch):
        starts.extend([(index, len(starts))] * entry.size)
    return starts
