"""ConfidenceRouter: a node between the model and its tools, where calls part from calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.config import get_config
from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from ..core.database import Database
from ..core.events import Observer
from ..core.identity import messages_of, task_of
from ..core.steps import Steps, drive
from .people import requester_of
from .policy import ReviewPolicy
from .routing import Asked, Provenance, Routing, from_state
from .sampling import Sampler
from .scorers import Scorer
from .watching import Watcher


class ConfidenceRouter:
    """A node after the model: sends the calls that a person must decide to `review`.

    For every tool call of the last message a verdict is made, once, and frozen in the ledger
    before anything pauses: a resume, a retry, time travel, another worker and a policy that was
    changed meanwhile all find the same verdict. Each call that waits goes to the node `review`
    in a task of its own, `Send(review, {"review": key, "tool_call": call})`; that node goes on to
    `then` when it is decided. No tool runs before all are. Without calls that wait it is `then` at
    once, and without any calls `otherwise`. Denied calls go to `then`, too: `Review` around the
    tools answers for them, and holds every call to its verdict.

        graph.add_node("route", router, destinations=router.destinations)
        graph.add_edge("model", "route")

    `scorers` are asked only about calls whose verdict hangs on confidence, several as `Combined`.
    One that fails gives no score, and its call goes to a person. `provenance(state, call)` says of
    arguments from which channel they came: "user", "document", "tool_output". `sampler` replaces
    the plain one of the policy's `sample_rate`. `agent` names the agent in the ledger. Emits
    `review.routed`, and `review.unscored` for a scorer that failed.
    """

    def __init__(
        self,
        database: Database,
        policy: ReviewPolicy,
        *,
        then: str = "tools",
        review: str = "review",
        otherwise: str = END,
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
        self.then, self.review, self.otherwise = then, review, otherwise
        self.routing = Routing(
            policy,
            scorers=scorers,
            tenant=tenant,
            agent=agent,
            provenance=provenance,
            sampler=sampler,
            watcher=watcher,
        )

    @property
    def destinations(self) -> tuple[str, ...]:
        """Where this node may lead, for `add_node(…, destinations=…)`: Studio draws them."""
        return self.then, self.review, self.otherwise

    def __call__(self, state: Any, runtime: Runtime[Any]) -> Command[Any]:
        """Freeze the verdicts and go where they lead. LangGraph runs this node."""
        steps = sends(self.routing, state, runtime, self.messages_key, self.review)
        waiting = drive(steps, self.database, self.observers)
        return Command(goto=self.otherwise if waiting is None else waiting or self.then)


def sends(
    routing: Routing, state: Any, runtime: Runtime[Any], messages_key: str, to: str
) -> Steps[list[Send] | None]:
    """Freeze the verdicts about the last message's calls; a task at node `to` for each that waits.

    None where the last message calls no tool.
    """
    messages = messages_of(state, messages_key)
    last = messages[-1] if messages else None
    if not isinstance(last, AIMessage) or not last.tool_calls:
        return None
    config = get_config()
    task = task_of(runtime.execution_info, config)
    asked = Asked(task.thread_id, last.id, state, requester_of(config, runtime.context))
    rows = yield from routing.route(asked, last.tool_calls)
    return [
        Send(to, {"review": row.key.hex(), "tool_call": dict(call)})
        for row, call in zip(rows, last.tool_calls, strict=True)
        if row.waits
    ]
