"""What is stopped, by whom and why: pure functions that return Statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.steps import Row, Statement, Steps
from .ledger import clean

KINDS = ("thread", "agent", "tenant", "tool")

SEEN = " s.id, s.scope, s.stopped_by, s.reason, s.stopped_at "
STANDING = "SELECT " + SEEN + "FROM lg_production.stops s WHERE s.lifted_at IS NULL ORDER BY s.id"
PRESS = (
    """
WITH pressed AS (
  INSERT INTO lg_production.stops (scope, stopped_by, reason)
  VALUES (%(scope)s, %(by)s, %(reason)s)
  ON CONFLICT (scope) WHERE lifted_at IS NULL DO NOTHING
  RETURNING *
)
SELECT """
    + SEEN
    + "FROM pressed s UNION ALL SELECT "
    + SEEN
    + "FROM lg_production.stops s WHERE s.scope = %(scope)s AND s.lifted_at IS NULL"
)
LIFT = (
    """
UPDATE lg_production.stops s SET lifted_at = clock_timestamp(), lifted_by = %(by)s
WHERE s.scope = %(scope)s AND s.lifted_at IS NULL RETURNING """
    + SEEN
)


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop that stands. `scope` is `all`, or a kind and a name: `thread:7`, `agent:booking`."""

    id: int
    scope: str
    stopped_by: str
    reason: str
    stopped_at: datetime


def standing() -> Statement[tuple[Stop, ...]]:
    """All that is stopped now."""
    return Statement(STANDING, {}, stops, repeatable=True)


def press(scope: str, *, by: str, reason: str) -> Steps[Stop]:
    """Stop this, and answer the stop that stands: the first one, if there was one."""
    params = {"scope": scope_of(scope), "by": clean(by), "reason": clean(reason)}
    found: tuple[Stop, ...] = ()
    # A stop that another transaction writes meanwhile is neither inserted nor seen: once more.
    while not found:
        found = yield from Statement(PRESS, params, stops, repeatable=True)
    return found[0]


def lift(scope: str, *, by: str) -> Statement[tuple[Stop, ...]]:
    """Let this go on: the stop that stood, or nothing."""
    params = {"scope": scope_of(scope), "by": clean(by)}
    return Statement(LIFT, params, stops, repeatable=True)


def stops(rows: Sequence[Row]) -> tuple[Stop, ...]:
    """Rows as they are."""
    return tuple(Stop(*row) for row in rows)


def scope_of(text: str) -> str:
    """A scope, in one spelling. Raises `ValueError` for one that would stop nothing."""
    kind, colon, name = clean(text).partition(":")
    if text == "all" or (colon and kind in KINDS and name):
        return clean(text)
    raise ValueError(f"{text!r} is no scope: write all, or thread:…, agent:…, tenant:… or tool:…")
