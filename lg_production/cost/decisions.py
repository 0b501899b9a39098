"""People change budgets: they give more, or set another limit. Each decision counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from ..core.steps import Row, Statement
from .policy import MOST

DECIDE = """
WITH place AS (
  SELECT b.id, lg_production.budget_limit(b) AS ends FROM lg_production.budgets b
  WHERE b.tenant = %(tenant)s AND b.scope = %(scope)s AND b.period = %(period)s
    AND b.quantity = %(quantity)s
  FOR UPDATE
),
decided AS (
  INSERT INTO lg_production.budget_decisions (key, budget, action, amount, decided_by, reason)
  SELECT %(key)s, p.id, %(action)s, %(amount)s, %(decided_by)s, %(reason)s
  FROM place p WHERE %(action)s = 'set' OR p.ends + %(amount)s <= %(most)s
  ON CONFLICT DO NOTHING RETURNING budget, action, amount
),
changed AS (
  UPDATE lg_production.budgets b SET
    override = CASE WHEN d.action = 'set' THEN d.amount ELSE b.override END,
    extra = CASE WHEN d.action = 'set' THEN 0 ELSE b.extra + d.amount END
  FROM decided d WHERE b.id = d.budget
  RETURNING b.id, lg_production.budget_limit(b) AS ends
)
SELECT coalesce(c.ends, p.ends), c.id IS NOT NULL
  OR EXISTS (SELECT FROM lg_production.budget_decisions d WHERE d.key = %(key)s)
FROM place p LEFT JOIN changed c ON c.id = p.id
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One budget, by name."""

    tenant: str
    scope: str
    period: str
    quantity: str


def decide(
    place: Place,
    action: Literal["set", "extend"],
    amount: int,
    *,
    key: bytes,
    decided_by: str,
    reason: str,
) -> Statement[tuple[int, bool] | None]:
    """Set the limit, or add to it: the limit now, and whether this decision stands.

    None if there is no such budget. The same key again changes nothing, and still stands. An
    extension that would bring the limit over `MOST` changes nothing, and does not stand.
    """
    params = {
        "tenant": place.tenant, "scope": place.scope, "period": place.period,
        "quantity": place.quantity, "action": action, "amount": amount, "key": key,
        "decided_by": decided_by, "reason": reason, "most": MOST,
    }  # fmt: skip
    return Statement(DECIDE, params, lambda rows: rows[0] if rows else None, repeatable=True)


@dataclass(frozen=True, slots=True)
class Account:
    """A budget and how it stands."""

    id: int
    place: Place
    limit: int
    used: int
    reserved: int
    alerted: int
    created_at: datetime

    @property
    def share(self) -> float:
        """How much of it is used, 1.0 being all."""
        return self.used / self.limit if self.limit else float(self.used > 0)


LIST = """
SELECT b.id, b.tenant, b.scope, b.period, b.quantity, lg_production.budget_limit(b), b.used,
  b.reserved, b.alerted, b.created_at
FROM lg_production.budgets b
WHERE starts_with(b.scope, %(scope)s) AND (%(tenant)s::text IS NULL OR b.tenant = %(tenant)s)
ORDER BY b.created_at DESC, b.id DESC LIMIT %(count)s
"""


def accounts(
    scope: str | None = None, tenant: str | None = None, count: int = 50
) -> Statement[list[Account]]:
    """The newest budgets whose scope begins so."""

    def read(rows: Sequence[Row]) -> list[Account]:
        return [Account(row[0], Place(*row[1:5]), *row[5:]) for row in rows]

    params = {"scope": scope or "", "tenant": tenant, "count": count}
    return Statement(LIST, params, read, repeatable=True)


class SpentCall(NamedTuple):
    """A call that was held in a budget, and what it took in all."""

    at: datetime
    state: str
    thread_id: str | None
    node: str | None
    requested: str | None
    served: str | None
    spent: dict[str, int] | None
    price_version: str | None


CALLS = """
SELECT r.created_at, r.state, r.thread_id, r.node, r.requested, r.served, r.spent, r.price_version
FROM lg_production.reservations r WHERE r.budgets && %(ids)s::bigint[]
ORDER BY r.created_at DESC LIMIT %(count)s
"""


def calls(ids: Sequence[int], count: int = 1000) -> Statement[list[SpentCall]]:
    """The newest calls that were held in these budgets. Reads all reservations."""

    def read(rows: Sequence[Row]) -> list[SpentCall]:
        return [SpentCall(*row) for row in rows]

    return Statement(CALLS, {"ids": list(ids), "count": count}, read, repeatable=True)


class Decided(NamedTuple):
    """Who changed a budget."""

    at: datetime
    action: str
    amount: int
    by: str
    reason: str


HISTORY = """
SELECT d.decided_at, d.action, d.amount, d.decided_by, d.reason
FROM lg_production.budget_decisions d WHERE d.budget = ANY(%(ids)s::bigint[])
ORDER BY d.decided_at
"""


def history(ids: Sequence[int]) -> Statement[list[Decided]]:
    """The decisions about these budgets, oldest first."""

    def read(rows: Sequence[Row]) -> list[Decided]:
        return [Decided(*row) for row in rows]

    return Statement(HISTORY, {"ids": list(ids)}, read, repeatable=True)


# A period is over once its calendar says so: its name is "month 2026-11-01T00 Europe/Lisbon".
PRUNE = """
WITH old AS (
  DELETE FROM lg_production.reservations r WHERE r.key IN (
    SELECT o.key FROM lg_production.reservations o
    WHERE o.lease_until IS NULL AND o.created_at < now() - %(age)s::interval LIMIT 10000)
  RETURNING 1
),
past AS (
  DELETE FROM lg_production.budgets b
  WHERE b.reserved = 0 AND b.period <> '' AND now() - %(age)s::interval > (
    (split_part(b.period, ' ', 2) || ':00')::timestamp
    + ('1 ' || split_part(b.period, ' ', 1))::interval)
    AT TIME ZONE coalesce(nullif(split_part(b.period, ' ', 3), ''), 'UTC')
  RETURNING 1
)
SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM past)
"""


def prune(age: timedelta) -> Statement[tuple[int, int]]:
    """Forget closed reservations and past periods older than `age`; how many of each.

    At most 10,000 reservations: repeat it until there are none. What is held stays, and so do
    lasting budgets and periods that are not over.
    """
    return Statement(PRUNE, {"age": age}, lambda rows: (rows[0][0], rows[0][1]))
