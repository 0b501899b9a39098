"""What a tool may know of the effect it is carrying out: its native key, its connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg
from langchain_core.tools import BaseTool, InjectedToolArg
from langchain_core.tools.base import get_all_basemodel_annotations


@dataclass(frozen=True, slots=True)
class CurrentEffect:
    """The effect under way. `native_key` is the same at every attempt; `attempt` counts from 1."""

    native_key: str
    attempt: int
    connection: psycopg.Connection[Any] | None = None


class InjectedIdempotencyKey(InjectedToolArg):
    """Annotate a tool argument, `Annotated[str, InjectedIdempotencyKey()]`, to be given the key.

    The argument is hidden from the model. Hand it to the provider, as Stripe's
    `Idempotency-Key` header for example.
    """


class InjectedConnection(InjectedToolArg):
    """Annotate an argument of a transactional tool to be given the ledger's connection.

    `Annotated[psycopg.Connection, InjectedConnection()]`. It is in the transaction that
    also claims and settles the effect: neither commit it nor close it.
    """


_current: ContextVar[CurrentEffect | None] = ContextVar("lg_production_effect", default=None)


def current_effect() -> CurrentEffect | None:
    """The effect that the running tool carries out; None outside of an idempotent tool."""
    return _current.get()


def mcp_meta() -> dict[str, str]:
    """The `_meta` of an MCP tool call that carries the native key (after SEP-3182).

    `await session.call_tool(name, arguments, meta=mcp_meta())`; empty outside of an effect.
    """
    current = _current.get()
    return {"idempotencyKey": current.native_key} if current else {}


class Watched:
    """A tool that is given what it declared, and whose raw exception is kept.

    It stands in for the tool in `ToolCallRequest.tool`: what ToolNode makes of an
    exception, a message or a raise, then says how it was handled, not what it was.
    """

    def __init__(self, tool: BaseTool, current: CurrentEffect) -> None:
        self.tool, self.current = tool, current
        self.error: Exception | None = None
        self.started = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tool, name)

    def invoke(self, call: Any, config: Any = None, **kwargs: Any) -> Any:
        """Run the tool in this effect."""
        with self._watching():
            return self.tool.invoke(self._given(call), config, **kwargs)

    async def ainvoke(self, call: Any, config: Any = None, **kwargs: Any) -> Any:
        """Run the tool in this effect, on the event loop."""
        with self._watching():
            return await self.tool.ainvoke(self._given(call), config, **kwargs)

    def _given(self, call: Any) -> Any:
        given = {name: GIVEN[k](self.current) for name, k in injected_kinds(self.tool).items()}
        return {**call, "args": {**call["args"], **given}} if given else call

    @contextmanager
    def _watching(self) -> Iterator[None]:
        token = _current.set(self.current)
        self.error, self.started = None, True
        try:
            yield
        except Exception as error:
            self.error = error
            raise
        finally:
            _current.reset(token)


@contextmanager
def entered(current: CurrentEffect) -> Iterator[None]:
    """Make `current_effect()` answer for a plain function."""
    token = _current.set(current)
    try:
        yield
    finally:
        _current.reset(token)


GIVEN: dict[type[InjectedToolArg], Callable[[CurrentEffect], Any]] = {
    InjectedIdempotencyKey: lambda current: current.native_key,
    InjectedConnection: lambda current: current.connection,
}


def injected_kinds(tool: BaseTool) -> dict[str, type[InjectedToolArg]]:
    """The arguments of a tool that this module fills in, by name."""
    return _injected_kinds(tool.get_input_schema())


@lru_cache(maxsize=1024)
def _injected_kinds(schema: Any) -> dict[str, type[InjectedToolArg]]:
    found: dict[str, type[InjectedToolArg]] = {}
    for name, annotation in get_all_basemodel_annotations(schema).items():
        for mark in getattr(annotation, "__metadata__", ()):
            kind = mark if isinstance(mark, type) else type(mark)
            if kind in GIVEN:
                found[name] = kind
    return found
