"""The ledger of effects: pure functions that return Statements, one for each transition.

    claimed -> succeeded | failed_final | failed_retryable | in_doubt | ready (released)
    in_doubt -> succeeded | failed_final | ready          by a person, a probe, or late proof
    ready, failed_retryable, an ended window -> claimed
    succeeded -> compensating -> compensated

Nothing leaves in_doubt on a timer, and the clock is the database's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from typing import Any, Literal, TypeAlias, get_args
from uuid import UUID

from ..core.identity import Task
from ..core.steps import Row, Statement
from .codec import Encoded

State: TypeAlias = Literal[
    "claimed", "succeeded", "failed_final", "failed_retryable", "in_doubt", "ready",
    "compensating", "compensated",
]  # fmt: skip
STATES: tuple[str, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An effect that somebody wants to carry out. `arguments` and `evidence` are JSON texts."""

    key: bytes
    tenant: str
    tool: str
    tool_version: str
    recovery: str
    fingerprint: bytes
    native_key: str
    owner: UUID
    worker: int | None
    lease: timedelta
    task: Task | None
    barrier: bool
    tool_call_id: str | None
    arguments: str | None
    evidence: str
    window: timedelta | None


@dataclass(frozen=True, slots=True)
class Effect:
    """A row of the ledger, as one statement saw it."""

    key: bytes
    tool: str
    state: State
    version: int
    attempt: int
    owner: UUID | None
    gone: bool
    """In somebody's hands whose process has died or whose lease has run out."""
    dead: bool
    """That process has certainly died: nothing of it can still be under way."""
    expired: bool
    """Its `arguments` window has ended."""
    age: timedelta
    fingerprint: bytes | None
    native_key: str
    tool_call_id: str | None
    outcome_type: str | None
    outcome: bytes | None
    error: str | None
    paused_task: str | None
    paused_slot: int | None
    asked_task: str | None
    asked_slot: int | None
    asked_place: int | None
    doubtful: bool = False
    """Taken over from an attempt of which nobody knows how it ended."""

    @property
    def certain(self) -> bool:
        """In doubt, and nothing of it is under way: its process died or gave up by itself.

        A cancelled call may go on: LangChain runs a sync tool in a thread, which nothing stops.
        """
        return self.dead or self.error not in (None, "CancelledError")


Claim: TypeAlias = Effect | Literal["not_durable", "raced"]

SEEN = """
  e.key, e.tool, e.state, e.version, e.attempt, e.owner,
  CASE WHEN e.state IN ('claimed', 'compensating') THEN
    e.lease_until < clock_timestamp() OR lg_production.has_died(e.worker) ELSE false END,
  CASE WHEN e.state IN ('claimed', 'compensating', 'in_doubt') THEN
    lg_production.has_died(e.worker) ELSE false END,
  coalesce(e.expires_at < clock_timestamp(), false), clock_timestamp() - e.created_at,
  e.fingerprint, e.native_key, e.tool_call_id, e.outcome_type, e.outcome, e.error,
  e.paused_task, e.paused_slot, e.asked_task, e.asked_slot, e.asked_place
"""

# ------------------------------------------------------------------------ claim or read
# One statement inserts the row unless it is there, and reads what is there. A row that
# another transaction inserts meanwhile is neither inserted nor seen: `raced`, ask again.
# A row that carries our owner token is ours, so repeating after a lost reply is harmless.
# ORDER BY key makes two batches lock in one order. A known key writes nothing at all.
WANTED = """
WITH wanted AS (
  SELECT * FROM unnest(
    %(key)s::bytea[], %(tenant)s::text[], %(tool)s::text[], %(tool_version)s::text[],
    %(recovery)s::text[], %(fingerprint)s::bytea[], %(native_key)s::text[], %(owner)s::uuid[],
    %(worker)s::int[], %(lease)s::float8[], %(thread_id)s::text[], %(tool_call_id)s::text[],
    %(arguments)s::text[], %(evidence)s::text[], %(window)s::float8[],
    %(parent_ns)s::text[], %(checkpoint_id)s::text[]
  ) WITH ORDINALITY AS w (
    key, tenant, tool, tool_version, recovery, fingerprint, native_key, owner, worker, lease,
    thread_id, tool_call_id, arguments, evidence, window_seconds, parent_ns, checkpoint_id, n)
  LIMIT cardinality(%(key)s::bytea[])  -- tells the planner that they are few
),
"""
# The barrier: no effect before the checkpoint that asked for it is in the database.
GUARDED = """
asked AS (
  SELECT w.*, EXISTS (
    SELECT FROM checkpoints c WHERE c.thread_id = w.thread_id
      AND c.checkpoint_ns = w.parent_ns AND c.checkpoint_id = w.checkpoint_id) AS durable
  FROM wanted w
),
"""
UNGUARDED = "asked AS (SELECT w.*, true AS durable FROM wanted w),"
INSERT = (
    """
inserted AS (
  INSERT INTO lg_production.effects (
    key, tenant, tool, tool_version, recovery, state, fingerprint, native_key, owner, worker,
    lease_until, thread_id, tool_call_id, arguments, evidence, expires_at)
  SELECT a.key, a.tenant, a.tool, a.tool_version, a.recovery, 'claimed', a.fingerprint,
    a.native_key, a.owner, a.worker, clock_timestamp() + a.lease * interval '1 second',
    a.thread_id, a.tool_call_id, a.arguments::json, a.evidence::json,
    now() + a.window_seconds * interval '1 second'
  FROM asked a
  WHERE a.durable AND NOT EXISTS (SELECT FROM lg_production.effects e WHERE e.key = a.key)
  ORDER BY a.key
  ON CONFLICT (key) DO NOTHING
  RETURNING key, owner
)
SELECT a.n, a.durable, i.key IS NOT NULL AS mine,
"""
    + SEEN
    + """
FROM asked a
LEFT JOIN inserted i ON i.key = a.key AND i.owner = a.owner
LEFT JOIN lg_production.effects e ON e.key = a.key
"""
)
CLAIM, CLAIM_UNGUARDED = WANTED + GUARDED + INSERT, WANTED + UNGUARDED + INSERT


def claim(wanted: Sequence[Wanted]) -> Statement[list[Claim]]:
    """Take these effects, or read who has them. Durable before it is answered."""

    def read(rows: Sequence[Row]) -> list[Claim]:
        return [_claimed(wanted[row[0] - 1], row) for row in sorted(rows, key=itemgetter(0))]

    sql = CLAIM if wanted[0].barrier else CLAIM_UNGUARDED
    return Statement(sql, merged([columns(w) for w in wanted]), read, shared=True, repeatable=True)


def _claimed(wanted: Wanted, row: Row) -> Claim:
    _, durable, mine, *seen = row
    if mine:
        return fresh(wanted)
    if seen[0] is None:
        return "raced" if durable else "not_durable"
    return Effect(*seen)


def merged(rows: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """The columns of several rows."""
    if len(rows) == 1:
        return rows[0]
    return {name: [value for row in rows for value in row[name]] for name in rows[0]}


def columns(wanted: Wanted) -> dict[str, list[Any]]:
    """One row, as columns."""
    task = wanted.task
    return {
        "key": [wanted.key],
        "tenant": [wanted.tenant],
        "tool": [wanted.tool],
        "tool_version": [wanted.tool_version],
        "recovery": [wanted.recovery],
        "fingerprint": [wanted.fingerprint],
        "native_key": [wanted.native_key],
        "owner": [wanted.owner],
        "worker": [wanted.worker],
        "lease": [wanted.lease.total_seconds()],
        "thread_id": [task.thread_id if task else None],
        "tool_call_id": [wanted.tool_call_id],
        "arguments": [wanted.arguments],
        "evidence": [wanted.evidence],
        "window": [wanted.window.total_seconds() if wanted.window else None],
        "parent_ns": [task.parent_ns if task else None],
        "checkpoint_id": [task.checkpoint_id if task else None],
    }


def fresh(wanted: Wanted) -> Effect:
    """The effect of a first claim, as it was just written."""
    return Effect(
        wanted.key, wanted.tool, "claimed", 1, 1, wanted.owner, False, False, False,
        timedelta(0), wanted.fingerprint, wanted.native_key, wanted.tool_call_id,
        None, None, None, None, None, None, None, None,
    )  # fmt: skip


LOOK = (
    "SELECT a.n, "
    + SEEN
    + """
FROM unnest(%(key)s::bytea[]) WITH ORDINALITY AS a (key, n)
JOIN lg_production.effects e ON e.key = a.key ORDER BY a.n
"""
)


def look(keys: Sequence[bytes]) -> Statement[list[Effect]]:
    """The effects that exist among these keys, in their order."""
    return Statement(
        LOOK,
        {"key": list(keys)},
        lambda rows: [Effect(*row[1:]) for row in rows],
        shared=True,
        repeatable=True,
    )


# ----------------------------------------------------------------------------- take over
# Compare-and-set on the version that was seen. The second and later attempts come here:
# rare, so one row a statement.
RECLAIM = """
UPDATE lg_production.effects e SET
  state = 'claimed', owner = %(owner)s, worker = %(worker)s, version = e.version + 1,
  lease_until = clock_timestamp() + %(lease)s * interval '1 second',
  attempt = e.attempt + 1, fingerprint = coalesce(e.fingerprint, %(fingerprint)s),
  tool_call_id = %(tool_call_id)s, evidence = %(evidence)s::json, updated_at = now(),
  doubt_since = NULL, error = NULL, asked_slot = NULL
WHERE e.key = %(key)s AND (e.version = %(version)s OR e.owner = %(owner)s)
"""
# An `arguments` window has ended: the same words now ask for a new effect.
RENEW = """
UPDATE lg_production.effects e SET
  state = 'claimed', owner = %(owner)s, worker = %(worker)s, version = e.version + 1,
  lease_until = clock_timestamp() + %(lease)s * interval '1 second',
  attempt = 1, fingerprint = %(fingerprint)s, native_key = %(native_key)s,
  tool_call_id = %(tool_call_id)s, evidence = %(evidence)s::json, created_at = now(),
  updated_at = now(), expires_at = now() + %(window)s * interval '1 second',
  doubt_since = NULL, error = NULL, outcome = NULL, outcome_type = NULL,
  paused_task = NULL, asked_task = NULL
WHERE e.key = %(key)s AND (e.version = %(version)s OR e.owner = %(owner)s)
"""
DURABLE = """
  AND EXISTS (SELECT FROM checkpoints c WHERE c.thread_id = %(thread_id)s
    AND c.checkpoint_ns = %(parent_ns)s AND c.checkpoint_id = %(checkpoint_id)s)
"""
AND_TELL = " RETURNING e.native_key"
RECLAIM_GUARDED, RECLAIM_FREE = RECLAIM + DURABLE + AND_TELL, RECLAIM + AND_TELL
RENEW_GUARDED, RENEW_FREE = RENEW + DURABLE + AND_TELL, RENEW + AND_TELL


def reclaim(wanted: Wanted, seen: Effect) -> Statement[str | None]:
    """Carry out a known effect again: its native key, or None if it changed or is not durable."""
    if seen.expired:
        sql = RENEW_GUARDED if wanted.barrier else RENEW_FREE
    else:
        sql = RECLAIM_GUARDED if wanted.barrier else RECLAIM_FREE
    params = {name: column[0] for name, column in columns(wanted).items()}
    params["version"] = seen.version
    return Statement(sql, params, lambda rows: rows[0][0] if rows else None, repeatable=True)


# -------------------------------------------------------------------------------- settle
# synchronous_commit=off: a completion that a crash loses leaves the effect claimed by a
# dead owner, which is in doubt, never a duplicate. The owner token fences zombies.
SETTLE = """
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
asked AS (
  SELECT a.* FROM relaxed, unnest(
    %(key)s::bytea[], %(owner)s::uuid[], %(state)s::text[], %(outcome_type)s::text[],
    %(outcome)s::bytea[], %(error)s::text[], %(tries)s::int[], %(paused_task)s::text[],
    %(paused_slot)s::int[]
  ) WITH ORDINALITY AS a (
    key, owner, state, outcome_type, outcome, error, tries, paused_task, paused_slot, n)
  LIMIT cardinality(%(key)s::bytea[])
),
settled AS (
  UPDATE lg_production.effects e SET
    state = a.state, version = e.version + 1, attempt = e.attempt + a.tries - 1,
    outcome_type = a.outcome_type, outcome = a.outcome, error = a.error, updated_at = now(),
    doubt_since = CASE WHEN a.state = 'in_doubt' THEN coalesce(e.doubt_since, now()) END,
    fingerprint = CASE WHEN a.state NOT IN ('ready', 'failed_retryable') THEN e.fingerprint END,
    paused_task = a.paused_task, paused_slot = a.paused_slot
  FROM asked a
  WHERE e.key = a.key AND e.owner = a.owner AND e.state IN ('claimed', 'in_doubt')
  RETURNING a.n
)
SELECT a.n, s.n IS NOT NULL FROM asked a LEFT JOIN settled s ON s.n = a.n
"""


def settle(
    effect: Effect,
    state: State,
    *,
    outcome: Encoded | None = None,
    error: str | None = None,
    tries: int = 1,
    paused: tuple[str | None, int] | None = None,
) -> Statement[bool]:
    """Record how it went. False if the effect is no longer this owner's: it was fenced."""
    params = outcome_columns(effect, state, outcome, error, tries, paused)
    return Statement(SETTLE, params, lambda rows: bool(rows[0][1]), shared=True, repeatable=True)


def release(wanted: Sequence[Wanted]) -> Statement[None]:
    """Give back effects that were claimed and will not be carried out now."""
    params = merged([outcome_columns(fresh(w), "ready") for w in wanted])
    return Statement(SETTLE, params, lambda _: None, shared=True, repeatable=True)


def outcome_columns(
    effect: Effect,
    state: State,
    outcome: Encoded | None = None,
    error: str | None = None,
    tries: int = 1,
    paused: tuple[str | None, int] | None = None,
) -> dict[str, list[Any]]:
    """How one effect went, as columns."""
    return {
        "key": [effect.key],
        "owner": [effect.owner],
        "state": [state],
        "outcome_type": [outcome.kind if outcome else None],
        "outcome": [outcome.data if outcome else None],
        "error": [error],
        "tries": [tries],
        "paused_task": [paused[0] if paused else None],
        "paused_slot": [paused[1] if paused else None],
    }


# ---------------------------------------------------------------------------------- doubt
# The owner token stays: a zombie that comes back with proof settles its own doubt.
DOUBT = """
UPDATE lg_production.effects e
SET state = 'in_doubt', version = e.version + 1, doubt_since = now(), updated_at = now()
WHERE e.key = %(key)s AND e.version = %(version)s AND e.state = 'claimed'
"""


def doubt(effect: Effect) -> Statement[None]:
    """The owner is gone and nobody knows what it did. Does nothing if the effect has moved on."""
    params = {"key": effect.key, "version": effect.version}
    return Statement(DOUBT, params, lambda _: None, repeatable=True)


SETTLE_DOUBT = """
UPDATE lg_production.effects e
SET state = %(state)s, version = e.version + 1, owner = NULL, doubt_since = NULL,
    outcome_type = %(outcome_type)s, outcome = %(outcome)s, updated_at = now()
WHERE e.key = %(key)s AND e.version = %(version)s AND e.state = 'in_doubt'
"""


def settle_doubt(effect: Effect, state: State, outcome: Encoded | None) -> Statement[None]:
    """The provider told how it went. Does nothing if the effect has moved on."""
    params = {
        "key": effect.key,
        "version": effect.version,
        "state": state,
        "outcome_type": outcome.kind if outcome else None,
        "outcome": outcome.data if outcome else None,
    }
    return Statement(SETTLE_DOUBT, params, lambda _: None, repeatable=True)


SECRET = Statement(
    "SELECT value FROM lg_production.secrets WHERE name = 'native_key'",
    {},
    lambda rows: str(rows[0][0]),
    repeatable=True,
)
