"""Keeps the leases of effects that are under way, so that a slow tool is not taken for dead."""

from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta
from uuid import UUID
from weakref import WeakKeyDictionary, ref

from ..core.database import Database
from ..core.steps import Statement
from ..errors import LgProductionError
from .ledger import Effect

logger = logging.getLogger("lg_production")

EXTEND = """
UPDATE lg_production.effects e
SET lease_until = clock_timestamp() + %(lease)s * interval '1 second'
WHERE e.key = ANY(%(keys)s::bytea[]) AND e.owner = ANY(%(owners)s::uuid[]) AND e.state = 'claimed'
"""


def extend(held: dict[UUID, bytes], lease: timedelta) -> Statement[None]:
    """Keep the leases of effects that are still under way."""
    params = {
        "keys": list(held.values()),
        "owners": list(held),
        "lease": lease.total_seconds(),
    }
    return Statement(EXTEND, params, lambda _: None, repeatable=True)


KEEP = """
UPDATE lg_production.effects e
SET lease_until = clock_timestamp() + %(lease)s * interval '1 second'
WHERE e.key = %(key)s AND e.owner = %(owner)s AND e.state = 'claimed'
RETURNING true
"""


def keep(effect: Effect, lease: timedelta) -> Statement[bool]:
    """Renew the lease of an effect that was just claimed; False if it was taken away."""
    params = {"key": effect.key, "owner": effect.owner, "lease": lease.total_seconds()}
    return Statement(KEEP, params, bool, repeatable=True)


_shared: WeakKeyDictionary[Database, dict[timedelta, Leases]] = WeakKeyDictionary()


class Leases:
    """The effects this process is carrying out. A thread renews them; it idles when there are none.

    A process that is stopped (SIGSTOP, a frozen machine) stops renewing, so its leases run
    out; one that died loses its advisory lock, which others see at once.
    """

    def __init__(self, database: Database, lease: timedelta) -> None:
        self._database, self.lease = ref(database), lease
        self._held: dict[UUID, bytes] = {}
        self._wake = threading.Event()
        self._pid = 0

    @classmethod
    def of(cls, database: Database, lease: timedelta) -> Leases:
        """The ones of this database and duration: one thread, however many graphs are built."""
        shared = _shared.setdefault(database, {})
        return shared.setdefault(lease, cls(database, lease))

    def hold(self, owner: UUID, key: bytes) -> None:
        """Renew this owner's lease until `drop`."""
        self._held[owner] = key
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._wake.clear()
            threading.Thread(target=self._renew, name="lg_production-leases", daemon=True).start()
            if database := self._database():
                database.on_close(self._close)

    def drop(self, owner: UUID) -> None:
        """The effect is settled, or was never begun."""
        self._held.pop(owner, None)

    def _renew(self) -> None:
        while not self._wake.wait(self.lease.total_seconds() / 3):
            database = self._database()
            if database is None:
                return
            try:
                database.worker.renew()
                if held := dict(self._held):
                    database.execute(extend(held, self.lease))
            except LgProductionError as error:
                logger.warning("leases were not renewed: %s", error)
            del database  # or this thread would keep it alive

    def _close(self) -> None:
        self._pid = 0
        self._wake.set()
