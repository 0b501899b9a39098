"""Numbered `.sql` files, applied once each, in order, by one process at a time."""

from __future__ import annotations

from importlib import resources
from typing import Any

import psycopg

LOCK = 0x6C675F70  # "lg_p": one migration at a time
CREATE = """
CREATE SCHEMA IF NOT EXISTS lg_production;
CREATE TABLE IF NOT EXISTS lg_production.migrations (
  name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
"""


def known() -> dict[str, str]:
    """The migrations this version brings, by file name, in order."""
    folder = resources.files(__package__).joinpath("migrations")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return {name: folder.joinpath(name).read_text() for name in names}


def migrate(connection: psycopg.Connection[Any]) -> None:
    """Apply what is missing, inside the caller's transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    connection.execute(CREATE)
    applied = _applied(connection)
    for name, sql in known().items():
        if name not in applied:
            connection.execute(sql.encode())  # it ships with the package
            connection.execute("INSERT INTO lg_production.migrations (name) VALUES (%s)", (name,))


def problem(connection: psycopg.Connection[Any]) -> str | None:
    """What is wrong with the schema and what to do about it, or None."""
    found = connection.execute("SELECT to_regclass('lg_production.migrations')::text").fetchone()
    applied = _applied(connection) if found and found[0] else set()
    if missing := sorted(known().keys() - applied):
        return (
            f"The database lacks {missing[0]}: call database.migrate(), "
            "or run `lg-production migrate`."
        )
    if unknown := sorted(applied - known().keys()):
        return f"The database has {unknown[-1]}, which is newer: upgrade lg_production."
    return None


def _applied(connection: psycopg.Connection[Any]) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM lg_production.migrations")}
