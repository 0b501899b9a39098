"""The end of a reservation: what it took is used, and the rest is free again.

    reserved -> settled    it took so much
             -> released   it took nothing, says who reserved it
             -> expired    its owner died, or its lease ended: all that was held counts as used
    expired  -> settled    the owner lived after all, and told the truth
    released -> settled    another worker had the same reservation, and called

Reservations are locked before budgets, both in the order of their keys, so that no two
statements wait for each other. Rows are found by LATERAL, and what drives an UPDATE has a LIMIT:
so a plan that was made while the tables were young looks rows up in an index, and still does
when they have grown. A settle may be lost by a crash of the server, as
synchronous_commit is off: then its owner is gone too, and it counts at its worst case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID

from ..core.steps import Row, Statement
from .policy import Quantity

State: TypeAlias = Literal["settled", "released"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took. A limited quantity that is not measured counts as all that was held.

    A release needs the `owner` that reserved: another who holds the same key may have called.
    """

    key: bytes
    state: State = "settled"
    owner: UUID | None = None
    amounts: Mapping[Quantity, int] | None = None
    served: str | None = None
    spent: str | None = None
    price_version: str | None = None


@dataclass(frozen=True, slots=True)
class Crossed:
    """A threshold that this statement crossed."""

    budget: int
    threshold: int
    tenant: str
    scope: str
    period: str
    quantity: str
    used: int
    limit: int


TOLD = """
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
told AS MATERIALIZED (
  SELECT a.* FROM relaxed, unnest(
    %(key)s::bytea[], %(state)s::text[], %(owner)s::uuid[], %(quantity)s::text[],
    %(amount)s::bigint[], %(served)s::text[], %(spent)s::text[], %(price_version)s::text[]
  ) WITH ORDINALITY AS a (key, state, owner, quantity, amount, served, spent, price_version, n)
),
mine AS MATERIALIZED (
  SELECT r.key, r.state AS was, t.state AS becomes, t.served, t.spent, t.price_version, t.n,
    r.budgets, r.quantities, r.amounts
  FROM (SELECT DISTINCT ON (key) * FROM told ORDER BY key, n) t
  CROSS JOIN LATERAL (
    SELECT * FROM lg_production.reservations o
    WHERE o.key = t.key AND CASE t.state
      WHEN 'released' THEN o.state IN ('reserved', 'expired') AND o.owner = t.owner
      ELSE o.state <> 'settled' END
    FOR UPDATE) r
  LIMIT cardinality(%(key)s::bytea[])
),
"""
DEAD = """
WITH mine AS MATERIALIZED (
  SELECT r.key, r.state AS was, 'expired' AS becomes, NULL AS served, NULL AS spent,
    NULL AS price_version, 1 AS n, r.budgets, r.quantities, r.amounts
  FROM lg_production.reservations r
  WHERE r.lease_until IS NOT NULL AND r.state = 'reserved'
    AND (r.lease_until < clock_timestamp() OR lg_production.has_died(r.worker))
  ORDER BY r.key LIMIT 500 FOR UPDATE OF r SKIP LOCKED
),
told AS (
  SELECT NULL::bytea AS key, NULL::text AS quantity, NULL::bigint AS amount, 1 AS n WHERE false),
"""
CLOSE = """
measured AS (
  SELECT DISTINCT ON (t.key, t.quantity) t.key, t.quantity, t.amount FROM told t
  ORDER BY t.key, t.quantity, t.n
),
shares AS MATERIALIZED (
  SELECT m.key, u.budget,
    CASE WHEN m.was = 'reserved' THEN u.held ELSE 0 END AS freed,
    CASE WHEN m.becomes = 'released' THEN 0 ELSE coalesce(t.amount, u.held) END
      - CASE WHEN m.was = 'expired' THEN u.held ELSE 0 END AS more
  FROM mine m CROSS JOIN unnest(m.budgets, m.quantities, m.amounts) AS u (budget, quantity, held)
  LEFT JOIN measured t ON t.key = m.key AND t.quantity = u.quantity
),
sums AS MATERIALIZED (
  SELECT s.budget, sum(s.freed)::bigint AS freed, sum(s.more)::bigint AS more
  FROM shares s GROUP BY s.budget
),
locked AS MATERIALIZED (
  SELECT b.id, b.alerted, s.freed, s.more FROM (SELECT * FROM sums ORDER BY budget) s
  CROSS JOIN LATERAL (
    SELECT o.id, o.alerted FROM lg_production.budgets o WHERE o.id = s.budget FOR UPDATE) b
  LIMIT (SELECT count(*) FROM sums)
),
changed AS (
  UPDATE lg_production.budgets b
  SET reserved = b.reserved - l.freed, used = b.used + l.more,
    alerted = greatest(b.alerted, coalesce((
      SELECT max(t) FROM unnest(b.thresholds) t
      WHERE b.used + l.more > 0
        AND (b.used + l.more)::numeric * 100 >= t::numeric * lg_production.budget_limit(b)), 0))
  FROM locked l WHERE b.id = l.id
  RETURNING b.id, b.tenant, b.scope, b.period, b.quantity, b.used,
    lg_production.budget_limit(b) AS ends, l.alerted AS before, b.alerted AS after, b.thresholds
),
crossed AS (
  INSERT INTO lg_production.budget_alerts (budget, threshold, used)
  SELECT c.id, t, c.used FROM changed c, unnest(c.thresholds) t
  WHERE t > c.before AND t <= c.after
  ON CONFLICT DO NOTHING RETURNING budget, threshold
),
closed AS (
  UPDATE lg_production.reservations r
  SET state = m.becomes, lease_until = NULL, closed_at = clock_timestamp(),
    served = m.served, spent = m.spent::json, price_version = m.price_version
  FROM mine m WHERE r.key = m.key
  RETURNING m.n
)
"""
ENDED = """
SELECT t.n, c.n IS NOT NULL AS closed, NULL::bigint, NULL::smallint, NULL::text, NULL::text,
  NULL::text, NULL::text, NULL::bigint, NULL::bigint
FROM told t LEFT JOIN closed c ON c.n = t.n
UNION ALL
SELECT (SELECT min(t.n) FROM told t JOIN shares s ON s.key = t.key WHERE s.budget = c.id),
  NULL, c.id, x.threshold, c.tenant, c.scope, c.period, c.quantity, c.used, c.ends
FROM crossed x JOIN changed c ON c.id = x.budget
"""
SETTLE = TOLD + CLOSE + ENDED
EXPIRE = (
    DEAD
    + CLOSE
    + """
SELECT 0, (SELECT count(*) FROM closed), c.id, x.threshold, c.tenant, c.scope, c.period,
  c.quantity, c.used, c.ends
FROM (VALUES (1)) one (n) LEFT JOIN crossed x ON true LEFT JOIN changed c ON c.id = x.budget
"""
)


def settle(spent: Sequence[Spent]) -> Statement[tuple[bool, list[Crossed]]]:
    """Close reservations: whether the first was open, and what thresholds were crossed."""
    columns: dict[str, list[Any]] = {
        "key": [], "state": [], "owner": [], "quantity": [], "amount": [], "served": [],
        "spent": [], "price_version": [],
    }  # fmt: skip
    for one in spent:
        measured: list[tuple[str, int | None]] = [*(one.amounts or {}).items()] or [("", None)]
        for quantity, amount in measured:
            values = (
                one.key, one.state, one.owner, quantity, amount, one.served, one.spent,
                one.price_version,
            )  # fmt: skip
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)

    def read(rows: Sequence[Row]) -> tuple[bool, list[Crossed]]:
        ours = [row for row in rows if row[0] == 1 and row[1] is not None]
        return bool(ours and ours[0][1]), _crossed(rows)

    return Statement(SETTLE, columns, read, shared=True, repeatable=True)


def expire() -> Statement[tuple[int, list[Crossed]]]:
    """Count what dead owners held as used: how many, and what thresholds that crossed."""

    def read(rows: Sequence[Row]) -> tuple[int, list[Crossed]]:
        return rows[0][1], _crossed(rows)

    return Statement(EXPIRE, {}, read, repeatable=True)


def _crossed(rows: Sequence[Row]) -> list[Crossed]:
    return [Crossed(*row[2:]) for row in rows if row[2] is not None]
