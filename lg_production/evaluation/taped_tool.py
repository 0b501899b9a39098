"""A tool behind a tape."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as made_of
from langchain_core.utils.pydantic import get_fields

from ..core.steps import NO_DATABASE, Call, Steps, adrive, async_only, drive
from .jsonable import as_json
from .taping import taped
from .values_kept import kept, rebuilt

T = TypeVar("T", bound=BaseTool)


def taped_tool(tape: Any, tool: BaseTool | Callable[..., Any]) -> BaseTool:
    """A copy of a tool that answers from a tape, or onto it; all else of it is the same.

    Asked is the same with the same arguments of the model: what LangGraph injects does not count.
    What JSON cannot hold is given as text, in recording as in replay.
    """
    real = tool if isinstance(tool, BaseTool) else made_of(tool)
    left_out = _not_asked(real)

    def steps(args: Any, kwargs: Any, call: Call[Any]) -> Steps[Any]:
        asked: dict[str, Any] = {k: v for k, v in kwargs.items() if k not in left_out}
        asked |= {"": list(args)} if args else {}
        said = yield from taped(tape, "tool", real.name, as_json(asked), call, kept)
        return rebuilt(said)

    @functools.wraps(real._run)  # noqa: SLF001 - where every tool does its work
    def run(*args: Any, **kwargs: Any) -> Any:
        call = Call(lambda: real._run(*args, **kwargs))  # noqa: SLF001
        return drive(steps(args, kwargs, call), NO_DATABASE)

    @functools.wraps(real._arun)  # noqa: SLF001
    async def arun(*args: Any, **kwargs: Any) -> Any:
        call = Call(async_only, lambda: real._arun(*args, **kwargs))  # noqa: SLF001
        return await adrive(steps(args, kwargs, call), NO_DATABASE)

    copy = real.model_copy()
    # A field of pydantic it is not: what stands on the object goes before the method.
    copy.__dict__.update(_run=run, _arun=arun)
    return copy


def _not_asked(tool: BaseTool) -> set[str]:
    """Arguments that are no part of what is asked: LangChain's own, and what is injected."""
    found = {"run_manager", "config", *getattr(tool, "_injected_args_keys", ())}
    for method in (tool._run, tool._arun):  # noqa: SLF001
        for name, parameter in inspect.signature(method).parameters.items():
            found |= {name} if "RunnableConfig" in str(parameter.annotation) else set()
    return found | (_fields(tool.get_input_schema()) - _fields(tool.tool_call_schema))


def _fields(schema: Any) -> set[str]:
    return set() if isinstance(schema, dict) else set(get_fields(schema))
