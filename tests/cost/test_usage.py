"""What a message says it took, and what is no sense."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from lg_production.cost.usage import Usage, as_amounts, usage_of


def told(**usage: Any) -> Any:
    return SimpleNamespace(usage_metadata=usage)


def test_cached_tokens_are_in_the_input_and_reasoning_in_the_output():
    """LangChain's meaning: parts are of the totals, never beside them."""
    message = AIMessage(
        "hi",
        usage_metadata={
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "input_token_details": {"cache_read": 60, "cache_creation": 10},
            "output_token_details": {"reasoning": 15},
        },
    )

    usage = usage_of(message)

    assert Usage(100, 20, cache_read=60, cache_write=10, reasoning=15) == usage
    assert {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120} == as_amounts(usage)


def test_writes_that_anthropic_tells_by_their_duration_are_found():
    """langchain-anthropic sets cache_creation to 0 where it tells five minutes and an hour."""
    details = {
        "cache_creation": 0, "ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20,
    }  # fmt: skip

    usage = usage_of(told(input_tokens=100, output_tokens=1, input_token_details=details))

    assert Usage(100, 1, cache_write=50, cache_write_1h=20) == usage


def test_parts_that_are_beside_their_total_are_added_to_it():
    """A provider that reports 5 tokens in and 60 cached was sent 65."""
    usage = usage_of(
        told(
            input_tokens=5,
            output_tokens=2,
            input_token_details={"cache_read": 60},
            output_token_details={"reasoning": 9},
        )
    )

    assert Usage(65, 11, cache_read=60, reasoning=9) == usage


@pytest.mark.parametrize(
    "message",
    [
        None,
        AIMessage("no usage"),
        told(input_tokens=-1, output_tokens=2),
        told(input_tokens=1),
        told(output_tokens=1),
        told(input_tokens="1", output_tokens=2),
        told(input_tokens=1.5, output_tokens=2),
        told(input_tokens=True, output_tokens=2),
        told(input_tokens=None, output_tokens=None),
        told(input_tokens=10**30, output_tokens=1),
        told(total_cost=0),
        SimpleNamespace(usage_metadata="12 tokens"),
        SimpleNamespace(usage_metadata=[1, 2]),
    ],
)
def test_usage_that_makes_no_sense_is_none(message):
    """None counts as all that was held; nonsense must not count as less."""
    assert None is usage_of(message)


@pytest.mark.parametrize("details", [None, "x", [1], {"cache_read": -3}, {"cache_read": None}])
def test_details_that_make_no_sense_are_left_out(details):
    """The totals are still the truth, and every token is priced as plain."""
    assert Usage(10, 2) == usage_of(
        told(input_tokens=10, output_tokens=2, input_token_details=details)
    )
