"""What research may cost, and which model it is worth: the one place where money is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langgraph.runtime import Runtime

from graphs.research_model import Make, Researching, count_tokens, research_model
from lg_production import (
    Budget,
    Budgeted,
    BudgetGuard,
    BudgetPolicy,
    Database,
    Limit,
    LoopPolicy,
    ModelRouter,
    Price,
    PriceBook,
    RoutingPolicy,
    Rule,
    wrapped_model,
)
from lg_production.cost.estimate import upper_bound

# What a thread may take for ever, and a user in a month.
POLICY = BudgetPolicy(
    limits=(
        Limit(scope="thread", total_tokens=60_000, micro_usd=100_000, steps=60, tool_calls=80),
        Limit(scope="thread", tool="search", tool_calls=20),
        Limit(scope="user", per="month", total_tokens=2_000_000, micro_usd=5_000_000),
    ),
    max_tokens=1024,
)
USER = "local"
"""Who pays where a run names no `user_id`, as in Studio."""
LOOPS = LoopPolicy(no_progress=6, acting=frozenset({"take_note"}))
PRICES = PriceBook({
    "scripted-large": Price(input="2", output="8"),
    "scripted-small": Price(input="0.15", output="0.60"),
})  # fmt: skip
ROUTING = RoutingPolicy(
    rules=(Rule(model="small", task_class="research"), Rule(model="small", remaining_below=0.25)),
    default="large",
)


@dataclass(frozen=True)
class Settings:
    """What a run may choose: "scripted", or any string of `init_chat_model`.

    `small` searches, and does everything once little of the budget is left; "" is `model`.
    """

    model: str = "scripted"
    small: str = ""


Choose: TypeAlias = Callable[[str, Runtime[Settings]], Any]
"""A role (plan, research or write) and a run, to a model with the tools that it needs."""


def room_guard(database: Database, policy: BudgetPolicy, *, then: str, **who: Any) -> BudgetGuard:
    """A guard that counts steps, and ends a researcher for whose next call there is no room.

    It holds nothing: `within_budget` counts every call, also one that a crash repeats.
    """
    return BudgetGuard(
        database,
        policy,
        then=then,
        model="scripted-small",
        prices=PRICES,
        counter=count_tokens,
        accounting=False,
        **who,
    )


def within_budget(
    database: Database,
    policy: BudgetPolicy,
    tools: Sequence[BaseTool],
    make: Make = research_model,
    **who: Any,
) -> Choose:
    """Models of which every call is held and counted, and that are small where that will do."""
    budget = Budget(database, policy, **who)

    def choose(role: str, runtime: Runtime[Settings]) -> Any:
        settings = runtime.context or Settings()
        large = make(settings.model, "large")
        small = make(settings.small or settings.model, "small")
        router = ModelRouter(
            {"large": large, "small": small},
            ROUTING,
            remaining=budget.remaining,
            facts=lambda _: {"task_class": role},
        )
        # A provider's tokens can only be bounded; the scripted model's are known.
        counter = count_tokens if isinstance(large, Researching) else upper_bound
        counted = Budgeted(budget, prices=PRICES, counter=counter)
        if role == "research":
            return wrapped_model(large, router.bind_tools(tools), counted).bind_tools(tools)
        return wrapped_model(large, router, counted)

    return choose
