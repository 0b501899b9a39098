"""The database: typed errors, recovery, one schema."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import psycopg
import pytest

from lg_production import Database
from lg_production.core import schema
from lg_production.core.steps import Statement
from lg_production.errors import DatabaseUnavailable, PoolExhausted, SchemaOutdated

ONE = Statement("SELECT 1", {}, lambda rows: rows[0][0], repeatable=True)
ONCE = Statement("SELECT 1", {}, lambda rows: rows[0][0])


def test_a_statement_answers_sync_and_async(database):
    """execute and aexecute read the same rows."""

    async def both():
        return await asyncio.gather(database.aexecute(ONE), database.aexecute(ONCE))

    assert [1, 1] == asyncio.run(both())
    assert 1 == database.execute(ONE)


def test_migrating_twice_does_nothing(database):
    """A second migrate() leaves the schema as it was."""
    count = Statement("SELECT count(*) FROM lg_production.migrations", {}, lambda rows: rows[0][0])
    before = database.execute(count)

    database.migrate()

    assert before == database.execute(count)


def test_many_processes_may_migrate_at_once(server_url, template):
    """The advisory lock lets one migration through at a time."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE raced")
    url = server_url.replace("/postgres?", "/raced?")
    databases = [Database(url, max_connections=2) for _ in range(4)]
    threads = [threading.Thread(target=d.migrate) for d in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] * 4 == [d.execute(ONE) for d in databases]

    for each in databases:
        each.close()


def test_an_unmigrated_database_says_what_to_do(server_url):
    """A schema older than the code is a typed error with the remedy."""
    with Database(server_url) as database, pytest.raises(SchemaOutdated, match=r"migrate\(\)"):
        database.execute(ONE)


def test_a_newer_schema_says_what_to_do(database):
    """A schema newer than the code is refused before a statement meets it."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("INSERT INTO lg_production.migrations (name) VALUES ('9999_future.sql')")

    with pytest.raises(SchemaOutdated, match="upgrade lg_production"):
        database.execute(ONE)


def test_a_server_that_is_not_there_is_a_typed_error_without_the_password():
    """DatabaseUnavailable names the trouble and never the password."""
    url = "postgresql://me:hunter2@127.0.0.1:1/none"
    with (
        Database(url, timeout=timedelta(seconds=0.2)) as database,
        pytest.raises(DatabaseUnavailable) as caught,
    ):
        database.execute(ONE)

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(database)


def test_a_url_that_is_none_is_a_typed_error():
    """A malformed URL is refused at construction."""
    with pytest.raises(DatabaseUnavailable, match="postgresql://"):
        Database("not a url")


def test_a_full_pool_is_a_typed_error(database_url):
    """PoolExhausted, with the number to raise."""
    with (
        Database(database_url, max_connections=1, timeout=timedelta(seconds=0.3)) as database,
        database.connection(),
        pytest.raises(PoolExhausted, match="max_connections=1"),
        database.connection(),
    ):
        pass


def test_a_terminated_backend_is_survived_by_a_repeatable_statement(database):
    """A lost connection is replaced, and the statement is sent again."""
    database.execute(ONE)
    kill_others(database.url)

    assert 1 == database.execute(ONE)


def test_a_closed_database_says_so(database_url):
    """After close() a statement is refused with a typed error."""
    database = Database(database_url)
    database.execute(ONE)
    database.close()

    with pytest.raises(DatabaseUnavailable, match="closed"):
        database.execute(ONE)


def test_a_transaction_that_fails_leaves_nothing(database):
    """What the block raises passes through, and the rows are gone."""
    with pytest.raises(KeyError), database.transaction() as transaction:
        transaction.connection.execute("CREATE TABLE left_over ()")
        raise KeyError

    with database.connection() as connection:
        row = connection.execute("SELECT to_regclass('left_over')").fetchone()
    assert (None,) == row


def kill_others(url):
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("is_async", [False, True])
def test_a_connection_that_dies_while_the_schema_is_looked_at_is_replaced(
    database_url, monkeypatch, is_async
):
    """The look at the schema is as repeatable as any statement that only reads."""
    look, seen = schema.problem, []

    def killed(connection):
        seen.append(connection)
        if len(seen) == 1:
            kill_others(database_url)
        return look(connection)

    monkeypatch.setattr(schema, "problem", killed)
    with Database(database_url, max_connections=2) as database:
        answer = asyncio.run(database.aexecute(ONCE)) if is_async else database.execute(ONCE)

    assert (1, 2) == (answer, len(seen))


def test_a_connection_that_died_before_a_migration_is_replaced(database_url):
    """A migration is one transaction, and may be begun again."""
    with Database(database_url, max_connections=2) as database:
        database.pool.wait()
        kill_others(database_url)

        database.migrate()

        assert 1 == database.execute(ONE)


def test_a_migration_without_a_server_is_a_typed_error():
    """As every statement is."""
    url = "postgresql://127.0.0.1:1/none"
    with (
        Database(url, timeout=timedelta(seconds=0.2)) as database,
        pytest.raises(DatabaseUnavailable),
    ):
        database.migrate()


def test_a_connection_that_died_before_the_first_statement_is_replaced(database_url):
    """The pool may open long before anybody asks for anything."""
    with Database(database_url, max_connections=2) as database:
        database.pool.wait()
        kill_others(database_url)

        assert 1 == database.execute(ONE)
