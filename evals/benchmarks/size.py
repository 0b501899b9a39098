"""What a ledger weighs, and whether its size slows it down."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from lg_production import Checkpointer, Database

from .contenders import Ours, make_durable, sibling
from .measure import Figure, blocks, figure, rounds

FILL = """
INSERT INTO lg_production.effects (
  key, tenant, tool, tool_version, recovery, state, fingerprint, native_key, owner, worker,
  lease_until, thread_id, tool_call_id, arguments, evidence, outcome_type, outcome)
SELECT sha256(n::text::bytea), 'default', 'book', '1', 'surface', 'succeeded',
  sha256(n::text::bytea), md5(n::text) || md5(n::text), gen_random_uuid(), 1, now(),
  'thread-' || n / 20, 'call_' || n, '{"order": "1"}', '{"task_id": "x"}', 'msgpack',
  convert_to(repeat('x', 150), 'UTF8')
FROM generate_series(%s::bigint, %s::bigint) n
"""
CHUNK = 200_000


def weight(ours: Ours, effects: int) -> Iterator[Figure]:
    """Memory of the process and bytes of the table for 10,000 effects; and HOT updates."""
    section = "10,000 effects"
    with ours.database.connection() as connection:
        connection.execute("VACUUM ANALYZE lg_production.effects")
        connection.execute("SELECT pg_stat_reset_single_table_counters(%s::regclass)", [TABLE])
        rows, table, indexes = _bytes(connection)
    memory = _resident()
    for _ in range(effects):
        ours.effect()
    gc.collect()
    grown = (_resident() - memory) * 10_000 / effects
    with ours.database.connection() as connection:
        rows2, table2, indexes2 = _bytes(connection)
        hot, updates = _hot(connection)
    new = rows2 - rows
    yield figure(section, "memory of the process grows by", [grown / 2**20], unit="MiB")
    yield figure(section, "rows", [10_000 * new / effects], unit="rows")
    yield figure(section, "table", [(table2 - table) / new], unit="B/effect")
    yield figure(section, "indexes", [(indexes2 - indexes) / new], unit="B/effect")
    yield figure(
        section, "completions that touch no index (HOT)", [hot / max(updates, 1)],
        unit="share", kind="at_least", target=0.95,
    )  # fmt: skip


TABLE = "lg_production.effects"


def _bytes(connection: psycopg.Connection[Any]) -> tuple[int, int, int]:
    found = connection.execute(
        "SELECT (SELECT count(*) FROM lg_production.effects), pg_table_size(%s::regclass), "
        "pg_indexes_size(%s::regclass)",
        [TABLE, TABLE],
    ).fetchone()
    assert found is not None
    return found[0], found[1], found[2]


def _hot(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    connection.execute("SELECT pg_stat_force_next_flush()")
    found = connection.execute(
        "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relid = %s::regclass",
        [TABLE],
    ).fetchone()
    assert found is not None
    return found[0], found[1]


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def growth(url: str, rows: int, count: int, say: Callable[[str], object]) -> Iterator[Figure]:
    """A new effect in a ledger with many rows, and in one without statistics yet."""
    section = "a new effect in a full ledger, latency"
    small, large, young = (ledger(url, name) for name in ("small", "large", "young"))
    for full in (small, large, young):
        # A plan that a prepared statement makes of the empty table is kept, until ANALYZE.
        for _ in range(40):
            full.one()
    for full, filled in ((small, 10_000), (large, rows), (young, 20_000)):
        _fill(full, filled, say, analyse=full is not young)
    samples = rounds({"small": small.one, "large": large.one, "young": young.one}, count, warm=20)
    base = [1e3 * s for s in samples["small"]]
    yield figure(section, "10,000 rows", base, unit="ms", note="1.00")
    for name, label in (
        ("large", f"{rows:,} rows"),
        ("young", "20,000 rows, not analysed yet"),
    ):
        pairs = zip(blocks(samples["small"], 25), blocks(samples[name], 25), strict=True)
        values = [late / early for early, late in pairs]
        yield figure(section, label, values, kind="at_most", target=1.15)
    for full in (small, large, young):
        full.close()


def ledger(url: str, name: str) -> Ours:
    """A database with an empty ledger, and us in it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with Database(sibling(url, name), max_connections=2) as database:
        database.migrate()
        Checkpointer(database).setup()
        make_durable(database)
        with database.connection() as connection:
            # What autovacuum does a minute later must not depend on when the run began.
            connection.execute("ALTER TABLE lg_production.effects SET (autovacuum_enabled = off)")
    return Ours(sibling(url, name))


def _fill(full: Ours, rows: int, say: Callable[[str], object], *, analyse: bool) -> None:
    with full.database.connection() as connection:
        for start in range(1, rows + 1, CHUNK):
            connection.execute(FILL, (start, min(rows, start + CHUNK - 1)))
            if rows > CHUNK:
                say(f"filling the ledger: {start + CHUNK - 1:,} of {rows:,} rows")
        if analyse:
            connection.execute("VACUUM ANALYZE lg_production.effects")
        connection.execute("CHECKPOINT")
