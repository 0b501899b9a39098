"""One embedded PostgreSQL a session; a fresh copy of a migrated template a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from typing import LiteralString

import hypothesis
import psycopg
import pytest
from psycopg import sql

from lg_production import Checkpointer, Database
from lg_production.core.embedded import embedded_server

NUMBERS = count()
hypothesis.settings.register_profile("no_clock", deadline=None)
hypothesis.settings.load_profile("no_clock")
os.environ["COLUMNS"] = "200"  # what a terminal prints is not cut, whoever runs the tests

NO_DISK: tuple[LiteralString, ...] = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "SELECT pg_reload_conf()",
)
"""No test pulls the server's plug: the processes that are killed are its clients."""


def url_of(server_url: str, name: str) -> str:
    return server_url.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of the session's server, database `postgres`."""
    with embedded_server() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for faster in NO_DISK:
                connection.execute(faster)
        yield url


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """A database with our schema and LangGraph's tables, to be copied."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    with Database(url_of(server_url, "migrated"), max_connections=2) as database:
        database.migrate()
        Checkpointer(database).setup()
    return "migrated"


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """The URL of a fresh migrated database."""
    name = f"test_{next(NUMBERS)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        yield url_of(server_url, name)
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        connection.execute(drop.format(sql.Identifier(name)))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh migrated database."""
    with Database(database_url, max_connections=8) as database:
        yield database
