"""1. Idempotency and safe retries: a crash, a retry or a resume never books twice."""

from .compensation import acompensate, compensate
from .current import (
    CurrentEffect,
    InjectedConnection,
    InjectedIdempotencyKey,
    current_effect,
    mcp_meta,
)
from .node import IdempotentToolNode
from .policy import EffectPolicy, Happened, NotHappened, Unknown
from .retry import RetryPolicy
from .step import idempotent_step
from .tool import Idempotent

__all__ = [
    "CurrentEffect",
    "EffectPolicy",
    "Happened",
    "Idempotent",
    "IdempotentToolNode",
    "InjectedConnection",
    "InjectedIdempotencyKey",
    "NotHappened",
    "RetryPolicy",
    "Unknown",
    "acompensate",
    "compensate",
    "current_effect",
    "idempotent_step",
    "mcp_meta",
]
