"""Full jitter, a deadline, a budget."""

from __future__ import annotations

import random
from datetime import timedelta

import httpx
import pytest

from lg_production import RetryPolicy
from lg_production.idempotency.retry import RetryBudget


class Highest(random.Random):
    """Draws the largest value: what is left is the ceiling of the formula."""

    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (9, 10)])
def test_the_ceiling_doubles_up_to_the_maximum(attempt, ceiling):
    """min(cap, base * 2 ** attempt), as AWS defines it."""
    policy = RetryPolicy(max_attempts=99, initial_interval=1, max_interval=10, random=Highest())

    assert ceiling == policy.wait(attempt, TimeoutError(), 0)


def test_jitter_is_full():
    """Waits are uniform between nothing and the ceiling, not around it."""
    policy = RetryPolicy(max_attempts=2, initial_interval=1, random=random.Random(7))
    waits = sorted(policy.wait(1, TimeoutError(), 0) for _ in range(2000))

    assert waits[0] < 0.01
    assert 0.45 < waits[1000] < 0.55
    assert waits[-1] > 0.99


def test_retry_after_is_honoured():
    """The server's word is longer than ours."""
    request = httpx.Request("GET", "http://a")
    response = httpx.Response(429, request=request, headers={"retry-after": "9"})
    error = httpx.HTTPStatusError("", request=request, response=response)

    assert 9 == RetryPolicy(initial_interval=0.1).wait(1, error, 0)


def test_no_wait_ends_after_the_deadline():
    """A wait that would pass it is not begun."""
    policy = RetryPolicy(
        max_attempts=9, initial_interval=4, deadline=timedelta(seconds=5), random=Highest()
    )

    assert 4 == policy.wait(1, TimeoutError(), 0)
    assert policy.wait(1, TimeoutError(), 2) is None


def test_attempts_are_counted_and_failures_chosen():
    """Neither the last attempt nor a failure outside of retry_on waits."""
    policy = RetryPolicy(max_attempts=2)

    assert policy.wait(2, TimeoutError(), 0) is None
    assert policy.wait(1, ValueError(), 0) is None


def test_an_outage_empties_the_bucket():
    """500 tokens: a hundred retries, fifty after time-outs; a success gives one back."""
    refused, late = RetryBudget(), RetryBudget()

    assert 100 == sum(refused.take(ConnectionRefusedError()) for _ in range(200))
    assert 50 == sum(late.take(TimeoutError()) for _ in range(200))

    for _ in range(5):
        refused.refund()
    assert [True, False] == [refused.take(ConnectionRefusedError()) for _ in range(2)]
