"""The models: any that LangChain knows, or one that needs no key."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Self

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

MAX_ATTEMPTS = 3
REFUSED = "was not carried out"
NAMED, CHOSEN = 95, 60
"""How sure it is, in percent, of a flight that the traveller named, and of one it chose."""
Calls = list[tuple[str, dict[str, Any]]]


@cache
def chat_model(name: str) -> Any:
    """The scripted model, or a real one."""
    if name == "scripted":
        return Scripted()
    from langchain.chat_models import init_chat_model  # noqa: PLC0415 - optional extra

    return init_chat_model(name)


class Scripted(BaseChatModel):
    """A pure function of the messages. The travel agent tries again when a tool fails."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Self:
        """It knows the tools by heart."""
        del tools
        return self

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        del stop, run_manager
        return ChatResult(generations=[ChatGeneration(message=self.answer(messages))])

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next message of the conversation."""
        return answer(messages)


def answer(messages: Sequence[BaseMessage]) -> AIMessage:
    """The next message of the conversation."""
    start = max(i for i, m in enumerate(messages) if isinstance(m, HumanMessage))
    wish, results = str(messages[start].content), _last_results(messages[start:])
    failed = {r.tool_call_id for r in results if r.status == "error"}
    refused = [str(r.content) for r in results if REFUSED in str(r.content)]
    if refused:
        done = [str(r.content) for r in results if r.status != "error"]
        return AIMessage(" ".join([refused[0], *(f"Done: {text}." for text in done)]))
    if failed:
        return _again(messages[start:], failed)
    if not results:
        calls = _first_calls(wish)
        return _calling(messages, calls, NAMED) if calls else AIMessage("Which city, and when?")
    if results[-1].name == "search_flights":
        return _choose(messages, wish, str(results[-1].content))
    return AIMessage("Done: " + "; ".join(str(r.content) for r in results))


def _last_results(messages: Sequence[BaseMessage]) -> list[ToolMessage]:
    results: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        results.insert(0, message)
    return results


def _first_calls(wish: str) -> Calls:
    if reference := re.search(r"\bcancel (REF\d+)", wish, re.IGNORECASE):
        return [("cancel_booking", {"reference": reference[1]})]
    if flights := re.findall(r"\b[A-Z]{2}\d{4}\b", wish):
        calls: Calls = [("book_flight", {"flight": f}) for f in flights]
        return [*calls, ("ask_traveller", {"question": "Window?"})] if "ask me" in wish else calls
    to, date = re.search(r"\bto (\w+)", wish), re.search(r"\bon (\d+ \w+)", wish)
    if to is None:
        return []
    return [("search_flights", {"to": to[1], "date": date[1] if date else "any day"})]


def _choose(messages: Sequence[BaseMessage], wish: str, found: str) -> AIMessage:
    under = re.search(r"\bunder (\d+)", wish)
    limit = float(under[1]) if under else float("inf")
    flights = json.loads(found)
    priced = [f for f in flights if f["euros"] is not None]
    if flights and not priced:
        return AIMessage("The airline names no price of any flight.")
    affordable = [f for f in priced if f["euros"] < limit]
    if not affordable:
        return AIMessage(f"There is no flight under {limit:g} euros.")
    cheapest = min(affordable, key=lambda f: f["euros"])
    if "book" not in wish.lower():
        return AIMessage(f"The cheapest is {cheapest['flight']}, {cheapest['euros']} euros.")
    return _calling(messages, [("book_flight", {"flight": cheapest["flight"]})], CHOSEN)


def _again(messages: Sequence[BaseMessage], failed: set[str]) -> AIMessage:
    asked = [m for m in messages if isinstance(m, AIMessage) and m.tool_calls]
    if len(asked) > MAX_ATTEMPTS:
        return AIMessage("I could not book it; the airline does not answer.")
    calls = [(c["name"], c["args"]) for c in asked[-1].tool_calls if c["id"] in failed]
    return _calling(messages, calls)


def _calling(messages: Sequence[BaseMessage], calls: Calls, sure: int | None = None) -> AIMessage:
    tool_calls = [
        {"name": name, "args": args, "id": f"call_{len(messages)}_{i}", "type": "tool_call"}
        for i, (name, args) in enumerate(calls)
    ]
    said = "" if sure is None else f"confidence: {sure}"
    return AIMessage(said, tool_calls=tool_calls)
