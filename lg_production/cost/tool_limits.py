"""Limits: a tool wrapper that counts tool calls, in all and for each tool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest

from ..core.database import Database
from ..core.events import Observer
from ..core.identity import identify, messages_of
from ..core.keys import canonical
from ..core.steps import Steps
from ..core.wrappers import Handler, ToolResult, ToolWrapper, in_place_of
from .budget import Budget, Exhausted, Reservation
from .calls import key_of
from .policy import BudgetPolicy


class Limits(ToolWrapper):
    """No more tool calls than a task, thread, user or tenant may make.

    `Limit(scope="task", tool="search", tool_calls=5)` limits one tool, a `Limit` without
    `tool` all of them. The count is in the ledger: neither an interrupt nor a crash resets
    it, and a call that is replayed is counted once. Calls of one answer that share id, name and
    arguments count each, by their places. A call past the limit is not made:
    the model is told so and can answer with what it has (`then="tell"`), or
    `StepLimitExceeded` is raised (`then="error"`). Stands outside of review and idempotency.
    """

    database: Database

    def __init__(
        self,
        database: Database,
        policy: BudgetPolicy,
        *,
        then: Literal["tell", "error"] = "tell",
        tenant: str = "default",
        user: str | None = None,
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.database, self.then, self.messages_key = database, then, messages_key
        self.observers = observers
        self.budget = Budget(database, policy, tenant=tenant, user=user, observers=observers)

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Count the call, then make it; or say that it is one too many."""
        who = self.budget.who(request.runtime.config)
        name = request.tool_call["name"]
        try:
            held = yield from self.budget.reserve_steps(
                self._key(request), who, {"tool_calls": 1}, tool=name
            )
        except Exhausted as refused:
            if self.then == "error":
                raise
            return told(request, refused)
        try:
            result = yield from handler(request)
        except GraphBubbleUp:
            # It interrupted: the same call comes back, and finds its reservation.
            raise
        except Exception:
            yield from self.budget.settle_steps(held)
            raise
        yield from self._settle(held)
        return result

    def _settle(self, held: Reservation) -> Steps[None]:
        if not held.replayed:
            yield from self.budget.settle_steps(held)

    def _key(self, request: ToolCallRequest) -> bytes:
        identity, call = identify(request, self.messages_key), request.tool_call
        messages = messages_of(request.state, self.messages_key)
        twins = [
            one
            for message in messages
            if isinstance(message, AIMessage) and message.id == identity.message_id
            for one in message.tool_calls
            if (one["id"], one["name"], one["args"]) == (call["id"], call["name"], call["args"])
        ]
        return key_of(
            "tool", self.budget.tenant, identity.task.thread_id,
            identity.message_id or identity.task.task_id, call["id"] or "", call["name"],
            canonical(call["args"]), place(request, twins, alone=identity.siblings == 1),
        )  # fmt: skip


def place(request: ToolCallRequest, twins: Sequence[Any], *, alone: bool) -> str:
    """Which of its twins a call is, in every run the same; `alone` if it was sent by itself."""
    if len(twins) == 1 or (request.tool_call["id"] and not twins):
        return ""
    if alone and twins:
        return str((request.runtime.config.get("metadata") or {}).get("langgraph_path"))
    places = [n for n, one in enumerate(twins) if one is request.tool_call]
    # Calls that cannot be told apart count each, and once more if they run again.
    return str(places[0]) if places else uuid4().hex


def told(request: ToolCallRequest, refused: Exhausted) -> ToolMessage:
    """What the model hears: it cannot have more, and can do without."""
    limits = "; ".join(f"{r.used} of {r.limit} {r.quantity} of {r.scope}" for r in refused.refusals)
    return in_place_of(
        request.tool_call,
        f"This call was not made: the limit is reached ({limits}). Do not try again; answer with "
        "what you have.",
    )
