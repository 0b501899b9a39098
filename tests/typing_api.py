"""Never run: mypy --strict checks here that what users write has the types they expect."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, assert_type

import psycopg
from langchain_core.tools import tool
from langgraph.prebuilt import ToolNode

from lg_production import (
    Breaker,
    Budget,
    BudgetCallback,
    Budgeted,
    BudgetGuard,
    BudgetPolicy,
    Checkpointer,
    ConfidenceRouter,
    Database,
    EffectPolicy,
    Event,
    Happened,
    Idempotent,
    IdempotentToolNode,
    InjectedConnection,
    InjectedIdempotencyKey,
    Limit,
    Limits,
    LoopBreaker,
    LoopGuard,
    LoopPolicy,
    ModelBreaker,
    ModelRouter,
    NotHappened,
    Price,
    PriceBook,
    RetryPolicy,
    Review,
    ReviewPolicy,
    RoutingPolicy,
    Stakes,
    StopButton,
    Unknown,
    Verbalised,
    compensate,
    current_effect,
    embedded_database,
    tool_node,
    wrapped_model,
)
from lg_production.core.models import WrappedModel
from lg_production.idempotency import CurrentEffect
from lg_production.idempotency.policy import Arguments
from lg_production.middleware import as_middleware


@tool
def book(
    flight: str,
    key: Annotated[str, InjectedIdempotencyKey()],
    connection: Annotated[psycopg.Connection, InjectedConnection()],
) -> str:
    """Book a flight."""
    return flight


def probe(native_key: str, arguments: Arguments) -> Happened | NotHappened | Unknown:
    """Ask the provider."""
    return Happened(arguments["flight"]) if native_key else Unknown()


def observe(event: Event) -> None:
    """Hear of an event."""
    assert_type(event.name, str)


def uses() -> None:
    """What the README does, and a little more."""
    with embedded_database() as embedded:
        assert_type(embedded, Database)
    database = Database("postgresql://", max_connections=4, timeout=timedelta(seconds=1))
    database.migrate()
    policies = {
        "book": EffectPolicy(recovery="probe", probe=probe, retry=RetryPolicy(max_attempts=2)),
        "order": EffectPolicy(business=lambda arguments: str(arguments["id"])),
    }
    node = IdempotentToolNode([book], database, policies=policies, tenant="a", name="tools")
    plain: ToolNode = node
    wrapped = tool_node([book], Idempotent(database, policies=policies, observers=[observe]))
    assert_type(wrapped, ToolNode)
    assert_type(current_effect(), CurrentEffect | None)
    assert_type(compensate(node.idempotent, "thread"), list[str])
    print(plain, Checkpointer(database, types=[Event]))
    spends(database)
    asks(database)


def spends(database: Database) -> None:
    """Cost control, as its page has it."""
    limits = (
        Limit(scope="thread", total_tokens=5, usd="0.50"),
        Limit(scope="user", per="day", steps=1),
    )
    policy = BudgetPolicy(limits=limits, on_exhausted="interrupt")
    budget = Budget(database, policy, observers=[observe])
    assert_type(budget.remaining(), float)
    guard = BudgetGuard(database, policy, then="model", model="gpt-4o-mini")
    router = ModelRouter({}, RoutingPolicy(default="small"), remaining=budget.remaining)
    counted = Budgeted(budget, prices=PriceBook({"mine": Price(input="1", output=2)}))
    assert_type(wrapped_model(None, router, ModelBreaker(database), counted), WrappedModel)
    node = tool_node([book], LoopBreaker(LoopPolicy()), Limits(database, policy), Breaker(database))
    print(node, as_middleware(LoopGuard(), guard, counted), BudgetCallback(budget))


def asks(database: Database) -> None:
    """Human oversight, as its page has it."""
    stakes = Stakes(tier="medium", amount="price", amount_over=Decimal(500))
    policy = ReviewPolicy(tools={"book": stakes}, threshold=0.8)
    router = ConfidenceRouter(database, policy, scorers=[Verbalised()])
    review = Review(database, policy, tools=[book], scorers=[Verbalised()])
    button = StopButton(database, then="model")
    node = tool_node([book], button, review, Idempotent(database))
    print(node, router.destinations, as_middleware(button, review))
