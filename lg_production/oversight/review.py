"""Review: a call runs as a person decided, and the decision is in the ledger before it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.graph import END
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command

from ..core.database import Database
from ..core.events import Event, Observer
from ..core.identity import decision, identify, task_of
from ..core.steps import Emit, Steps, drive
from ..core.wrappers import Handler, ToolResult, ToolWrapper, in_place_of
from ..errors import NotDurable, ReviewExpired, ReviewInSharedTask
from . import ledger
from .asking import Asker, settle
from .people import ANONYMOUS, requester_of, reviewer_of, told
from .policy import ReviewPolicy
from .records import Recorded
from .router import sends
from .routing import Asked, Provenance, Routing, from_state
from .sampling import Sampler
from .scorers import Scorer
from .watching import Watcher


class Review(ToolWrapper):
    """Holds every tool call to its verdict, and asks people about those that wait for them.

    As a tool wrapper it stands outside of `Idempotent`, so that a rejection takes no key, and
    every call passes it: what is approved runs, edited arguments replace the model's, and what is
    rejected, denied or overdue becomes an error message for the model. The verdict about a call
    is made once and recorded; so is the decision, before the call may run, and the effect's claim
    names it. Other arguments under the same call are decided anew.

    It asks in the task of the call, where the call has one to itself: one call in the answer,
    `Send` per call, `create_agent`. Several calls in one ToolNode share a task, and there it
    raises `ReviewInSharedTask`: put this object in front of the tools, as a node, too. That node
    takes what `ConfidenceRouter` sends it, or the state after the model, and asks about each call
    in a task of its own before it goes on to `then`; it needs `tools` to read edited arguments.

    A question is a HITLRequest with one action. The answer is `{"decisions": [decision]}`, Agent
    Inbox's list, or a bare decision; it may carry the `idempotency_key` and `digest` of the
    question, and is then refused by any other. What it does not understand leaves the question
    open. The first decision wins: who comes later is told so (`review.late`), and changes nothing.
    Nobody's silence approves: behind its deadline the call is denied, or with `on_expired="error"`
    `ReviewExpired` is raised.

    The reviewer is the server's authenticated user, else `context.reviewer`. LangGraph keeps an
    answer and not who gave it: should a run die before it is counted, whoever runs the thread
    again would vote with it. An answer that names its `reviewer` counts for nobody else.
    """

    database: Database

    def __init__(
        self,
        database: Database,
        policy: ReviewPolicy,
        *,
        then: str = "tools",
        otherwise: str = END,
        tools: Sequence[BaseTool] = (),
        on_expired: Literal["deny", "error"] = "deny",
        scorers: Sequence[Scorer] = (),
        tenant: str = "default",
        agent: str = "",
        provenance: Provenance = from_state,
        sampler: Sampler | None = None,
        watcher: Watcher | None = None,
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.database, self.observers, self.messages_key = database, observers, messages_key
        self.then, self.otherwise, self.on_expired = then, otherwise, on_expired
        self.tools = {tool.name: tool for tool in tools}
        self.routing = Routing(
            policy,
            scorers=scorers,
            tenant=tenant,
            agent=agent,
            provenance=provenance,
            sampler=sampler,
            watcher=watcher,
        )

    # ---------------------------------------------------------------------- around a tool

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Find the verdict, ask if it says so, and do what is decided."""
        if request.tool is None:
            return (yield from handler(request))
        runtime = request.runtime
        who = identify(request, self.messages_key)
        asked = Asked(
            who.task.thread_id,
            who.message_id,
            request.state,
            requester_of(runtime.config, runtime.context),
        )
        row = (yield from self.routing.route(asked, [request.tool_call]))[0]
        if who.siblings == 1:
            reviewer = reviewer_of(runtime.config, runtime.context)
            row = yield from settle(
                row, Asker(who.task.task_id, reviewer, request.tool, runtime.stream_writer)
            )
        elif row.waits:
            raise ReviewInSharedTask(f"({row.tool}, review {row.key.hex()[:16]})")
        return (yield from self._carry_out(row, request, handler))

    def _carry_out(
        self, row: Recorded, request: ToolCallRequest, handler: Handler
    ) -> Steps[ToolResult]:
        if not row.runs:
            yield from Emit(Event("review.refused", told(row)))
            return self._refused(row)
        if row.outcome == "edit":
            call: Any = {**request.tool_call, "args": dict(row.proposed)}
            request = request.override(tool_call=call)
        token = decision.set(row.key.hex())
        try:
            return (yield from handler(request))
        finally:
            decision.reset(token)

    def _refused(self, row: Recorded) -> ToolMessage:
        """What the model is told. Raises `ReviewExpired` where an operator shall act instead."""
        if row.state == "expired" and self.on_expired == "error":
            raise ReviewExpired(f"({row.tool}, review {row.key.hex()[:16]})")
        answered = row.state == "decided" and row.outcome == "respond"
        call = {"name": row.tool, "id": row.tool_call_id}
        if answered:
            return in_place_of(call, row.message, "success")
        return in_place_of(call, refusal(row))

    # -------------------------------------------------------------------------- as a node

    def __call__(self, state: Any, runtime: Runtime[Any]) -> Command[Any]:
        """Ask about the call of this task, or send each that waits to one. LangGraph runs it."""
        config = get_config()
        task = task_of(runtime.execution_info, config)
        if isinstance(state, Mapping) and "review" in state:
            tool = self.tools.get(state.get("tool_call", {}).get("name"))
            reviewer = reviewer_of(config, runtime.context)
            asker = Asker(task.task_id, reviewer, tool, runtime.stream_writer)
            self._drive(self._ask(bytes.fromhex(state["review"]), asker))
            return Command(goto=self.then)
        here = config["metadata"]["langgraph_node"]
        waiting = self._drive(sends(self.routing, state, runtime, self.messages_key, here))
        return Command(goto=self.otherwise if waiting is None else waiting or self.then)

    def _ask(self, key: bytes, asker: Asker) -> Steps[Recorded]:
        rows = yield from ledger.look([key])
        if not rows:
            raise NotDurable(f"The review {key.hex()[:16]} is not in this database's ledger.")
        return (yield from settle(rows[0], asker))

    def _drive(self, steps: Steps[Any]) -> Any:
        return drive(steps, self.database, self.observers)


def refusal(row: Recorded) -> str:
    """Who refused a call, and why, for the model."""
    if row.canary:
        why = "it was a test of the reviewers"
    elif row.state == "expired":
        why = "nobody decided about it in time"
    elif row.state == "decided":
        who = ["a reviewer" if one == ANONYMOUS else one for one in row.decided_by]
        why = f"{', '.join(who)} rejected it. {row.message}".strip()
    else:
        why = f"the policy forbids it ({', '.join(row.reasons)})"
    return f"{row.tool} was not carried out: {why}".rstrip(".") + "."
