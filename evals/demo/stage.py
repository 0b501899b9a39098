"""Where the incidents take place: worker processes, and kill -9."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from evals.demo.forking import PROCESSES
from evals.demo.worker import Job, work

PATIENCE = 60.0


class Stuck(Exception):
    """A worker process did not do what the incident needs."""


@dataclass
class Stage:
    """One run of an incident. `tell` is given what happens, as it happens.

    `work` is what a process does with the setting, a job, a barrier and a pipe to report on.
    """

    setting: Any
    tell: Callable[[str], None]
    work: Callable[..., None] = work
    started: list[BaseProcess] = field(default_factory=list)
    failure: str = ""

    def run(self, *jobs: Job) -> list[dict[str, Any]]:
        """Carry out jobs, each in a process of its own, all beginning at once."""
        barrier = PROCESSES.Barrier(len(jobs)) if len(jobs) > 1 else None
        reports = [self.start(job, barrier) for job in jobs]
        answers = [self.hear(report) for report in reports]
        for answer in answers:
            if "error" in answer:
                self.failure = answer["error"]
        return answers

    def run_and_kill(self, job: Job, *, bookings: int) -> None:
        """Carry out a job in a process; kill -9 once the airline has made so many bookings."""
        there = f"the airline has {bookings}"
        self.kill_once(job, lambda: len(self.booked()) >= bookings, there)

    def kill_once(self, job: Job, happened: Callable[[], bool], there: str) -> None:
        """Carry out a job in a process; kill -9 once something has happened."""
        report = self.start(job)
        process = self.started[-1]
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if not process.is_alive() or time.monotonic() > deadline:
                said = report.recv() if report.poll(1.0) else "nothing"
                raise Stuck(f"it never came to this: {there}; the worker said: {said}")
            time.sleep(0.02)
        time.sleep(0.2)  # the answer is kept back; let the checkpoints settle
        process.kill()
        process.join()
        self.tell(f"{there}; kill -9 {process.pid}")

    def booked(self) -> list[str]:
        """The flights in the airline's own record."""
        return [booking["flight"] for booking in self.setting.airline.bookings()]

    def close(self) -> None:
        """Leave no process behind."""
        for process in self.started:
            if process.is_alive():
                process.kill()
            process.join()

    def start(self, job: Any, barrier: Any = None) -> Any:
        """Begin a job in a process of its own; the pipe on which it reports."""
        ours, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(
            target=self.work, args=(self.setting, job, barrier, theirs), daemon=True
        )
        process.start()
        theirs.close()
        self.started.append(process)
        return ours

    def hear(self, report: Any) -> dict[str, Any]:
        """How a job ended."""
        if not report.poll(PATIENCE):
            raise Stuck("a worker said nothing")
        answer: dict[str, Any] = report.recv()
        return answer
