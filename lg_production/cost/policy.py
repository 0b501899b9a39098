"""What may be spent: limits on scopes, and what happens when one is reached."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Quantity: TypeAlias = Literal[
    "input_tokens", "output_tokens", "total_tokens", "micro_usd", "model_calls", "tool_calls",
    "steps",
]  # fmt: skip
Scope: TypeAlias = Literal["task", "thread", "user", "tenant"]
Period: TypeAlias = Literal["hour", "day", "week", "month"]
Action: TypeAlias = Literal["end", "error", "interrupt", "route"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
STEP_LIKE = {"steps", "model_calls", "tool_calls"}
MOST = 10**15
"""The largest amount: sums of these stay well inside of a bigint."""
Amount = Annotated[int, Field(ge=0, le=MOST, strict=True)]


class Limit(BaseModel):
    """The most that one scope may spend, for ever or in each calendar period.

    `scope` is `task`, `thread`, `user` or `tenant`; `per` is a calendar period in `time_zone`
    by the database's clock. `usd` is another way to write `micro_usd`. With `tool`, only that
    tool's calls count. Fields that are None are not limited. Tokens, money and model calls are
    counted by `Budgeted`, `BudgetCallback` and `BudgetGuard`, steps by `BudgetGuard`, tool calls
    by `Limits`: a quantity that nothing counts is not limited. The hour that a clock repeats in
    autumn is one period.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope
    per: Period | None = None
    time_zone: str = "UTC"
    tool: Annotated[str, Field(min_length=1)] | None = None
    input_tokens: Amount | None = None
    output_tokens: Amount | None = None
    total_tokens: Amount | None = None
    micro_usd: Amount | None = None
    usd: Decimal | str | int | None = Field(None, exclude=True, repr=False)
    model_calls: Amount | None = None
    tool_calls: Amount | None = None
    steps: Amount | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_micro_usd(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("usd") is None:
            return given
        if given.get("micro_usd") is not None:
            raise ValueError("write usd or micro_usd, not both")
        rest = {name: value for name, value in given.items() if name != "usd"}
        return {**rest, "micro_usd": micro_usd(given["usd"])}

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo("" if name in ("localtime", "Factory") else name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name!r} is no time zone; write one like 'Europe/Lisbon'") from None
        return name

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.limits():
            raise ValueError(f"a Limit needs at least one of {', '.join(QUANTITIES)} or usd")
        if self.tool and set(self.limits()) != {"tool_calls"}:
            raise ValueError(f"a Limit on the tool {self.tool!r} can only limit tool_calls")
        return self

    def limits(self) -> dict[Quantity, int]:
        """What is limited, and to what."""
        found: dict[Quantity, int | None] = {name: getattr(self, name) for name in QUANTITIES}
        return {name: value for name, value in found.items() if value is not None}


def micro_usd(usd: Any) -> int:
    """Dollars as whole micro-dollars. Raises `ValueError` for what is no exact amount."""
    if isinstance(usd, bool | float) or not isinstance(usd, int | str | Decimal):
        raise ValueError("usd takes an int, a Decimal or a string like '0.50'; a float is inexact")  # noqa: TRY004
    try:
        amount = Decimal(usd) * 1_000_000
    except ArithmeticError:
        raise ValueError(f"usd={usd!r} is no amount; write '0.50', without a currency") from None
    if not amount.is_finite() or amount != int(amount):
        raise ValueError(f"usd={usd!r} is no whole number of micro-dollars")
    return int(amount)


class BudgetPolicy(BaseModel):
    """Limits, and how calls are counted against them.

    `on_exhausted`, for the node: `end` the run with a partial result, raise an `error`,
    `interrupt` to ask a person for more, or `route` to the node `route_to` (a cheaper model).
    `max_tokens` is the output that is set aside for a call that names no bound of its own.
    A stream that passes its reservation is given more, or `cut` by `stream="cut"`; in both
    cases it is cut where the budget ends. `cached` says whether answers of LangChain's cache
    are `free` or `count`; LangChain tells only after a call that it was cached, so it needs room
    like any other. `thresholds` are the percentages at which to tell. `wait`
    bounds the wait for calls under way, where a call would fit once they turn out cheaper than
    what is held for them. A call that takes longer than `lease`, or whose owner died, counts at
    its worst case until its truth is told. `durable=False` lets a crash of the *server* lose
    reservations of the last fraction of a second, and so overspend by them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: tuple[Limit, ...] = Field(min_length=1)
    on_exhausted: Action = "end"
    route_to: str | None = None
    max_tokens: Annotated[int, Field(gt=0, le=10**9)] = 4096
    stream: Literal["extend", "cut"] = "extend"
    cached: Literal["free", "count"] = "free"
    thresholds: tuple[Annotated[int, Field(gt=0, le=1000)], ...] = (50, 80, 100)
    lease: timedelta = timedelta(minutes=10)
    wait: timedelta = timedelta(seconds=10)
    durable: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.on_exhausted == "route") != (self.route_to is not None):
            raise ValueError("on_exhausted='route' and route_to='<node>' go together")
        if self.lease <= timedelta(0) or self.wait < timedelta(0):
            raise ValueError("lease must be positive, and wait not negative")
        return self

    @property
    def scopes(self) -> set[Scope]:
        """The scopes that need an id."""
        return {limit.scope for limit in self.limits}

    @property
    def quantities(self) -> set[Quantity]:
        """Everything that is limited somewhere."""
        return {quantity for limit in self.limits for quantity in limit.limits()}
