"""Other people's ledgers, used as their READMEs say. Each needs the extra `bench`."""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
import statistics
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from .contenders import Contender, sibling, tasks, threads

STEPS = 10


class EffectLedger:
    """effect-ledger: an EffectExecutor on its PostgreSQL store, a scope for every worker."""

    name = "effect-ledger"

    def __init__(self, url: str) -> None:
        package = importlib.import_module("effect_ledger")
        store = importlib.import_module("effect_ledger.postgres").PostgresOperationStore(url)
        self._executors = [
            package.EffectExecutor(scope=f"worker-{n}", store=store) for n in range(16)
        ]

    def one(self) -> float:
        start = time.perf_counter()
        self._effect(0)
        return time.perf_counter() - start

    def _effect(self, number: int) -> int:
        done = self._executors[number].execute(
            secrets.token_hex(16), "book", {"order": "1"}, lambda _: {"booked": True}
        )
        assert done.state == "completed"
        return 1

    def crowd(self, workers: int, seconds: float) -> float:
        return threads(workers, seconds, self._effect)

    def close(self) -> None:
        pass


class Idemkit:
    """idemkit: `@idempotent` on its asyncpg backend."""

    name = "idemkit"

    def __init__(self, url: str) -> None:
        logging.getLogger("idemkit").setLevel(logging.CRITICAL)
        package = importlib.import_module("idemkit")
        postgres = importlib.import_module("idemkit.backends.postgres")
        self._runner = asyncio.Runner()
        self._runner.run(postgres.init_pg(url))
        self._backend = postgres.PostgresBackend.from_url(url)
        config = package.MethodConfig(key_fields=["order"], scope=lambda _: "benchmark")

        async def book(*, order: str) -> dict[str, str]:
            return {"booked": order}

        self._book: Callable[..., Any] = package.idempotent(backend=self._backend, config=config)(
            book
        )

    def one(self) -> float:
        async def effect() -> float:
            start = time.perf_counter()
            await self._effect()
            return time.perf_counter() - start

        return self._runner.run(effect())

    async def _effect(self) -> None:
        await self._book(order=secrets.token_hex(16))

    def crowd(self, workers: int, seconds: float) -> float:
        return self._runner.run(tasks(workers, seconds, self._effect))

    def close(self) -> None:
        self._runner.run(self._backend.aclose())
        self._runner.close()


class Dbos:
    """DBOS: a step, ten of them in a workflow; the workflow's own cost counts for a crowd only."""

    name = "DBOS step"

    def __init__(self, url: str) -> None:
        self._dbos = importlib.import_module("dbos").DBOS
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        name = f"dbos_{secrets.token_hex(4)}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self._dbos(
            config={
                "name": "benchmark",
                "system_database_url": sibling(url, name),
                "run_admin_server": False,
                "log_level": "CRITICAL",
            }
        )
        self._steps = self._workflow()
        self._dbos.launch()

    def _workflow(self) -> Callable[[], list[float]]:
        def book(order: str) -> str:
            return f"booked {order}"

        step = self._dbos.step()(book)

        def steps() -> list[float]:
            taken = []
            for number in range(STEPS):
                start = time.perf_counter()
                step(str(number))
                taken.append(time.perf_counter() - start)
            return taken

        workflow: Callable[[], list[float]] = self._dbos.workflow()(steps)
        return workflow

    def one(self) -> float:
        return statistics.median(self._steps())

    def crowd(self, workers: int, seconds: float) -> float:
        return threads(workers, seconds, lambda _: len(self._steps()))

    def close(self) -> None:
        self._dbos.destroy(destroy_registry=True)


PEERS: tuple[tuple[str, Callable[[str], Contender]], ...] = (
    ("effect_ledger", EffectLedger),
    ("idemkit", Idemkit),
    ("dbos", Dbos),
)


def installed(url: str, say: Callable[[str], object]) -> list[Contender]:
    """The peers that are there; a line for each that is not."""
    found: list[Contender] = []
    for module, make in PEERS:
        try:
            importlib.import_module(module)
        except ImportError:
            say(f"{module} is not installed, so it is left out: pip install 'lg_production[bench]'")
            continue
        found.append(make(url))
    return found
