"""Calibration, against scikit-learn, MAPIE, statsmodels and scipy."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.metrics.calibration import expected_calibration_error
from scipy import optimize
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.proportion import proportion_confint

from lg_production.core.intervals import wilson
from lg_production.oversight.calibration import (
    Isotonic,
    Logistic,
    Temperature,
    calibration_error,
    exact,
    log_odds,
    reliability,
    solve,
)

TENTHS = st.integers(0, 10).map(lambda n: n / 10)
CASES = st.lists(st.tuples(TENTHS, st.booleans(), st.integers(1, 5)), min_size=1, max_size=60)


def judged(seed, n, honest=lambda score: score):
    """Scores, and whether the cases are correct."""
    random = Random(seed)
    scores = [random.betavariate(4, 2) for _ in range(n)]
    return scores, [random.random() < honest(score) for score in scores]


@given(CASES)
def test_isotonic_is_scikit_learn_s(cases):
    """Weights, ties, between the scores and beyond them."""
    scores, correct, weights = zip(*cases)
    oracle = IsotonicRegression(out_of_bounds="clip").fit(scores, correct, weights)
    fitted = Isotonic.fit(scores, correct, weights)
    asked = [i / 50 - 0.1 for i in range(60)]

    assert [fitted(score) for score in asked] == pytest.approx(
        list(oracle.predict(asked)), abs=1e-9
    )


def test_isotonic_rates_never_fall():
    """Whatever the cases say."""
    scores, correct = judged(1, 500, lambda score: 1 - score)
    rates = Isotonic.fit(scores, correct).rates

    assert sorted(rates) == list(rates)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 10.0])
def test_logistic_is_scikit_learn_s(penalty):
    """Two scores, with the same penalty, to six digits."""
    random = Random(2)
    rows = [(random.betavariate(4, 2), random.random()) for _ in range(400)]
    correct = [random.random() < 0.7 * a + 0.3 * b for a, b in rows]
    design = [[log_odds(score) for score in row] for row in rows]
    oracle = LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=10_000).fit(design, correct)
    fitted = Logistic.fit(rows, correct, penalty)

    assert fitted.weights == pytest.approx(tuple(oracle.coef_[0]), rel=1e-6)
    assert fitted.intercept == pytest.approx(oracle.intercept_[0], rel=1e-6)
    assert fitted(rows[0]) == pytest.approx(oracle.predict_proba(design[:1])[0, 1], rel=1e-6)


def test_logistic_stays_finite_where_the_scores_tell_all_apart():
    """The penalty keeps it so, also for scores of 0 and 1."""
    fitted = Logistic.fit([(0.0,), (0.1,), (0.9,), (1.0,)] * 5, [False, False, True, True] * 5)

    assert all(map(math.isfinite, (fitted.intercept, *fitted.weights)))
    assert fitted((0.05,)) < 0.2 < 0.8 < fitted((0.95,))


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_temperature_is_the_maximum_likelihood(true):
    """Found again, and the same as scipy finds it."""
    scores, correct = judged(3, 3000, lambda s: 1 / (1 + math.exp(-log_odds(s) / true)))

    def loss(temperature):
        odds = np.array([log_odds(score) for score in scores]) / temperature
        return np.logaddexp(0, np.where(correct, -odds, odds)).sum()

    oracle = optimize.minimize_scalar(
        loss, bounds=(0.1, 20), options={"xatol": 1e-9}, method="bounded"
    )
    fitted = Temperature.fit(scores, correct)

    assert fitted.value == pytest.approx(oracle.x, rel=1e-4)
    assert fitted.value == pytest.approx(true, rel=0.25)
    assert fitted(0.5) == 0.5


def test_no_temperature_mends_scores_that_are_upside_down():
    """And no number is made up for them."""
    scores, correct = judged(4, 300, lambda score: 1 - score)

    with pytest.raises(ValueError, match="no temperature fits"):
        Temperature.fit(scores, correct)


@pytest.mark.parametrize("fit", [lambda: Isotonic.fit([], []), lambda: Logistic.fit([], [])])
def test_no_cases_fit_nothing(fit):
    """It says so."""
    with pytest.raises(ValueError, match="no cases"):
        fit()


def test_linear_equations_are_solved_with_pivots():
    """Also where a zero stands on the diagonal."""
    matrix, right = [[0.0, 2.0, 1.0], [1.0, 1.0, 1.0], [2.0, 1.0, 5.0]], [1.0, 2.0, 3.0]

    assert solve(matrix, right) == pytest.approx(list(np.linalg.solve(matrix, right)))


@given(st.integers(0, 500), st.integers(1, 500), st.sampled_from([0.8, 0.95, 0.99]))
def test_intervals_of_shares_are_statsmodels(hits, n, confidence):
    """Wilson's, and Clopper and Pearson's."""
    hits = min(hits, n)
    ours = wilson(hits, n, confidence), exact(hits, n, confidence)
    oracles = [proportion_confint(hits, n, 1 - confidence, method) for method in ("wilson", "beta")]

    for rate, oracle in zip(ours, oracles):
        assert (rate.low, rate.high) == pytest.approx(oracle, abs=1e-12)
        assert rate.low <= rate.value <= rate.high


def test_of_nothing_every_share_is_possible():
    """No cases, no knowledge."""
    assert (0.0, 1.0) == (wilson(0, 0).low, wilson(0, 0).high)
    assert (0.0, 1.0) == (exact(0, 0).low, exact(0, 0).high)


@pytest.mark.parametrize(("by", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_the_diagram_is_scikit_learn_s(by, strategy):
    """Mean score and rate of every bin that holds a case."""
    scores, correct = judged(5, 1000)
    rates, means = calibration_curve(correct, scores, n_bins=10, strategy=strategy)
    bins = reliability(scores, correct, by=by)

    assert [b.correct.value for b in bins] == pytest.approx(list(rates))
    assert [b.score for b in bins] == pytest.approx(list(means))
    assert 1000 == sum(b.correct.n for b in bins)


def test_equal_scores_stay_in_one_bin_of_mass():
    """Or the order of the cases would decide the diagram."""
    bins = reliability([0.5] * 60 + [0.9] * 40, [True] * 100, by="mass")

    assert [(0.5, 60), (0.9, 40)] == [(b.score, b.correct.n) for b in bins]


@pytest.mark.parametrize("n", [1, 50, 2000])
def test_the_calibration_error_is_mapie_s(n):
    """The plain value, for bins of equal width. MAPIE's `num_bins` counts edges."""
    scores, correct = judged(6, n, lambda score: score**2)
    oracle = expected_calibration_error(
        np.array(correct, int), np.array(scores), num_bins=11, split_strategy="uniform"
    )

    assert calibration_error(scores, correct).value == pytest.approx(oracle)


def test_the_interval_of_the_calibration_error_covers_the_truth():
    """Of honest scores it holds 0, and of over-confident ones the true distance, as promised."""
    draws, honest, over = 100, 0, 0
    for seed in range(draws):
        honest += calibration_error(*judged(seed, 300)).low == 0
        scores, correct = judged(seed, 300, lambda score: score - 0.2 * score)
        found = calibration_error(scores, correct)
        over += found.low <= 0.2 * sum(scores) / 300 <= found.high

    assert honest >= 95
    assert over >= 95
    assert calibration_error(*judged(0, 5000, lambda score: 0.8 * score)).low > 0.05
