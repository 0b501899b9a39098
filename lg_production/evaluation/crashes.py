"""Processes that die where a test says so: functions that are killed, and run again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any


@dataclass
class _Here:
    """This process, if a harness has started it: where it tells what it passes, and dies."""

    pipe: Connection | None = None
    at: str = ""
    left: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def tell(self, kind: str, told: Any) -> None:
        """Tell the harness; die if this was the place."""
        with self.lock:
            if self.pipe is None:
                return
            self.pipe.send((kind, told))
            if kind == "passed" and told == self.at:
                self.left -= 1
                if not self.left:
                    os.kill(os.getpid(), signal.SIGKILL)


_HERE = _Here()


def crash_point(name: str) -> None:
    """A place where this process may be killed. Where no harness has started it, nothing."""
    _HERE.tell("passed", name)


class CrashHarness:
    """Runs functions in processes of their own, and kills them where they pass a `crash_point`.

    A function must stand at the top of a module, and what it takes and gives must be picklable.
    `passed` are the names of the points that the last of them passed.
    """

    def __init__(self) -> None:
        self.passed: list[str] = []

    def run(self, function: Callable[..., Any], *args: Any, timeout: float = 60.0) -> Any:
        """What the function returns. Raises RuntimeError if it raises, or dies by itself."""
        kind, told = self._follow(function, args, "", 0, timeout)
        if kind != "returned":
            raise RuntimeError(f"the process {kind}: {told}")
        return told

    def kill(
        self, function: Callable[..., Any], *args: Any, at: str, times: int = 1,
        timeout: float = 60.0,
    ) -> None:  # fmt: skip
        """Run the function until it passes the point `at` for the `times`-th time.

        Raises AssertionError if it ends without.
        """
        kind, told = self._follow(function, args, at, times, timeout)
        if kind != "died" or self.passed.count(at) < times:
            passed = ", ".join(self.passed) or "none"
            raise AssertionError(f"it {kind} before {at}, having passed {passed}: {told}")

    def _follow(
        self, function: Callable[..., Any], args: Any, at: str, times: int, timeout: float
    ) -> tuple[str, Any]:
        """How the process ended: returned, raised or died, and with what."""
        spawn, self.passed = multiprocessing.get_context("spawn"), []
        receiver, sender = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_begin, args=(sender, at, times, function, args))
        process.start()
        sender.close()
        try:
            return self._heard(receiver, time.monotonic() + timeout) or ("died", _end(process))
        finally:
            process.kill()
            process.join()
            process.close()
            receiver.close()

    def _heard(self, receiver: Connection, until: float) -> tuple[str, Any] | None:
        while receiver.poll(max(0.0, until - time.monotonic())):
            try:
                kind, told = receiver.recv()
            except EOFError:
                return None
            if kind != "passed":
                return kind, told
            self.passed.append(told)
        raise TimeoutError(f"it took too long, having passed {', '.join(self.passed) or 'none'}")


def _end(process: Any) -> str:
    process.join()
    return f"exit code {process.exitcode}"


def _begin(
    pipe: Connection, at: str, times: int, function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    """The life of a process of the harness."""
    _HERE.pipe, _HERE.at, _HERE.left = pipe, at, times
    try:
        _HERE.tell("returned", function(*args))
    except BaseException:  # noqa: BLE001 - told to the harness
        _HERE.tell("raised", traceback.format_exc())
