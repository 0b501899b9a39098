"""Which bookings a person decides, and who asks: the one place where that is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool

from graphs.airline import Airline
from lg_production import ConfidenceRouter, Database, Review, ReviewPolicy, Stakes, Verbalised

Guards: TypeAlias = Mapping[str, tuple[Any, tuple[str, ...]]]
"""Nodes between model and tools, in their order, and where each may lead."""
DEAR = Decimal(500)
"""Above so many euros a person decides, however sure the agent is."""
SURE = 0.7


@dataclass(frozen=True)
class Oversight:
    """Two boxes in front of the tools; the second also stands around each of them."""

    router: ConfidenceRouter
    review: Review

    @property
    def guards(self) -> Guards:
        """The boxes, as `wire` takes them."""
        return {
            "router": (self.router, self.router.destinations),
            "review": (self.review, (self.review.then,)),
        }


def review_policy(airline: Airline, *, sample_rate: float = 0.05) -> ReviewPolicy:
    """Looking costs nothing, and a dear or a doubtful flight waits for a person.

    A call names its flight and not what it costs: that is the airline's to say, and a price that
    it does not say counts as too much. What cannot be undone always waits. `sample_rate` of what
    passes is shown to a person all the same.
    """

    def euros(arguments: Mapping[str, Any]) -> float | None:
        return airline.price(arguments["flight"])

    return ReviewPolicy(
        tools={
            "search_flights": Stakes(tier="low"),
            "book_flight": Stakes(tier="medium", amount=euros, amount_over=DEAR),
            "cancel_booking": Stakes(tier="medium", irreversible=True),
        },
        threshold=SURE,
        sample_rate=sample_rate,
    )


def oversight(database: Database, policy: ReviewPolicy, tools: Sequence[BaseTool]) -> Oversight:
    """Router and review of one mind: they share all that a verdict is made of."""
    shared: Any = {"scorers": [Verbalised()], "agent": "booking"}
    return Oversight(
        ConfidenceRouter(database, policy, **shared),
        Review(database, policy, tools=tools, **shared),
    )
