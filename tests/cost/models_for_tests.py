"""Chat models that say what they took, stream, fail and wait, as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from lg_production.core.database import Database
from lg_production.core.steps import Statement


class Model(BaseChatModel):
    """Answers with usage `took` (in, out); `fails` are raised first, one a call."""

    model: str = "gpt-4o-mini"
    took: tuple[int, int] | None = (10, 5)
    max_tokens: int | None = None
    chunks: list[str] = []
    fails: list[BaseException] = []
    waits: float = 0
    tool_calls: list[Any] = []
    seen: list[dict[str, Any]] = []

    @property
    def _llm_type(self) -> str:
        return "fake"

    @property
    def calls(self) -> int:
        return len(self.seen)

    def usage(self) -> Any:
        if self.took is None:
            return None
        asked, answered = self.took
        return {
            "input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered,
        }  # fmt: skip

    def answer(self, kwargs: dict[str, Any]) -> ChatResult:
        self.seen.append(kwargs)
        if self.fails:
            raise self.fails.pop(0)
        message = AIMessage(
            "an answer",
            usage_metadata=self.usage(),
            response_metadata={"model_name": self.model},
            tool_calls=self.tool_calls.pop(0) if self.tool_calls else [],
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any):
        return self.answer(kwargs)

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ):
        await asyncio.sleep(self.waits)
        return self.answer(kwargs)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=list(tools), **kwargs)


class Streaming(Model):
    """The same, chunk by chunk; the usage comes with the last."""

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.seen.append(kwargs)
        for text in self.chunks:
            yield ChatGenerationChunk(message=AIMessageChunk(text))
        last = AIMessageChunk("", usage_metadata=self.usage(), chunk_position="last")
        yield ChatGenerationChunk(message=last)

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop, run_manager, **kwargs):
            await asyncio.sleep(0)
            yield chunk


def model(**fields: Any) -> Model:
    return Model(**{"seen": [], "fails": [], "tool_calls": [], **fields})


def streaming(*chunks: str, **fields: Any) -> Streaming:
    return Streaming(chunks=list(chunks), **{"seen": [], **fields})


def books(database: Database) -> dict[str, tuple[int, int]]:
    """quantity -> (used, reserved)."""
    sql = "SELECT quantity, used, reserved FROM lg_production.budgets"
    return {name: (used, held) for name, used, held in database.execute(Statement(sql, {}, list))}


def rows(database: Database, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of all reservations, oldest first."""
    sql: Any = f"SELECT {', '.join(columns)} FROM lg_production.reservations ORDER BY created_at"
    return [tuple(row) for row in database.execute(Statement(sql, {}, list))]
