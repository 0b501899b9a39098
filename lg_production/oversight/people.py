"""People: who they are, what they may decide, who holds a case, and who is asked next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..core.events import Event
from ..core.steps import Emit, Statement, Steps
from .ledger import SEEN, clean, expire, first, recorded
from .records import Recorded

ANONYMOUS = "resume"
"""Whoever resumes a run that tells of no user."""


def reviewer_of(config: Mapping[str, Any] | None, context: Any = None) -> str:
    """Who resumes this run: the server's authenticated user, else `reviewer` of the context."""
    user = ((config or {}).get("configurable") or {}).get("langgraph_auth_user")
    identity = user.get("identity") if isinstance(user, Mapping) else None
    identity = identity or getattr(user, "identity", None)
    named = context.get("reviewer") if isinstance(context, Mapping) else None
    named = named or getattr(context, "reviewer", None)
    return clean(str(identity or named or ANONYMOUS))


def requester_of(config: Mapping[str, Any] | None, context: Any = None) -> str:
    """Who started the run: whom `reviewer_of` would name, else `user_id`; "" if unknown."""
    named = reviewer_of(config, context)
    if named != ANONYMOUS:
        return named
    return clean(str(((config or {}).get("configurable") or {}).get("user_id") or ""))


# ------------------------------------------------------------------------------- reviewers
@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person who decides. `competences` are tools, or '*'; `roles` are for assignment."""

    id: str
    roles: Sequence[str] = ()
    competences: Sequence[str] = ("*",)
    valid_until: datetime | None = None

    def __post_init__(self) -> None:
        if self.valid_until is not None and self.valid_until.tzinfo is None:
            raise ValueError("valid_until needs a time zone: datetime(2026, 3, 1, tzinfo=UTC)")


PUT = """
INSERT INTO lg_production.reviewers (id, roles, competences, valid_until)
VALUES (%(id)s, %(roles)s::text[], %(competences)s::text[], %(valid_until)s::timestamptz)
ON CONFLICT (id) DO UPDATE SET roles = excluded.roles, competences = excluded.competences,
  valid_until = excluded.valid_until
"""
REMOVE = "DELETE FROM lg_production.reviewers WHERE id = %(id)s"
REVIEWERS = "SELECT id, roles, competences, valid_until FROM lg_production.reviewers ORDER BY id"


def put(reviewer: Reviewer) -> Statement[None]:
    """Let this person decide. With the first of them, everybody else no longer may."""
    params = {
        "id": reviewer.id,
        "roles": list(reviewer.roles),
        "competences": list(reviewer.competences),
        "valid_until": reviewer.valid_until,
    }
    return Statement(PUT, params, lambda _: None, repeatable=True)


def remove(reviewer: str) -> Statement[None]:
    """Let this person decide no more. Without any left, everybody may."""
    return Statement(REMOVE, {"id": reviewer}, lambda _: None, repeatable=True)


def reviewers() -> Statement[list[Reviewer]]:
    """Everybody who may decide. None: everybody may."""
    return Statement(REVIEWERS, {}, lambda rows: [Reviewer(*r) for r in rows], repeatable=True)


# ------------------------------------------------------------------- claims and assignments
# A claim is no vote: it moves nothing but the claim, so votes need not know of it.
CLAIM = (
    """
UPDATE lg_production.reviews r
SET claimed_by = %(reviewer)s, claim_until = clock_timestamp() + %(lease)s * interval '1 second',
    claimed_at = CASE WHEN r.claimed_by = %(reviewer)s THEN r.claimed_at
      ELSE clock_timestamp() END
WHERE r.key = %(key)s AND r.state = 'open'
  AND (%(take_over)s OR r.claimed_by IS NULL OR r.claimed_by = %(reviewer)s
       OR r.claim_until <= clock_timestamp())
  AND coalesce(lg_production.review_refusal(r, %(reviewer)s), '') IN ('', 'claimed')
RETURNING """
    + SEEN
)
ASSIGN = (
    """
UPDATE lg_production.reviews r SET assigned_to = %(to)s
WHERE r.key = %(key)s AND r.state IN ('routed', 'open') RETURNING """
    + SEEN
)


def claim(
    key: bytes, reviewer: str, lease: timedelta, *, take_over: bool = False
) -> Statement[Recorded | None]:
    """Keep others from deciding meanwhile; None if somebody else does, or this person may not.

    `take_over` takes it out of another's hands. A claim ends by itself.
    """
    params = {
        "key": key, "reviewer": reviewer, "lease": lease.total_seconds(), "take_over": take_over,
    }  # fmt: skip
    return Statement(CLAIM, params, first, repeatable=True)


def assign(key: bytes, to: str) -> Statement[Recorded | None]:
    """Let only this reviewer, or those of this role, decide; '' lets anybody."""
    return Statement(ASSIGN, {"key": key, "to": to}, first, repeatable=True)


# -------------------------------------------------------------------- deadlines and escalation
@dataclass(frozen=True, slots=True)
class Rung:
    """Who is asked once a case has waited for so long: a reviewer's id, a role, '' for anybody."""

    after: timedelta
    to: str


ESCALATE = (
    """
WITH rungs AS (
  SELECT * FROM unnest(%(after)s::float8[], %(to)s::text[]) WITH ORDINALITY AS u (after, who, level)
)
UPDATE lg_production.reviews r
SET level = u.level, assigned_to = u.who, claimed_by = NULL, claimed_at = NULL, claim_until = NULL
FROM rungs u
WHERE r.waiting_since IS NOT NULL AND r.state = 'open' AND r.level < u.level
  AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
  AND u.level = (SELECT max(v.level) FROM rungs v
    WHERE r.waiting_since + v.after * interval '1 second' <= clock_timestamp())
RETURNING """
    + SEEN
)


def escalate(ladder: Sequence[Rung], tenant: str | None = None) -> Statement[list[Recorded]]:
    """Ask those of the highest rung that each waiting case has come to; each rung once."""
    params = {
        "after": [rung.after.total_seconds() for rung in ladder],
        "to": [rung.to for rung in ladder],
        "tenant": tenant,
    }
    return Statement(ESCALATE, params, recorded, repeatable=True)


def sweep_steps(ladder: Sequence[Rung] = (), tenant: str | None = None) -> Steps[list[Recorded]]:
    """Deny what is overdue and escalate what has waited too long; what was changed.

    Nothing needs it: a run that comes to an overdue question denies it by itself. It keeps the
    list for people true. Emits `review.expired` and `review.escalated`.
    """
    ended = yield from expire()
    for row in ended:
        yield from Emit(Event("review.expired", told(row)))
    moved = (yield from escalate(ladder, tenant)) if ladder else []
    for row in moved:
        yield from Emit(Event("review.escalated", told(row)))
    return [*ended, *moved]


def told(row: Recorded) -> dict[str, str | int | float | bool | None]:
    """What events say of a review: no arguments, and nobody's words."""
    return {
        "review_key": row.key.hex(),
        "tenant": row.tenant,
        "thread_id": row.thread_id,
        "tool": row.tool,
        "tool_call_id": row.tool_call_id,
        "verdict": row.verdict,
        "state": row.state,
        "outcome": row.outcome,
        "version": row.version,
        "level": row.level,
        "decided_by": ", ".join(row.decided_by),
    }


REFUSALS = {
    "claimed": "somebody else has claimed it: wait, or take it over",
    "not_a_reviewer": "this person is not among the reviewers",
    "not_valid": "this reviewer's time has ended",
    "not_competent": "this reviewer may not decide about this tool",
    "not_assigned": "it is assigned to somebody else",
}


def forbidden(row: Recorded, reviewer: str, agrees: Collection[str], action: str) -> str:
    """Why this person's vote cannot count beside the others'; "" if it can."""
    if row.quorum == 1 or action not in agrees:
        return ""
    if reviewer == ANONYMOUS:
        return "it takes several people, and nobody can tell who this is"
    if reviewer == row.requester:
        return "who asked for it may not approve it"
    if reviewer in row.voters and action == "approve":
        return "it takes another person: this one has agreed already"
    return ""
