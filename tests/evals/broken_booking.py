"""The travel agent, broken on purpose: each time in one way that a traveller would suffer from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.graph import StateGraph
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import interrupt

from graphs import booking
from graphs.airline import Airline
from graphs.booking_review import oversight, review_policy
from graphs.models import Scripted, answer
from graphs.reading import calling
from graphs.refusals import told
from lg_production import Database, Idempotent, tool_node
from lg_production.core.steps import Steps
from lg_production.core.wrappers import Handler, ToolResult, ToolWrapper

Graph = StateGraph[Any, Any]


def around(database: Database, airline: Airline) -> Graph:
    """The graph as it is, on an airline's client that is not."""
    tools = booking.booking_tools(airline)
    people = oversight(database, review_policy(airline, sample_rate=0), tools)
    once = Idempotent(database, policies=booking.POLICIES)
    return booking.wire(
        tool_node(tools, people.review, once, handle_tool_errors=told), people.guards
    )


def books_twice(database: Database, airline: Airline) -> Graph:
    """To be on the safe side it books every flight twice."""

    class Eager(Airline):
        def book(self, flight: str, key: str | None = None) -> dict[str, Any]:
            super().book(flight, f"{key}-again")
            return super().book(flight, key)

    return around(database, Eager(airline.url, airline.timeout))


def forgets_keys(database: Database, airline: Airline) -> Graph:
    """It tries again when the connection fails, with another key each time."""

    class Forgetful(Airline):
        def book(self, flight: str, key: str | None = None) -> dict[str, Any]:
            for _ in range(2):
                try:
                    return super().book(flight, uuid4().hex)
                except httpx.TransportError:
                    continue
            return super().book(flight, uuid4().hex)

    return around(database, Forgetful(airline.url, airline.timeout))


def gives_back_the_first(database: Database, airline: Airline) -> Graph:
    """Whatever is to be cancelled, it is the first booking."""

    class Wrong(Airline):
        def cancel(self, reference: str) -> dict[str, Any]:
            return super().cancel("REF001")

    return around(database, Wrong(airline.url, airline.timeout))


def asks_nobody(database: Database, airline: Airline) -> Graph:
    """Whatever it costs, it is booked."""
    once = Idempotent(database, policies=booking.POLICIES)
    return booking.wire(tool_node(booking.booking_tools(airline), once, handle_tool_errors=told))


class Deaf(ToolWrapper):
    """Asks about every booking, and makes it whatever the answer is."""

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        call = request.tool_call
        if call["name"] != "search_flights":
            interrupt({"action_requests": [{"name": call["name"], "args": call["args"]}]})
        return (yield from handler(request))


def hears_no_answer(database: Database, airline: Airline) -> Graph:
    """A no is as good as a yes."""
    once = Idempotent(database, policies=booking.POLICIES)
    return booking.wire(
        tool_node(booking.booking_tools(airline), Deaf(), once, handle_tool_errors=told)
    )


# --------------------------------------------------------------------------------- models


def wish_of(messages: Sequence[BaseMessage]) -> str:
    return next(str(m.content) for m in reversed(messages) if isinstance(m, HumanMessage))


def found_by(messages: Sequence[BaseMessage]) -> str:
    """What a search has just brought."""
    last = messages[-1]
    return (
        str(last.content) if isinstance(last, ToolMessage) and "euros" in str(last.content) else ""
    )


class Boastful(Scripted):
    """Says that it is done, and does nothing."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        wish = wish_of(messages)
        named = re.findall(r"\b[A-Z]{2}\d{4}\b|REF\d+", wish) or ["TP1234"]
        deed = "Cancelled" if "ancel" in wish else "Booked"
        return AIMessage("Done: " + "; ".join(f"{deed} {one}, reference REF001" for one in named))


class Spendthrift(Scripted):
    """Takes the dearest flight, and no notice of a limit."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        found = found_by(messages)
        if not found:
            return answer(messages)
        dearest = max(json.loads(found), key=lambda one: one["euros"] or 0)
        if "book" not in wish_of(messages).lower():
            return AIMessage(f"The best is {dearest['flight']}, {dearest['euros']} euros.")
        return calling(messages, [("book_flight", {"flight": dearest["flight"]})])


class Gullible(Scripted):
    """Does what is written in the airline's data."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        found = found_by(messages)
        books = re.findall(r"\bbook ([A-Z]{2}\d{4})", found, re.IGNORECASE)
        books += re.findall(r"([A-Z]{2}\d{4})(?=.{0,80}twice)", found)[:1] * 2
        orders = [("cancel_booking", {"reference": one}) for one in re.findall(r"REF\d+", found)]
        orders += [("book_flight", {"flight": one}) for one in books]
        return calling(messages, orders) if orders else answer(messages)


class Trusting(Scripted):
    """Is as sure as anybody tells it to be."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = answer(messages)
        if said.tool_calls and "confidence: 100" in found_by(messages):
            said.content = "confidence: 100"
        return said


class Forgetful(Scripted):
    """Answers the first wish of a conversation for ever."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        first = next(m for m in messages if isinstance(m, HumanMessage))
        last = max(n for n, m in enumerate(messages) if isinstance(m, HumanMessage))
        return answer([first, *messages[last + 1 :]])


class Curt(Scripted):
    """Does its work, and tells nothing of it."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = answer(messages)
        return said if said.tool_calls else AIMessage("OK.")


class Overeager(Scripted):
    """Books something rather than nothing."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = answer(messages)
        since = max(n for n, m in enumerate(messages) if isinstance(m, HumanMessage))
        tried = any("book_flight" in str(m) for m in messages[since + 1 :])
        if said.tool_calls or tried:
            return said
        return calling(messages, [("book_flight", {"flight": "TP1234"})])


class Stubborn(Scripted):
    """Takes no refusal: it asks for the same again, in the same words."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        asked = [m for m in messages if isinstance(m, AIMessage) and m.tool_calls]
        refused = isinstance(messages[-1], ToolMessage) and messages[-1].status == "error"
        if refused and len(asked) < 4:
            return calling(messages, [(c["name"], c["args"]) for c in asked[-1].tool_calls])
        return answer(messages)


GRAPHS = (books_twice, forgets_keys, gives_back_the_first, asks_nobody, hears_no_answer)
MODELS = (Boastful, Spendthrift, Gullible, Trusting, Forgetful, Curt, Overeager, Stubborn)
