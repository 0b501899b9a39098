"""Protocols without I/O: a generator yields effects, a driver performs them.

The same idea as httpx's auth flow and psycopg's generators. `drive` performs the
effects in this thread, `adrive` on an event loop; a test performs them as it likes,
and can stop a protocol at every single yield.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, LiteralString, Protocol, TypeAlias, TypeVar, cast

from .events import Event, Observer, notify

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement(Generic[T]):
    """One SQL statement, which is one state transition, which is one transaction.

    With `shared=True` the values of `params` are columns, lists of one length; the SQL
    unnests them `WITH ORDINALITY` and every row of its answer starts with the ordinal,
    from 1, of the row it answers. Such statements of concurrent callers are sent as one.
    `repeatable=True` promises that running it twice is the same as running it once, so
    that a lost connection may be answered by running it again.
    """

    sql: LiteralString
    params: Mapping[str, Any]
    read: Callable[[Sequence[Row]], T]
    shared: bool = False
    repeatable: bool = False

    def __iter__(self) -> Generator[Effect, Any, T]:
        return (yield self)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Call somebody else's code. Without `afunction` the function must not block."""

    function: Callable[[], T]
    afunction: Callable[[], Awaitable[T]] | None = None

    def __iter__(self) -> Generator[Effect, Any, T]:
        return (yield self)  # type: ignore[no-any-return]


NO_DATABASE = cast("Executor", None)
"""Of a wrapper whose steps are no statements."""


def async_only() -> Any:
    """Stands where a sync handler would, for steps that only an event loop may drive."""
    raise RuntimeError("an async handler was driven synchronously")


def off_loop(function: Callable[[], T]) -> Call[T]:
    """Call blocking code: in this thread, or in one beside the event loop."""
    return Call(function, lambda: asyncio.to_thread(function))


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait, in seconds."""

    seconds: float

    def __iter__(self) -> Iterator[Effect]:
        yield self


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the observers."""

    event: Event

    def __iter__(self) -> Iterator[Effect]:
        yield self


Effect: TypeAlias = Statement[Any] | Call[Any] | Sleep | Emit
Steps: TypeAlias = Generator[Effect, Any, T]


class Executor(Protocol):
    """What a driver needs of a database."""

    def execute(self, statement: Statement[T]) -> T: ...  # noqa: D102

    async def aexecute(self, statement: Statement[T]) -> T: ...  # noqa: D102


def drive(steps: Steps[T], database: Executor, observers: Iterable[Observer] = ()) -> T:
    """Perform the steps in this thread and return their result."""

    def perform(effect: Effect) -> Any:
        match effect:
            case Statement():
                return database.execute(effect)
            case Call():
                return effect.function()
            case Sleep():
                return time.sleep(effect.seconds)
            case Emit():
                return notify(observers, effect.event)

    resume: Callable[[Any], Effect] = steps.send
    answer: Any = None
    while True:
        try:
            effect = resume(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        try:
            answer, resume = perform(effect), steps.send
        except BaseException as error:  # noqa: BLE001 - the protocol decides
            answer, resume = error, steps.throw


async def adrive(steps: Steps[T], database: Executor, observers: Iterable[Observer] = ()) -> T:
    """Perform the steps on the running event loop and return their result.

    A cancellation is thrown into the steps like any other failure, so that they can
    record what they know before it goes on.
    """

    async def perform(effect: Effect) -> Any:
        match effect:
            case Statement():
                return await database.aexecute(effect)
            case Call(function=function, afunction=None):
                return function()
            case Call():
                return await effect.afunction()  # type: ignore[misc]
            case Sleep():
                return await asyncio.sleep(effect.seconds)
            case Emit():
                return notify(observers, effect.event)

    resume: Callable[[Any], Effect] = steps.send
    answer: Any = None
    while True:
        try:
            effect = resume(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        try:
            answer, resume = await perform(effect), steps.send
        except BaseException as error:  # noqa: BLE001 - the protocol decides
            answer, resume = error, steps.throw
