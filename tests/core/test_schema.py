"""Migrations are replayed and compared, not trusted."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import resources
from pathlib import Path
from uuid import uuid4

import psycopg

from lg_production.cost.ledger import Asked, reserve
from lg_production.cost.scopes import Line
from lg_production.cost.settlement import Spent, settle
from lg_production.idempotency.ledger import Wanted, claim

DUMP = Path(__file__).parent / "schema.txt"
COLUMNS = """
SELECT table_name || '.' || column_name || ' ' || data_type ||
  CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END || coalesce(' = ' || column_default, '')
FROM information_schema.columns WHERE table_schema = 'lg_production'
ORDER BY table_name, ordinal_position
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'lg_production' ORDER BY indexname"
CHECKS = """
SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'lg_production'::regnamespace AND contype <> 'n' ORDER BY 1
"""
FUNCTIONS = """
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'lg_production'::regnamespace ORDER BY proname
"""


def dump(url: str) -> str:
    """The schema as text, the same on every version of PostgreSQL we support."""
    with psycopg.connect(url) as connection:
        rows = [r[0] for q in (COLUMNS, INDEXES, CHECKS, FUNCTIONS) for r in connection.execute(q)]
    return "\n".join(rows) + "\n"


def test_the_migrations_make_the_schema_that_is_checked_in(database_url):
    """A change of the schema shows in the diff of tests/core/schema.txt."""
    assert DUMP.read_text() == dump(database_url)


def test_migrations_are_numbered_without_gaps():
    """0001_name.sql, 0002_name.sql, and so on."""
    folder = resources.files("lg_production.core").joinpath("migrations")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))

    assert [f"{n:04}" for n in range(1, len(names) + 1)] == [name[:4] for name in names]
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for name in names)


def test_a_claim_finds_its_rows_by_key_whatever_the_planner_knows(database):
    """The plan of a young, never analysed table must still be the right one when it has grown."""
    wanted = Wanted(
        b"k" * 32, "t", "book", "1", "surface", b"f", "n", uuid4(), None, timedelta(1), None,
        False, "c", "{}", "{}", None,
    )  # fmt: skip

    assert "Seq Scan on effects" not in plan(database, claim([wanted]))


def test_a_reservation_finds_its_rows_by_key_whatever_the_planner_knows(database):
    """The same for the budgets of a call and the reservations of a batch."""
    line = Line("t", "task:x", None, "UTC", "steps", 5, (50,), 1)
    asked = Asked(b"k" * 32, b"f", uuid4(), None, timedelta(1), [line])
    plans = [plan(database, s) for s in (reserve(asked), settle([Spent(b"k" * 32, "settled", {})]))]

    assert [] == [p for p in plans if "Seq Scan on budgets" in p or "Seq Scan on reserv" in p]


def plan(database, statement):
    """The plan that serves every later call of a prepared statement."""
    sql = statement.sql
    for number, name in enumerate(statement.params, 1):
        sql = sql.replace(f"%({name})s", f"${number}")
    arrays = ", ".join("'{}'" for _ in statement.params)
    with psycopg.connect(database.url) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute("PREPARE statement AS " + sql)
        rows = connection.execute(f"EXPLAIN EXECUTE statement ({arrays})")
        return "\n".join(row[0] for row in rows)
