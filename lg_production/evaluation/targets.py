"""What is evaluated: a graph, or anything that makes one for a case."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from ..errors import TargetUnknown
from .cases import Case

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Something to run cases on, by a name that stands in reports.

    `made(case, loop)` gives, for one trial, a graph that can be invoked, or what a run already
    gave. `awaited`: whether the graph must be run by `ainvoke`; None: if a node, a tool or a
    conditional edge is a coroutine. Middleware that can only be awaited needs True.
    """

    name: str
    it: Any
    awaited: bool | None = None

    @property
    def shape(self) -> str:
        """SHA-256 of a graph's nodes, edges and what they run; empty for what makes one."""
        graph = runnable(self.it)
        if not isinstance(graph, Pregel):
            return ""
        drawn = [graph.get_graph().to_json(), {n: _runs(one) for n, one in graph.nodes.items()}]
        return sha256(json.dumps(drawn, sort_keys=True, default=str).encode()).hexdigest()

    @contextmanager
    def made(self, case: Case, loop: asyncio.Runner) -> Iterator[Any]:
        """The graph for a trial; what belongs to it is closed afterwards."""
        found = self.it
        if not isinstance(found, StateGraph) and not hasattr(found, "invoke") and callable(found):
            found = found(case) if takes_case(found) else found()
        if inspect.isawaitable(found):
            found = loop.run(_result(found))
        if isinstance(found, AbstractAsyncContextManager):
            found = _entered(found, loop)
        block = found if isinstance(found, AbstractContextManager) else nullcontext(found)
        with block as inside:
            yield runnable(inside)


async def _result(waiting: Awaitable[T]) -> T:
    return await waiting


@contextmanager
def _entered(block: AbstractAsyncContextManager[T], loop: asyncio.Runner) -> Iterator[T]:
    inside = loop.run(_result(block.__aenter__()))
    try:
        yield inside
    except BaseException as error:
        if not loop.run(_result(block.__aexit__(type(error), error, error.__traceback__))):
            raise
    else:
        loop.run(_result(block.__aexit__(None, None, None)))


def target_of(spec: Any, name: str = "", *, awaited: bool | None = None) -> Target:
    """A target from "module:attribute" or "file.py:attribute", or from the thing itself.

    That is a compiled graph, a `StateGraph` (it gets a saver in memory), a function or context
    manager that gives one, with the case as its argument or without, or a function that runs the
    case itself and returns a state or an `Outcome`. Functions may be coroutines. `awaited` is that
    of `Target`. Raises `TargetUnknown`.
    """
    if isinstance(spec, Target):
        return spec
    if isinstance(spec, str):
        return Target(name or spec, imported(spec), awaited)
    if not isinstance(spec, Pregel | StateGraph) and not callable(spec):
        raise TargetUnknown(f"({type(spec).__name__} is none)")
    own = getattr(spec, "__qualname__", None) or getattr(spec, "name", None)
    module = getattr(spec, "__module__", "") if hasattr(spec, "__qualname__") else ""
    called = ":".join(filter(None, (module, own or type(spec).__name__)))
    return Target(name or called, spec, awaited)


def imported(spec: str) -> Any:
    """What "module:attribute" or "file.py:attribute" names; the file may be anywhere.

    Raises `TargetUnknown`, and whatever the module raises.
    """
    path, _, attribute = spec.rpartition(":")
    if not path or not attribute:
        raise TargetUnknown(f"({spec!r} is not module:attribute)")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    file = Path(path).resolve()
    if path.endswith(".py") and not file.is_relative_to(Path.cwd()):
        module = _elsewhere(file)
    else:
        inside = file.relative_to(Path.cwd()).as_posix() if path.endswith(".py") else path
        module = _module(inside.removesuffix(".py").replace("/", "."))
    if not hasattr(module, attribute):
        raise TargetUnknown(f"({path} has no {attribute!r})")
    return getattr(module, attribute)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise TargetUnknown(f"(there is no module {name!r} here)") from None
        raise


def _elsewhere(file: Path) -> Any:
    """The module in a file that is not below this folder. It may import its neighbours."""
    if not file.is_file():
        raise TargetUnknown(f"(there is no file {file})")
    name = f"{file.stem}_{sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    found = importlib.util.spec_from_file_location(name, file)
    if found is None or found.loader is None:
        raise TargetUnknown(f"({file} cannot be imported)")
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


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


def invoker(graph: Any, loop: asyncio.Runner, awaited: bool | None = None) -> Callable[..., Any]:
    """Its `invoke`; `ainvoke` on this loop if it is to be awaited, or nothing else will do."""
    if awaited is None:
        awaited = isinstance(graph, Pregel) and async_only(graph)
    if not awaited:
        found: Callable[..., Any] = graph.invoke
        return found
    return lambda *given, **settings: loop.run(_result(graph.ainvoke(*given, **settings)))


def async_only(graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Whether some node, conditional edge or tool can be awaited and not called."""
    if any(_awaited(path, "afunc") for path in _routes(graph)):
        return True
    for node in graph.nodes.values():
        bound = node.bound
        tools = getattr(bound, "tools_by_name", {}).values()
        if isinstance(bound, Pregel) and async_only(bound):
            return True
        if _awaited(bound, "afunc") or any(_awaited(tool, "coroutine") for tool in tools):
            return True
    return False


def _routes(graph: Any) -> Iterable[Any]:
    branches = getattr(getattr(graph, "builder", None), "branches", {})
    return [branch.path for named in branches.values() for branch in named.values()]


def _runs(node: Any) -> str:
    """The name of what a node runs."""
    bound = node.bound
    function = getattr(bound, "func", None) or getattr(bound, "afunc", None) or type(bound)
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"


def _awaited(runs: Any, name: str) -> bool:
    return getattr(runs, name, None) is not None and getattr(runs, "func", None) is None
