"""The campaign: every cell of the matrix in turn, its workers killed and stopped at random."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from lg_production import Checkpointer, Database

from .worker import RUNGS, Cell, orders_of, work
from .world import World

CELLS = [
    Cell(surface, durability, asynchronous)
    for surface, durability, asynchronous in product(
        ("ToolNode", "Send", "create_agent"), ("sync", "async"), (False, True)
    )
]
THREADS = 2
MOST_KILLS = 16
MOST_SECONDS_A_CELL = 20.0


@dataclass
class Counts:
    """What the campaign found."""

    threads: int = 0
    effects: int = 0
    kills: int = 0
    restarts: int = 0
    zombies: int = 0
    in_doubt: int = 0
    forgotten: int = 0
    duplicates: int = 0
    lost: int = 0
    false_done: int = 0
    unfinished: int = 0
    repeated_at_least_once: int = 0
    harm: list[str] = field(default_factory=list)

    def line(self) -> str:
        """All counts, in one line."""
        return "  ".join(f"{k} {v}" for k, v in vars(self).items() if k != "harm")


class Campaign:
    """`seconds` of trouble on the server at `url`."""

    def __init__(self, url: str, seconds: float, seed: int) -> None:
        self.random, self.seconds, self.counts = Random(seed), seconds, Counts()
        self.server, self.name = url, f"torture_{os.getpid()}"
        self.url = url.replace("/postgres?", f"/{self.name}?")
        self.cells: Counter[str] = Counter()

    def run(self) -> Counts:
        """Cell after cell, in random order, until the time is up."""
        self._create()
        end, cells = time.monotonic() + self.seconds, []
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            while time.monotonic() < end:
                if not cells:
                    cells = self.random.sample(CELLS, len(CELLS))
                self._cell(cells.pop(), World(Path(folder) / str(self.cells.total())))
        self._drop()
        return self.counts

    # --------------------------------------------------------------------- one cell

    def _cell(self, cell: Cell, world: World) -> None:
        number = self.cells.total()
        self.cells[str(cell)] += 1
        threads = [f"{number}-{n}" for n in range(THREADS)]
        end, kills = time.monotonic() + MOST_SECONDS_A_CELL, 0
        while set(world.read("done")) < set(threads) and time.monotonic() < end:
            patience = self.random.uniform(0.02, 0.3) if kills < MOST_KILLS else 60.0
            pid = self._worker(cell, threads, world)
            if self._ended(pid, patience, end):
                continue
            kills += 1
            if self.random.random() < 0.2 and self._stop(pid, world):
                self._zombie(cell, threads, world, pid, end)
            else:
                self._kill(pid)
        self._count(cell, threads, world)

    def _worker(self, cell: Cell, threads: list[str], world: World) -> int:
        self.counts.restarts += 1
        gc.freeze()
        pid = os.fork()
        if pid:
            return pid
        try:
            work(cell, threads, self.url, world)
        except BaseException:
            world.write("errors", traceback.format_exc())
        os._exit(0)

    def _ended(self, pid: int, patience: float, end: float) -> bool:
        until = min(time.monotonic() + patience, end)
        while time.monotonic() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
            time.sleep(0.005)
        return False

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.counts.kills += 1

    def _stop(self, pid: int, world: World) -> bool:
        """Stop a worker in a tool: before, LangGraph has no lock on the thread, and neither we."""
        os.kill(pid, signal.SIGSTOP)
        mine = [line for line in world.read("progress") if line.startswith(f"{pid} ")]
        return bool(mine) and " tool " in mine[-1]

    def _zombie(self, cell: Cell, threads: list[str], world: World, pid: int, end: float) -> None:
        """Another worker takes over from one that is stopped past its lease; then it goes on."""
        self.counts.zombies += 1
        (world.folder / "stopped").touch()
        (world.folder / f"retire-{pid}").touch()
        other = self._worker(cell, threads, world)
        ended = self._ended(other, 1.5, end)
        os.kill(pid, signal.SIGCONT)
        both = [pid] if ended else [pid, other]
        time.sleep(self.random.uniform(0.0, 0.5))
        for each in both:
            if not self._ended(each, 1.0, end):
                self._kill(each)
        (world.folder / "stopped").unlink()

    # --------------------------------------------------------------------- counting

    def _count(self, cell: Cell, threads: list[str], world: World) -> None:
        with psycopg.connect(self.url) as connection:
            ours = Counter(r[0] for r in connection.execute("SELECT name FROM bookings"))
        counts, bookings = self.counts, world.bookings() + ours
        counts.threads += len(threads)
        counts.in_doubt += len(world.read("questions"))
        counts.forgotten += len(world.read("forgotten"))
        told = "\n".join(world.read("told"))
        for thread in threads:
            done = thread in world.read("done")
            counts.unfinished += not done
            if not done:
                errors = "\n".join(world.read("errors")[-12:])
                counts.harm.append(f"{cell}: {thread} is not done\n{errors}")
            for order in orders_of(thread):
                self._judge(
                    f"{cell}: {order}", order, bookings[order], done, f"booked {order}" in told
                )

    def _judge(self, where: str, order: str, happened: int, done: bool, told: bool) -> None:
        counts, rung = self.counts, order.split(".")[1]
        counts.effects += happened
        if happened > 1 and rung == RUNGS[-1]:
            counts.repeated_at_least_once += happened - 1
        elif happened > 1:
            counts.duplicates += happened - 1
            counts.harm.append(f"{where} happened {happened} times")
        if done and not happened:
            counts.lost += 1
            counts.false_done += told
            counts.harm.append(f"{where} never happened")

    # --------------------------------------------------------------------- database

    def _create(self) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.name}")  # type: ignore[arg-type]
        pid = os.fork()  # a child, so that no thread of a pool lives in the process that forks
        if not pid:
            with Database(self.url, max_connections=2) as database:
                database.migrate()
                Checkpointer(database).setup()
                with database.connection() as connection:
                    connection.execute("CREATE TABLE bookings (name text)")
            os._exit(0)
        os.waitpid(pid, 0)

    def _drop(self) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {self.name} WITH (FORCE)")  # type: ignore[arg-type]


def report(campaign: Campaign) -> str:
    """The counts, the cells, the harm."""
    cells = "  ".join(f"{cell} {n}" for cell, n in sorted(campaign.cells.items()))
    return "\n".join([campaign.counts.line(), cells, *campaign.counts.harm])


def harmless(counts: Any) -> bool:
    """No duplicate, nothing lost, no false done, and all work done."""
    return not (counts.duplicates or counts.lost or counts.false_done or counts.unfinished)
