"""Where LangGraph lets us stand between a tool call and its tool.

A wrapper is written once, as steps. It serves `ToolNode(wrap_tool_call=…)` and its async
twin, and `tool_node(tools, A, B)`, which keeps ToolNode's own error semantics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Literal, TypeAlias, cast
from weakref import WeakValueDictionary

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from .events import Observer
from .steps import NO_DATABASE, Call, Executor, Steps, adrive, async_only, drive

ToolResult: TypeAlias = ToolMessage | Command[Any] | list[ToolMessage | Command[Any]]
Handler: TypeAlias = Callable[[ToolCallRequest], Call[ToolResult]]
Run: TypeAlias = Callable[[ToolCallRequest], ToolResult]
ARun: TypeAlias = Callable[[ToolCallRequest], Awaitable[ToolResult]]


REFUSALS: WeakValueDictionary[int, ToolMessage] = WeakValueDictionary()
"""What guards have said in the place of tools, as long as it is the same object."""
NOT_RUN = {"lg_production": {"held": True}}
"""What a message of a guard's notes at itself: its tool has not run to give it."""


def in_place_of(
    call: Mapping[str, Any],
    text: str,
    status: Literal["success", "error"] = "error",
    notes: Mapping[str, Any] | None = None,
) -> ToolMessage:
    """What the model is told instead of a tool's answer, and marked as such, beside `notes`."""
    message = ToolMessage(
        text,
        name=call["name"],
        tool_call_id=str(call["id"] or ""),
        status=status,
        additional_kwargs={**NOT_RUN, **(notes or {})},
    )
    REFUSALS[id(message)] = message
    return message


def is_refusal(message: Any) -> bool:
    """Whether a guard has said this, in this process, and nothing has changed it since.

    A tool that says so itself (`held`) is no guard.
    """
    return REFUSALS.get(id(message)) is message


class ToolWrapper(ABC):
    """One behaviour around a tool call. Subclasses write `steps` and nothing else."""

    database: Executor = NO_DATABASE
    observers: Sequence[Observer] = ()

    @abstractmethod
    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Handle the call; `handler(request)` is the effect that goes on to the tool."""

    def wrap_tool_call(self, request: ToolCallRequest, handler: Run) -> Any:
        """The sync side of LangGraph's tool wrapper."""
        steps = self.steps(request, lambda r: Call(lambda: handler(r)))
        return drive(steps, self.database, self.observers)

    async def awrap_tool_call(self, request: ToolCallRequest, handler: ARun) -> Any:
        """The async side of LangGraph's tool wrapper."""
        steps = self.steps(request, lambda r: Call(async_only, lambda: handler(r)))
        return await adrive(steps, self.database, self.observers)


class WrappedToolNode(ToolNode):
    """A ToolNode whose calls pass through wrappers, the first outermost.

    The wrappers stand inside ToolNode's error handling, so that a failing tool is treated
    as ToolNode would treat it, and outside of what it turns into messages, so that what a
    person must act on is raised. A `wrap_tool_call` of the user's stays outermost.
    """

    def __init__(
        self,
        tools: Sequence[BaseTool | Callable[..., Any]],
        *wrappers: ToolWrapper,
        **tool_node_arguments: Any,
    ) -> None:
        super().__init__(tools, **tool_node_arguments)
        self.wrappers = wrappers

    def _execute_tool_sync(self, request: ToolCallRequest, input_type: Any, config: Any) -> Any:
        execute = super()._execute_tool_sync

        def around(inner: Run, wrapper: ToolWrapper) -> Run:
            return lambda r: cast("ToolResult", wrapper.wrap_tool_call(r, inner))

        innermost: Run = lambda r: execute(r, input_type, config)  # noqa: E731 - for its type
        return reduce(around, reversed(self.wrappers), innermost)(request)

    async def _execute_tool_async(
        self, request: ToolCallRequest, input_type: Any, config: Any
    ) -> Any:
        execute = super()._execute_tool_async

        def around(inner: ARun, wrapper: ToolWrapper) -> ARun:
            return lambda r: wrapper.awrap_tool_call(r, inner)

        innermost: ARun = lambda r: execute(r, input_type, config)  # noqa: E731 - for its type
        return await reduce(around, reversed(self.wrappers), innermost)(request)


def tool_node(
    tools: Sequence[BaseTool | Callable[..., Any]],
    *wrappers: ToolWrapper,
    **tool_node_arguments: Any,
) -> ToolNode:
    """A ToolNode with wrappers around every call, the first outermost.

    `tool_node_arguments` are ToolNode's own: name, tags, handle_tool_errors, messages_key,
    wrap_tool_call, awrap_tool_call.
    """
    return WrappedToolNode(tools, *wrappers, **tool_node_arguments)
