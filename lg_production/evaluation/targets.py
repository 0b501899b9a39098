"""What is evaluated: a graph, or anything that makes one for a case."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from ..errors import TargetUnknown
from .cases import Case


@dataclass(frozen=True, slots=True)
class Target:
    """Something to run cases on, by a name that stands in reports.

    `made(case)` gives, for one trial, a graph that can be invoked, or what a run already gave.
    """

    name: str
    it: Any

    @contextmanager
    def made(self, case: Case) -> Iterator[Any]:
        """The graph for a trial; what belongs to it is closed afterwards."""
        found = self.it
        if not isinstance(found, StateGraph) and not hasattr(found, "invoke") and callable(found):
            found = found(case) if takes_case(found) else found()
        if inspect.isawaitable(found):
            found = asyncio.run(awaited(found))
        if isinstance(found, AbstractContextManager):
            with found as inside:
                yield runnable(inside)
        else:
            yield runnable(found)


def target_of(spec: Any, name: str = "") -> Target:
    """A target from "module:attribute" or "file.py:attribute", or from the thing itself.

    That is a compiled graph, a `StateGraph` (it gets a saver in memory), a function or context
    manager that gives one, with the case as its argument or without, or a function that runs the
    case itself and returns a state or an `Outcome`. Raises `TargetUnknown`.
    """
    if isinstance(spec, Target):
        return spec
    if isinstance(spec, str):
        return Target(name or spec, imported(spec))
    if not isinstance(spec, Pregel | StateGraph) and not callable(spec):
        raise TargetUnknown(f"({type(spec).__name__} is none)")
    own = getattr(spec, "__qualname__", None) or getattr(spec, "name", None)
    module = getattr(spec, "__module__", "") if hasattr(spec, "__qualname__") else ""
    return Target(name or ":".join(filter(None, (module, own or type(spec).__name__))), spec)


def imported(spec: str) -> Any:
    """What "module:attribute" names. Raises `TargetUnknown`, and whatever the module raises."""
    path, _, attribute = spec.rpartition(":")
    file = Path(path)
    if file.is_absolute() and file.suffix == ".py":
        sys.path.insert(0, str(file.parent))
        path = file.stem
    if not path or not attribute:
        raise TargetUnknown(f"({spec!r} is not module:attribute)")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    name = path.removesuffix(".py").removeprefix("./").replace("/", ".")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise TargetUnknown(f"(there is no module {name!r} here)") from None
        raise
    if not hasattr(module, attribute):
        raise TargetUnknown(f"({name} has no {attribute!r})")
    return getattr(module, attribute)


async def awaited(given: Awaitable[Any]) -> Any:
    """What an async function gives."""
    return await given


def takes_case(function: Callable[..., Any]) -> bool:
    """Whether a function is to be called with the case."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (2, 4)]
    return bool(needed) or any(p.name == "case" for p in parameters)


def runnable(found: Any) -> Any:
    """A graph that can be invoked and resumed; anything else as it is."""
    if isinstance(found, StateGraph):
        return found.compile(checkpointer=InMemorySaver())
    if isinstance(found, Pregel) and found.checkpointer is None:
        return found.copy({"checkpointer": InMemorySaver()})
    return found


@contextmanager
def invoker(graph: Any) -> Iterator[Callable[..., Any]]:
    """Its `invoke`; for a graph with async nodes or tools, `ainvoke` on a loop for this block."""
    if not isinstance(graph, Pregel) or not async_only(graph):
        yield graph.invoke
        return
    with asyncio.Runner() as loop:
        yield lambda *given, **settings: loop.run(graph.ainvoke(*given, **settings))


def async_only(graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Whether some node, or tool of a `ToolNode`, can be awaited and not called."""
    for node in graph.nodes.values():
        bound = node.bound
        tools = getattr(bound, "tools_by_name", {}).values()
        if isinstance(bound, Pregel) and async_only(bound):
            return True
        if _awaited(bound, "afunc") or any(_awaited(tool, "coroutine") for tool in tools):
            return True
    branches = getattr(getattr(graph, "builder", None), "branches", {}).values()
    return any(_awaited(one.path, "afunc") for ends in branches for one in ends.values())


def _awaited(runs: Any, name: str) -> bool:
    return getattr(runs, name, None) is not None and getattr(runs, "func", None) is None
