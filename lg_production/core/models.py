"""Where LangGraph lets us stand between a node and its model.

A model wrapper is written once, as steps. It serves `create_agent` (`wrap_model_call` and
its async twin) and any node of your own, through `wrapped_model(model, *wrappers)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Protocol, Self, TypeAlias, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
    ensure_config,
)
from langchain_core.runnables.config import var_child_runnable_config

from .events import Observer
from .steps import NO_DATABASE, Call, Executor, Steps, adrive, async_only, drive


class ModelRequest(Protocol):
    """What we use of langchain's `ModelRequest`; `ModelCall` is ours for plain nodes."""

    @property
    def model(self) -> Any: ...  # noqa: D102
    @property
    def messages(self) -> Sequence[AnyMessage]: ...  # noqa: D102
    @property
    def tools(self) -> Sequence[Any]: ...  # noqa: D102
    @property
    def model_settings(self) -> Mapping[str, Any]: ...  # noqa: D102
    def override(self, **changes: Any) -> Self: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model in a node of the user's own."""

    model: Any
    messages: Sequence[AnyMessage]
    tools: Sequence[Any] = ()
    model_settings: Mapping[str, Any] = field(default_factory=dict)

    def override(self, **changes: Any) -> Self:
        """This call with other values."""
        return replace(self, **changes)


Handler: TypeAlias = Callable[[Any], Call[Any]]


class ModelWrapper(ABC):
    """One behaviour around a model call. Subclasses write `steps` and nothing else.

    The answer is an `AIMessage`, or what langchain's handler returns: see `answer_of`.
    """

    database: Executor = NO_DATABASE
    observers: Sequence[Observer] = ()

    @abstractmethod
    def steps(self, request: Any, handler: Handler) -> Steps[Any]:
        """Handle the call; `handler(request)` is the effect that goes on to the model."""

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """The sync side of langchain's model wrapper."""
        steps = self.steps(request, lambda r: Call(lambda: handler(r)))
        return drive(steps, self.database, self.observers)

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """The async side of langchain's model wrapper."""
        steps = self.steps(request, lambda r: Call(async_only, lambda: handler(r)))
        return await adrive(steps, self.database, self.observers)


def answer_of(response: Any) -> AIMessage | None:
    """The model's message in a handler's response, in any of langchain's shapes."""
    response = getattr(response, "model_response", response)
    for message in [response, *reversed(getattr(response, "result", ()) or ())]:
        if isinstance(message, AIMessage):
            return message
    return None


def model_name(model: Any) -> tuple[str, str]:
    """Provider and name of a chat model, as LangSmith would call them; "" where unknown."""
    model = getattr(model, "bound", model)
    params = model._get_ls_params() if hasattr(model, "_get_ls_params") else {}  # noqa: SLF001
    return str(params.get("ls_provider") or ""), str(params.get("ls_model_name") or "")


class WrappedModel(Runnable[LanguageModelInput, AIMessage]):
    """A chat model whose calls pass through wrappers, the first outermost.

    The answer is an `AIMessage`; only of a model that gives something else, such as a chat model
    with a parser behind it, it is what that gives.
    """

    def __init__(self, model: Any, wrappers: Sequence[ModelWrapper]) -> None:
        self.model, self.wrappers = model, tuple(wrappers)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> WrappedModel:
        """The same wrappers around the model with tools."""
        return WrappedModel(self.model.bind_tools(tools, **kwargs), self.wrappers)

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        """The same wrappers around the model's call, and the model's own parser behind it."""
        structured = self.model.with_structured_output(schema, **kwargs)
        return around_model(structured, lambda model: WrappedModel(model, self.wrappers))

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - Runnable's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Call the model."""
        other = Others()

        def model(request: Any) -> Any:
            asked = list(request.messages)
            return other.seen(request.model.invoke(asked, **request.model_settings))

        def around(inner: Callable[[Any], Any], wrapper: ModelWrapper) -> Callable[[Any], Any]:
            return lambda r: wrapper.wrap_model_call(r, inner)

        with _configured(config):
            innermost: Callable[[Any], Any] = model
            run = reduce(around, reversed(self.wrappers), innermost)
            return cast("AIMessage", other.message(run(self._request(input, kwargs))))

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - Runnable's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Call the model without blocking the event loop."""
        other = Others()

        async def model(request: Any) -> Any:
            asked = list(request.messages)
            return other.seen(await request.model.ainvoke(asked, **request.model_settings))

        def around(
            inner: Callable[[Any], Awaitable[Any]], wrapper: ModelWrapper
        ) -> Callable[[Any], Awaitable[Any]]:
            return lambda r: wrapper.awrap_model_call(r, inner)

        with _configured(config):
            innermost: Callable[[Any], Awaitable[Any]] = model
            run = reduce(around, reversed(self.wrappers), innermost)
            return cast("AIMessage", other.message(await run(self._request(input, kwargs))))

    def _request(self, asked: LanguageModelInput, settings: Mapping[str, Any]) -> ModelCall:
        return ModelCall(self.model, prompt_messages(asked), model_settings=settings)


class Others:
    """Whether the model of one call gives something else than messages: then so may wrappers."""

    given = False

    def seen(self, answer: Any) -> Any:
        """Look at what the model gave."""
        self.given = self.given or answer_of(answer) is None
        return answer

    def message(self, response: Any) -> Any:
        """The answer in what the wrappers returned. Raises `TypeError` if that is none."""
        message = answer_of(response)
        if message is None and not self.given:
            raise TypeError(f"a model wrapper returned {type(response).__name__}, not an AIMessage")
        return response if message is None else message


def around_model(structured: Runnable[Any, Any], wrap: Callable[[Any], Any]) -> Runnable[Any, Any]:
    """What `with_structured_output` made, with the model in it wrapped, and its parser behind it.

    LangChain puts the model first, as it is or, with `include_raw`, under "raw".
    """
    match structured:
        case RunnableSequence(first=first, middle=middle, last=last):
            return RunnableSequence(around_model(first, wrap), *middle, last, name=structured.name)
        case RunnableParallel(steps__={"raw": model}):
            return RunnableParallel(raw=wrap(model))
    return cast("Runnable[Any, Any]", wrap(structured))


def wrapped_model(model: Any, *wrappers: ModelWrapper) -> WrappedModel:
    """`model` with wrappers around every call, the first outermost.

    `bind_tools` and `with_structured_output` keep them.
    """
    return WrappedModel(model, wrappers)


def prompt_messages(asked: LanguageModelInput) -> list[Any]:
    """The messages of what a chat model takes: text, a prompt, or messages."""
    if isinstance(asked, str):
        return [HumanMessage(asked)]
    return list(
        asked.to_messages() if isinstance(asked, PromptValue) else convert_to_messages(asked)
    )


@contextmanager
def _configured(config: RunnableConfig | None) -> Iterator[None]:
    """Make `config` what the calls below inherit, callbacks and all."""
    token = var_child_runnable_config.set(ensure_config(config))
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
