"""One budget that everybody spends from, beside a budget for each: 64 callers in 4 processes.

A unit is a durable reserve and its settle. The floors are hand-written: an UPDATE of one row
for each, from a connection of each caller's own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import psycopg

from lg_production import Database
from lg_production.core.steps import Statement
from lg_production.cost.budget import Budget
from lg_production.cost.policy import BudgetPolicy, Limit

from .contenders import threads
from .measure import Figure, figure, rounds

PROCESSES, THREADS = 4, 16
PLENTY = 10**12
TABLE = """
CREATE TABLE IF NOT EXISTS hot_row (
  id int PRIMARY KEY, used bigint NOT NULL DEFAULT 0, reserved bigint NOT NULL DEFAULT 0,
  ceiling bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO hot_row (id, ceiling) SELECT n, 1000000000000 FROM generate_series(0, 64) n
ON CONFLICT DO NOTHING
"""
RESERVE = """
UPDATE hot_row SET reserved = reserved + 2 WHERE id = %s AND used + reserved + 2 <= ceiling
RETURNING id
"""
SETTLE = "UPDATE hot_row SET reserved = reserved - 2, used = used + 1 WHERE id = %s"


class Crowd:
    """One process of callers, which does as its parent says."""

    def __init__(self, url: str, number: int) -> None:
        self.url, self.number = url, number
        self.database = Database(url, max_connections=8)
        limit = Limit(scope="task", total_tokens=PLENTY)
        self.budget = Budget(self.database, BudgetPolicy(limits=(limit,)))

    def work(self, kind: str, shared: bool, seconds: float) -> float:
        """Units a second of this process."""
        return self.ours(shared, seconds) if kind == "ours" else self.by_hand(shared, seconds)

    def by_hand(self, shared: bool, seconds: float) -> float:
        with ExitStack() as stack:
            connections = [
                stack.enter_context(psycopg.connect(self.url, autocommit=True))
                for _ in range(THREADS)
            ]

            def unit(caller: int) -> int:
                row = (0 if shared else 1 + self.number * THREADS + caller,)
                connections[caller].execute(RESERVE, row, prepare=True)
                connections[caller].execute(SETTLE, row, prepare=True)
                return 1

            return threads(THREADS, seconds, unit)

    def ours(self, shared: bool, seconds: float) -> float:
        names = ["all" if shared else f"{self.number}-{caller}" for caller in range(THREADS)]
        who = [self.budget.who({"configurable": {"task_id": name}}) for name in names]

        def unit(caller: int) -> int:
            held = self.budget.reserve(uuid4().bytes, who[caller], {"total_tokens": 2})
            self.budget.settle(held, {"total_tokens": 1})
            return 1

        return threads(THREADS, seconds, unit)


def hot_row(url: str, seconds: float, count: int) -> Iterator[Figure]:
    """The shared budget over one for each, by hand and by us; and whether the sums are exact."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE.encode())
    with ExitStack() as stack:
        crowds = [stack.enter_context(_started(url, number)) for number in range(PROCESSES)]
        units = {"ours": 0.0}

        def variant(kind: str, shared: bool) -> Callable[[], float]:
            def measure() -> float:
                rate = _together(crowds, kind, shared, seconds)
                units["ours"] += rate * seconds if kind == "ours" and shared else 0
                return rate

            return measure

        samples = rounds(
            {f"{kind} {shared}": variant(kind, shared)
             for kind in ("hand", "ours") for shared in (True, False)},
            count,
        )  # fmt: skip
    yield from _figures(samples)
    yield figure("one budget for 64", "tokens counted, less units made", [_lost(url, units)],
                 unit="units", kind="at_most", target=0)  # fmt: skip


def _figures(samples: dict[str, list[float]]) -> Iterator[Figure]:
    section = "one budget for 64"
    hand, each = samples["hand True"], samples["hand False"]
    ours, ours_each = samples["ours True"], samples["ours False"]

    def ratio(above: list[float], below: list[float]) -> list[float]:
        return [a / b for a, b in zip(above, below, strict=True)]

    yield figure(section, "by hand, one for each", each, unit="/s", note="1.00 of this section")
    yield figure(section, "by hand, one for all (naive)", ratio(hand, each))
    yield figure(section, "ours, one for all", ratio(ours, each), kind="at_least", target=0.5,
                 note="of the hand-written, one for each")  # fmt: skip
    yield figure(section, "ours, one for each", ratio(ours_each, each))
    yield figure(section, "ours, one for all, of ours, one for each", ratio(ours, ours_each),
                 kind="at_least", target=0.5)  # fmt: skip
    yield figure(section, "ours, one for all, of naive", ratio(ours, hand))


def _lost(url: str, units: dict[str, float]) -> float:
    """What the shared budget does not account for. Units made are counted by its rows."""
    sql = (
        "SELECT b.used + b.reserved - (SELECT count(*) FROM lg_production.reservations r "
        "WHERE b.id = ANY(r.budgets)) FROM lg_production.budgets b WHERE b.scope = 'task:all'"
    )
    with Database(url, max_connections=1) as database:
        ((lost,),) = database.execute(Statement(sql, {}, list))
    return abs(float(lost)) if units["ours"] else 0.0


def _together(crowds: list[Any], kind: str, shared: bool, seconds: float) -> float:
    for crowd in crowds:
        crowd.stdin.write(json.dumps([kind, shared, seconds]) + "\n")
        crowd.stdin.flush()
    return sum(float(crowd.stdout.readline()) for crowd in crowds)


def _started(url: str, number: int) -> Any:
    command = [sys.executable, "-m", "evals.benchmarks.hot_row", url, str(number)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main(url: str, number: int) -> None:
    """Do what stdin says until it ends."""
    crowd = Crowd(url, number)
    with crowd.database:
        for line in sys.stdin:
            print(crowd.work(*json.loads(line)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
