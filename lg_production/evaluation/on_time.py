"""Work that may never end: it is begun on a thread of its own, and given up after its time."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from typing import NoReturn, TypeVar
from weakref import WeakSet

T = TypeVar("T")
BEGUN: WeakSet[threading.Thread] = WeakSet()


class OutOfTime(Exception):
    """Its time is up. What it was doing goes on, and nobody waits for it."""


def begun(work: Callable[[], T], name: str) -> Future[T]:
    """Begin some work on a thread that does not keep the program from ending.

    What the caller has said for its context (that nothing is traced) holds there, too.
    """
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)

    thread = threading.Thread(target=run, daemon=True, name=name)
    BEGUN.add(thread)
    thread.start()
    return future


def within(seconds: float | None, work: Callable[[], T], name: str) -> T:
    """What some work gives or raises. Raises `OutOfTime` after so many seconds; None: never."""
    if seconds is None:
        return work()
    future = begun(work, name)
    if not wait([future], seconds).done:
        raise OutOfTime
    return future.result()


def still_running() -> bool:
    """Whether something that was begun has not ended."""
    return any(thread.is_alive() for thread in list(BEGUN))


def leave(code: object) -> NoReturn:
    """End the process as `sys.exit` would, but wait for no thread: it may wait for ever.

    Libraries run an agent's nodes on threads of theirs, which Python joins at the end.
    """
    try:
        atexit._run_exitfuncs()  # noqa: SLF001 - os._exit runs none
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(code if isinstance(code, int) else int(code is not None))
