"""Look into the ledger, and keep it small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..core.steps import Row, Statement
from .ledger import SEEN, Effect, State

# Nothing that is open is ever pruned: not in doubt, not claimed, not ready to run again.
PRUNE = """
DELETE FROM lg_production.effects e WHERE e.key IN (
  SELECT p.key FROM lg_production.effects p
  WHERE p.created_at < now() - %(older_than)s::interval
    AND p.updated_at < now() - %(older_than)s::interval
    AND p.state IN ('succeeded', 'failed_final', 'compensated')
    AND (p.expires_at IS NULL OR p.expires_at < now())
    AND NOT EXISTS (SELECT FROM lg_production.effects c WHERE c.state = 'compensating'
      AND c.key = decode(p.evidence->>'compensates', 'hex'))
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def prune(older_than: timedelta, *, limit: int = 10_000) -> Statement[int]:
    """Delete settled effects last touched before then; returns how many, at most `limit`.

    A pruned effect is forgotten: time travel to before it would carry it out again.
    Effects in doubt are never pruned.
    """
    sql = "WITH pruned AS (" + PRUNE + " RETURNING 1) SELECT count(*) FROM pruned"
    params = {"older_than": older_than, "limit": limit}
    return Statement(sql, params, lambda rows: int(rows[0][0]))


@dataclass(frozen=True, slots=True)
class Entry:
    """An effect as a person is shown it."""

    effect: Effect
    tenant: str
    recovery: str
    thread_id: str | None
    arguments: Any
    evidence: Any
    created_at: datetime
    updated_at: datetime


DETAILS = "SELECT e.tenant, e.recovery, e.thread_id, e.arguments, e.evidence, e.created_at, "
LIST = (
    DETAILS
    + "e.updated_at, "
    + SEEN
    + """
FROM lg_production.effects e
WHERE (%(state)s::text IS NULL OR e.state = %(state)s)
  AND (%(thread_id)s::text IS NULL OR e.thread_id = %(thread_id)s)
  AND (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s)
ORDER BY e.created_at DESC, e.key LIMIT %(limit)s
"""
)
# `doubt_since` is what the partial index is on.
LIST_IN_DOUBT = (
    DETAILS
    + "e.updated_at, "
    + SEEN
    + """
FROM lg_production.effects e
WHERE e.doubt_since IS NOT NULL
  AND (%(thread_id)s::text IS NULL OR e.thread_id = %(thread_id)s)
  AND (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s)
ORDER BY e.doubt_since, e.key LIMIT %(limit)s
"""
)
SHOW = (
    DETAILS
    + "e.updated_at, "
    + SEEN
    + """
FROM lg_production.effects e
WHERE e.key >= %(first)s AND e.key <= %(last)s ORDER BY e.key LIMIT 2
"""
)


def entries(
    *,
    state: State | None = None,
    thread_id: str | None = None,
    tenant: str | None = None,
    limit: int = 50,
) -> Statement[list[Entry]]:
    """Effects, newest first; those in doubt oldest first."""
    params = {"state": state, "thread_id": thread_id, "tenant": tenant, "limit": limit}
    return Statement(LIST_IN_DOUBT if state == "in_doubt" else LIST, params, _read)


def entry(key: str) -> Statement[list[Entry]]:
    """The effects whose key, in hexadecimal, begins so: none, the one, or two if ambiguous.

    Raises `ValueError` if `key` is not hexadecimal.
    """
    if not key or len(key) > 64:
        raise ValueError("a key is 1 to 64 hexadecimal digits")
    params = {
        "first": bytes.fromhex(key.ljust(64, "0")),
        "last": bytes.fromhex(key.ljust(64, "f")),
    }
    return Statement(SHOW, params, _read)


def _read(rows: Sequence[Row]) -> list[Entry]:
    return [Entry(Effect(*row[7:]), *row[:7]) for row in rows]


HISTORY = """
SELECT decided_at, action, decided_by, reason, version FROM lg_production.effect_decisions
WHERE key = %(key)s ORDER BY decided_at
"""


def history(key: bytes) -> Statement[list[Row]]:
    """The decisions about an effect: when, what, who, why, on which version."""
    return Statement(HISTORY, {"key": key}, list)
