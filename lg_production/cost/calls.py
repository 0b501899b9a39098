"""A model call under way, and what is held for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from ..core.keys import digest as key_of
from ..core.steps import Statement, Steps
from ..errors import BudgetExceeded
from .budget import Budget, Reservation
from .policy import Quantity
from .scopes import Spender

__all__ = ["Metered", "StreamCut", "held_for", "key_of", "reserve_anew"]

MOST_REUSES = 16


class StreamCut(BudgetExceeded):
    """
    A budget has no room for the rest of this answer, so its stream was cut; what came before
    is billed and counts. Raise the budget (`lg-production budgets extend`), or ask for less.
    """


@dataclass(slots=True)
class Metered:
    """One model call under way."""

    reservation: Reservation
    who: Spender
    model: str
    provider: str
    input_tokens: int
    output_tokens: int
    """What is held for the output, extensions included."""
    bounded: bool
    """The call names a bound itself, so that the provider cuts it."""
    context: Mapping[str, str]
    heard: float
    """When LangChain last told of it, by this process's clock."""
    streamed: int = 0
    chunks: int = 0
    extended: int = 0
    """How often more was held, by whichever callback that sees the call."""
    extensions: list[Reservation] = field(default_factory=list)


def held_for(call: Metered) -> dict[Quantity, int]:
    """All that is held for a call, extensions included."""
    held = dict(call.reservation.held)
    for extension in call.extensions:
        for quantity, amount in extension.held.items():
            held[quantity] = held.get(quantity, 0) + amount
    return held


EXPIRED = """
SELECT 1 FROM lg_production.reservations WHERE key = %(key)s AND state = 'expired'
"""


def is_counted(key: bytes) -> Statement[bool]:
    """Whether a reservation counts at its worst case, because its owner died before its call."""
    return Statement(EXPIRED, {"key": key}, bool, repeatable=True)


def reserve_anew(
    budget: Budget,
    parts: Sequence[str],
    who: Spender,
    amounts: Mapping[Quantity, int],
    *,
    requested: str | None,
    adopt: bool = False,
) -> Steps[Reservation]:
    """Hold the amounts for a call that is about to be made, under a key that is still open.

    A key that was closed belongs to a call before, which had the same name: this one counts too.
    So does a call of the same name that can take another amount. With `adopt` a name is one call
    in all workers: what the dead held for it counts already, and is not held again.
    """
    if not budget.policy.quantities & amounts.keys():
        return Reservation(key_of(*parts), replayed=True)
    named = (*parts, *(f"{quantity} {amount}" for quantity, amount in sorted(amounts.items())))
    for number in range(MOST_REUSES):
        key = key_of(*named, str(number))
        held = yield from budget.reserve_steps(key, who, amounts, requested=requested)
        if not held.replayed or (adopt and (yield from is_counted(held.key))):
            return held
    key = key_of(*named, uuid4().hex)
    return (yield from budget.reserve_steps(key, who, amounts, requested=requested))
