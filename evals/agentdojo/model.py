"""The scripted model: it does the user's task; once it reads the mark, the attacker's first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from .suites import CANARY, Case


def next_message(case: Case, messages: Sequence[Any]) -> AIMessage:
    """What a completely obedient model says next. It never tries a call twice."""
    made = [c["id"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]
    hostile = any(isinstance(m, ToolMessage) and CANARY in m.text for m in messages)
    attacks = sum(str(one).startswith("attack-") for one in made)
    users = len(made) - attacks
    if hostile and attacks < len(case.attack):
        return asks(case.attack[attacks], f"attack-{attacks}")
    if users < len(case.calls):
        return asks(case.calls[users], f"user-{users}")
    said = f"{case.saying} {case.output}" if hostile else case.output
    return AIMessage(said.strip() or "done")


def asks(call: Any, call_id: str) -> AIMessage:
    one = {"name": call.function, "args": dict(call.args), "id": call_id, "type": "tool_call"}
    return AIMessage("", tool_calls=[one])


class Obedient(BaseChatModel):
    """The same as a chat model, for `create_agent`."""

    case: Any

    @property
    def _llm_type(self) -> str:
        return "obedient"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:  # noqa: ARG002
        message = next_message(self.case, messages)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        return self
