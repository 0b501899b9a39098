"""Run the tasks of one column in workers, and kill -9 them at random until all are done."""

from __future__ import annotations

import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from evals.demo.forking import PROCESSES
from lg_production import Checkpointer, Database
from lg_production.core.embedded import OpensDirectories, embedded_server

from .domains import Tau2Missing
from .worker import Column, Setting, work
from .world import Client, serve

AT_A_TIME = 2
PATIENCE = 60.0


class Stuck(Exception):
    """A worker ended, and nobody had killed it."""


@dataclass
class Trouble:
    """What was done to the workers of a column."""

    lives: int = 0
    kills: int = 0
    aimed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, *, killed: bool, aimed: bool) -> None:
        with self.lock:
            self.lives += 1
            self.kills += killed
            self.aimed += killed and aimed


@contextmanager
def world() -> Iterator[tuple[str, Client]]:
    """The world's process, its address, and a line to it. Raises `Tau2Missing`."""
    with tempfile.TemporaryDirectory(prefix="tau2-") as folder:
        address = str(Path(folder) / "world")
        ours, theirs = get_context("spawn").Pipe(duplex=False)
        process = get_context("spawn").Process(target=serve, args=(address, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            problem = ours.recv() if ours.poll(PATIENCE) else "the world does not start"
            if problem:
                raise Tau2Missing(problem)
            yield address, Client(address)
        finally:
            process.kill()
            process.join()


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL of our own, with LangGraph's tables and ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OpensDirectories)  # a directory of ours, for minutes
        with embedded_server() as url:
            with Database(url) as database:
                database.migrate()
                Checkpointer(database).setup()
            yield url


def run(
    setting: Setting,
    places: Sequence[str],
    client: Client,
    random: Random,
    tick: Callable[[], None],
) -> Trouble:
    """Bring every task to its end. `tick` is called several times a second."""
    trouble = Trouble()
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        slots = [
            threads.submit(
                _slot, setting, places[n::AT_A_TIME], client, Random(random.random()), trouble
            )
            for n in range(AT_A_TIME)
        ]
        while wait(slots, timeout=0.3).not_done:
            tick()
        for slot in slots:
            slot.result()
    return trouble


def _slot(
    setting: Setting, places: Sequence[str], client: Client, random: Random, trouble: Trouble
) -> None:
    """Worker after worker. At most one kill a task, so that it comes to an end.

    Exit codes are not looked at: two threads that start and join processes at the same time
    may read each other's.
    """
    kills = len(places) if setting.column.kills else 0

    def finished() -> bool:
        return set(places) <= set(client.ask("finished", column=setting.column.name))

    while not finished():
        ours, theirs = PROCESSES.Pipe(duplex=False)
        worker = PROCESSES.Process(target=work, args=(setting, places, theirs), daemon=True)
        worker.start()
        theirs.close()
        aimed = killed = False
        try:
            aimed = kills > 0 and _live(worker, ours, setting.column, random)
            killed = kills > 0 and worker.is_alive()
        finally:
            if killed:
                worker.kill()
            worker.join()
            ours.close()
        trouble.count(killed=killed, aimed=aimed)
        if not killed and not finished():
            raise Stuck("a worker ended, and nobody had killed it")
        kills -= killed


def _live(worker: BaseProcess, acted: Connection, column: Column, random: Random) -> bool:
    """Let a worker live for a while; True if its death is aimed at an effect under way."""
    if column.declared and random.random() < 0.5:
        worker.join(random.uniform(0.1, 0.8))
        return False
    for _ in range(random.randint(1, 3)):
        try:
            if not acted.poll(PATIENCE):
                return False
            acted.recv_bytes()
        except EOFError:
            return False
    worker.join(random.uniform(0, column.delay))
    return True
