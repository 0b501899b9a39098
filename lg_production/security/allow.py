"""ToolAllowList: an agent may call the tools of its task, and is shown no others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from langgraph.prebuilt.tool_node import ToolCallRequest

from ..core.events import Event, Observer
from ..core.models import ModelWrapper
from ..core.steps import Emit, Steps
from ..core.wrappers import ToolWrapper, in_place_of


class ToolAllowList(ToolWrapper, ModelWrapper):
    """Refuses every call of a tool that is not listed.

    Around a model, a tool that is not listed is not offered; what a provider runs itself (a dict)
    is listed by its `name` or `type`. A model with `bind_tools` has been offered its tools before:
    bind those that are listed. Emits `allow_list.refused` and `allow_list.withdrawn`.
    """

    def __init__(self, tools: Collection[str], *, observers: Sequence[Observer] = ()) -> None:
        if isinstance(tools, str):
            raise TypeError(f"tools are names: [{tools!r}]")
        self.tools, self.observers = frozenset(tools), observers

    def steps(self, request: Any, handler: Any) -> Steps[Any]:
        """Let a listed tool pass; offer the model no other."""
        if not isinstance(request, ToolCallRequest):
            return (yield from offer(request, handler, self._is_listed, "allow_list.withdrawn"))
        call = request.tool_call
        if call["name"] in self.tools:
            return (yield from handler(request))
        name = call["name"][:64]
        yield Emit(Event("allow_list.refused", {"tool": name}))
        return in_place_of(call, f"{name} was not carried out. It is no tool of this task.")

    def _is_listed(self, tool: Any) -> bool:
        return name_of(tool) in self.tools


def offer(request: Any, handler: Any, is_offered: Callable[[Any], bool], event: str) -> Steps[Any]:
    """Call the model with those of its tools alone; `event` tells how many others it had."""
    kept = [tool for tool in request.tools if is_offered(tool)]
    gone = len(request.tools) - len(kept)
    if gone:
        yield Emit(Event(event, {"tools": gone}))
        request = request.override(tools=kept)
    return (yield from handler(request))


def name_of(tool: Any) -> str:
    """The name of a tool: of an object, a function, or a provider's own in a dict."""
    if isinstance(tool, dict):
        return str(tool.get("name") or tool.get("type") or "")
    return str(getattr(tool, "name", None) or getattr(tool, "__name__", ""))
