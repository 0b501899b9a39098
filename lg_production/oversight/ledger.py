"""The ledger of reviews: pure functions that return Statements, one for each transition.

    routed -> open                    a person is asked
    open -> open                      a vote that needs another, or an edit to agree to
    open -> decided | expired         one winner, by compare-and-set on the version
    any -> routed                     other arguments under the same call: a new round

Nothing leaves `decided` or `expired` but by other arguments, and the clock is the database's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from ..core.answers import Action
from ..core.keys import canonical
from ..core.steps import Row, Statement, Steps
from .records import Recorded, Routed, shown_digest

SEEN = """
  r.key, r.tenant, r.thread_id, r.agent, r.tool, r.tool_call_id, r.arguments, r.digest,
  r.policy_hash, r.verdict, r.reasons, r.confidence, r.scores, r.alternatives, r.provenance,
  r.evidence, r.stratum, r.probability, r.canary, r.state, r.version, r.round, r.quorum,
  r.outcome, r.edited, r.message, r.requester, r.voters, r.assigned_to, r.claimed_by,
  r.claim_until, r.level, r.asked_task, r.asked_slot, r.asked_version, r.opened_at, r.expires_at,
  r.decided_at, r.decided_by,
  r.state = 'open' AND coalesce(r.expires_at <= clock_timestamp(), false)
"""

# ------------------------------------------------------------------------------- freeze
FREEZE = (
    """
WITH wanted AS (
  SELECT * FROM unnest(
    %(key)s::bytea[], %(tenant)s::text[], %(thread_id)s::text[], %(agent)s::text[],
    %(tool)s::text[], %(tool_call_id)s::text[], %(arguments)s::text[], %(digest)s::bytea[],
    %(policy_hash)s::text[], %(verdict)s::text[], %(reasons)s::text[], %(confidence)s::float8[],
    %(scores)s::text[], %(alternatives)s::text[], %(provenance)s::text[], %(evidence)s::text[],
    %(stratum)s::text[], %(probability)s::float8[], %(draw)s::float8[], %(canary)s::boolean[],
    %(quorum)s::int[], %(patience)s::float8[], %(requester)s::text[], %(assigned_to)s::text[]
  ) WITH ORDINALITY AS w (
    key, tenant, thread_id, agent, tool, tool_call_id, arguments, digest, policy_hash, verdict,
    reasons, confidence, scores, alternatives, provenance, evidence, stratum, probability, draw,
    canary, quorum, patience, requester, assigned_to, n)
  LIMIT cardinality(%(key)s::bytea[])  -- tells the planner that they are few
),
inserted AS (
  INSERT INTO lg_production.reviews (
    key, tenant, thread_id, agent, tool, tool_call_id, arguments, digest, policy_hash, verdict,
    reasons, confidence, scores, alternatives, provenance, evidence, stratum, probability, draw,
    canary, quorum, patience, requester, assigned_to, state)
  SELECT w.key, w.tenant, w.thread_id, w.agent, w.tool, w.tool_call_id, w.arguments::json,
    w.digest, w.policy_hash, w.verdict,
    ARRAY(SELECT json_array_elements_text(w.reasons::json)), w.confidence, w.scores::json,
    w.alternatives::json, w.provenance::json, w.evidence::json, w.stratum, w.probability, w.draw,
    w.canary, w.quorum, w.patience, w.requester, w.assigned_to, 'routed'
  FROM wanted w
  WHERE NOT EXISTS (SELECT FROM lg_production.reviews r WHERE r.key = w.key)
  ORDER BY w.key
  ON CONFLICT (key) DO NOTHING
  RETURNING *
)
SELECT w.n, """
    + SEEN
    + "FROM wanted w JOIN inserted r ON r.key = w.key UNION ALL SELECT w.n, "
    + SEEN
    + "FROM wanted w JOIN lg_production.reviews r ON r.key = w.key"
)


def freeze(rows: Sequence[Routed]) -> Steps[list[Recorded]]:
    """Record these verdicts, or read those that were recorded before: they hold.

    Durable before it is answered. Safe to repeat.
    """
    found: list[Recorded | None] = [None] * len(rows)
    # A row that another transaction inserts meanwhile is neither inserted nor seen: once more.
    while rows and None in found:
        found = yield from frozen(rows)
    return [row for row in found if row is not None]


def frozen(rows: Sequence[Routed]) -> Statement[list[Recorded | None]]:
    """One attempt at it: None for what somebody else is writing just now."""

    def read(answered: Sequence[Row]) -> list[Recorded | None]:
        of = {n: Recorded(*seen) for n, *seen in sorted(answered, key=itemgetter(0))}
        return [of.get(n + 1) for n in range(len(rows))]

    each = [columns(row) for row in rows]
    params = {name: [row[name] for row in each] for name in each[0]}
    return Statement(FREEZE, params, read, shared=True, repeatable=True)


def columns(row: Routed) -> dict[str, Any]:
    """A row's values, by column."""
    verdict = row.verdict
    return {
        "key": row.key,
        "tenant": row.tenant,
        "thread_id": row.thread_id,
        "agent": row.agent,
        "tool": row.tool,
        "tool_call_id": row.tool_call_id,
        "arguments": as_json(row.arguments),
        "digest": row.digest,
        "policy_hash": row.policy_hash,
        "verdict": verdict.verdict,
        "reasons": as_json(verdict.reasons),
        "confidence": None if row.confidence is None else float(row.confidence),
        "scores": as_json(row.scores),
        "alternatives": as_json(row.alternatives),
        "provenance": as_json(row.provenance),
        "evidence": as_json(row.evidence),
        "stratum": verdict.stratum,
        "probability": float(verdict.probability),
        "draw": verdict.draw,
        "canary": row.canary,
        "quorum": verdict.quorum,
        "patience": verdict.expires.total_seconds() if verdict.expires else None,
        "requester": row.requester,
        "assigned_to": row.assigned_to,
    }


def as_json(value: Any) -> str:
    """A value as a person will be shown it: ASCII JSON, which PostgreSQL takes whole."""
    return json.dumps(json.loads(canonical(value)))


# ---------------------------------------------------------------------------------- look
LOOK = (
    "WITH wanted AS (SELECT * FROM unnest(%(key)s::bytea[]) WITH ORDINALITY AS w (key, n)) "
    "SELECT w.n, " + SEEN + "FROM wanted w JOIN lg_production.reviews r ON r.key = w.key"
)


def look(keys: Sequence[bytes]) -> Statement[list[Recorded]]:
    """The rows that there are, in the order of the keys."""

    def read(rows: Sequence[Row]) -> list[Recorded]:
        return [Recorded(*seen) for _, *seen in sorted(rows, key=itemgetter(0))]

    return Statement(LOOK, {"key": list(keys)}, read, shared=True, repeatable=True)


# ------------------------------------------------------------------------------ the question
OPEN = (
    """
UPDATE lg_production.reviews r
SET state = 'open', opened_at = coalesce(r.opened_at, now()),
    shown_at = coalesce(r.shown_at, now()),
    waiting_since = coalesce(r.waiting_since, now()),
    expires_at = coalesce(r.expires_at, now() + r.patience * interval '1 second')
WHERE r.key = %(key)s AND r.state IN ('routed', 'open') RETURNING """
    + SEEN
)
ASKED = """
UPDATE lg_production.reviews r
SET asked_task = %(task)s, asked_slot = %(slot)s, asked_version = %(version)s
WHERE r.key = %(key)s
"""
EXPIRE = (
    """
UPDATE lg_production.reviews r
SET state = 'expired', version = r.version + 1, waiting_since = NULL, decided_at = now()
WHERE r.state = 'open' AND r.waiting_since IS NOT NULL AND r.expires_at <= clock_timestamp()
  AND (%(key)s::bytea IS NULL OR r.key = %(key)s::bytea)
RETURNING """
    + SEEN
)


def opened(key: bytes) -> Statement[Recorded | None]:
    """A person will be asked: from now on it waits, and its deadline is set. None if it is over."""
    return Statement(OPEN, {"key": key}, first, repeatable=True)


def asked(row: Recorded, task_id: str, slot: int) -> Statement[None]:
    """The graph pauses in this task, and the answer to what `row` shows will be its `slot`-th."""
    params = {"key": row.key, "task": task_id, "slot": slot, "version": row.version}
    return Statement(ASKED, params, lambda _: None, repeatable=True)


def spent(key: bytes, task_id: str, slots: int) -> Statement[None]:
    """So many answers of this task were to us, and are spent; the places behind are others'."""
    params = {"key": key, "task": task_id, "slot": slots - 1 if slots else None, "version": 0}
    return Statement(ASKED, params, lambda _: None, repeatable=True)


def expire(key: bytes | None = None) -> Statement[list[Recorded]]:
    """End what is open behind its deadline: this one, or all. Nobody decided, so it is denied."""
    return Statement(EXPIRE, {"key": key}, recorded, repeatable=True)


# --------------------------------------------------------------------------------- a vote
VOTE = (
    """
WITH voted AS (
  UPDATE lg_production.reviews r
  SET version = r.version + 1, round = %(round)s, digest = %(endorsed)s,
      edited = coalesce(%(arguments)s::json, r.edited), voters = %(voters)s::text[],
      state = CASE WHEN %(outcome)s::text IS NULL THEN 'open' ELSE 'decided' END,
      outcome = %(outcome)s, message = %(message)s, shown_at = clock_timestamp(),
      decided_by = %(decided_by)s::text[],
      decided_at = CASE WHEN %(outcome)s::text IS NOT NULL THEN clock_timestamp() END,
      waiting_since = CASE WHEN %(outcome)s::text IS NULL THEN r.waiting_since END,
      claimed_by = NULL, claimed_at = NULL, claim_until = NULL
  FROM (SELECT o.key, extract(epoch FROM clock_timestamp() - greatest(
          o.shown_at, CASE WHEN o.claimed_by = %(reviewer)s THEN o.claimed_at END)) AS seconds
        FROM lg_production.reviews o WHERE o.key = %(key)s) o
  WHERE r.key = o.key AND r.version = %(version)s AND r.state = 'open'
    AND (r.expires_at IS NULL OR r.expires_at > clock_timestamp())
    AND coalesce(lg_production.review_refusal(r, %(reviewer)s), '') = ''
  RETURNING r.*, o.seconds
),
kept AS (
  INSERT INTO lg_production.review_votes
    (key, round, reviewer, action, arguments, message, digest, counted, seconds)
  SELECT v.key, v.round, %(reviewer)s, %(action)s, %(arguments)s::json, %(message)s, %(shown)s,
    true, v.seconds
  FROM voted v
)
SELECT """
    + SEEN
    + "FROM voted r"
)
REFUSAL = """
SELECT coalesce(lg_production.review_refusal(r, %(reviewer)s), '')
FROM lg_production.reviews r WHERE r.key = %(key)s
"""
LATE = """
INSERT INTO lg_production.review_votes
  (key, round, reviewer, action, arguments, message, digest, counted, seconds)
SELECT r.key, r.round, %(reviewer)s, %(action)s, %(arguments)s::json, %(message)s, r.digest,
  false, extract(epoch FROM clock_timestamp() - coalesce(r.shown_at, r.created_at))
FROM lg_production.reviews r WHERE r.key = %(key)s
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one person says about one review. `arguments` for edit only."""

    reviewer: str
    action: Action
    message: str = ""
    arguments: dict[str, Any] | None = None


def vote(row: Recorded, ballot: Ballot) -> Statement[Recorded | None]:
    """Count a vote on what `row` shows: the row as it is then, None if it is not like that now.

    One rejection or response decides. An approval decides with the quorum, and an edit is a new
    proposal, to which its author has agreed.
    """
    edits = ballot.action == "edit"
    agrees = edits or ballot.action == "approve"
    before = () if edits else tuple(row.voters)
    reviewer = clean(ballot.reviewer)
    voters = [*before, reviewer] if agrees else list(before)
    decides = not agrees or len(voters) >= row.quorum
    outcome = "edit" if agrees and (edits or row.edited is not None) else ballot.action
    proposal = ballot.arguments if edits and ballot.arguments is not None else row.proposed
    params = {
        **said(row.key, ballot),
        "version": row.version,
        "round": row.round + edits,
        "shown": row.digest,
        "endorsed": shown_digest(row, proposal),
        "voters": voters,
        "outcome": outcome if decides else None,
        "decided_by": (voters if agrees else [reviewer]) if decides else [],
    }
    return Statement(VOTE, params, first)


def refusal(key: bytes, reviewer: str) -> Statement[str]:
    """Why this person may not decide about it now; "" if they may."""
    params = {"key": key, "reviewer": reviewer}
    return Statement(REFUSAL, params, lambda rows: rows[0][0] if rows else "", repeatable=True)


def late(key: bytes, ballot: Ballot) -> Statement[None]:
    """Keep what somebody said when it was decided already."""
    return Statement(LATE, said(key, ballot), lambda _: None, repeatable=True)


def said(key: bytes, ballot: Ballot) -> dict[str, Any]:
    """What a ballot says, as parameters."""
    edits = ballot.action == "edit" and ballot.arguments is not None
    return {
        "key": key,
        "reviewer": clean(ballot.reviewer),
        "action": ballot.action,
        "message": clean(ballot.message),
        "arguments": as_json(ballot.arguments) if edits else None,
    }


def clean(text: str) -> str:
    """Text that PostgreSQL takes: without NUL and without half characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


# ------------------------------------------------------------------------- other arguments
RESTATE = (
    """
UPDATE lg_production.reviews r
SET state = 'routed', version = r.version + 1, round = r.round + 1, outcome = NULL,
    edited = NULL, message = '', voters = '{}', decided_by = '{}', decided_at = NULL,
    opened_at = NULL, shown_at = NULL, waiting_since = NULL, expires_at = NULL,
    claimed_by = NULL, claimed_at = NULL, claim_until = NULL, level = 0,
    arguments = %(arguments)s::json, digest = %(digest)s, policy_hash = %(policy_hash)s,
    verdict = %(verdict)s, reasons = ARRAY(SELECT json_array_elements_text(%(reasons)s::json)),
    confidence = %(confidence)s, scores = %(scores)s::json,
    alternatives = %(alternatives)s::json, provenance = %(provenance)s::json,
    evidence = %(evidence)s::json, stratum = %(stratum)s, probability = %(probability)s,
    draw = %(draw)s,
    quorum = %(quorum)s, patience = %(patience)s
WHERE r.key = %(key)s AND r.version = %(version)s
RETURNING """
    + SEEN
)


def restate(row: Recorded, routed: Routed) -> Statement[Recorded | None]:
    """The call has other arguments now, and another verdict: what was decided counts no more."""
    return Statement(RESTATE, {**columns(routed), "version": row.version}, first)


def recorded(rows: Sequence[Row]) -> list[Recorded]:
    """Rows as they are."""
    return [Recorded(*row) for row in rows]


def first(rows: Sequence[Row]) -> Recorded | None:
    """The one row, if there is one."""
    return Recorded(*rows[0]) if rows else None
