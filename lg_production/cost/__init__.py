"""Capability 4, cost control: budgets that parallel agents cannot overspend, loops that stop."""

from .breaker import Breaker, ModelBreaker
from .breaker_policy import BreakerPolicy
from .budget import Budget
from .guard import BudgetGuard
from .loop_guard import LoopAnswer, LoopBreaker, LoopGuard
from .loops import LoopPolicy
from .metering import BudgetCallback, Budgeted
from .policy import BudgetPolicy, Limit
from .prices import Price, PriceBook
from .routing import ModelRouter, RoutingPolicy, Rule
from .tool_limits import Limits

__all__ = [
    "Breaker",
    "BreakerPolicy",
    "Budget",
    "BudgetCallback",
    "BudgetGuard",
    "BudgetPolicy",
    "Budgeted",
    "Limit",
    "Limits",
    "LoopAnswer",
    "LoopBreaker",
    "LoopGuard",
    "LoopPolicy",
    "ModelBreaker",
    "ModelRouter",
    "Price",
    "PriceBook",
    "RoutingPolicy",
    "Rule",
]
