"""A payment that people decide about, for tests of every surface."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.tools import BaseTool, tool
from langgraph.types import Command

from lg_production import Checkpointer, Database, EffectPolicy
from lg_production.core.answers import Action
from lg_production.core.events import Event
from lg_production.core.steps import Statement
from lg_production.core.wrappers import tool_node
from lg_production.idempotency.tool import Idempotent
from lg_production.oversight import ledger
from lg_production.oversight.ledger import Ballot
from lg_production.oversight.policy import ReviewPolicy, Stakes
from lg_production.oversight.records import Recorded
from lg_production.oversight.review import Review
from tests.graphs_for_tests import ASK, agent, says, thread

POLICY = ReviewPolicy(
    tools={
        "pay": Stakes(tier="low", amount="amount", amount_over=500, two_person_over=10_000),
        "wipe": Stakes(tier="low", deny=True),
    },
    sample_rate=0,
)
APPROVE = {"decisions": [{"type": "approve"}]}
REJECT = {"decisions": [{"type": "reject", "message": "too much"}]}


class Bank:
    """The outside world: what was paid, and what observers were told."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, int]] = []
        self.events: list[Event] = []

    def observe(self, event: Event) -> None:
        self.events.append(event)

    def told(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def tools(self) -> list[BaseTool]:
        @tool
        def pay(to: str, amount: int) -> str:
            """Pay an amount of euros."""
            self.paid.append((to, amount))
            return f"paid {amount} to {to}"

        @tool
        def wipe(table: str) -> str:
            """Delete a table."""
            raise AssertionError(table)

        return [pay, wipe]


class Office:
    """One graph with one payment policy; `resume` and `start` give the state after a run."""

    def __init__(
        self,
        database: Database,
        *calls: Any,
        policy: ReviewPolicy = POLICY,
        send: bool = False,
        bank: Bank | None = None,
        is_async: bool = False,
        idempotent: bool = True,
        model: Any = None,
        **options: Any,
    ) -> None:
        self.database, self.bank, self.is_async = database, bank or Bank(), is_async
        tools = self.bank.tools()
        self.review = Review(
            database, policy, tools=tools, observers=[self.bank.observe], **options
        )
        inner = [Idempotent(database, policies={t.name: EffectPolicy() for t in tools})]
        self.node = tool_node(tools, self.review, *(inner if idempotent else []))
        self.builder = agent(model or says(*calls), self.node, send=send)
        self.graph = self.builder.compile(checkpointer=Checkpointer(database))
        self.config = thread()

    def run(self, given: Any, **configurable: Any) -> Any:
        config = {"configurable": {**self.config["configurable"], **configurable}}
        if self.is_async:
            return asyncio.run(self.graph.ainvoke(given, config))
        return self.graph.invoke(given, config)

    def start(self, **configurable: Any) -> Any:
        return self.run(ASK, **configurable)

    def resume(self, answer: Any, by: str | None = None) -> Any:
        user = {"langgraph_auth_user": {"identity": by}} if by else {}
        return self.run(Command(resume=answer), **user)

    def rows(self) -> list[Recorded]:
        found = self.database.execute(Statement(KEYS, {}, lambda rows: [r[0] for r in rows]))
        return self.database.execute(ledger.look(found))

    def decide_elsewhere(self, action: Action, by: str = "ann") -> None:
        """As the command line does."""
        assert self.database.execute(ledger.vote(self.row(), Ballot(by, action))) is not None

    def row(self) -> Recorded:
        (row,) = self.rows()
        return row


KEYS = "SELECT key FROM lg_production.reviews ORDER BY tool_call_id"


def messages(state: Any) -> list[tuple[str, str]]:
    """The tool messages of a state: status and text."""
    return [(m.status, m.content) for m in state["messages"] if m.type == "tool"]


def questions(state: Any) -> Sequence[Any]:
    """The open questions of a state."""
    return [i.value["action_requests"][0] for i in state.get("__interrupt__", [])]


def votes(database: Database) -> list[Any]:
    """Who said what, and whether it counted."""
    sql = "SELECT reviewer, action, counted FROM lg_production.review_votes ORDER BY voted_at"
    return database.execute(Statement(sql, {}, list))


def overdue(database: Database) -> None:
    """Time passes: every deadline."""
    sql = (
        "UPDATE lg_production.reviews SET expires_at = now() - interval '1 s' WHERE state = 'open'"
    )
    database.execute(Statement(sql, {}, lambda _: None))
