"""Shares, differences and passing every time, against formulas and scipy."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from lg_production.core.intervals import wilson
from lg_production.evaluation.statistics import (
    mcnemar_exact,
    paired,
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


def test_pairs_say_more_than_sides():
    """What is hard for both is no difference; nothing that differs is no certainty."""
    random = Random(1)
    old = [random.random() for _ in range(100)]
    found, p = paired(old, [value + random.gauss(0.05, 0.01) for value in old])
    same, _ = paired(old, old)

    assert (True, True) == (found.low > 0, p < 0.001)
    assert pytest.approx(0.0272, abs=1e-4) == same.high == -same.low
    with pytest.raises(ValueError, match="argument 2"):
        paired([1], [1, 2])
    for wrong in ([], [float("nan")]):
        with pytest.raises(ValueError, match="at least one case"):
            paired(wrong, wrong)


def test_the_interval_of_a_difference_is_bonett_and_prices():
    """Of 100 cases 20 got worse and 5 better: (f + 1) / (n + 2) for both, as in their article."""
    worse, better, n = 21 / 102, 6 / 102, 102
    width = stats.norm.ppf(0.975) * ((worse + better - (better - worse) ** 2) / n) ** 0.5
    found, p = paired([1] * 20 + [0] * 80, [0] * 20 + [1] * 5 + [0] * 75)

    assert (pytest.approx(better - worse - width), pytest.approx(better - worse + width)) == (
        found.low, found.high,
    )  # fmt: skip
    assert pytest.approx(mcnemar([[0, 20], [5, 75]], exact=True).pvalue, abs=0.003) == p


@given(
    st.lists(st.sampled_from([-1, -2 / 3, -1 / 3, 0, 0, 1 / 3, 2 / 3, 1]), min_size=1, max_size=14),
    st.sampled_from([0.8, 0.9, 0.95, 0.99]),
)
def test_an_interval_holds_0_exactly_if_the_test_allows_it(differences, confidence):
    """And the value itself, for any number of cases that changed."""
    found, p = paired([0] * len(differences), differences, confidence=confidence)

    assert (p < 1 - confidence - 1e-9) == (found.low > 0 or found.high < 0)
    assert found.low <= found.value <= found.high
    assert found.low < found.high


@given(st.lists(st.sampled_from([-1, -2 / 3, -1 / 3, 0]), min_size=1, max_size=14))
def test_nothing_that_changed_looks_no_worse_than_something_that_did(differences):
    """The lower bound of a run that is nowhere better is never above that of the same run."""
    same = [0] * len(differences)

    assert paired(same, differences)[0].low <= paired(same, same)[0].low


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("flaky", [1, 5, 10, 30])
def test_an_agent_and_itself_are_seldom_called_different(flaky, repeat):
    """In at most 5 % of runs of 100 cases, of which so many pass by chance."""
    random, runs = Random(flaky), 100

    def run():
        return [sum(random.random() < 0.5 for _ in range(repeat)) / repeat for _ in range(flaky)]

    calm = [1.0] * (100 - flaky)
    found = [paired([*calm, *run()], [*calm, *run()])[0] for _ in range(runs)]
    called = sum(one.low > 0 or one.high < 0 for one in found)

    assert wilson(called, runs).low <= 0.05
    assert called == 0 or flaky > 5


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


@pytest.mark.parametrize(("n", "share", "drop"), [(20, 0.05, 8), (30, 0.05, 8), (40, 0.05, 6)])
def test_an_interval_of_levels_holds_the_truth_where_few_fall_far(n, share, drop):
    """Grades differ by up to 9, and a difference that is rare may not have been seen yet."""
    random, held = Random(0), 0
    for _ in range(300):
        new = [9.0 - drop * (random.random() < share) for _ in range(n)]
        found, _ = paired([9.0] * n, new, most=9)
        held += found.low <= -share * drop <= found.high

    assert held >= 0.95 * 300
