"""The guards inside `create_agent`: `middleware=as_middleware(…)`. Needs the extra `langchain`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime

from .core.models import ModelWrapper
from .core.wrappers import ToolWrapper
from .cost import BudgetGuard, LoopGuard
from .errors import ExtraMissing
from .idempotency import Idempotent
from .security import InjectionFilter

try:
    from langchain.agents.middleware import AgentMiddleware, hook_config
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


class ModelWrapperMiddleware(AgentMiddleware[Any, Any, Any]):
    """Any of our model wrappers as an agent middleware. The first is the outermost."""

    def __init__(self, wrapper: ModelWrapper) -> None:
        super().__init__()
        self.wrapper = wrapper

    @property
    def name(self) -> str:
        """The wrapper's name: one agent takes one middleware of a name."""
        return type(self.wrapper).__name__

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Sync model calls."""
        return self.wrapper.wrap_model_call(request, handler)

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Async model calls."""
        return await self.wrapper.awrap_model_call(request, handler)


class WrapperMiddleware(ToolWrapperMiddleware, ModelWrapperMiddleware):
    """A wrapper of both kinds of call, as `StopButton` is."""

    wrapper: Any

    def __init__(self, wrapper: Any) -> None:
        AgentMiddleware.__init__(self)
        self.wrapper = wrapper


class FilterMiddleware(ToolWrapperMiddleware):
    """An `InjectionFilter`: in front of the model, and around what tools answer."""

    wrapper: InjectionFilter

    def before_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Treat what the model has not read yet, and write down what a person must decide."""
        return self.wrapper.before_model(state, runtime)


class FilterAsksMiddleware(AgentMiddleware[Any, Any, Any]):
    """The questions of an `InjectionFilter`, in a node behind it: what it wrote down stands."""

    def __init__(self, wrapper: InjectionFilter) -> None:
        super().__init__()
        self.wrapper = wrapper

    @property
    def name(self) -> str:
        """Beside the filter's own."""
        return "InjectionFilterAsks"

    def before_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Ask a person where the policy says so."""
        return self.wrapper.before_model_asks(state, runtime)


class GuardMiddleware(AgentMiddleware[Any, Any, Any]):
    """A guard before the model as an agent middleware: it lets the run go on, or ends it.

    LangChain runs it in a thread under `ainvoke`. A guard whose policy says `route` ends the
    run here: there is no other node.
    """

    def __init__(self, guard: BudgetGuard | LoopGuard) -> None:
        super().__init__()
        self.guard = guard

    @property
    def name(self) -> str:
        """The guard's name: one agent takes one middleware of a name."""
        return type(self.guard).__name__

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Go on to the model, or jump to the end with a partial result."""
        return self.guard.before_model(state, runtime)


class AccountingMiddleware(GuardMiddleware):
    """A `BudgetGuard` that counts the calls itself: each by its answer, the last one too."""

    guard: BudgetGuard

    def after_model(self, state: Any, runtime: Runtime[Any]) -> None:  # noqa: ARG002 - LangChain's
        """Count what the answer took."""
        self.guard.settle(state)


def as_middleware(
    *guards: BudgetGuard | LoopGuard | ModelWrapper | ToolWrapper,
) -> list[AgentMiddleware[Any, Any, Any]]:
    """Each guard as a middleware for `create_agent`, in their order: the first is outermost.

    An `InjectionFilter` is two: what it finds is in a checkpoint before anybody is asked.
    """

    def one(guard: Any) -> AgentMiddleware[Any, Any, Any]:
        if isinstance(guard, ToolWrapper) and isinstance(guard, ModelWrapper):
            return WrapperMiddleware(guard)
        if isinstance(guard, ToolWrapper):
            return ToolWrapperMiddleware(guard)
        if isinstance(guard, ModelWrapper):
            return ModelWrapperMiddleware(guard)
        if isinstance(guard, BudgetGuard) and guard.accounting:
            return AccountingMiddleware(guard)
        if isinstance(guard, BudgetGuard | LoopGuard):
            return GuardMiddleware(guard)
        raise TypeError(f"{type(guard).__name__} is no guard and no wrapper of lg_production")

    def made(guard: Any) -> list[AgentMiddleware[Any, Any, Any]]:
        if isinstance(guard, InjectionFilter):
            return [FilterMiddleware(guard), FilterAsksMiddleware(guard)]
        return [one(guard)]

    return [middleware for guard in guards for middleware in made(guard)]
