"""The race for one budget: agents in several processes, and a provider that keeps its own bill.

Every agent asks, calls the provider, and says what it took, until it is refused for good. The
provider writes a line for each call before it answers, so that its bill is true also when
the caller is killed. Overshoot is that bill over the budget.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from lg_production import Database, log_events
from lg_production.core.steps import Statement
from lg_production.cost.budget import Budget
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.errors import BudgetExceeded

TASK = {"configurable": {"task_id": "race", "thread_id": "race"}}
HELD, TOOK = 100, (20, 100)
"""Tokens that are held for a call, and the least and most that it takes."""


class Provider:
    """Answers after a while, and bills first."""

    def __init__(self, bill: Path, latency: float) -> None:
        self.bill, self.latency = bill, latency
        self.file = os.open(bill, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def call(self, tokens: int) -> int:
        """A call that takes so many tokens."""
        os.write(self.file, f"{tokens}\n".encode())
        time.sleep(self.latency)
        return tokens

    @staticmethod
    def billed(bill: Path) -> list[int]:
        """What every call took."""
        return [int(line) for line in bill.read_text().split()] if bill.exists() else []


@dataclass(frozen=True)
class Outcome:
    """How a race ended."""

    budget: int
    calls: int
    billed: int
    used: int
    left_reserved: int
    kills: int

    @property
    def overshoot(self) -> float:
        """The bill over the budget; 1.00 or less is none."""
        return self.billed / self.budget

    @property
    def utilisation(self) -> float:
        """The share of the budget that was used up by the ledger's own account."""
        return self.used / self.budget


def agents(url: str, bill: Path, threads: int, budget: int, latency: float) -> None:
    """One process: so many agents, until the budget refuses the smallest call."""
    provider = Provider(bill, latency)
    policy = BudgetPolicy(limits=(Limit(scope="task", total_tokens=budget),))
    with Database(url) as database:
        ours = Budget(database, policy, observers=[log_events])
        who = ours.who(TASK)

        def agent() -> None:
            chance = random.Random()
            held = HELD
            while held:
                try:
                    reservation = ours.reserve(uuid4().bytes, who, {"total_tokens": held})
                except BudgetExceeded:
                    held = held // 2 if held > 1 else 0  # a shorter answer may still fit
                    continue
                took = provider.call(min(held, chance.randint(*TOOK)))
                ours.settle(reservation, {"total_tokens": took})

        running = [threading.Thread(target=agent) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()


def race(
    url: str, processes: int, threads: int, budget: int, *, kills: int = 0, latency: float = 0.05
) -> Outcome:
    """Run it on a database that is migrated and has no budgets yet."""
    with tempfile.TemporaryDirectory() as folder:
        bill = Path(folder, "bill")
        killed = _run(url, bill, processes, threads, budget, kills, latency)
        billed = Provider.billed(bill)
    with Database(url) as database:
        _let_leases_end(database)
        Budget(database, BudgetPolicy(limits=(Limit(scope="task", total_tokens=budget),))).sweep()
        sql = "SELECT used, reserved FROM lg_production.budgets WHERE scope = 'task:race'"
        ((used, reserved),) = database.execute(Statement(sql, {}, list))
    return Outcome(budget, len(billed), sum(billed), used, reserved, killed)


def _let_leases_end(database: Database) -> None:
    sql = "UPDATE lg_production.reservations SET lease_until = now() WHERE lease_until IS NOT NULL"
    database.execute(Statement(sql, {}, lambda _: None))


def _run(
    url: str, bill: Path, processes: int, threads: int, budget: int, kills: int, latency: float
) -> int:
    given = json.dumps([url, str(bill), threads, budget, latency])
    command = [sys.executable, "-m", "evals.benchmarks.race", given]
    running: list[Any] = [subprocess.Popen(command) for _ in range(processes)]
    chance, killed = random.Random(7), 0
    while any(process.poll() is None for process in running):
        time.sleep(0.05)
        alive = [n for n, process in enumerate(running) if process.poll() is None]
        billed = len(Provider.billed(bill))
        if killed < kills and alive and billed and chance.random() < 0.2:
            victim = chance.choice(alive)
            running[victim].send_signal(signal.SIGKILL)
            running[victim].wait()
            running[victim] = subprocess.Popen(command)
            killed += 1
    codes = {process.returncode for process in running}
    assert codes == {0}, f"an agent failed: {codes}"
    return killed


if __name__ == "__main__":
    url_, bill_, threads_, budget_, latency_ = json.loads(sys.argv[1])
    agents(url_, Path(bill_), threads_, budget_, latency_)
