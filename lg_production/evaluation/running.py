"""Runner: every case of a suite, so many times, on a target; parallel, resumable, budgeted."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import SuiteEmpty
from .cases import Case, Suite
from .claims import words_hash
from .expectation import Verdict
from .journal import Journal
from .on_time import OutOfTime, begun, within
from .outcome import Outcome
from .playing import Price, play
from .redaction import redact
from .results import Report, Trial
from .targets import Target, target_of

if TYPE_CHECKING:
    from .judges import Judge

Progress: TypeAlias = Callable[[Trial, int, int], None]
"""Told of each trial that ended, how many have, and how many there are."""
Job: TypeAlias = tuple[Case, int]


class Runner:
    """Runs a suite on a target (`target_of`) and reports.

    Each case is run `repeat` times, each time on a thread of its own, `workers` at once. With a
    `journal` a run that was killed goes on where it stood, if data, target and settings are the
    same, else `RunsDiffer`; whether the code is, only you know: of a graph, its nodes, edges and
    the names of what they run are compared. A complete journal runs nothing, so take another for
    another run; the report says how many trials were `known`. What a case raises is its outcome.
    `timeout`: seconds for the agent, and for each judge after it. `budget_usd` and `budget_tokens`
    are for this call of `run`: no trial begins once they are reached (those that run then may
    exceed them), nor, with a budget of money, after a trial whose price is unknown. Tokens that no
    model tells are not counted; a judge's are, in tokens alone: nobody tells its price. `price`
    tells what an answer of a model costs. `judges` grade every trial; grades do not decide whether
    it passed. Raises `SuiteEmpty`.
    """

    def __init__(
        self,
        target: Any,
        suite: Suite,
        *,
        repeat: int = 1,
        workers: int = 2,
        timeout: float | None = None,
        budget_usd: Decimal | None = None,
        budget_tokens: int | None = None,
        price: Price | None = None,
        judges: Sequence[Judge] = (),
        journal: Path | str | None = None,
        progress: Progress | None = None,
    ) -> None:
        if not suite.cases:
            raise SuiteEmpty(f"({suite.name} {suite.version})")
        if repeat < 1 or workers < 1:
            raise ValueError("repeat and workers are at least 1")
        if timeout is not None and not 0 < timeout <= threading.TIMEOUT_MAX:
            raise ValueError(f"a timeout is a number of seconds above 0, not {timeout}")
        if budget_usd is not None and (budget_usd.is_nan() or budget_usd < 0):
            raise ValueError(f"a budget is 0 or more, not {budget_usd}")
        self.target: Target = target_of(target)
        self.suite, self.repeat, self.workers, self.timeout = suite, repeat, workers, timeout
        self.budget_usd, self.budget_tokens, self.price = budget_usd, budget_tokens, price
        self.judges, self.journal, self.progress = tuple(judges), journal, progress

    def run(self) -> Report:
        """Run what has not been run yet. On Ctrl-C what has ended is reported as `interrupted`."""
        began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        with ExitStack() as stack:
            journal = None
            done: list[Trial] = []
            if self.journal is not None:
                journal = stack.enter_context(Journal(self.journal, self.header()))
                done += journal.trials
            known = len(done)
            stopped = self._run(done, journal)
        return Report(
            self.suite.name, self.suite.version, self.suite.hash, self.target.name,
            tuple(case.stored() for case in self.suite.cases), tuple(self._ordered(done)),
            self.settings(), tuple(pin_of(judge) for judge in self.judges), started,
            time.monotonic() - began, software(), stopped, words_hash(), known,
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """What would make a difference to a trial, as JSON."""
        return {"repeat": self.repeat, "timeout": self.timeout}

    def header(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return {
            "suite": self.suite.name, "version": self.suite.version, "hash": self.suite.hash,
            "target": self.target.name, "shape": self.target.shape,
            "judges": redact([pin_of(judge) for judge in self.judges]),
            "words": words_hash(), **self.settings(),
        }  # fmt: skip

    def _jobs(self, done: Iterable[Trial]) -> list[Job]:
        """What is left, all cases once before any is repeated."""
        known = {(trial.case, trial.repetition) for trial in done}
        every = [(case, n) for n in range(self.repeat) for case in self.suite.cases]
        return [(case, n) for case, n in every if (case.id, n) not in known]

    def _run(self, done: list[Trial], journal: Journal | None) -> str:
        """Run what is left, and say why not all of it was run; "" if it was."""
        left, running, known = iter(self._jobs(done)), set[Future[Trial]](), len(done)
        try:
            while True:
                over = self._over(done[known:])
                room = 0 if over else self.workers - len(running)
                running |= {begun(partial(self.trial, *job), "eval") for job in islice(left, room)}
                if not running:
                    return "" if next(left, None) is None else over
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for one in ended:
                    self._keep(one.result(), done, journal)
        except KeyboardInterrupt:
            return "interrupted"

    def _keep(self, trial: Trial, done: list[Trial], journal: Journal | None) -> None:
        if journal is not None:
            journal.add(trial)
        done.append(trial)
        if self.progress is not None:
            self.progress(trial, len(done), len(self.suite.cases) * self.repeat)

    def trial(self, case: Case, repetition: int) -> Trial:
        """One trial of a case, judged."""
        outcome = play(self.target, case, price=self.price, timeout=self.timeout)
        verdicts = checked(case, outcome, self.timeout)
        grades = tuple(graded_by(judge, case, outcome, self.timeout) for judge in self.judges)
        return Trial(case.id, repetition, outcome, verdicts, grades)

    def _over(self, done: Sequence[Trial]) -> str:
        """Which budget forbids another trial: "budget", "price" if nobody knows, or ""."""
        outcomes = [trial.outcome for trial in done]
        judged = sum(int(grade.get("tokens") or 0) for trial in done for grade in trial.grades)
        tokens = judged + sum(o.tokens for o in outcomes)
        if self.budget_tokens is not None and tokens >= self.budget_tokens:
            return "budget"
        if self.budget_usd is None:
            return ""
        if any(o.usd is None and (o.steps or o.ended == "error") for o in outcomes):
            return "price"
        usd = sum((o.usd or Decimal(0) for o in outcomes), Decimal(0))
        return "budget" if usd >= self.budget_usd else ""

    def _ordered(self, done: Iterable[Trial]) -> list[Trial]:
        place = {case.id: n for n, case in enumerate(self.suite.cases)}
        return sorted(done, key=lambda trial: (place[trial.case], trial.repetition))


def checked(case: Case, outcome: Outcome, timeout: float | None) -> tuple[Verdict, ...]:
    """The verdicts on an outcome. One that takes too long is not passed."""
    try:
        return within(timeout, lambda: case.check(outcome), f"check {case.id}")
    except OutOfTime:
        why = f"It could not be checked within {timeout:g} s."
        return tuple(Verdict(one.spelled, False, why) for one in case.behaviours)


def graded_by(
    judge: Judge, case: Case, outcome: Outcome, timeout: float | None = None
) -> dict[str, Any]:
    """A judge's grade as JSON. One who fails gives none, and that is counted: never a 0."""
    try:
        return asdict(within(timeout, lambda: judge.grade(case, outcome), f"judge {case.id}"))
    except KeyboardInterrupt:
        raise
    except OutOfTime:
        reason = f"the judge took longer than {timeout:g} s"
    except BaseException as error:  # noqa: BLE001 - a stranger's model may raise anything
        reason = f"the judge failed: {type(error).__name__}"
    return {"score": None, "reason": reason, "raw_hash": "", "pin": judge.pin.hash, "tokens": 0}


def pin_of(judge: Judge) -> dict[str, Any]:
    """A judge's pin as JSON."""
    found: dict[str, Any] = judge.pin.stored()
    return found


def software() -> dict[str, str]:
    """The versions that may have made a difference."""
    names = ("langgraph", "langchain-core", "lg_production")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
