"""ScriptedChatModel: a model whose answers are written down. It needs no key and never surprises.

Its answer is a function of the messages alone, so it says the same after a crash, a resume and a
replay, in every thread and every process. A fake that counts its calls does not: after a crash it
begins anew, and two threads share its counter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import ensure_config
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import AfterValidator, Field, PrivateAttr

from .chunks import chunks_of
from .scripts import (
    Attempts,
    Script,
    checked,
    conversation,
    is_error,
    message_of,
    place_in,
    said_at,
    tokens_in,
)

FREE = ("auto", "any", "required", "none")
"""Choices of tools that name none."""


class ScriptedChatModel(BaseChatModel):
    """Answers from `script`, by the place in the conversation.

    `script` is a list of answers: the answer at index n is given when there are n AI messages
    after the last human message, of whoever they are; with `since="start"`, n in all. A mapping
    chooses such a list by the first regular expression that is found in the last human message;
    a function is called with the messages, and must be one of them alone. An answer is a text,
    a call `{"name": …, "args": {…}}`, a list of both, an exception to raise, or for structured
    output a pydantic object or the arguments themselves. An `AIMessage` is said as it is, even
    if it calls a tool that there is not. Ids that are not given are made of the history and the
    answer; equal histories in one thread get equal ones.

    `usage` is (input, output) tokens of each answer, or counts them at four characters a token.
    `latency`: seconds before each answer. `errors`: what is raised at which index, before it is
    answered, and how often (`{1: (TimeoutError(), 2)}`; once by default). Attempts alone cannot
    be told from the history: this object and what was bound of it count them, for each thread
    id and history, so in another process they begin anew. Without `stream_words` a stream is
    one chunk. LangChain's cache is off, as it would answer for every script.

    Raises `ScriptExhausted` where the script has no answer, and ValueError for a call of a tool
    that is not bound, or not the one of `tool_choice`.
    """

    script: Annotated[Any, AfterValidator(checked)]
    since: Literal["user", "start"] = "user"
    usage: tuple[int, int] | None = None
    latency: float = 0.0
    errors: Mapping[int, Any] = Field(default_factory=dict)
    stream_words: bool = True
    model_name: str = "scripted"
    tools: tuple[str, ...] = ()
    tool_choice: str = "auto"
    cache: Any = False
    _attempts: Attempts = PrivateAttr(default_factory=Attempts)

    def __init__(self, script: Script, **fields: Any) -> None:
        super().__init__(script=script, **fields)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        told = {"tools": list(self.tools), "tool_choice": self.tool_choice}
        return {"model_name": self.model_name, **told}

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **_: Any
    ) -> ScriptedChatModel:
        """The model with these tools. Raises ValueError for a `tool_choice` of none of them."""
        names, choice = tuple(map(_name, tools)), _choice(tool_choice)
        if choice not in (*FREE, *names):
            raise ValueError(f"tool_choice is {choice}, and {_bound(names)}")
        return self.model_copy(update={"tools": names, "tool_choice": choice})

    def answer(self, messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> AIMessage:
        """The next message of this conversation. Raises what the script says."""
        place = place_in(messages, since_user=self.since == "user")
        key = conversation(messages)
        self._fail(place, key)
        found = said_at(self.script, place, messages)
        if is_error(found):
            raise found
        names = (*self.tools, *map(_name, tools))
        said = message_of(found, key, names, self._form(names))
        if not isinstance(found, AIMessage):
            self._allow(said, names)
        return self._counted(said, messages)

    def _form(self, names: Sequence[str]) -> str:
        """The tool that an object must be a call of, if there is one."""
        if self.tool_choice not in FREE:
            return self.tool_choice
        return names[0] if self.tool_choice in ("any", "required") and len(names) == 1 else ""

    def _allow(self, said: AIMessage, names: Sequence[str]) -> None:
        choice = self.tool_choice
        allowed = () if choice == "none" else (choice,) if choice in names else names
        for call in said.tool_calls:
            if call["name"] not in allowed:
                told = f"and {_bound(names)} (tool_choice {choice})"
                raise ValueError(f"the script calls {call['name']}, {told}")

    def _fail(self, place: int, key: str) -> None:
        """Raise what is to be raised here, as often as it is to be."""
        if place not in self.errors:
            return
        told = self.errors[place]
        error, times = told if isinstance(told, tuple) else (told, 1)
        thread = ensure_config().get("configurable", {}).get("thread_id", "")
        if self._attempts.number(f"{thread} {key}") <= times:
            raise error

    def _counted(self, said: AIMessage, messages: Sequence[BaseMessage]) -> AIMessage:
        asked, took = self.usage or (tokens_in(messages), tokens_in([said]))
        usage = {"input_tokens": asked, "output_tokens": took, "total_tokens": asked + took}
        told = {"model_name": self.model_name, **said.response_metadata}
        changes = {"usage_metadata": said.usage_metadata or usage, "response_metadata": told}
        return said.model_copy(update=changes)

    # ------------------------------------------------------------------- LangChain's surfaces

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None, **given: Any,
    ) -> ChatResult:  # fmt: skip
        del stop, run_manager
        time.sleep(self.latency)
        return _result(self.answer(messages, given.get("tools", ())))

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None, **given: Any,
    ) -> ChatResult:  # fmt: skip
        del stop, run_manager
        await asyncio.sleep(self.latency)
        return _result(self.answer(messages, given.get("tools", ())))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None, **given: Any,
    ) -> Iterator[ChatGenerationChunk]:  # fmt: skip
        del stop
        time.sleep(self.latency)
        said = self.answer(messages, given.get("tools", ()))
        for chunk in chunks_of(said, words=self.stream_words):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None, **given: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:  # fmt: skip
        del stop
        await asyncio.sleep(self.latency)
        said = self.answer(messages, given.get("tools", ()))
        for chunk in chunks_of(said, words=self.stream_words):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def _name(tool: Any) -> str:
    """What a tool is called, also one that is built into a provider."""
    told = convert_to_openai_tool(tool)
    return str(told.get("function", told).get("name") or told.get("type"))


def _choice(told: Any) -> str:
    """A choice of a tool in one spelling: a word of `FREE`, or a name."""
    if isinstance(told, Mapping):
        told = told.get("function", told).get("name") or told.get("type")
    return "auto" if told in (None, False) else "any" if told is True else str(told)


def _bound(names: Sequence[str]) -> str:
    return f"bound are {', '.join(names)}" if names else "no tool is bound"
