"""Stop a protocol at every yield, in every way a process can fail there, and go on.

The effects are performed for real, by `drive` or by `adrive` on an event loop: statements
against a real PostgreSQL, calls against a fake outside world, questions through LangGraph's
own `interrupt`, cancellations by asyncio. After the failure new workers run the protocol
again, and an honest person, who looks at the outside world, answers what they ask, until it
is settled. Then the world is counted. See tests/walk_paths.py for which paths are walked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Literal

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.errors import GraphInterrupt
from langgraph.pregel._algo import LazyAtomicCounter

from lg_production.core.database import Database
from lg_production.core.steps import Call, Emit, Sleep, Statement, Steps, adrive, drive
from lg_production.core.worker import Worker
from lg_production.errors import DatabaseUnavailable, LgProductionError

Kind = Literal[
    "died before", "died after", "connection lost", "reply lost", "cancelled before",
    "cancelled after", "away before", "away after",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "died before", "died after", "connection lost", "reply lost", "cancelled before",
    "cancelled after", "away before", "away after",
)  # fmt: skip
DEATHS: tuple[Kind, ...] = ("died before", "died after")
MOST_RUNS = 12


class Airline:
    """The outside world. It keeps its own record, honours keys, and can fail after acting."""

    def __init__(self, *, honours_keys: bool = False) -> None:
        self.honours_keys = honours_keys
        self.bookings: list[str] = []
        self.keys: dict[str, str] = {}
        self.failures: list[Exception] = []
        """Raised, one a call, after acting."""

    def book(self, order: str, key: str = "") -> str:
        """Book. The same key books once, where keys are honoured."""
        if not (self.honours_keys and key in self.keys):
            self.bookings.append(order)
            self.keys[key] = order
        if self.failures:
            raise self.failures.pop(0)
        return f"booked {order}"

    def booked(self, order: str) -> bool:
        """What a person sees who looks it up."""
        return order in self.bookings


@dataclass(frozen=True)
class Fault:
    """One failure, at the n-th yield counted over all runs."""

    at: int
    kind: Kind


class Died(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass
class Pause:
    """LangGraph's memory of one task: the answers that it has been given, in order."""

    answers: list[Any] = field(default_factory=list)
    pending: Any = None
    unsaved: list[Any] | None = None


@dataclass
class Walk:
    """One protocol, one list of faults, one outcome.

    `protocol(database)` makes the steps of one run by one worker, `answer(payload)` is the
    honest person, `operate(error)` the one at the command line. `acts(effect)` says which
    effects reach the outside world: those of a worker that was away, and that others took for
    dead meanwhile, are counted as `late`. No ledger can stop the call of a process that was
    stopped just before it. `keep_answers="paused"` is LangGraph's way: it writes down the answers
    that a run took when the run pauses or ends, so a run that dies loses them.
    """

    database: Database
    protocol: Callable[[Database], Steps[Any]]
    answer: Callable[[Any], Any]
    faults: list[Fault]
    acts: Callable[[Any], bool] = lambda _: False
    operate: Callable[[LgProductionError], None] = lambda _: None
    is_async: bool = False
    in_graph: bool = True
    keep_answers: bool | Literal["paused"] = True
    pause: Pause = field(default_factory=Pause)
    inside: Any = None
    zombie: bool = False
    dead: bool = False
    task: asyncio.Task[Any] | None = None
    late: int = 0
    yields: int = 0
    runs: int = 0
    questions: int = 0
    results: list[Any] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)

    # ---------------------------------------------------------------------- one run

    def settle(self) -> Any:
        """Run, as new workers, until the protocol returns. Raises `RuntimeError` if it never does."""
        for _ in range(MOST_RUNS):
            try:
                result = self.run()
            except Died:
                self.trace.append("-- died")
            except asyncio.CancelledError:
                self.trace.append("-- cancelled")
            except GraphInterrupt as paused:
                payload = paused.args[0][0].value
                if self.keep_answers == "paused" and self.pause.unsaved is not None:
                    self.pause.answers = self.pause.unsaved
                self.questions += 1
                self.pause.pending = self.answer(payload)
                self.trace.append(f"-- asked, answered {self.pause.pending}")
            except LgProductionError as error:
                self.errors[type(error).__name__] += 1
                self.trace.append(f"-- {type(error).__name__}")
                self.expire()
                self.operate(error)
            except (TimeoutError, ConnectionError) as error:
                self.errors[type(error).__name__] += 1
                self.trace.append(f"-- {type(error).__name__}")
            else:
                self.results.append(result)
                return result
        raise RuntimeError("it never settles")

    def run(self) -> Any:
        """One run by one new worker: a new advisory lock, a new counter of interrupts."""
        self.runs += 1
        self.zombie = self.dead = False
        worker = self.database.worker = Worker(self.database.url)
        alive = True
        try:
            with self.in_task() if self.in_graph else nullcontext():
                if self.is_async:
                    return asyncio.run(self._on_a_loop())
                return self.perform_all(self.protocol(self.database))
        except Died:
            alive = False
            worker.close()
            raise
        finally:
            if alive:
                # Such a worker lives on, elsewhere; its lock goes with the test.
                WORKERS.append(worker)

    def in_task(self) -> Any:
        """The configuration that LangGraph's `interrupt` reads: slots numbered per task."""
        pause = self.pause
        given, pause.pending, pause.unsaved = pause.pending, None, None
        null = [] if given is None else [given]
        resume = list(pause.answers)

        def get_null_resume(consume: bool = False) -> Any:
            if not null:
                return None
            return null.pop() if consume else null[0]

        def send(writes: list[tuple[str, Any]]) -> None:
            pause.unsaved = list(writes[0][1])
            if self.keep_answers is True:
                pause.answers = pause.unsaved

        return in_task(resume, get_null_resume, send)

    # ------------------------------------------------------------------- one effect

    async def _on_a_loop(self) -> Any:
        self.task = asyncio.current_task()
        return await self.aperform_all(self.protocol(self.database))

    def perform_all(self, steps: Steps[Any], transaction: Any = None) -> Any:
        """`drive`, failing where a fault says so, inside of a transaction or not."""
        with self._within(transaction):
            return drive(self.failing(steps), transaction or self.database)

    async def aperform_all(self, steps: Steps[Any], transaction: Any = None) -> Any:
        """`adrive`, failing where a fault says so, inside of a transaction or not."""
        with self._within(transaction):
            return await adrive(self.failing(steps), transaction or self.database)

    @contextmanager
    def _within(self, transaction: Any) -> Iterator[None]:
        outside, self.inside = self.inside, transaction or self.inside
        try:
            yield
        finally:
            self.inside = outside

    def failing(self, steps: Steps[Any]) -> Steps[Any]:
        """The same steps, for any driver, with the failures between them and what they asked."""
        resume, answer = steps.send, None
        while True:
            try:
                effect = resume(answer)
            except StopIteration as stop:
                return stop.value
            try:
                fault = self.before(effect)
                answer, resume = (yield self.disturbed(effect, fault)), steps.send
                self.after(effect, fault)
            except (Died, GeneratorExit):
                steps.close()
                raise
            except BaseException as error:
                answer, resume = error, steps.throw

    def before(self, effect: Any) -> Kind | None:
        """Fail before the effect. Returns what is to fail at it."""
        if self.dead:  # another call of the same process met its end
            raise Died
        fault = next((f.kind for f in self.faults if f.at == self.yields), None)
        self.trace.append(f"{self.yields} {_name(effect)}{f'  !! {fault}' if fault else ''}")
        self.yields += 1
        match fault:
            case "died before":
                self.die()
            case "cancelled before":
                self.cancel()
            case "connection lost" if self.reaches(effect):
                raise _lost(effect)
            case "away before" if not self.inside:
                self.others()
        self.late += self.zombie and self.acts(effect)
        return fault

    def after(self, effect: Any, fault: Kind | None) -> None:
        """Fail after the effect."""
        match fault:
            case "died after":
                self.die()
            case "cancelled after" if not (self.is_async and self.acts(effect)):
                self.cancel()
            case "reply lost" if self.reaches(effect):
                raise _lost(effect)
            case "away after" if not self.inside:
                self.others()

    def disturbed(self, effect: Any, fault: Kind | None) -> Any:
        """The effect as it is performed: nothing is waited for, and a call is cancelled under way."""
        if isinstance(effect, Sleep):
            return Sleep(0)
        if fault == "cancelled after" and self.is_async and self.acts(effect):
            assert effect.afunction is not None

            async def act_and_be_cancelled() -> Any:
                answer = await effect.afunction()
                self.cancel()
                await asyncio.sleep(0)
                return answer

            return replace(effect, afunction=act_and_be_cancelled)
        return effect

    def die(self) -> None:
        """Nothing of this process runs any more."""
        self.dead = True
        raise Died

    def cancel(self) -> None:
        """On an event loop it is the task that is cancelled, and finds out when it next waits."""
        if not self.is_async:
            raise asyncio.CancelledError
        assert self.task is not None
        self.task.cancel()

    def reaches(self, effect: Any) -> bool:
        """Whether it goes over a wire."""
        return isinstance(effect, Statement) or self.acts(effect) or "probe" in _name(effect)

    # ------------------------------------------------------------- the other workers

    def others(self) -> None:
        """This worker is away, stopped but alive: its lease runs out and others do the work."""
        self.expire()
        ours, self.faults = (self.database.worker, self.task), []
        try:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(self.settle).result()
        finally:
            (self.database.worker, self.task), self.zombie = ours, True

    def expire(self) -> None:
        """Time passes."""
        self.database.execute(EXPIRE)


WORKERS: list[Worker] = []
EXPIRE = Statement(
    "UPDATE lg_production.effects SET lease_until = now() - interval '1 second' "
    "WHERE state = 'claimed'",
    {},
    lambda _: None,
    repeatable=True,
)


def let_go() -> None:
    """Close the locks of the workers that lived on."""
    while WORKERS:
        WORKERS.pop().close()


@contextmanager
def in_task(
    resume: list[Any] | None = None,
    get_null_resume: Callable[[bool], Any] = lambda _=False: None,
    send: Callable[[Any], None] = lambda _: None,
) -> Iterator[None]:
    """Stand in a task of LangGraph's, which was given these answers."""
    scratchpad = SimpleNamespace(
        interrupt_counter=LazyAtomicCounter(), resume=resume or [], get_null_resume=get_null_resume
    )
    configurable = {
        "__pregel_scratchpad": scratchpad, "__pregel_send": send,
        "checkpoint_ns": "tools:task", "thread_id": "thread",
    }  # fmt: skip
    token = var_child_runnable_config.set({"configurable": configurable})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _lost(effect: Any) -> Exception:
    """What a lost connection looks like: to the database, or to the outside world."""
    if isinstance(effect, Statement):
        return DatabaseUnavailable("(lost)")
    return TimeoutError("no reply")


def _name(effect: Any) -> str:
    match effect:
        case Statement():
            return effect.sql.strip().split("\n")[0][:40] + (
                " claim" if "inserted AS" in effect.sql else ""
            )
        case Call():
            return f"call {effect.function.__qualname__}"
        case Emit():
            return effect.event.name
    return str(effect)
