"""Tell, once for each budget and threshold, that so much of it is used."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.events import Event
from ..core.steps import Row, Statement
from .settlement import Crossed

# A worker that crossed a threshold and died before it told is spoken for after a while.
UNTOLD = """
UPDATE lg_production.budget_alerts a SET crossed_at = now()
FROM lg_production.budgets b
WHERE b.id = a.budget AND a.told_at IS NULL AND a.crossed_at < now() - interval '1 minute'
RETURNING a.budget, a.threshold, b.tenant, b.scope, b.period, b.quantity, a.used,
  lg_production.budget_limit(b)
"""
TOLD = """
UPDATE lg_production.budget_alerts a SET told_at = now()
FROM unnest(%(budget)s::bigint[], %(threshold)s::smallint[]) AS t (budget, threshold)
WHERE a.budget = t.budget AND a.threshold = t.threshold
"""


def untold() -> Statement[list[Crossed]]:
    """Thresholds that were crossed a minute ago and that nobody told of."""

    def read(rows: Sequence[Row]) -> list[Crossed]:
        return [Crossed(*row) for row in rows]

    return Statement(UNTOLD, {}, read)


def told(crossed: Sequence[Crossed]) -> Statement[None]:
    """The observers have been told."""
    params = {
        "budget": [one.budget for one in crossed],
        "threshold": [one.threshold for one in crossed],
    }
    return Statement(TOLD, params, lambda _: None, repeatable=True)


def event(crossed: Crossed) -> Event:
    """`budget.threshold`: who, what, how much, in percent of the limit."""
    return Event(
        "budget.threshold",
        {
            "tenant": crossed.tenant,
            "scope": crossed.scope,
            "period": crossed.period,
            "quantity": crossed.quantity,
            "threshold": crossed.threshold,
            "used": crossed.used,
            "limit": crossed.limit,
        },
    )
