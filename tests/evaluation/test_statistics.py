"""Shares, differences and passing every time, against formulas and scipy."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lg_production.core.intervals import wilson
from lg_production.evaluation.statistics import (
    bootstrap,
    mcnemar_exact,
    paired_bootstrap,
    pass_at_k,
    pass_hat_k,
    sign_flip,
)


@given(st.integers(1, 7), st.data())
def test_passing_every_time_is_counted_over_all_ways_to_choose_k(trials, data):
    """The definition itself."""
    successes, k = data.draw(st.integers(0, trials)), data.draw(st.integers(1, trials))
    runs = [n < successes for n in range(trials)]
    ways = list(combinations(runs, k))

    assert pytest.approx(sum(map(all, ways)) / len(ways)) == pass_hat_k(successes, trials, k)
    assert pytest.approx(sum(map(any, ways)) / len(ways)) == pass_at_k(successes, trials, k)


@pytest.mark.parametrize("wrong", [(3, 2, 1), (1, 2, 3), (-1, 2, 1), (1, 2, 0)])
def test_more_runs_than_there_were_are_refused(wrong):
    """Nothing is extrapolated."""
    with pytest.raises(ValueError, match="k is between 1 and"):
        pass_hat_k(*wrong)


def test_the_bootstrap_covers_the_true_mean():
    """In about as many of 400 draws as it says."""
    random = Random(3)
    hits = 0
    for seed in range(400):
        found = bootstrap([random.gauss(1, 2) for _ in range(40)], draws=400, seed=seed)
        hits += found.low <= 1 <= found.high

    assert 0.90 < hits / 400 < 0.98


def test_pairs_say_more_than_sides():
    """What is hard for both is no difference; nothing that differs is no certainty."""
    random = Random(1)
    old = [random.random() for _ in range(50)]
    found = paired_bootstrap(old, [value + 0.01 for value in old])
    same = paired_bootstrap(old, old)

    assert (pytest.approx(0.01), pytest.approx(0.01)) == (found.low, found.high)
    assert wilson(0, 50).high == same.high == -same.low
    with pytest.raises(ValueError, match="argument 2"):
        paired_bootstrap([1], [1, 2])


def test_signs_and_mcnemar_agree_with_scipy():
    """Exact ones exactly, drawn ones nearly."""
    differences = [1.0, 2.0, -0.5, 3.0, 0.0, 1.5, -1.0]
    exact = stats.permutation_test((differences,), sum, permutation_type="samples")
    many = [value + n / 100 for n, value in enumerate(differences * 4)]
    drawn = stats.permutation_test(
        (many,), sum, permutation_type="samples", n_resamples=9_999, rng=1
    )

    assert pytest.approx(exact.pvalue) == sign_flip(differences)
    assert pytest.approx(drawn.pvalue, abs=0.01) == sign_flip(many)
    assert pytest.approx(stats.binomtest(3, 14).pvalue) == mcnemar_exact(3, 11)
    assert (1.0, 1.0) == (mcnemar_exact(0, 0), sign_flip([0, 0]))
