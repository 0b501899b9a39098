"""Many workers share a circuit; some die, and at times the database is away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from lg_production.core.database import Database
from lg_production.core.steps import Call, Statement
from lg_production.errors import DatabaseUnavailable

from .circuits_for_tests import Line

# ------------------------------------------------------------------ without the database


def test_calls_go_on_without_the_database(database_url: str) -> None:
    """The breaker must not take the system down: it says so, and does not ask for a while."""
    database = Database(database_url, timeout=timedelta(seconds=0.2))
    line = Line(database, minimum_calls=1, initial_interval=5)
    line.call("ok")
    database.close()

    made = [line.call("ok") for _ in range(3)]
    line.now += 5
    made.append(line.call("fail"))

    assert ["made", "made", "made", "failed"] == made
    assert ["unknown", "unknown"] == line.told()


def test_one_caller_looks_whether_the_database_is_back(database_url: str) -> None:
    """The others do not wait for it: neither before their calls nor after them."""
    database = Database(database_url, timeout=timedelta(seconds=0.2))
    line = Line(database, initial_interval=5)
    under_way = line.steps("ok")
    calling: Any = under_way.send(database.execute(next(under_way)))  # type: ignore[arg-type]
    database.close()
    line.call("ok")
    line.now += 5

    looking = next(line.steps("ok"))
    other = next(line.steps("ok"))
    with pytest.raises(StopIteration) as stop:
        under_way.send(calling.function())

    assert isinstance(looking, Statement)
    assert isinstance(other, Call)
    assert "made" == stop.value.value


def test_a_record_that_cannot_be_written_does_not_lose_the_answer(database_url: str) -> None:
    """The call was made: its caller gets the answer, and observers hear of the record."""
    database = Database(database_url, timeout=timedelta(seconds=0.2))
    line = Line(database, minimum_calls=1)
    steps = line.steps("ok")
    calling: Any = steps.send(database.execute(next(steps)))  # type: ignore[arg-type]
    database.close()

    effect: Any = steps.send(calling.function())
    with pytest.raises(DatabaseUnavailable) as away:
        database.execute(effect)
    events = [steps.throw(away.value), next(steps)]
    with pytest.raises(StopIteration) as stop:
        next(steps)

    names = [effect.event.name for effect in events]  # type: ignore[union-attr]
    assert ["circuit.unrecorded", "circuit.unknown"] == names
    assert "made" == stop.value.value


def test_a_careful_policy_refuses_without_the_database(database_url: str) -> None:
    """`fail_open=False`: whoever cannot ask does not call."""
    database = Database(database_url, timeout=timedelta(seconds=0.2))
    line = Line(database, fail_open=False)
    database.close()

    with pytest.raises(DatabaseUnavailable):
        line.call("ok")

    assert 0 == line.made


# -------------------------------------------------------------------------- many workers


def test_one_of_many_threads_probes(database: Database) -> None:
    """Eight threads come when the circuit is due: one call is made, seven are refused."""
    opener = Line(database, minimum_calls=1, initial_interval=1)
    opener.call("fail")
    opener.passes(1)
    start, over = threading.Barrier(8), threading.Event()
    results: list[str] = []
    lines = [Line(database, minimum_calls=1, initial_interval=1) for _ in range(4)]

    def come(number: int) -> None:
        line = lines[number % 4]
        start.wait()
        results.append(line.call("ok", over))
        if results.count("refused") == 7:
            over.set()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come, range(8)))

    assert ["made"] + 7 * ["refused"] == sorted(results)
    assert "closed" == opener.state()
    told = [name for line in lines for name in line.told() if name != "refused"]
    assert ["half_open", "closed"] == told


def test_one_of_many_failing_threads_opens(database: Database) -> None:
    """Forty failures at once: each is counted, and the opening is told once."""
    lines = [Line(database, minimum_calls=30, failure_rate=1) for _ in range(4)]
    start = threading.Barrier(40)

    def fail(number: int) -> None:
        start.wait()
        lines[number % 4].call("fail")

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(fail, range(40)))

    assert "open" == lines[0].state()
    assert ["opened"] == [name for line in lines for name in line.told() if name != "refused"]
    assert 30 <= lines[0].counts()[0] <= 40


WORKER = """
import sys, threading
from lg_production import Database
from tests.cost.circuits_for_tests import Line

class Calling(threading.Event):
    def set(self):
        print("calling", flush=True)

with Database(sys.argv[1]) as database:
    line = Line(database, minimum_calls=1, initial_interval=1)
    print("ready", flush=True)
    sys.stdin.readline()
    print(line.call("ok", threading.Event(), Calling()), flush=True)
"""


@contextmanager
def workers(url: str, number: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that make one call each when they are told to; a call that is made waits."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(number)
    ]  # fmt: skip
    try:
        assert {"ready\n"} == {p.stdout.readline() for p in started if p.stdout}
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def says_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_of_two_processes_probes_and_its_death_frees_the_probe(
    database: Database, database_url: str
) -> None:
    """The one that was killed while it probed does not keep the others waiting for its lease."""
    ours = Line(database, minimum_calls=1, initial_interval=1)
    ours.call("fail")
    ours.passes(1)
    with workers(database_url, 2) as both:
        for process in both:
            tell(process)
        said = [says_line(process) for process in both]
        meanwhile = ours.call("ok")
        prober = both[said.index("calling")]
        os.kill(prober.pid, signal.SIGKILL)
        prober.wait()
        after = "refused"
        while after == "refused":
            after = ours.call("ok")
            time.sleep(0.01)

    assert ["calling", "refused"] == sorted(said)
    assert ("refused", "made") == (meanwhile, after)
    assert "closed" == ours.state()


def test_a_probe_that_hangs_makes_room_for_another(database: Database) -> None:
    """After its lease; what it says later does not count."""
    ours = Line(database, minimum_calls=1, initial_interval=1)
    ours.call("fail")
    ours.passes(1)
    over, calling = threading.Event(), threading.Event()
    hung = Line(database, minimum_calls=1, initial_interval=1)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(hung.call, "fail", over, calling)
        calling.wait()
        during = ours.call("ok")
        ours.passes(61)
        after = ours.call("ok")
        over.set()
        late.result()

    assert ("refused", "made") == (during, after)
    assert "closed" == ours.state()


@pytest.mark.parametrize("at", ["worker", "take", "half_open"])
def test_a_cancellation_while_the_probe_is_taken_gives_it_back(database: Database, at: str) -> None:
    """The statement was sent; its caller is gone; others need not wait for the lease."""
    ours = Line(database, minimum_calls=1, initial_interval=1)
    ours.call("fail")
    ours.passes(1)
    steps = ours.breaker.admit_steps(ours.circuit, ours.policy)
    effect: Any = next(steps)
    effect = steps.send(database.execute(effect))
    if at != "worker":
        effect = steps.send(effect.function())
        answer = database.execute(effect)
    if at == "half_open":
        effect = steps.send(answer)

    with pytest.raises(asyncio.CancelledError):
        steps.send(database.execute(steps.throw(asyncio.CancelledError())))  # type: ignore[arg-type]

    assert "made" == Line(database, minimum_calls=1, initial_interval=1).call("ok")
