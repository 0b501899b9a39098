"""The ledger of circuits: what fails too often, since when, and who may try again.

    closed    -> open         a failure brought the rate of the window to the policy's
    open      -> half_open    its interval is over, and one worker took the probe
    half_open -> closed       enough probes succeeded
              -> open         a probe failed: for longer than before

Asking only reads. An outcome is written only while the circuit is as it was when the call
began: `version` fences what comes late. All writes have synchronous_commit off: a crash of the
server can lose the counts of its last fraction of a second, and they are learnt again. The
clock is the database's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

from ..core.steps import Row, Statement
from .breaker_policy import BreakerPolicy, Outcome

State: TypeAlias = Literal["closed", "open", "half_open"]


class Circuit(NamedTuple):
    """What may break: `tool:search` or `model:openai/gpt-4o` of a tenant."""

    tenant: str
    dependency: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a circuit stands. `wait`: seconds until a probe may be taken, 0 if one may be now."""

    state: State
    version: int
    wait: float = 0.0


def _one(circuit: Circuit, **values: Any) -> dict[str, list[Any]]:
    """The columns of one row."""
    named = {"tenant": circuit.tenant, "dependency": circuit.dependency, **values}
    return {name: [value] for name, value in named.items()}


# ---------------------------------------------------------------------------------- asking
STANDING = """
SELECT a.n, c.state, c.version, CASE c.state
  WHEN 'open' THEN greatest(0, extract(epoch FROM c.retry_at - clock_timestamp()))
  WHEN 'half_open' THEN CASE
    WHEN c.probe_owner IS NULL OR lg_production.has_died(c.probe_worker) THEN 0
    ELSE greatest(0, extract(epoch FROM c.probe_until - clock_timestamp())) END
  ELSE 0 END::float8
FROM unnest(%(tenant)s::text[], %(dependency)s::text[])
  WITH ORDINALITY AS a (tenant, dependency, n)
LEFT JOIN lg_production.circuits c ON c.tenant = a.tenant AND c.dependency = a.dependency
LIMIT cardinality(%(tenant)s::text[])
"""


def standing(circuit: Circuit) -> Statement[Standing]:
    """How it stands. Nothing is written or locked."""

    def read(rows: Sequence[Row]) -> Standing:
        _, state, version, wait = rows[0]
        return Standing(state, version, wait) if state else Standing("closed", 0)

    return Statement(STANDING, _one(circuit), read, shared=True, repeatable=True)


TAKE = """
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
asked AS MATERIALIZED (
  SELECT a.* FROM relaxed, unnest(
    %(tenant)s::text[], %(dependency)s::text[], %(owner)s::uuid[], %(worker)s::int[],
    %(lease)s::float8[]
  ) WITH ORDINALITY AS a (tenant, dependency, owner, worker, lease, n)
  LIMIT cardinality(%(tenant)s::text[])
),
first AS MATERIALIZED (
  SELECT DISTINCT ON (a.tenant, a.dependency) a.* FROM asked a ORDER BY a.tenant, a.dependency, a.n
),
free AS MATERIALIZED (
  SELECT c.tenant, c.dependency, c.state, f.owner, f.worker, f.lease, f.n
  FROM lg_production.circuits c
  JOIN first f ON f.tenant = c.tenant AND f.dependency = c.dependency
  WHERE CASE c.state
    WHEN 'open' THEN c.retry_at <= clock_timestamp()
    WHEN 'half_open' THEN c.probe_owner IS NULL OR c.probe_owner = f.owner
      OR c.probe_until <= clock_timestamp() OR lg_production.has_died(c.probe_worker)
    ELSE false END
  ORDER BY c.tenant, c.dependency FOR UPDATE OF c
),
taken AS (
  UPDATE lg_production.circuits c
  SET state = 'half_open', retry_at = NULL,
    version = c.version + (f.state = 'open')::int,
    successes = CASE WHEN f.state = 'open' THEN 0 ELSE c.successes END,
    changed_at = CASE WHEN f.state = 'open' THEN clock_timestamp() ELSE c.changed_at END,
    probe_owner = f.owner, probe_worker = f.worker,
    probe_until = clock_timestamp() + f.lease * interval '1 second'
  FROM free f WHERE c.tenant = f.tenant AND c.dependency = f.dependency
  RETURNING f.n, f.state AS was
)
SELECT a.n, t.was FROM asked a LEFT JOIN taken t ON t.n = a.n
"""


def take(
    circuit: Circuit, policy: BreakerPolicy, owner: UUID, worker: int | None
) -> Statement[Literal["open", "half_open"] | None]:
    """Take the probe: the state it was taken in, or None if another worker has it."""
    values = _one(circuit, owner=owner, worker=worker, lease=policy.lease.total_seconds())
    return Statement(TAKE, values, lambda rows: rows[0][1], shared=True, repeatable=True)


# --------------------------------------------------------------------------------- counting
@dataclass(frozen=True, slots=True)
class Tally:
    """Calls that ended `age` seconds ago, admitted when the circuit had this version."""

    version: int
    calls: int
    failures: int
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Counted:
    """What counting made of a circuit. `opened`: this statement did, and says so.

    `standing` is None where the outcome came too late to count, or there is no such row yet.
    """

    standing: Standing | None
    missing: bool = False
    opened: bool = False
    trips: int = 0
    calls: int = 0
    failures: int = 0


INTERVAL = """least(b.most, b.initial * b.factor ^ least(c.trips, 100)) * interval '1 second'"""
COUNT = (
    """
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
told AS MATERIALIZED (
  SELECT a.* FROM relaxed, unnest(
    %(tenant)s::text[], %(dependency)s::text[], %(version)s::int[], %(calls)s::int[],
    %(failures)s::int[], %(age)s::float8[], %(rate)s::float8[], %(minimum)s::int[],
    %(width)s::float8[], %(initial)s::float8[], %(factor)s::float8[], %(most)s::float8[]
  ) WITH ORDINALITY AS a (
    tenant, dependency, version, calls, failures, age, rate, minimum, width, initial, factor,
    most, n)
  LIMIT cardinality(%(tenant)s::text[])
),
locked AS MATERIALIZED (
  SELECT c.tenant, c.dependency, c.version, c.started_at, c.calls, c.failures
  FROM lg_production.circuits c
  WHERE c.state = 'closed' AND (c.tenant, c.dependency, c.version) IN (
    SELECT t.tenant, t.dependency, t.version FROM told t)
  ORDER BY c.tenant, c.dependency FOR UPDATE
),
terms AS MATERIALIZED (
  SELECT DISTINCT ON (t.tenant, t.dependency) t.* FROM told t
  ORDER BY t.tenant, t.dependency, t.n DESC
),
aged AS MATERIALIZED (
  SELECT l.*, p.width, least(10, x.tenths)::int AS passed,
    x.tenths * p.width AS moved, x.seconds - x.tenths * p.width AS elapsed
  FROM locked l JOIN terms p ON p.tenant = l.tenant AND p.dependency = l.dependency,
    LATERAL (SELECT greatest(0, extract(epoch FROM now() - l.started_at))::float8) y (seconds),
    LATERAL (SELECT y.seconds, floor(y.seconds / p.width)) x (seconds, tenths)
),
tenths AS MATERIALIZED (
  SELECT a.tenant, a.dependency, i, min(t.n) AS n, coalesce(sum(t.failures), 0) AS fresh,
    coalesce(a.calls[i - a.passed], 0) + coalesce(sum(t.calls), 0) AS calls,
    coalesce(a.failures[i - a.passed], 0) + coalesce(sum(t.failures), 0) AS failures
  FROM aged a CROSS JOIN generate_series(1, 10) i
  LEFT JOIN told t ON t.tenant = a.tenant AND t.dependency = a.dependency
    AND t.version = a.version
    AND i = 1 + greatest(0, ceil((t.age - a.elapsed) / a.width))
  GROUP BY a.tenant, a.dependency, i, a.passed, a.calls, a.failures
),
sums AS MATERIALIZED (
  SELECT s.tenant, s.dependency, min(s.n) AS n, array_agg(s.calls::int ORDER BY i) AS by_calls,
    array_agg(s.failures::int ORDER BY i) AS by_failures, sum(s.calls)::int AS calls,
    sum(s.failures)::int AS failures, sum(s.fresh) > 0 AS fresh
  FROM tenths s GROUP BY s.tenant, s.dependency
),
broken AS MATERIALIZED (
  SELECT s.*, p.width, p.initial, p.factor, p.most, a.moved,
    s.fresh AND s.calls >= p.minimum AND s.failures::float8 / nullif(s.calls, 0) >= p.rate AS opens
  FROM sums s JOIN terms p ON p.tenant = s.tenant AND p.dependency = s.dependency
  JOIN aged a ON a.tenant = s.tenant AND a.dependency = s.dependency
),
changed AS (
  UPDATE lg_production.circuits c
  SET calls = b.by_calls, failures = b.by_failures, width = b.width,
    started_at = c.started_at + b.moved * interval '1 second',
    state = CASE WHEN b.opens THEN 'open' ELSE 'closed' END,
    version = c.version + b.opens::int, trips = c.trips + b.opens::int,
    changed_at = CASE WHEN b.opens THEN clock_timestamp() ELSE c.changed_at END,
    retry_at = CASE WHEN b.opens THEN clock_timestamp() + """
    + INTERVAL
    + """ END
  FROM broken b WHERE c.tenant = b.tenant AND c.dependency = b.dependency
  RETURNING c.tenant, c.dependency, c.state, c.version, c.trips, c.retry_at, b.opens, b.calls,
    b.failures, b.n
)
SELECT t.n, k.tenant IS NULL, c.state, c.version,
  coalesce(extract(epoch FROM c.retry_at - clock_timestamp()), 0)::float8,
  coalesce(c.opens AND c.n = t.n, false), c.trips, c.calls, c.failures
FROM told t
LEFT JOIN lg_production.circuits k ON k.tenant = t.tenant AND k.dependency = t.dependency
LEFT JOIN changed c ON c.tenant = t.tenant AND c.dependency = t.dependency
"""
)


def count(circuit: Circuit, policy: BreakerPolicy, tallies: Sequence[Tally]) -> Statement[Counted]:
    """Count calls that ended, and open the circuit if that is due. Only a failure opens it.

    Running it twice would count twice: it is not repeatable.
    """
    same = {
        "tenant": circuit.tenant,
        "dependency": circuit.dependency,
        "rate": policy.failure_rate,
        "minimum": policy.minimum_calls,
        "width": policy.window.total_seconds() / 10,
        **_intervals(policy),
    }
    columns: dict[str, list[Any]] = {name: [value] * len(tallies) for name, value in same.items()}
    for name in ("version", "calls", "failures", "age"):
        columns[name] = [getattr(tally, name) for tally in tallies]

    def read(rows: Sequence[Row]) -> Counted:
        missing, counted = rows[0][1], [row for row in rows if row[2] is not None]
        if not counted:
            return Counted(None, missing)
        _, _, state, version, wait, _, trips, calls, failures = counted[0]
        opened = any(row[5] for row in counted)
        return Counted(Standing(state, version, wait), False, opened, trips, calls, failures)

    return Statement(COUNT, columns, read, shared=True)


CREATE = """
INSERT INTO lg_production.circuits (tenant, dependency, width)
VALUES (%(tenant)s, %(dependency)s, %(width)s) ON CONFLICT DO NOTHING
"""


def create(circuit: Circuit, policy: BreakerPolicy) -> Statement[None]:
    """Make the row of a circuit that nothing was counted on before."""
    values = {**circuit._asdict(), "width": policy.window.total_seconds() / 10}
    return Statement(CREATE, values, lambda _: None, repeatable=True)


# ----------------------------------------------------------------------------------- probes
END_PROBE = (
    """
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
told AS MATERIALIZED (
  SELECT a.* FROM relaxed, unnest(
    %(tenant)s::text[], %(dependency)s::text[], %(owner)s::uuid[], %(outcome)s::text[],
    %(probes)s::int[], %(initial)s::float8[], %(factor)s::float8[], %(most)s::float8[]
  ) WITH ORDINALITY AS a (
    tenant, dependency, owner, outcome, probes, initial, factor, most, n)
  LIMIT cardinality(%(tenant)s::text[])
),
held AS MATERIALIZED (
  SELECT t.*, c.successes + (t.outcome = 'success')::int AS so_many
  FROM lg_production.circuits c
  JOIN told t ON t.tenant = c.tenant AND t.dependency = c.dependency AND t.owner = c.probe_owner
  ORDER BY c.tenant, c.dependency FOR UPDATE OF c
),
ends AS MATERIALIZED (
  SELECT h.*, CASE WHEN h.outcome = 'failure' THEN 'open'
    WHEN h.so_many >= h.probes THEN 'closed' ELSE 'half_open' END AS becomes
  FROM held h
),
ended AS (
  UPDATE lg_production.circuits c
  SET state = b.becomes, successes = b.so_many,
    probe_owner = NULL, probe_worker = NULL, probe_until = NULL,
    version = c.version + (b.becomes <> 'half_open')::int,
    trips = CASE b.becomes WHEN 'closed' THEN 0 WHEN 'open' THEN c.trips + 1 ELSE c.trips END,
    changed_at = CASE b.becomes WHEN 'half_open' THEN c.changed_at ELSE clock_timestamp() END,
    retry_at = CASE b.becomes WHEN 'open' THEN clock_timestamp() + """
    + INTERVAL
    + """ END,
    started_at = CASE b.becomes WHEN 'closed' THEN clock_timestamp() ELSE c.started_at END,
    calls = CASE b.becomes WHEN 'closed' THEN array_fill(0, ARRAY[10]) ELSE c.calls END,
    failures = CASE b.becomes WHEN 'closed' THEN array_fill(0, ARRAY[10]) ELSE c.failures END
  FROM ends b WHERE c.tenant = b.tenant AND c.dependency = b.dependency
  RETURNING b.n, c.state, c.version, c.trips, c.retry_at
)
SELECT t.n, e.state, e.version,
  coalesce(extract(epoch FROM e.retry_at - clock_timestamp()), 0)::float8, e.trips
FROM told t LEFT JOIN ended e ON e.n = t.n
"""
)


def end_probe(
    circuit: Circuit, policy: BreakerPolicy, owner: UUID, outcome: Outcome
) -> Statement[Counted]:
    """Record how a probe went, or give it back with `nothing`. Ours no more: no `standing`."""
    values = _one(
        circuit, owner=owner, outcome=outcome, probes=policy.probes, **_intervals(policy)
    )  # fmt: skip

    def read(rows: Sequence[Row]) -> Counted:
        _, state, version, wait, trips = rows[0]
        return Counted(Standing(state, version, wait), trips=trips) if state else Counted(None)

    return Statement(END_PROBE, values, read, shared=True, repeatable=True)


def _intervals(policy: BreakerPolicy) -> Mapping[str, float]:
    return {
        "initial": policy.initial_interval,
        "factor": policy.backoff_factor,
        "most": policy.max_interval,
    }


# ---------------------------------------------------------------------------------- listing
@dataclass(frozen=True, slots=True)
class Listed:
    """A circuit as people see it. Of one that is not closed: the counts that opened it."""

    tenant: str
    dependency: str
    state: State
    calls: int
    failures: int
    trips: int
    changed_at: datetime
    retry_after: float | None
    probing: bool


CIRCUITS = """
SELECT c.tenant, c.dependency, c.state, t.calls, t.failures, c.trips, c.changed_at,
  greatest(0, extract(epoch FROM c.retry_at - now()))::float8,
  c.probe_owner IS NOT NULL AND c.probe_until > now()
    AND NOT lg_production.has_died(c.probe_worker)
FROM lg_production.circuits c, LATERAL (
  SELECT coalesce(sum(w.calls), 0)::int AS calls, coalesce(sum(w.failures), 0)::int AS failures
  FROM unnest(c.calls, c.failures) WITH ORDINALITY AS w (calls, failures, i)
  WHERE c.state <> 'closed' OR c.started_at > now() - (11 - w.i) * c.width * interval '1 second'
) t
WHERE %(tenant)s::text IS NULL OR c.tenant = %(tenant)s::text
ORDER BY c.state = 'closed', c.tenant, c.dependency
"""


def circuits(tenant: str | None = None) -> Statement[list[Listed]]:
    """All circuits, of all tenants or of one; those that are not closed first."""

    def read(rows: Sequence[Row]) -> list[Listed]:
        return [Listed(*row) for row in rows]

    return Statement(CIRCUITS, {"tenant": tenant}, read, repeatable=True)
