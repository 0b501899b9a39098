"""A connection under a thread that uses it can be cut."""

from __future__ import annotations

import threading

import psycopg
import pytest

from lg_production.core.database import cut


def test_a_connection_that_is_cut_lets_its_thread_go(database_url):
    """Whoever waits for an answer on it hears that there will be none."""
    heard = []

    def wait(connection):
        with pytest.raises(psycopg.OperationalError) as error:
            connection.execute("SELECT pg_sleep(60)")
        heard.append(error)

    with psycopg.connect(database_url) as connection:
        thread = threading.Thread(target=wait, args=(connection,))
        thread.start()
        while connection.info.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
            pass
        cut(connection)
        thread.join(30)

    assert 1 == len(heard)
