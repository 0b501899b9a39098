"""When a circuit opens, and which calls speak for it: what an exception says of a dependency."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Literal, Self, TypeAlias

from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolInvocationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..core.http import status_of
from ..errors import LgProductionError

Outcome: TypeAlias = Literal["success", "failure", "nothing"]
Sign: TypeAlias = Literal["broken", "slow", "throttled", "answered", "invalid"]

THROTTLED = {408, 429}
"""The 4xx by which a server says that it has too much to do, or waited too long."""
TIMED_OUT = {504}


class BreakerPolicy(BaseModel):
    """When a circuit opens, for how long, and what closes it.

    It opens at a failure that brings the share of failures among the calls of the last
    `window` to `failure_rate`, if these are at least `minimum_calls`. The window rolls in
    tenths: a call older than it never counts, one younger than nine tenths of it always does.
    It stays open for `initial_interval` seconds, `backoff_factor` times longer after every
    probe that fails, and at most `max_interval`. Then one call at a time goes through, as a
    probe; `probes` that succeed in a row close it. A probe whose worker died, or that takes
    longer than `lease`, makes room for another.

    Interrupts, cancellations and our own errors (`BudgetExceeded`, `CircuitOpen`, …) never
    count. Of the rest, 4xx count as answers (408 and 429 as nothing, or as failures with
    `count_throttling`), validation errors not at all, and everything else as failures: time-outs
    unless `count_timeouts` is False.
    `counts(error)`, if given, decides in their stead which errors are failures. A tool's
    `ToolMessage(status="error")` is a failure only with `count_error_messages`, and else
    counts as nothing.

    `lag`, at most a tenth of the window, is how old the knowledge of a circuit may be, and how
    long successes wait until they are counted. For so long, calls go on after another worker
    opened it, and a process that ends takes its last successes with it. With `lag` 0 every
    call asks and tells. `fail_open` lets calls pass while the database cannot be reached.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    failure_rate: float = Field(0.5, gt=0, le=1)
    minimum_calls: int = Field(10, ge=1, le=10**6)
    window: timedelta = Field(timedelta(minutes=1), gt=timedelta(0))
    initial_interval: float = Field(5.0, gt=0, le=10**6)
    backoff_factor: float = Field(2.0, ge=1, le=100)
    max_interval: float = Field(300.0, gt=0, le=10**6)
    probes: int = Field(1, ge=1, le=10**6)
    lease: timedelta = Field(timedelta(minutes=1), gt=timedelta(0))
    lag: timedelta = Field(timedelta(seconds=1), ge=timedelta(0))
    count_timeouts: bool = True
    count_throttling: bool = False
    count_error_messages: bool = False
    counts: Callable[[BaseException], bool] | None = None
    fail_open: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_interval < self.initial_interval:
            raise ValueError("max_interval must be at least initial_interval")
        return self

    @property
    def patience(self) -> float:
        """`lag` in seconds."""
        return min(self.lag, self.window / 10).total_seconds()

    def decide(self, error: BaseException) -> Outcome:
        """What a call that raised this counts as."""
        if not concerns(error):
            return "nothing"
        sign = sign_of(error)
        if self.counts is not None:
            failed = self.counts(error)
        else:
            failed = (
                sign == "broken"
                or (sign == "slow" and self.count_timeouts)
                or (sign == "throttled" and self.count_throttling)
            )
        if failed:
            return "failure"
        return "success" if sign == "answered" else "nothing"

    def decide_result(self, result: object) -> Outcome:
        """What a tool call that returned this counts as."""
        results = result if isinstance(result, list) else [result]
        if all(getattr(one, "status", None) != "error" for one in results):
            return "success"
        return "failure" if self.count_error_messages else "nothing"


def concerns(error: BaseException) -> bool:
    """Whether it says anything at all: an interrupt, a cancellation, our own refusals do not."""
    ours = (GraphBubbleUp, LgProductionError, concurrent.futures.CancelledError)
    return isinstance(error, Exception) and not isinstance(error, ours)


def sign_of(error: BaseException) -> Sign:
    """Read an exception and its causes.

    `answered` is a 4xx: the dependency works, and refuses what was asked. `throttled` are 408
    and 429: it works, and refuses for now.
    `invalid` is a validation error: the call was most likely never made.
    """
    links = list(_causes(error))
    status = next((s for link in links if (s := status_of(link)) is not None), None)
    if status is not None:
        if status in TIMED_OUT:
            return "slow"
        if status in THROTTLED:
            return "throttled"
        return "answered" if 400 <= status < 500 else "broken"
    if any(isinstance(link, ValidationError | ToolInvocationError) for link in links):
        return "invalid"
    return "slow" if any(map(_timed_out, links)) else "broken"


def _timed_out(error: BaseException) -> bool:
    # By name, too: the HTTP clients are the user's, and none is imported here.
    return isinstance(error, TimeoutError) or any(
        "Timeout" in k.__name__ for k in type(error).__mro__
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__
