"""What production asks of a LangGraph agent beyond the loop."""

from .core.database import Database
from .core.embedded import embedded_database
from .core.events import Event, Observer, log_events
from .core.wrappers import ToolWrapper, tool_node
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
    "Checkpointer",
    "Database",
    "EffectPolicy",
    "Event",
    "Happened",
    "Idempotent",
    "IdempotentToolNode",
    "InjectedConnection",
    "InjectedIdempotencyKey",
    "NotHappened",
    "Observer",
    "RetryPolicy",
    "ToolWrapper",
    "Unknown",
    "compensate",
    "current_effect",
    "embedded_database",
    "idempotent_step",
    "log_events",
    "tool_node",
]
