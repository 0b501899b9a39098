"""What people look at: the queue, one case and who said what, and how they decide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..core.answers import Action
from ..core.steps import Row, Statement
from .decay import Case, Decided
from .ledger import SEEN, clean, recorded
from .people import ANONYMOUS
from .records import Recorded
from .thresholds import Label

LIST = (
    "SELECT "
    + SEEN
    + """
FROM lg_production.reviews r
WHERE (%(state)s::text IS NULL OR r.state = %(state)s)
  AND (%(thread_id)s::text IS NULL OR r.thread_id = %(thread_id)s)
  AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
  AND (NOT %(waiting)s OR r.waiting_since IS NOT NULL)
ORDER BY r.waiting_since NULLS LAST, r.created_at DESC LIMIT %(limit)s
"""
)
FIND = (
    "SELECT "
    + SEEN
    + """
FROM lg_production.reviews r
WHERE r.key >= %(low)s AND r.key <= %(high)s LIMIT 2
"""
)
VOTES = """
SELECT v.voted_at, v.round, v.reviewer, v.action, v.counted, v.seconds, v.message, v.arguments
FROM lg_production.review_votes v WHERE v.key = %(key)s ORDER BY v.voted_at
"""
DECIDED = """
SELECT v.reviewer, r.tool, v.voted_at,
  -- Whoever agrees to the wrong arguments has missed it, by whichever word.
  CASE WHEN r.canary AND v.action = 'edit' AND v.arguments::text = r.arguments::text
    THEN 'approve' ELSE v.action END,
  least(v.seconds, CASE WHEN v.reviewer <> %(anonymous)s THEN extract(epoch FROM v.voted_at
    - lag(v.voted_at) OVER (PARTITION BY v.reviewer ORDER BY v.voted_at)) END)::float8,
  length(r.arguments::text) + length(r.evidence::text), r.canary,
  encode(r.key, 'hex') || '/' || v.round
FROM lg_production.review_votes v JOIN lg_production.reviews r ON r.key = v.key
WHERE v.counted AND v.voted_at > now() - %(age)s::interval
  AND (NOT r.canary OR (r.state IN ('decided', 'expired') AND (v.round = 1 OR v.action = 'edit')))
  AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
ORDER BY v.voted_at
"""
CASES = """
SELECT r.verdict, coalesce(r.opened_at, r.created_at), r.decided_at,
  coalesce(r.outcome, CASE WHEN r.state = 'expired' THEN 'expired' END),
  EXISTS (SELECT FROM lg_production.review_incidents i WHERE i.key = r.key)
FROM lg_production.reviews r
WHERE r.created_at > now() - %(age)s::interval AND NOT r.canary
  AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
"""
LABELS = """
SELECT r.confidence, r.outcome = 'approve', r.probability, r.stratum, r.draw
FROM lg_production.reviews r
WHERE r.state = 'decided' AND r.outcome IN ('approve', 'edit', 'reject') AND NOT r.canary
  AND r.confidence IS NOT NULL AND r.probability > 0
  AND r.created_at >= %(start)s AND r.decided_at < %(end)s
  AND (%(tool)s::text IS NULL OR r.tool = %(tool)s)
  AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
ORDER BY r.decided_at, r.key
"""
SCORED = """
SELECT r.confidence, coalesce(r.outcome = 'approve' AND r.decided_at < %(end)s, false),
  r.probability, r.stratum, r.draw, r.verdict IN ('sample', 'review', 'two_person')
FROM lg_production.reviews r
WHERE r.confidence IS NOT NULL AND NOT r.canary AND r.verdict <> 'deny'
  AND r.created_at >= %(start)s AND r.created_at < %(end)s
  AND (%(tool)s::text IS NULL OR r.tool = %(tool)s)
  AND (%(agent)s::text IS NULL OR r.agent = %(agent)s)
  AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
ORDER BY r.created_at, r.key
"""
SCORES = """
SELECT r.created_at, r.confidence FROM lg_production.reviews r
WHERE r.confidence IS NOT NULL AND NOT r.canary AND r.created_at >= %(start)s
  AND (%(tool)s::text IS NULL OR r.tool = %(tool)s)
  AND (%(agent)s::text IS NULL OR r.agent = %(agent)s)
  AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
ORDER BY r.created_at
"""
REPORT = """
INSERT INTO lg_production.review_incidents (key, note, reported_by)
SELECT r.key, %(note)s, %(by)s FROM lg_production.reviews r
WHERE r.key = %(key)s AND NOT r.canary AND r.outcome IN ('approve', 'edit') RETURNING 1
"""


class Vote(NamedTuple):
    """What one person said about one case, and whether it counted."""

    at: datetime
    round: int
    reviewer: str
    action: Action
    counted: bool
    seconds: float
    message: str
    arguments: dict[str, Any] | None


def listed(
    state: str | None, thread_id: str | None, tenant: str | None, limit: int
) -> Statement[list[Recorded]]:
    """Reviews in a state; without one those that wait, who waited longest first."""
    params = {
        "state": state,
        "thread_id": thread_id,
        "tenant": tenant,
        "waiting": state is None and thread_id is None,
        "limit": limit,
    }
    return Statement(LIST, params, recorded, repeatable=True)


def find(prefix: str) -> Statement[list[Recorded]]:
    """The reviews whose key begins like this, at most two. `ValueError` for what is not hex."""
    low, high = bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
    return Statement(FIND, {"low": low, "high": high}, recorded, repeatable=True)


def votes(key: bytes) -> Statement[list[Vote]]:
    """Who said what about a case, the late as well."""
    return Statement(VOTES, {"key": key}, lambda rows: [Vote(*r) for r in rows], repeatable=True)


def decided(age: timedelta, tenant: str | None = None) -> Statement[list[Decided]]:
    """The votes that counted in this time, for `decay.Watch`.

    Nobody reads two cases at once, so a vote took no longer than since the same person's last.
    """
    params = {"age": age, "tenant": tenant, "anonymous": ANONYMOUS}
    return Statement(DECIDED, params, lambda rows: [Decided(*r) for r in rows], repeatable=True)


def cases(age: timedelta, tenant: str | None = None) -> Statement[list[Case]]:
    """The calls that were routed in this time, for `decay.queue`."""

    def read(rows: Sequence[Row]) -> list[Case]:
        return [Case(*row) for row in rows]

    return Statement(CASES, {"age": age, "tenant": tenant}, read, repeatable=True)


def labels(
    start: datetime, end: datetime, tool: str | None = None, tenant: str | None = None
) -> Statement[list[Label]]:
    """What people decided between these moments about calls that had a score, as labels.

    An approval is correct, an edit and a rejection are not; responses, canaries and what ran out
    of time are none. For `SelectiveRisk`, `EscapeRate` and the calibrations.
    """
    params = {"start": start, "end": end, "tool": tool, "tenant": tenant}

    def read(rows: Sequence[Row]) -> list[Label]:
        return [Label(*row) for row in rows]

    return Statement(LABELS, params, read, repeatable=True)


class Scored(NamedTuple):
    """A call that had a score. `reviewed`: a person was to see it. `correct`: and approved it."""

    score: float
    correct: bool
    probability: float
    stratum: str
    draw: float | None
    reviewed: bool


def scored(
    start: datetime,
    end: datetime,
    tool: str | None = None,
    agent: str | None = None,
    tenant: str | None = None,
) -> Statement[list[Scored]]:
    """All calls with a score of this time, as they stood at its end, seen by people or not."""
    params = {"start": start, "end": end, "tool": tool, "agent": agent, "tenant": tenant}

    def read(rows: Sequence[Row]) -> list[Scored]:
        return [Scored(*row) for row in rows]

    return Statement(SCORED, params, read, repeatable=True)


def scores(
    start: datetime, tool: str | None = None, agent: str | None = None, tenant: str | None = None
) -> Statement[list[tuple[datetime, float]]]:
    """When calls were routed since then and with which confidence, reviewed or not."""
    params = {"start": start, "tool": tool, "agent": agent, "tenant": tenant}

    def read(rows: Sequence[Row]) -> list[tuple[datetime, float]]:
        return [(at, score) for at, score in rows]

    return Statement(SCORES, params, read, repeatable=True)


def now() -> Statement[datetime]:
    """What the database's clock says."""
    return Statement("SELECT clock_timestamp()", {}, lambda rows: rows[0][0], repeatable=True)


def report(key: bytes, note: str, by: str) -> Statement[bool]:
    """Something went wrong although people had decided it. Whether there is such a review."""
    params = {"key": key, "note": clean(note), "by": clean(by)}
    return Statement(REPORT, params, bool)
