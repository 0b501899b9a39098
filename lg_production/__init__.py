"""What production asks of a LangGraph agent beyond the loop."""

from .core.database import Database
from .core.embedded import embedded_database
from .core.events import Event, Observer, log_events
from .core.models import ModelWrapper, wrapped_model
from .core.webhook import Webhook
from .core.wrappers import ToolWrapper, tool_node
from .cost import (
    Breaker,
    BreakerPolicy,
    Budget,
    BudgetCallback,
    Budgeted,
    BudgetGuard,
    BudgetPolicy,
    Limit,
    Limits,
    LoopAnswer,
    LoopBreaker,
    LoopGuard,
    LoopPolicy,
    ModelBreaker,
    ModelRouter,
    Price,
    PriceBook,
    RoutingPolicy,
    Rule,
)
from .idempotency import (
    EffectPolicy,
    Happened,
    Idempotent,
    IdempotentToolNode,
    InjectedConnection,
    InjectedIdempotencyKey,
    NotHappened,
    RetryPolicy,
    Unknown,
    compensate,
    current_effect,
    idempotent_step,
)
from .persistence import Checkpointer

__version__ = "0.1.0"

__all__ = [
    "Breaker",
    "BreakerPolicy",
    "Budget",
    "BudgetCallback",
    "BudgetGuard",
    "BudgetPolicy",
    "Budgeted",
    "Checkpointer",
    "Database",
    "EffectPolicy",
    "Event",
    "Happened",
    "Idempotent",
    "IdempotentToolNode",
    "InjectedConnection",
    "InjectedIdempotencyKey",
    "Limit",
    "Limits",
    "LoopAnswer",
    "LoopBreaker",
    "LoopGuard",
    "LoopPolicy",
    "ModelBreaker",
    "ModelRouter",
    "ModelWrapper",
    "NotHappened",
    "Observer",
    "Price",
    "PriceBook",
    "RetryPolicy",
    "RoutingPolicy",
    "Rule",
    "ToolWrapper",
    "Unknown",
    "Webhook",
    "compensate",
    "current_effect",
    "embedded_database",
    "idempotent_step",
    "log_events",
    "tool_node",
    "wrapped_model",
]
