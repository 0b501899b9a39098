"""What a call may do without a person: stakes first, then confidence. Nothing here does I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, Self, TypeAlias, runtime_checkable

from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core.keys import digest
from .records import Route, Verdict

Tier: TypeAlias = Literal["low", "medium", "high", "critical"]
Arguments: TypeAlias = Mapping[str, Any]

ROUTES: tuple[Route, ...] = ("auto", "sample", "review", "two_person", "deny")
"""From the freest to the strictest."""
TIERS: tuple[Tier, ...] = ("low", "medium", "high", "critical")
LEAST: Mapping[Tier, Route] = {"high": "review", "critical": "two_person"}
TRUSTED = frozenset({"user"})
"""Channels whose text may move the agent; "document" and "tool_output" are somebody else's."""


@runtime_checkable
class Learned(Protocol):
    """A threshold that was learned: None while nothing is proven, and then nothing is automated."""

    @property
    def value(self) -> float | None: ...  # noqa: D102


class Stakes(BaseModel):
    """What is at stake when a tool is called.

    `tier`: `low` needs no confidence, `medium` needs it, `high` always goes to a person and
    `critical` to two. What is `irreversible`, moves more than `amount_over`, or goes to a
    `recipient` that is not among `known_recipients`, goes to a person whatever the confidence;
    more than `two_person_over` to two. `amount` and `recipient` are the name of an argument, or
    a function of the arguments; `known_recipients` a collection, or a function that says whether
    one is known. An amount that cannot be read counts as too much, and a recipient that cannot
    as unknown. `threshold` replaces the policy's for this tool. `deny`: the tool is never called.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    tier: Tier
    irreversible: bool = False
    amount: str | Callable[[Arguments], Any] | None = None
    amount_over: Decimal | None = None
    two_person_over: Decimal | None = None
    recipient: str | Callable[[Arguments], Any] | None = None
    known_recipients: Callable[[str], bool] | frozenset[str] | None = None
    threshold: float | Learned | None = None
    deny: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        over, two = self.amount_over, self.two_person_over
        if (self.amount is None) != (over is None and two is None):
            raise ValueError("amount goes together with amount_over or two_person_over")
        if any(limit is not None and not limit >= 0 for limit in (over, two)):
            raise ValueError("amounts are not negative")
        if over is not None and two is not None and two < over:
            raise ValueError("two_person_over must not be below amount_over")
        if (self.recipient is None) != (self.known_recipients is None):
            raise ValueError("recipient and known_recipients go together")
        return self


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a verdict is made of.

    `amount` and `recipient_known` are None where they cannot be read. `provenance` are the
    channels of the text that led to the call, as far as the state says: empty is unknown.
    `draw` is this case's number from 0 up to 1, for sampling.
    """

    tool: str
    amount: Decimal | None = None
    recipient_known: bool | None = None
    provenance: frozenset[str] = frozenset()
    confidence: float | None = None
    draw: float = 1.0
    rate: float = 0.0
    """How likely such a case is sampled."""
    stratum: str = ""


class ReviewPolicy(BaseModel):
    """Which calls a person decides, by tool.

    `tools` says what is at stake; one that is not named goes to a person (`unlisted`). Stakes
    come first: confidence only lets a call of the tier `medium` pass, when it is at least the
    `threshold`, a number or a learned `Threshold`. Text from elsewhere than the user (see
    `Facts.provenance`) raises the tier by one. Of the calls that pass, a share of `sample_rate`
    goes to a person all the same: without them no threshold can be learned.

    A question is open for `expires`, and what nobody decides is denied. `quorum` is how many
    people a `two_person` verdict takes. Raise `version` when a function in here changes: its
    code is no part of `hash`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    tools: Mapping[str, Stakes] = Field(default_factory=dict)
    unlisted: Literal["review", "two_person", "deny"] = "review"
    threshold: Annotated[float, Field(ge=0)] | Learned | None = 0.7
    sample_rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    expires: timedelta = timedelta(hours=24)
    quorum: Annotated[int, Field(ge=2)] = 2
    version: str = "1"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.expires <= timedelta(0):
            raise ValueError("expires must be positive")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of everything a verdict depends on, thresholds as they stand now; 64 digits."""
        return digest(json.dumps(spelled(self), sort_keys=True)).hex()

    def facts(self, tool: str, arguments: Arguments, provenance: Collection[str] = ()) -> Facts:
        """Read a call's facts. Calls the policy's functions; one that fails tells nothing."""
        stakes = self.tools.get(tool)
        return Facts(
            tool=tool,
            amount=None if stakes is None else amount_of(stakes, arguments),
            recipient_known=None if stakes is None else is_known(stakes, arguments),
            provenance=frozenset(provenance),
        )

    def stakes(self, facts: Facts) -> tuple[Route, tuple[str, ...]]:
        """The least that the stakes demand, whatever the confidence, and why."""
        stakes = self.tools.get(facts.tool)
        if stakes is None:
            return self.unlisted, ("unlisted",)
        tier, found = self._tier(stakes, facts), amounts(stakes, facts.amount)
        if stakes.recipient is not None and not facts.recipient_known:
            found.insert(0, ("review", "new_recipient"))
        if stakes.irreversible:
            found.insert(0, ("review", "irreversible"))
        if tier in LEAST:
            found.insert(0, (LEAST[tier], f"tier_{tier}"))
        if is_tainted(facts):
            found.insert(0, ("auto", "untrusted"))
        if stakes.deny:
            found.insert(0, ("deny", "denied"))
        routes: list[Route] = ["auto", *(route for route, _ in found)]
        return max(routes, key=ROUTES.index), tuple(reason for _, reason in found)

    def needs_confidence(self, facts: Facts) -> bool:
        """Whether a score is worth its tokens: it can change the verdict, or prove a threshold."""
        if self.stakes(facts)[0] != "auto":
            return False
        threshold = self.threshold_for(facts)
        return threshold is None or threshold > 0

    def threshold_for(self, facts: Facts) -> float | None:
        """The confidence from which on this call may pass; None: none is enough."""
        stakes = self.tools.get(facts.tool)
        own = stakes.threshold if stakes is not None else None
        if own is None and stakes is not None and self._tier(stakes, facts) == "low":
            return 0.0
        threshold = self.threshold if own is None else own
        return threshold.value if isinstance(threshold, Learned) else threshold

    def decide(self, facts: Facts) -> Verdict:
        """The verdict: what the stakes demand, or what the confidence allows."""
        least, reasons = self.stakes(facts)
        if least != "auto":
            return self._verdict(facts, least, reasons)
        doubt = self._doubt(facts)
        if doubt is not None:
            return self._verdict(facts, "review", (*reasons, doubt))
        if facts.draw < facts.rate:
            return self._verdict(facts, "sample", (*reasons, "sampled"))
        return self._verdict(facts, "auto", reasons)

    def _doubt(self, facts: Facts) -> str | None:
        """Why the confidence does not suffice, or None."""
        threshold = self.threshold_for(facts)
        if threshold is None:
            return "threshold_unproven"
        if threshold <= 0:
            return None
        if facts.confidence is None:
            return "no_confidence"
        return None if facts.confidence >= threshold else "low_confidence"

    def _verdict(self, facts: Facts, route: Route, reasons: tuple[str, ...]) -> Verdict:
        return Verdict(
            route,
            reasons,
            quorum=self.quorum if route == "two_person" else 1,
            stratum=facts.stratum,
            probability=facts.rate if route in ("auto", "sample") else 1.0,
            draw=facts.draw if facts.draw < 1 else None,
            expires=self.expires,
        )

    def _tier(self, stakes: Stakes, facts: Facts) -> Tier:
        at = TIERS.index(stakes.tier) + is_tainted(facts)
        return TIERS[min(at, len(TIERS) - 1)]


def is_tainted(facts: Facts) -> bool:
    """Whether text that is not the user's led to this call, as far as anybody knows."""
    return bool(facts.provenance - TRUSTED)


def amounts(stakes: Stakes, amount: Decimal | None) -> list[tuple[Route, str]]:
    """What the amount demands."""
    if stakes.amount is None:
        return []
    if amount is None:
        held: Route = "review" if stakes.two_person_over is None else "two_person"
        return [(held, "amount_unknown")]
    if stakes.two_person_over is not None and amount > stakes.two_person_over:
        return [("two_person", "two_person_over")]
    if stakes.amount_over is not None and amount > stakes.amount_over:
        return [("review", "amount_over")]
    return []


def amount_of(stakes: Stakes, arguments: Arguments) -> Decimal | None:
    """How much the call moves, in either direction; None if that cannot be read."""
    value = read(stakes.amount, arguments)
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = abs(Decimal(str(value)))
    except ArithmeticError:
        return None
    return None if amount.is_nan() else amount


def is_known(stakes: Stakes, arguments: Arguments) -> bool | None:
    """Whether the recipient is known; None if that cannot be read."""
    recipient, known = read(stakes.recipient, arguments), stakes.known_recipients
    if not isinstance(recipient, str) or known is None:
        return None
    return bool(read(known, recipient)) if callable(known) else recipient in known


def read(source: Any, argument: Any) -> Any:
    """An argument by its name, or what a function makes of it; None if that fails."""
    if not callable(source):
        return argument.get(source) if source is not None else None
    try:
        return source(argument)
    except GraphBubbleUp:
        raise
    except Exception:  # noqa: BLE001 - it is unknown, and what is unknown goes to a person
        return None


def spelled(value: Any) -> Any:
    """A policy as JSON can say it: functions by their name, learned thresholds by their value."""
    match value:
        case BaseModel():
            return {name: spelled(getattr(value, name)) for name in type(value).model_fields}
        case Mapping():
            return {str(key): spelled(item) for key, item in value.items()}
        case frozenset():
            return sorted(map(str, value))
        case None | bool() | int() | float() | str():
            return value
        case Learned():
            return {"learned": value.value}
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value))}"
    return str(value)
