"""Who spends: the ids of task, thread, user and tenant, read from a run's configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .policy import BudgetPolicy, Limit, Period, Quantity, Scope

LONGEST_ID = 500
"""Bytes: an id stands in an index."""


@dataclass(frozen=True, slots=True)
class Spender:
    """Who makes a call. `ids` has an id for each scope that is limited."""

    tenant: str
    ids: Mapping[Scope, str]
    thread_id: str | None = None
    node: str | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One call's amount in one budget."""

    tenant: str
    scope: str
    per: Period | None
    time_zone: str
    quantity: Quantity
    ceiling: int
    thresholds: tuple[int, ...]
    amount: int


def spender(
    policy: BudgetPolicy,
    configurable: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    *,
    tenant: str = "default",
    user: str | None = None,
) -> Spender:
    """Read the ids from `configurable`: `thread_id`, `user_id`, `tenant_id`, `task_id`.

    A `task` without a `task_id` is its thread; the user may be LangGraph's authenticated one.
    `tenant` and `user` stand for who is not named.
    Raises `ValueError` where a limited scope has no id: it would otherwise not be limited.
    """
    told = {**(metadata or {}), **configurable}
    known = getattr(told.get("langgraph_auth_user"), "identity", None)
    thread = told.get("thread_id")
    found: dict[Scope, str | None] = {
        "task": first(told.get("task_id"), thread),
        "thread": first(thread),
        "user": first(told.get("user_id"), known, user),
        "tenant": first(told.get("tenant_id"), tenant),
    }
    for scope in sorted(policy.scopes):
        if found[scope] is None:
            raise ValueError(
                f"A budget is limited by {scope}, but the run has no {scope}_id: pass "
                f"config={{'configurable': {{'{scope}_id': …}}}} to the graph, or, to a model "
                f"called outside of any, config={{'metadata': {{'{scope}_id': …}}}}."
            )
    ids = {scope: value for scope, value in found.items() if value is not None}
    node = told.get("langgraph_node")
    return Spender(ids.get("tenant", tenant), ids, ids.get("thread"), str(node) if node else None)


def first(*values: Any) -> str | None:
    """The first of these ids that is one, as text. Raises `ValueError` for what no row can hold."""
    for value in values:
        text = "" if value is None else str(value)
        if text:
            if "\0" in text or len(text.encode("utf-8", "replace")) > LONGEST_ID:
                raise ValueError(f"an id has no NUL and at most {LONGEST_ID} bytes: {text[:40]!r}…")
            return text.encode("utf-8", "replace").decode()
    return None


def lines(
    policy: BudgetPolicy, who: Spender, amounts: Mapping[Quantity, int], tool: str | None = None
) -> list[Line]:
    """The budgets that a call spends from, and how much of each."""
    found = [
        Line(
            tenant=who.tenant,
            scope=name_of(limit, who),
            per=limit.per,
            time_zone=limit.time_zone,
            quantity=quantity,
            ceiling=ceiling,
            thresholds=policy.thresholds,
            amount=amounts[quantity],
        )
        for limit in policy.limits
        if limit.tool in (None, tool)
        for quantity, ceiling in limit.limits().items()
        if quantity in amounts
    ]
    return merged(found)


def name_of(limit: Limit, who: Spender) -> str:
    """The name of a scope in the ledger: `user:ada`, `task:7/tool:search`.

    A slash in an id is written %2F, so that no id is taken for the scope of a tool.
    """
    scope = f"{limit.scope}:{who.ids[limit.scope].replace('%', '%25').replace('/', '%2F')}"
    return f"{scope}/tool:{limit.tool}" if limit.tool else scope


def merged(rows: Sequence[Line]) -> list[Line]:
    """One line for each budget; where two limits name the same, the lower one holds."""
    found: dict[tuple[str, Period | None, str, str], Line] = {}
    for line in rows:
        place = (line.scope, line.per, line.time_zone if line.per else "", line.quantity)
        if place not in found or line.ceiling < found[place].ceiling:
            found[place] = line
    return list(found.values())
