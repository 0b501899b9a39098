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
    current_effect,
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
    "current_effect",
    "embedded_database",
    "log_events",
    "tool_node",
]
