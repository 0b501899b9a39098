"""What the reference graphs keep open: servers in processes of their own, for a block or longer."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def serving(module: str, record: Path) -> Iterator[int]:
    """A server of this repository in a process of its own, for this block; its port on loopback."""
    command = [sys.executable, "-m", module, "--record", str(record.resolve())]
    root = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdout.close()
        process.terminate()
        process.wait()


def kept(context: AbstractContextManager[T]) -> T:
    """What a context gives, until this process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(context)
