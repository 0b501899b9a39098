"""A callback's methods written once, as steps, for LangChain's sync and async managers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Protocol

from ..core.database import Database
from ..core.events import Observer
from ..core.steps import Steps, adrive, drive


class Account(Protocol):
    """What performs the steps of a callback."""

    @property
    def database(self) -> Database: ...  # noqa: D102
    @property
    def observers(self) -> tuple[Observer, ...]: ...  # noqa: D102


class Surfaced:
    """A method of steps: a coroutine function to LangChain's coroutines, else a plain one.

    LangChain's async manager runs plain methods in the loop's default executor, a handful of
    threads: calls that wait there for room would keep out the ends of calls that give it. But
    its sync manager swallows what a coroutine raises, and so would let a refused call through.
    So the form depends on who asks, and only its own coroutines are given a coroutine.
    """

    def __init__(self, steps: Callable[..., Steps[None]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__

    def __get__(self, callback: Any, owner: type | None = None) -> Any:
        if callback is None:
            return self
        perform = aperform if is_their_coroutine(sys._getframe(1)) else perform_now  # noqa: SLF001
        return partial(perform, callback.budget, partial(self.steps, callback))


def surfaced(steps: Callable[..., Steps[None]]) -> Any:
    """Make a method of steps one that both of LangChain's callback managers can call."""
    return Surfaced(steps)


def is_their_coroutine(frame: FrameType) -> bool:
    """Whether the asker is a coroutine of LangChain, which then awaits what it gets."""
    module = str(frame.f_globals.get("__name__", ""))
    own = module.partition(".")[0] == "langchain_core"
    return own and bool(frame.f_code.co_flags & inspect.CO_COROUTINE)


def perform_now(account: Account, steps: Callable[..., Steps[None]], *args: Any, **kw: Any) -> None:
    """Perform the steps in this thread."""
    drive(steps(*args, **kw), account.database, account.observers)


async def aperform(
    account: Account, steps: Callable[..., Steps[None]], *args: Any, **kw: Any
) -> None:
    """Perform the steps on the running event loop."""
    await adrive(steps(*args, **kw), account.database, account.observers)
