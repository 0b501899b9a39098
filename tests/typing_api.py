"""Never run: mypy --strict checks here that what users write has the types they expect."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, assert_type

import psycopg
from langchain_core.tools import tool
from langgraph.prebuilt import ToolNode

from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    Event,
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
    embedded_database,
    tool_node,
)
from lg_production.idempotency import CurrentEffect
from lg_production.idempotency.policy import Arguments


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
