"""The guards inside `create_agent`. Needs the extra `langchain`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.prebuilt.tool_node import ToolCallRequest

from .core.wrappers import ToolWrapper
from .errors import ExtraMissing
from .idempotency import Idempotent

try:
    from langchain.agents.middleware import AgentMiddleware
except ImportError as error:
    raise ExtraMissing("Install it: pip install 'lg_production[langchain]'") from error


class ToolWrapperMiddleware(AgentMiddleware[Any, Any, Any]):
    """Any of our tool wrappers as an agent middleware: `create_agent(middleware=[…])`.

    `create_agent` runs each tool call as a task of its own, so every wrapper can do here
    what it does in `tool_node`. The first middleware is the outermost.
    """

    def __init__(self, wrapper: ToolWrapper) -> None:
        super().__init__()
        self.wrapper = wrapper

    @property
    def name(self) -> str:
        """The wrapper's name: one agent takes one middleware of a name."""
        return type(self.wrapper).__name__

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]
    ) -> Any:
        """Sync tool calls."""
        return self.wrapper.wrap_tool_call(request, handler)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> Any:
        """Async tool calls."""
        return await self.wrapper.awrap_tool_call(request, handler)


class IdempotentMiddleware(ToolWrapperMiddleware):
    """`Idempotent` for `create_agent`; takes the same arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(Idempotent(*args, **kwargs))
