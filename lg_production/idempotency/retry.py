"""Retry at one layer, with full jitter and a budget, and only what may be sent again.

Full jitter: `sleep = uniform(0, min(max_interval, initial_interval * backoff_factor ** n))`
(M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The budget is
the token bucket of the AWS SDKs' standard retry mode: 500 tokens, a retry costs 5, a retry
of a time-out 10, a success without retry gives 1 back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from random import Random, SystemRandom

from pydantic import BaseModel, ConfigDict, Field

from ..core.http import status_of
from .failures import judge, retry_after

CAPACITY, RETRY_COST, TIMEOUT_COST, SUCCESS_REFUND = 500, 5, 10, 1


def transient(error: BaseException) -> bool:
    """Failures that waiting may cure: 429, 5xx, refused and lost connections, time-outs.

    Never validation, authentication or another 4xx. Whether a failure that may have had an
    effect is in fact tried again is the tool's `recovery` to say, not this function's.
    """
    status = status_of(error)
    if status is not None:
        return status in {408, 425, 429} or status >= 500
    return judge(error) in {"not_sent", "in_doubt"} and not isinstance(error, ValueError)


class RetryPolicy(BaseModel):
    """How often and how long to try, in LangGraph's words. Durations are in seconds.

    `retry_on` says which failures are worth it; a failure in doubt is only tried again
    where the tool's `recovery` allows it. A Retry-After longer than the computed wait is
    honoured. No wait is begun that would end after `deadline`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    max_attempts: int = Field(3, ge=1)
    initial_interval: float = Field(0.5, gt=0)
    backoff_factor: float = Field(2.0, ge=1)
    max_interval: float = Field(20.0, gt=0)
    deadline: timedelta | None = None
    retry_on: Callable[[BaseException], bool] = transient
    random: Random = Field(default_factory=SystemRandom, repr=False)

    def wait(self, attempt: int, error: BaseException, waited: float) -> float | None:
        """Seconds until attempt `attempt + 1`, or None to stop. `waited`: seconds so far."""
        if attempt >= self.max_attempts or not self.retry_on(error):
            return None
        ceiling = min(
            self.max_interval, self.initial_interval * self.backoff_factor ** (attempt - 1)
        )
        seconds = max(self.random.uniform(0, ceiling), retry_after(error) or 0.0)
        if self.deadline is not None and waited + seconds > self.deadline.total_seconds():
            return None
        return seconds


class RetryBudget:
    """A token bucket for one tool, so that an outage is not answered by a storm of retries."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._lock = threading.Lock()
        self._capacity = self.tokens = capacity

    def take(self, error: BaseException) -> bool:
        """Pay for one retry; False when the bucket is empty."""
        cost = TIMEOUT_COST if isinstance(error, TimeoutError) else RETRY_COST
        with self._lock:
            if self.tokens < cost:
                return False
            self.tokens -= cost
            return True

    def refund(self) -> None:
        """A call succeeded at its first attempt."""
        with self._lock:
            self.tokens = min(self._capacity, self.tokens + SUCCESS_REFUND)
