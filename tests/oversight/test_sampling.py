"""Sampling by keyed hash, and what its labels say about all cases."""

from __future__ import annotations

import hashlib
import hmac
from random import Random

import numpy as np
import pytest
from scipy import stats

from lg_production.oversight.sampling import Sampler, draw, error_rate, errors_in
from lg_production.oversight.thresholds import Label

SECRET = b"a secret of the tests: 32 bytes."


def test_a_draw_is_a_keyed_hash():
    """HMAC-SHA256, so that a replay in another process draws the same."""
    first = int.from_bytes(hmac.new(SECRET, b"case-1", hashlib.sha256).digest()[:8], "big")

    assert first / 2**64 == pytest.approx(draw(SECRET, "case-1"), abs=2**-53)
    assert draw(SECRET, b"case-1") == draw(SECRET, "case-1")


def test_draws_are_uniform_and_say_nothing_of_other_secrets():
    """Whoever lacks the secret cannot tell which case is seen."""
    ours = [draw(SECRET, f"case-{i}") for i in range(5000)]
    others = [draw(SECRET[::-1], f"case-{i}") for i in range(5000)]

    assert stats.kstest(ours, "uniform").pvalue > 0.001
    assert stats.pearsonr(ours, others).pvalue > 0.001
    assert stats.pearsonr(ours[1:], ours[:-1]).pvalue > 0.001


def test_each_tool_has_its_rate_and_more_is_seen_near_the_threshold():
    """The larger of the two rates holds."""
    sampler = Sampler(SECRET, 0.05, tools={"wire": 0.5}, near=0.05, near_rate=0.2)
    asked = [("mail", 0.9, 0.8), ("mail", 0.84, 0.8), ("mail", 0.9, None), ("wire", 0.84, 0.8)]

    assert [0.05, 0.2, 0.05, 0.5] == [sampler.probability(*one) for one in asked]


@pytest.mark.parametrize(
    ("score", "stratum"), [(0.1, "mail/-"), (0.7, "mail/0.7"), (0.79, "mail/0.7"), (1, "mail/0.95")]
)
def test_a_stratum_is_a_tool_and_a_bin(score, stratum):
    """Named by the lower edge of the bin."""
    assert stratum == Sampler(SECRET).stratum("mail", score)


def test_the_same_case_is_always_decided_alike():
    """And as many are taken as the rate says."""
    sampler = Sampler(SECRET, 0.1)
    drawn = [sampler.decide(f"case-{i}", "mail", 0.99) for i in range(5000)]

    assert drawn == [sampler.decide(f"case-{i}", "mail", 0.99) for i in range(5000)]
    assert all(one.taken == (one.draw < one.probability) for one in drawn)
    assert stats.binomtest(sum(one.taken for one in drawn), 5000, 0.1).pvalue > 0.001


def test_what_was_drawn_makes_a_label():
    """The fields belong together: a label with a draw above its probability is refused."""
    drawn = Sampler(SECRET, 1.0).decide("case-1", "mail", 0.99)
    label = Label(0.99, True, drawn.probability, drawn.stratum, drawn.draw)

    assert ("mail/0.95", 1.0) == (label.stratum, label.probability)


def test_the_secret_is_not_told():
    """Not in a traceback, not in a log."""
    assert "secret" not in repr(Sampler(SECRET))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Sampler(b"short"),
        lambda: Sampler(SECRET, 0),
        lambda: Sampler(SECRET, tools={"mail": 0}),
        lambda: Sampler(SECRET, near_rate=1.5),
        lambda: Sampler(SECRET, edges=(0.9, 0.5)),
    ],
)
def test_what_leaves_cases_unseen_is_refused(wrong):
    """A rate of 0 makes a promise about cases that nobody can judge."""
    with pytest.raises(ValueError):
        wrong()


def sampled(random, n=1500):
    """Cases with an error of 5 % above a score of a half and of 40 % below; the former at 10 %."""
    for _ in range(n):
        score = random.random()
        probability = 0.1 if score > 0.5 else 1.0
        if random.random() < probability:
            yield Label(score, random.random() > (0.05 if score > 0.5 else 0.4), probability)


def test_weighted_labels_speak_for_all_cases():
    """The interval covers the true error as often as it says; unweighted it would be 0.37."""
    random, draws = Random(5), 400
    rates = [error_rate(list(sampled(random)), 0.9) for _ in range(draws)]
    covered = sum(rate.low <= 0.225 <= rate.high for rate in rates)

    assert 0.225 == pytest.approx(np.mean([rate.value for rate in rates]), abs=0.005)
    assert stats.binomtest(covered, draws, 0.9, "less").pvalue > 0.001


def test_totals_are_unbiased():
    """Horvitz and Thompson: the weights of the wrong ones add up to how many there are."""
    random = Random(6)
    totals = [errors_in(sampled(random), 1500) for _ in range(300)]

    assert 0.225 * 1500 == pytest.approx(np.mean(totals), rel=0.02)


def test_no_error_seen_is_not_no_error():
    """30 cases of equal weight without one: at most 11.6 % is wrong, as Clopper and Pearson say."""
    rate = error_rate([Label(0.9, True, 0.1)] * 30)

    assert (0.0, 0.0, 30) == (rate.value, rate.low, pytest.approx(rate.n))
    assert rate.high == pytest.approx(stats.beta.ppf(0.975, 1, 30))
    assert 1.0 == error_rate([]).high


def test_unequal_weights_tell_less():
    """As many cases of unequal weight make a wider interval."""
    equal = error_rate([Label(0.9, i % 10 > 0, 0.5) for i in range(200)])
    unequal = error_rate([Label(0.9, i % 10 > 0, 1.0 if i % 20 < 10 else 0.05) for i in range(200)])

    assert equal.value == pytest.approx(unequal.value)
    assert equal.n == pytest.approx(200)
    assert unequal.n < 120
