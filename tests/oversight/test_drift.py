"""A drift of the scores disarms the threshold, against scipy."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from lg_production.oversight.drift import (
    Armed,
    DriftTest,
    distance,
    kolmogorov,
    p_value,
    psi,
    refuted,
)
from lg_production.oversight.thresholds import Label, SelectiveRisk

FITTED = SelectiveRisk(0.1).fit([Label(0.9, correct=True)] * 100)
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def scores(random, n, a=5.0):
    return [random.betavariate(a, 1.5) for _ in range(n)]


@given(SCORES, SCORES)
def test_the_test_is_scipy_s(left, right):
    """Distance and exact p, also with ties. Of equal sizes scipy cannot always tell."""
    assume(len(left) != len(right))
    oracle = stats.ks_2samp(left, right, method="exact")
    steps = distance(left, right)

    assert steps / (len(left) * len(right)) == pytest.approx(oracle.statistic, abs=1e-12)
    assert p_value(steps, len(left), len(right)) == pytest.approx(oracle.pvalue, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 3), (5, 5), (4, 6)])
def test_p_is_counted_out(n, m):
    """Every way to mix two small samples is as likely as any other."""
    mixed = range(n + m)
    steps = [
        distance(left, sorted({*mixed} - {*left})) for left in itertools.combinations(mixed, n)
    ]

    for far in {*steps}:
        assert p_value(far, n, m) == pytest.approx(np.mean([one >= far for one in steps]))


@given(st.floats(0, 5))
def test_the_limit_is_kolmogorov_s(x):
    """For large samples."""
    assert kolmogorov(x) == pytest.approx(special.kolmogorov(x), abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(400, 300), (1000, 200), (2100, 50)])
def test_the_limit_errs_to_the_safe_side(n, m):
    """The p that is used for large samples is at least the exact one, where it matters."""
    random = Random(6)
    for a in (5.5, 6.0, 7.0):
        left, right = scores(random, n), scores(random, m, a)
        oracle = stats.ks_2samp(left, right, method="exact").pvalue

        assert oracle <= p_value(distance(left, right), n, m) <= 2 * oracle + 1e-12


@pytest.mark.parametrize("shape", [lambda x: x, lambda x: round(x, 1)], ids=["smooth", "ties"])
def test_false_alarms_are_as_rare_as_stated(shape):
    """Over all looks of a plan: 4 here, on windows that share no case."""
    random, test, draws = Random(1), DriftTest(alpha=0.2, looks=4), 300
    alarms = 0
    for _ in range(draws):
        reference = [shape(s) for s in scores(random, 150)]
        looks = [[shape(s) for s in scores(random, 60)] for _ in range(4)]
        alarms += any(test.look(reference, recent).drifted for recent in looks)

    assert stats.binomtest(alarms, draws, 0.2, "greater").pvalue > 0.001


def test_a_drift_is_found():
    """Scores of a model that became more sure of itself, at the strict level of 52 looks."""
    random, test = Random(2), DriftTest()
    drift = test.look(scores(random, 1000), scores(random, 300, a=9.0))

    assert (True, 1000, 300) == (drift.drifted, drift.reference, drift.recent)
    assert drift.psi > 0.25
    assert "the last 300 scores are not like the 1,000" in drift.reason


def test_few_scores_say_nothing():
    """Neither that they drifted nor a distance."""
    drift = DriftTest(minimum=50).look([0.9] * 100, [0.1] * 49)

    assert (False, 1.0) == (drift.drifted, drift.p)
    assert DriftTest(minimum=50).look([0.9] * 100, [0.1] * 50).drifted
    assert not DriftTest().look([], [0.1] * 100).drifted


def test_a_drift_disarms_and_nothing_arms_again():
    """Disarmed, there is no threshold: every case goes to a person."""
    random, test = Random(3), DriftTest()
    reference = scores(random, 500)
    armed = Armed(FITTED).after(test.look(reference, scores(random, 200)))
    disarmed = armed.after(test.look(reference, scores(random, 200, a=1.0)))
    still = disarmed.after(test.look(reference, scores(random, 200)))

    assert [0.9, None, None] == [armed.value, disarmed.value, still.value]
    assert 1 == len(still.reasons)
    assert None is Armed(FITTED).disarm("a person said so").value


def test_the_stability_index_is_0_for_the_same_and_finite_for_others():
    """An empty bin is no infinite change."""
    random = Random(4)
    reference = scores(random, 1000)

    assert 0 == pytest.approx(psi(reference, reference))
    assert psi(reference, scores(random, 1000)) < 0.1
    assert 1 < psi(reference, [0.01] * 1000) < 20
    assert psi([0.5] * 100, [0.5] * 100) == 0


def test_labels_refute_a_promise_that_scores_do_not():
    """The same scores, more often wrong: 30 of 100 where 10 % was promised; 12 prove nothing."""

    def after(wrong):
        low = [Label(0.5, correct=False)] * 50
        return [Label(0.95, correct=i >= wrong) for i in range(100)] + low

    assert [False, True] == [refuted(after(wrong), FITTED, 0.1) for wrong in (12, 30)]
    assert not refuted([], FITTED, 0.1)
    assert not refuted(after(30), Armed(FITTED, ("drift",)), 0.1)


def test_a_kept_promise_is_seldom_refuted():
    """At an error of exactly alpha, with probability delta at most."""
    random, draws = Random(5), 1000
    labels = ([Label(0.95, random.random() > 0.1) for _ in range(80)] for _ in range(draws))
    found = sum(refuted(drawn, FITTED, 0.1, 0.05) for drawn in labels)

    assert stats.binomtest(found, draws, 0.05, "greater").pvalue > 0.001


@pytest.mark.parametrize("wrong", [lambda: DriftTest(0), lambda: DriftTest(looks=0)])
def test_what_makes_no_sense_is_refused(wrong):
    """At construction."""
    with pytest.raises(ValueError):
        wrong()
