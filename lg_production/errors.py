"""Everything lg_production raises. The docstring is the message; `retryable`: trying helps."""

from __future__ import annotations

from inspect import cleandoc
from typing import ClassVar


class LgProductionError(Exception):
    """Something in lg_production went wrong."""

    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        message = " ".join(cleandoc(self.__doc__ or "").split())
        super().__init__(f"{message} {detail}".strip())


class DatabaseUnavailable(LgProductionError):
    """PostgreSQL cannot be reached. Check the URL and the server, then try again."""

    retryable = True


class PoolExhausted(DatabaseUnavailable):
    """
    Every connection of the pool is busy. Raise max_connections of Database, or look for
    a transaction that is held open.
    """


class SchemaOutdated(LgProductionError):
    """The schema in the database and this version of lg_production do not fit each other."""


class ExtraMissing(LgProductionError):
    """A feature needs an optional extra that is not installed."""


class NotDurable(LgProductionError):
    """
    The checkpoint that asked for this effect is not in the database, so a crash could
    ask for it again under another identity. Nothing was done.
    """


class IdempotencyConflict(LgProductionError):
    """
    The same idempotency key was used with other arguments. Nothing was done. Use a new
    key, or record who changed the arguments and why: `lg-production effects edit`.
    """


class IdempotencyInProgress(LgProductionError):
    """Another worker is carrying out this effect. Try again later; it is never run beside it."""

    retryable = True


class OutcomeUnknown(LgProductionError):
    """
    Nobody can know yet whether this effect happened. Look it up at the provider, then
    settle it: `lg-production effects resolve`.
    """


class EffectFailed(LgProductionError):
    """This effect failed for good when it was first tried; the recorded failure is replayed."""
