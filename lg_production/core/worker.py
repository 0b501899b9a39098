"""Tells other workers, within milliseconds, that this process has died.

A session-level advisory lock lives exactly as long as the connection that holds it, and
the connection dies with the process. Behind a transaction pooler a session is not ours
to keep: then `id` is None, and a lease is all that others can go by.
"""

from __future__ import annotations

import os
import random
import select
import threading
import time
from contextlib import suppress
from typing import Any

import psycopg

from ..errors import DatabaseUnavailable

LOCK_CLASS = 0x6C67  # "lg": the first half of the two-part advisory key


class Worker:
    """This process, as the other workers see it. Holds one connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._pid = 0
        self._id: int | None = None
        self._watcher: threading.Thread | None = None

    @property
    def id(self) -> int | None:
        """The lock that proves this process alive, taken on first use; None behind a pooler."""
        if self._pid != os.getpid() or (self._connection is None and self._id is not None):
            self._take()
        return self._id

    def renew(self) -> None:
        """Take the lock again if the connection was lost. Cheap when all is well."""
        if self._pid == os.getpid():
            self._take()

    def _take(self) -> None:
        with self._lock:
            if self._pid == os.getpid() and self._alive():
                return
            if self._pid != os.getpid():
                # After a fork the parent's socket is not ours to close or to use.
                self._connection, self._pid, self._watcher = None, os.getpid(), None
                self._id = random.SystemRandom().randrange(1, 2**31)
            try:
                self._connection = self._connect()
            except psycopg.OperationalError:
                # The id stays: what this process has claimed names it.
                self._connection = None
                raise DatabaseUnavailable from None
            if self._watcher is None or not self._watcher.is_alive():
                name = "lg_production-worker"
                self._watcher = threading.Thread(target=self._watch, name=name, daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        """Take the lock again at once when the server drops the connection: we are not dead."""
        while self._pid == os.getpid() and self._id is not None:
            with suppress(OSError, ValueError, psycopg.Error):
                connection = self._connection
                if connection and not select.select([connection.fileno()], [], [], 0.5)[0]:
                    continue
            try:
                self.renew()
            except DatabaseUnavailable:
                time.sleep(0.1)

    def _alive(self) -> bool:
        if self._connection is None:
            return self._id is None
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection[Any] | None:
        connection = psycopg.connect(self._url, autocommit=True, application_name="lg_production")
        found = connection.execute("SELECT pg_backend_pid()").fetchone()
        if not found or found[0] != connection.info.backend_pid:
            # A pooler stands between us and the server.
            connection.close()
            self._id = None
            return None
        # The server notices a host that lost its power in 30 s, not in two hours.
        connection.execute("SET tcp_keepalives_idle = 10")
        connection.execute("SET tcp_keepalives_interval = 5")
        connection.execute("SET tcp_keepalives_count = 4")
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, self._id))
        return connection

    def close(self) -> None:
        """Let go: from now on this process counts as gone."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection, self._pid = None, 0
