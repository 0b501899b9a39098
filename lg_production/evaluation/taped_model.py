"""A chat model behind a tape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from pydantic import BaseModel

from ..core.models import around_model
from ..core.steps import NO_DATABASE, Call, Steps, adrive, async_only, drive
from .chunks import chunks_of
from .histories import plain
from .jsonable import as_json
from .taping import taped


class TapedModel(BaseChatModel):
    """A chat model whose answers come from a tape, or go onto it.

    Asked is the same only with the same messages, tools, settings of the call and of the model.
    `bind_tools` and `with_structured_output` are those of the model. What is recorded is its
    whole answer, so a stream of it is made anew.
    """

    real: Any
    tape: Any
    label: str
    cache: Any = False

    @property
    def _llm_type(self) -> str:
        return str(self.real._llm_type)  # noqa: SLF001 - LangChain's name for it

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.real._identifying_params  # noqa: SLF001 - LangChain's
        return found

    @property
    def model_name(self) -> str:
        """The model's name, as its provider calls it."""
        return str(getattr(self.real, "model_name", "") or getattr(self.real, "model", ""))

    def _get_ls_params(self, *args: Any, **kwargs: Any) -> Any:
        return self.real._get_ls_params(*args, **kwargs)  # noqa: SLF001 - LangChain's

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """The model with these tools, behind the tape."""
        bound: Runnable[Any, AIMessage] = self._around(self.real.bind_tools(tools, **kwargs))
        return bound

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        """The model's own way to give an object, and only the model in it behind the tape."""
        return around_model(self.real.with_structured_output(schema, **kwargs), self._around)

    def _around(self, bound: Any) -> Any:
        if isinstance(bound, RunnableBindingBase):
            return bound.model_copy(update={"bound": self._around(bound.bound)})
        return self.model_copy(update={"real": bound})

    # ----------------------------------------------------------------------- one request

    def _steps(self, messages: list[BaseMessage], given: Any, call: Call[Any]) -> Steps[ChatResult]:
        settings = {name: _plain(value) for name, value in given.items() if value is not None}
        settings.pop("stream", None)
        model = as_json(dict(self._identifying_params))
        asked = {"messages": plain(messages), "settings": settings, "model": model}
        stored = yield from taped(self.tape, "model", self.label, asked, call, _spelled)
        (message,) = messages_from_dict([stored])
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None, **given: Any,
    ) -> ChatResult:  # fmt: skip
        asked = {**given, "stop": stop}
        real = self.real._generate  # noqa: SLF001 - what LangChain itself calls
        call = Call(lambda: real(messages, run_manager=run_manager, **asked))
        return drive(self._steps(messages, asked, call), NO_DATABASE)

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None, **given: Any,
    ) -> ChatResult:  # fmt: skip
        asked = {**given, "stop": stop}
        real = self.real._agenerate  # noqa: SLF001 - what LangChain itself calls
        call = Call(async_only, lambda: real(messages, run_manager=run_manager, **asked))
        return await adrive(self._steps(messages, asked, call), NO_DATABASE)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None, **given: Any,
    ) -> Iterator[ChatGenerationChunk]:  # fmt: skip
        for chunk in _chunks(self._generate(messages, stop, None, **given)):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None, **given: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:  # fmt: skip
        for chunk in _chunks(await self._agenerate(messages, stop, None, **given)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def taped_model(tape: Any, real: BaseChatModel, name: str) -> TapedModel:
    """A chat model behind a tape. Raises TypeError for what is none.

    In replay nothing of the model is called but what formats tools and schemas.
    """
    if not isinstance(real, BaseChatModel):
        told = type(real).__name__
        raise TypeError(f"a cassette takes a chat model before tools are bound, and not a {told}")
    limiter = None if tape.mode == "replay" else real.rate_limiter
    shared = ("profile", "output_version", "disable_streaming", "callbacks", "tags", "metadata")
    same: dict[str, Any] = {one: getattr(real, one) for one in shared}
    return TapedModel(real=real, tape=tape, label=name, rate_limiter=limiter, **same)


def _plain(value: Any) -> Any:
    """A setting of a call as JSON: a form that the answer must have is its schema."""
    if isinstance(value, type) and issubclass(value, BaseModel):
        return value.model_json_schema()
    return as_json(value)


def _spelled(result: ChatResult) -> Any:
    """The message of a result as JSON, with all that LangChain tells of it."""
    first = result.generations[0]
    told = {**(result.llm_output or {}), **(first.generation_info or {})}
    message = first.message.model_copy()
    message.response_metadata = {**told, **message.response_metadata}
    return as_json(message_to_dict(message))


def _chunks(result: ChatResult) -> Iterator[ChatGenerationChunk]:
    message = result.generations[0].message
    if not isinstance(message, AIMessage):
        raise TypeError(f"a model answered with a {type(message).__name__}")
    return chunks_of(message)
