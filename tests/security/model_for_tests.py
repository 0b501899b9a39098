"""A scripted model that remembers what it was shown and offered."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from pydantic import Field


class Scripted(FakeMessagesListChatModel):
    """Says one answer after the other, whatever it reads."""

    seen: list[list[Any]] = Field(default_factory=list)
    offered: list[str] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        self.offered[:] = [tool.name for tool in tools]
        return self

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(list(messages))
        return super()._generate(messages, *args, **kwargs)

    @property
    def read(self) -> str:
        """All that it was shown."""
        return "\n".join(str(message.content) for shown in self.seen for message in shown)


def scripted(*answers: Any) -> Scripted:
    """A model that asks for these calls, one after the other, or says these words."""
    said = [AIMessage("", tool_calls=[a]) if isinstance(a, dict) else AIMessage(a) for a in answers]
    return Scripted(responses=said)


def run(app: Any, given: Any, is_async: bool, config: Any = None) -> Any:
    """Run an agent either way."""
    if is_async:
        return asyncio.run(app.ainvoke(given, config))
    return app.invoke(given, config)
