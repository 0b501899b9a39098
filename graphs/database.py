"""The database of the reference graphs. Nothing else of this repository reads DATABASE_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from graphs.processes import kept
from lg_production import Database, embedded_database

EMBEDDED = Path(".lg_production") / "postgres"


@contextmanager
def open_database() -> Iterator[Database]:
    """The database at DATABASE_URL, or an embedded one under `.lg_production/`, migrated."""
    if url := os.environ.get("DATABASE_URL"):
        with Database(url) as database:
            yield database
    else:
        with embedded_database(EMBEDDED) as database:
            database.migrate()
            yield database


@cache
def shared_database() -> Database:
    """This process's database, opened once: Studio asks for the graph at every request."""
    return kept(open_database())
