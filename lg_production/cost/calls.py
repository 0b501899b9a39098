"""A model call under way, and what is held for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.keys import digest as key_of
from .budget import Reservation
from .policy import Quantity
from .scopes import Spender

__all__ = ["Metered", "held_for", "key_of"]


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
    extensions: list[Reservation] = field(default_factory=list)


def held_for(call: Metered) -> dict[Quantity, int]:
    """All that is held for a call, extensions included."""
    held = dict(call.reservation.held)
    for extension in call.extensions:
        for quantity, amount in extension.held.items():
            held[quantity] = held.get(quantity, 0) + amount
    return held
