"""What a call may do without a person: a table of rules, and what must hold for all of them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise, product
from typing import Any

import pytest
from pydantic import ValidationError

from lg_production.oversight.policy import (
    ROUTES,
    TIERS,
    Facts,
    ReviewPolicy,
    Stakes,
    amount_of,
)
from lg_production.oversight.thresholds import Threshold

BOOKING = Stakes(tier="medium", amount="price", amount_over=500, two_person_over=50_000)
UNPROVEN = Threshold(None, "", 0.0, 1.0, 0, 300)


def policy(**stakes: Any) -> ReviewPolicy:
    return ReviewPolicy(tools={"book": Stakes(**{"tier": "medium", **stakes})})


def verdict(policy: ReviewPolicy, confidence: float | None = 0.99, **facts: Any) -> Any:
    found = policy.decide(Facts("book", confidence=confidence, **facts))
    return found.verdict, found.reasons


@pytest.mark.parametrize(
    ("stakes", "facts", "expected"),
    [
        ({"tier": "low"}, {"confidence": None}, ("auto", ())),
        ({}, {}, ("auto", ())),
        ({}, {"confidence": 0.7}, ("auto", ())),
        ({}, {"confidence": 0.69}, ("review", ("low_confidence",))),
        ({}, {"confidence": None}, ("review", ("no_confidence",))),
        ({}, {"confidence": float("nan")}, ("review", ("low_confidence",))),
        ({"tier": "high"}, {}, ("review", ("tier_high",))),
        ({"tier": "critical"}, {}, ("two_person", ("tier_critical",))),
        ({"irreversible": True}, {}, ("review", ("irreversible",))),
        ({"deny": True}, {}, ("deny", ("denied",))),
        ({"threshold": 0.999}, {}, ("review", ("low_confidence",))),
        ({"tier": "low", "threshold": 0.5}, {"confidence": 0.4}, ("review", ("low_confidence",))),
        ({"threshold": UNPROVEN}, {"confidence": 1.0}, ("review", ("threshold_unproven",))),
        (
            {"tier": "critical", "irreversible": True},
            {},
            ("two_person", ("tier_critical", "irreversible")),
        ),
        (
            {"recipient": "to", "known_recipients": frozenset({"ada"})},
            {"recipient_known": None},
            ("review", ("new_recipient",)),
        ),
        (
            {"recipient": "to", "known_recipients": frozenset({"ada"})},
            {"recipient_known": True},
            ("auto", ()),
        ),
    ],
)
def test_stakes_come_first_then_confidence(
    stakes: dict[str, Any], facts: dict[str, Any], expected: Any
) -> None:
    """Each rule by itself."""
    assert expected == verdict(policy(**stakes), **facts)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("500", ("auto", ())),
        ("500.01", ("review", ("amount_over",))),
        ("50000", ("review", ("amount_over",))),
        ("50000.01", ("two_person", ("two_person_over",))),
        ("Infinity", ("two_person", ("two_person_over",))),
        (None, ("two_person", ("amount_unknown",))),
    ],
)
def test_more_than_the_limit_goes_to_a_person(amount: str | None, expected: Any) -> None:
    """The limit itself is still allowed; what cannot be read counts as too much."""
    rules = ReviewPolicy(tools={"book": BOOKING})
    known = None if amount is None else Decimal(amount)

    assert expected == verdict(rules, amount=known)


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("low", "review"), ("medium", "review"), ("high", "two_person"), ("critical", "two_person")],
)
def test_text_from_elsewhere_raises_the_tier(tier: Any, expected: str) -> None:
    """One step up: what was low needs a confidence, which is not there."""
    tainted = {"provenance": frozenset({"user", "tool_output"})}
    sure = None if tier == "low" else 1.0

    assert expected == verdict(policy(tier=tier), sure, **tainted)[0]
    assert "untrusted" in verdict(policy(tier=tier), sure, **tainted)[1]


def test_text_of_the_user_raises_nothing() -> None:
    """Neither does an unknown origin: few graphs tell."""
    told = {"provenance": frozenset({"user"})}

    assert ("auto", ()) == verdict(policy(), **told) == verdict(policy())


@pytest.mark.parametrize("unlisted", ["review", "two_person", "deny"])
def test_a_tool_that_nobody_named_is_never_automated(unlisted: Any) -> None:
    """Closed by default, whatever the confidence."""
    rules = ReviewPolicy(unlisted=unlisted, threshold=0)

    assert (unlisted, ("unlisted",)) == verdict(rules, 1.0)


def every_facts() -> list[Facts]:
    confidences, amounts = (None, 0.0, 0.5, 0.7, 1.0), (None, Decimal(1), Decimal(10**6))
    channels = (frozenset[str](), frozenset({"document"}))
    return [
        Facts("book", amount, known, channel, confidence, draw, 0.5)
        for amount, known, channel, confidence, draw in product(
            amounts, (None, False, True), channels, confidences, (0.0, 0.9)
        )
    ]


def every_stakes(tier: Any) -> list[Stakes]:
    return [
        Stakes(tier=tier, irreversible=irreversible, deny=deny, **amount, **recipient)
        for irreversible, deny, amount, recipient in product(
            (False, True),
            (False, True),
            ({}, {"amount": "a", "amount_over": 5}),
            ({}, {"recipient": "r", "known_recipients": frozenset()}),
        )
    ]


def test_confidence_never_relaxes_what_the_stakes_demand() -> None:
    """In no combination is a verdict freer than the stakes', or freer for a higher tier."""
    freer = []
    for facts, (lower, higher) in product(every_facts(), pairwise(TIERS)):
        for low, high in zip(every_stakes(lower), every_stakes(higher), strict=True):
            mild, harsh = (ReviewPolicy(tools={"book": stakes}) for stakes in (low, high))
            routes = [ROUTES.index(p.decide(facts).verdict) for p in (mild, harsh)]
            least = ROUTES.index(harsh.stakes(facts)[0])
            sampled = routes[0] == ROUTES.index("sample")
            if routes[1] < least or (routes[1] < routes[0] and not sampled):
                freer.append((facts, low, high))

    assert [] == freer


def test_a_sampled_case_is_one_that_would_have_passed() -> None:
    """Its draw is below the rate, and the label's probability is that rate."""
    taken = policy().decide(Facts("book", confidence=0.9, draw=0.19, rate=0.2, stratum="s"))
    left = policy().decide(Facts("book", confidence=0.9, draw=0.2, rate=0.2, stratum="s"))
    doubted = policy().decide(Facts("book", confidence=0.1, draw=0.0, rate=0.2, stratum="s"))

    assert ("sample", 0.2, "s") == (taken.verdict, taken.probability, taken.stratum)
    assert ("auto", 0.2) == (left.verdict, left.probability)
    assert ("review", 1.0) == (doubted.verdict, doubted.probability)


def test_two_people_are_as_many_as_the_quorum_says() -> None:
    """One is enough for everything else."""
    rules = ReviewPolicy(tools={"book": Stakes(tier="critical")}, quorum=3)

    assert 3 == rules.decide(Facts("book")).quorum
    assert 1 == policy(tier="high").decide(Facts("book")).quorum


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (620, 620), (620.5, "620.5"), ("620", 620), (-620, 620), (True, None), ("much", None),
        (None, None), (float("nan"), None), ([1], None),
    ],
)  # fmt: skip
def test_an_amount_is_read_or_unknown(given: Any, expected: Any) -> None:
    """A refund moves as much as a payment; nothing is made up."""
    wanted = None if expected is None else Decimal(expected)

    assert wanted == amount_of(BOOKING, {"price": given})


def test_functions_that_fail_tell_nothing() -> None:
    """The model left out what the function reads: a person looks at it."""
    rules = policy(
        amount=lambda a: a["price"],
        amount_over=500,
        recipient=lambda a: a["to"],
        known_recipients=lambda who: who == "ada",
    )
    found, missing = rules.facts("book", {"price": 7, "to": "ada"}), rules.facts("book", {})

    assert (Decimal(7), True) == (found.amount, found.recipient_known)
    assert (None, None) == (missing.amount, missing.recipient_known)
    assert ("review", ("new_recipient", "amount_unknown")) == rules.stakes(missing)


def test_a_score_is_asked_for_only_where_it_has_a_say() -> None:
    """It costs tokens. While nothing is proven it is collected, or nothing ever would be."""
    asked = {tier: policy(tier=tier).needs_confidence(Facts("book")) for tier in TIERS}

    assert {"low": False, "medium": True, "high": False, "critical": False} == asked
    assert ReviewPolicy(tools={"book": Stakes(tier="medium")}, threshold=UNPROVEN).needs_confidence(
        Facts("book")
    )


def test_the_hash_changes_with_whatever_changes_a_verdict() -> None:
    """And is the same for two policies that say the same."""
    proven = Threshold(0.9, "", 0.5, 0.01, 300)
    policies = [
        policy(), policy(tier="high"), policy(threshold=0.9), policy(irreversible=True),
        ReviewPolicy(tools=policy().tools, threshold=0.9),
        ReviewPolicy(tools=policy().tools, threshold=UNPROVEN),
        ReviewPolicy(tools=policy().tools, threshold=proven),
        ReviewPolicy(tools=policy().tools, version="2"),
        policy(amount="a", amount_over=1), policy(amount=max, amount_over=1),
    ]  # fmt: skip

    assert len(policies) == len({p.hash for p in policies})
    assert policy().hash == policy().hash


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "price"}, {"amount_over": 5}, {"recipient": "to"},
        {"known_recipients": frozenset()}, {"amount": "p", "amount_over": -1},
        {"amount": "p", "amount_over": 9, "two_person_over": 5}, {"tier": "extreme"},
        {"amount": "p", "amount_over": "NaN"},
    ],
)  # fmt: skip
def test_stakes_that_say_half_of_something_are_refused(wrong: dict[str, Any]) -> None:
    """When they are written, not when money moves."""
    with pytest.raises(ValidationError):
        policy(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": -1}, {"sample_rate": 2}, {"quorum": 1}, {"expires": timedelta(0)},
     {"unlisted": "auto"}],
)  # fmt: skip
def test_a_policy_that_cannot_hold_is_refused(wrong: dict[str, Any]) -> None:
    """`unlisted="auto"` would be open by default."""
    with pytest.raises(ValidationError):
        ReviewPolicy(**wrong)
