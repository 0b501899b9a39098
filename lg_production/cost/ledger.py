"""The ledger of budgets: hold an amount in all budgets of a call, or say why not.

    reserved -> settled | released | expired          see settlement.py

Rows of budgets are always locked in the order of their id, so that no two statements wait
for each other. Rows are found by LATERAL: see settlement.py. The clock is the database's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

from ..core.steps import Row, Statement
from .policy import Quantity
from .scopes import Line, Spender


@dataclass(frozen=True, slots=True)
class Asked:
    """A reservation that somebody wants: all of its lines, or none."""

    key: bytes
    fingerprint: bytes
    owner: UUID
    worker: int | None
    lease: timedelta
    lines: Sequence[Line]
    thread_id: str | None = None
    node: str | None = None
    message_id: str | None = None
    requested: str | None = None
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A budget, what is asked of it, and so whether it has room."""

    scope: str
    period: str
    quantity: str
    limit: int
    used: int
    reserved: int
    asked: int

    @property
    def has_room(self) -> bool:
        """Whether what is asked for fits; nothing always does."""
        return self.asked == 0 or self.used + self.reserved + self.asked <= self.limit

    @property
    def share_left(self) -> float:
        """The share that is neither used nor held, 0 to 1."""
        return max(0.0, 1 - (self.used + self.reserved) / self.limit) if self.limit else 0.0

    def __str__(self) -> str:
        when = f" ({self.period})" if self.period else ""
        held = f", {self.reserved:,} held" if self.reserved else ""
        return (
            f"{self.scope}{when}: {self.quantity} {self.used:,} of {self.limit:,} used{held}, "
            f"{self.asked:,} asked for"
        )


Answer: TypeAlias = (
    Literal[
        "granted",
        "held",
        "settled",
        "released",
        "expired",
        "missing",
        "raced",
        "crowded",
        "conflict",
    ]
    | list[Refusal]
)

# ------------------------------------------------------------------------------- reserve
PERIOD = """
  CASE WHEN a.per IS NULL THEN '' ELSE
    a.per || ' ' || to_char(date_trunc(a.per, clock.now AT TIME ZONE a.zone), 'YYYY-MM-DD"T"HH24')
    || CASE WHEN a.zone = 'UTC' THEN '' ELSE ' ' || a.zone END
  END AS period
"""
CLOCK = "WITH clock AS MATERIALIZED (SELECT transaction_timestamp() AS now),"
RELAXED_CLOCK = """
WITH clock AS MATERIALIZED (
  SELECT transaction_timestamp() AS now, set_config('synchronous_commit', 'off', true)),
"""
WANTED = (
    """
wanted AS MATERIALIZED (
  SELECT a.*,"""
    + PERIOD
    + """
  FROM clock, unnest(
    %(key)s::bytea[], %(fingerprint)s::bytea[], %(owner)s::uuid[], %(worker)s::int[],
    %(lease)s::float8[],
    %(tenant)s::text[], %(scope)s::text[], %(per)s::text[], %(zone)s::text[],
    %(quantity)s::text[], %(ceiling)s::bigint[], %(amount)s::bigint[],
    %(thread_id)s::text[], %(node)s::text[], %(message_id)s::text[], %(requested)s::text[]
  ) WITH ORDINALITY AS a (
    key, fingerprint, owner, worker, lease, tenant, scope, per, zone, quantity, ceiling, amount,
    thread_id, node, message_id, requested, n)
),
"""
)
# Who has no room by the snapshot is refused without a lock: a lock costs an fsync.
# A prefix sum judges the callers of one batch in their order: who fits beside all before it
# is granted. Who would fit alone, but not beside them, is told to ask again by itself.
RESERVE = """
known AS MATERIALIZED (
  SELECT r.key, r.fingerprint, r.state, r.owner
  FROM (SELECT DISTINCT key FROM wanted) w CROSS JOIN LATERAL (
    SELECT * FROM lg_production.reservations o WHERE o.key = w.key LIMIT 1) r
),
seen AS MATERIALIZED (
  SELECT w.*, b.id, b.used, b.reserved, coalesce(b.override, w.ceiling) + b.extra AS ends
  FROM wanted w LEFT JOIN LATERAL (
    SELECT * FROM lg_production.budgets o WHERE o.tenant = w.tenant AND o.scope = w.scope
      AND o.period = w.period AND o.quantity = w.quantity LIMIT 1) b ON true
),
possible AS MATERIALIZED (
  SELECT s.owner FROM seen s
  WHERE NOT EXISTS (SELECT FROM known k WHERE k.key = s.key)
  GROUP BY s.owner
  HAVING bool_and(s.id IS NOT NULL AND (s.amount = 0 OR s.used + s.reserved + s.amount <= s.ends))
),
locked AS MATERIALIZED (
  SELECT b.* FROM (
    SELECT DISTINCT s.id FROM seen s JOIN possible p ON p.owner = s.owner ORDER BY s.id) s
  CROSS JOIN LATERAL (
    SELECT o.id, o.used, o.reserved, o.override, o.extra FROM lg_production.budgets o
    WHERE o.id = s.id FOR UPDATE) b
),
judged AS MATERIALIZED (
  SELECT s.key, s.fingerprint, s.owner, s.worker, s.lease, s.tenant, s.thread_id, s.node,
    s.message_id, s.requested, s.scope, s.period, s.quantity, s.ceiling, s.amount, s.n, s.id,
    coalesce(l.used, s.used) AS used, coalesce(l.reserved, s.reserved) AS reserved,
    CASE WHEN l.id IS NULL THEN s.ends ELSE coalesce(l.override, s.ceiling) + l.extra END AS ends,
    p.owner IS NOT NULL AS possible,
    sum(CASE WHEN p.owner IS NULL THEN 0 ELSE s.amount END)
      OVER (PARTITION BY s.id ORDER BY s.n) AS so_far
  FROM seen s LEFT JOIN possible p ON p.owner = s.owner LEFT JOIN locked l ON l.id = s.id
),
granted AS MATERIALIZED (
  SELECT j.owner FROM judged j WHERE j.possible GROUP BY j.owner
  HAVING bool_and(j.amount = 0 OR j.used + j.reserved + j.so_far <= j.ends)
),
inserted AS (
  INSERT INTO lg_production.reservations (
    key, fingerprint, tenant, state, owner, worker, lease_until, budgets, quantities, amounts,
    thread_id, node, message_id, requested)
  SELECT j.key, (array_agg(j.fingerprint))[1], min(j.tenant), 'reserved', j.owner, min(j.worker),
    clock_timestamp() + min(j.lease) * interval '1 second',
    array_agg(j.id ORDER BY j.n), array_agg(j.quantity ORDER BY j.n),
    array_agg(j.amount ORDER BY j.n), min(j.thread_id), min(j.node), min(j.message_id),
    min(j.requested)
  FROM judged j JOIN granted g ON g.owner = j.owner
  GROUP BY j.key, j.owner ORDER BY j.key
  ON CONFLICT (key) DO NOTHING
  RETURNING owner
),
taken AS (
  UPDATE lg_production.budgets b SET reserved = b.reserved + s.amount, ceiling = s.ceiling
  FROM (
    SELECT j.id, sum(j.amount)::bigint AS amount, (array_agg(j.ceiling ORDER BY j.n DESC))[1]
      AS ceiling
    FROM judged j JOIN inserted i ON i.owner = j.owner GROUP BY j.id
    LIMIT cardinality(%(key)s::bytea[])
  ) s
  WHERE b.id = s.id
)
SELECT j.n, k.state, k.owner = j.owner, k.fingerprint = j.fingerprint, i.owner IS NOT NULL,
  g.owner IS NOT NULL, j.id IS NULL, j.scope, j.period, j.quantity, j.ends, j.used, j.reserved,
  j.amount
FROM judged j
LEFT JOIN known k ON k.key = j.key
LEFT JOIN granted g ON g.owner = j.owner
LEFT JOIN inserted i ON i.owner = j.owner
"""
DURABLE_RESERVE = CLOCK + WANTED + RESERVE
RELAXED_RESERVE = RELAXED_CLOCK + WANTED + RESERVE


def reserve(asked: Asked, *, alone: bool = False) -> Statement[Answer]:
    """Hold an amount in every budget of a call, or say why not. Asking twice is asking once."""
    sql = DURABLE_RESERVE if asked.durable else RELAXED_RESERVE

    def read(rows: Sequence[Row]) -> Answer:
        return _answer([row[1:] for row in rows])

    return Statement(sql, _columns(asked), read, shared=not alone, repeatable=True)


def _columns(asked: Asked) -> dict[str, list[Any]]:
    per_line: dict[str, list[Any]] = {
        "tenant": [line.tenant for line in asked.lines],
        "scope": [line.scope for line in asked.lines],
        "per": [line.per for line in asked.lines],
        "zone": [line.time_zone for line in asked.lines],
        "quantity": [line.quantity for line in asked.lines],
        "ceiling": [line.ceiling for line in asked.lines],
        "amount": [line.amount for line in asked.lines],
    }
    same: dict[str, Any] = {
        "key": asked.key,
        "fingerprint": asked.fingerprint,
        "owner": asked.owner,
        "worker": asked.worker,
        "lease": asked.lease.total_seconds(),
        "thread_id": asked.thread_id,
        "node": asked.node,
        "message_id": asked.message_id,
        "requested": asked.requested,
    }
    repeated = {name: [value] * len(asked.lines) for name, value in same.items()}
    return {**repeated, **per_line}


def _answer(rows: Sequence[Row]) -> Answer:
    state, ours, same, inserted, granted, *_ = rows[0]
    if state is not None and not same:
        return "conflict"
    if state is not None:
        return ("granted" if ours else "held") if state == "reserved" else state
    if inserted:
        return "granted"
    if any(missing for _, _, _, _, _, missing, *_ in rows):
        return "missing"
    if granted:
        return "raced"
    asked = [Refusal(*row[6:]) for row in rows]
    return [one for one in asked if not one.has_room] or "crowded"


OPEN = (
    CLOCK
    + WANTED
    + """
thresholds AS (SELECT %(thresholds)s::smallint[] AS percent)
INSERT INTO lg_production.budgets (tenant, scope, period, quantity, ceiling, thresholds)
SELECT w.tenant, w.scope, w.period, w.quantity, min(w.ceiling), t.percent
FROM wanted w, thresholds t
GROUP BY w.tenant, w.scope, w.period, w.quantity, t.percent
ORDER BY w.tenant, w.scope, w.period, w.quantity
ON CONFLICT DO NOTHING
"""
)


def open_budgets(asked: Asked) -> Statement[None]:
    """Make the rows of these budgets where they are missing."""
    columns = {**_columns(asked), "thresholds": list(asked.lines[0].thresholds)}
    return Statement(OPEN, columns, lambda _: None, repeatable=True)


STANDING = (
    CLOCK
    + WANTED
    + """
lefts AS (
  SELECT w.scope, w.period, w.quantity, coalesce(b.override, w.ceiling) + coalesce(b.extra, 0)
    AS ends, coalesce(b.used, 0) AS used, coalesce(b.reserved, 0) AS reserved, w.amount
  FROM wanted w LEFT JOIN LATERAL (
    SELECT * FROM lg_production.budgets o WHERE o.tenant = w.tenant AND o.scope = w.scope
      AND o.period = w.period AND o.quantity = w.quantity LIMIT 1) b ON true
)
SELECT l.scope, l.period, l.quantity, l.ends, l.used, l.reserved, l.amount FROM lefts l
"""
)


def standing(wanted: Sequence[Line]) -> Statement[list[Refusal]]:
    """How these budgets stand, and what would be asked of them. Holds nothing."""
    columns = _columns(Asked(b"", b"", UUID(int=0), None, timedelta(0), wanted))

    def read(rows: Sequence[Row]) -> list[Refusal]:
        return [Refusal(*row) for row in rows]

    return Statement(STANDING, columns, read, repeatable=True)


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation that is not settled."""

    key: bytes
    amounts: Mapping[Quantity, int]
    requested: str | None


HELD = """
SELECT key, quantities, amounts, requested FROM lg_production.reservations
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND node = %(node)s
  AND message_id = %(message_id)s AND state IN ('reserved', 'expired')
ORDER BY created_at DESC LIMIT 1
"""


def held_for(who: Spender, node: str, message_id: str) -> Statement[Held | None]:
    """What is held for the model call that was shown this message last."""
    params = {
        "tenant": who.tenant, "thread_id": who.thread_id, "node": node, "message_id": message_id,
    }  # fmt: skip

    def read(rows: Sequence[Row]) -> Held | None:
        found = [
            Held(key, dict(zip(quantities, amounts, strict=True)), requested)
            for key, quantities, amounts, requested in rows
        ]
        return found[0] if found else None

    return Statement(HELD, params, read, repeatable=True)
