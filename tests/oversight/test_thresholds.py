"""Thresholds that keep their promise, against scipy, MAPIE and the truth of simulated reviews."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.risk_control import control_fwer
from mapie.risk_control.methods import get_r_hat_plus
from scipy import special, stats

from evals.oversight.world import World
from lg_production.oversight.thresholds import (
    EscapeRate,
    Label,
    SelectiveRisk,
    beta_cdf,
    binomial_tail,
    curve,
    fit_each,
    lower_bound,
    uniform,
    upper_bound,
)

LABELS = st.lists(
    st.builds(Label, st.integers(0, 20).map(lambda n: n / 20), st.booleans()), max_size=150
)


def reviews(random, n, chance=lambda score: score, score=None):
    """So many judged cases: a score, and correct with the chance that belongs to it."""
    scores = [score(random) if score else random.betavariate(4.9, 1.525) for _ in range(n)]
    return [Label(s, random.random() < chance(s)) for s in scores]


def correct(n, score=0.9):
    return [Label(score, correct=True)] * n


# ------------------------------------------------------------------------- exact binomial
@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(1e-6, 1 - 1e-6))
def test_the_binomial_tail_is_exact(n, share, rate):
    """To 1e-12, against scipy."""
    errors = int(share * n)

    assert binomial_tail(errors, n, rate) == pytest.approx(
        stats.binom.cdf(errors, n, rate), rel=0, abs=1e-12
    )


@given(st.integers(1, 5_000), st.floats(0, 1), st.sampled_from([0.5, 0.1, 0.05, 0.01, 1e-5]))
def test_clopper_and_pearson_s_bounds_are_exact(n, share, delta):
    """To 1e-12, against the quantiles of scipy's beta distribution."""
    errors = int(share * n)
    above = stats.beta.ppf(1 - delta, errors + 1, n - errors) if errors < n else 1.0
    below = stats.beta.ppf(delta, errors, n - errors + 1) if errors else 0.0

    assert upper_bound(errors, n, delta) == pytest.approx(above, rel=0, abs=1e-12)
    assert lower_bound(errors, n, delta) == pytest.approx(below, rel=0, abs=1e-12)


@given(st.floats(0.5, 5_000), st.floats(0.5, 5_000), st.floats(0, 1))
def test_the_beta_function_needs_no_whole_numbers(a, b, x):
    """Effective sample sizes are none."""
    assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=0, abs=1e-12)


# -------------------------------------------------------------------------- selective risk
def calibrated(random, n):
    return World().draw(random, n)


def in_tenths(random, n):
    return reviews(random, n, score=lambda r: round(r.betavariate(4.9, 1.525), 1))


def just_too_bad(random, n):
    return reviews(random, n, lambda s: 0.899, lambda r: r.random())


def with_a_cliff(random, n):
    return reviews(random, n, lambda s: 1.0 if s > 0.8 else 0.5, lambda r: r.random())


def error_in_tenths(threshold):
    """The true error of scores that are rounded to tenths."""
    tenths = [i / 10 for i in range(round(threshold * 10), 11)]
    edge = stats.beta(4.9, 1.525).cdf
    shares = [edge(t + 0.05) - edge(t - 0.05) for t in tenths]
    return sum(share * (1 - t) for share, t in zip(shares, tenths)) / sum(shares)


@pytest.mark.parametrize(
    "starts", [(0.1,), (0.05, 0.2), (0.01, 0.25, 0.5, 0.75)], ids=["one", "two", "four"]
)
@pytest.mark.parametrize(
    ("draw", "error"),
    [
        (calibrated, World().error),
        (in_tenths, error_in_tenths),
        (just_too_bad, lambda threshold: 0.101),
        (with_a_cliff, lambda threshold: max(0, 0.5 * (0.8 - threshold) / (1 - threshold))),
    ],
)
def test_the_error_stays_below_alpha_as_often_as_promised(draw, error, starts):
    """P(error among auto-approved > alpha) <= delta, within the error of the simulation."""
    random, rule, draws = Random(1), SelectiveRisk(0.1, 0.1, starts), 300
    values = [rule.fit(draw(random, 300)).value for _ in range(draws)]
    broken = sum(value is not None and error(value) > 0.1 for value in values)

    assert any(value is not None for value in values)
    assert stats.binomtest(broken, draws, 0.1, "greater").pvalue > 0.001


def test_a_grid_needs_no_order_of_the_scores():
    """Where the highest scores are the worst, thresholds chosen beforehand keep the promise."""
    random, draws = Random(2), 200
    rule = SelectiveRisk(0.1, 0.1, starts=(1 / 3, 1), grid=(0.5, 0.7, 0.8))
    values = [
        rule.fit(reviews(random, 1000, lambda s: 0.6 if s > 0.95 else 0.95, Random.random)).value
        for _ in range(draws)
    ]

    # The true errors are 0.138, 0.108 and 0.085.
    assert (
        stats.binomtest(values.count(0.8) + values.count(0.7), draws, 0.1, "greater").pvalue > 0.001
    )
    assert values.count(0.5) > draws / 5


@given(LABELS, st.sampled_from([0.05, 0.1, 0.3]), st.sampled_from([0.05, 0.1, 0.3]))
def test_the_walk_is_mapie_s_fixed_sequence(labels, alpha, delta):
    """The same thresholds are proven as by MAPIE with scipy's p-values."""
    rule = SelectiveRisk(alpha, delta)
    rank = max(rule.fewest, -(-len(labels) // 10))
    points = [point for point in curve(labels) if point.n >= rank]
    p_values = [stats.binom.cdf(point.errors, point.n, alpha) for point in points]
    proven = control_fwer(p_values, delta, "fixed_sequence") if points else []
    expected = points[max(proven)].value if len(proven) else None

    assert expected == rule.fit(labels).value


def test_several_starts_share_delta_and_hand_it_on():
    """A sequence that reaches the next start continues with both parts."""
    labels = correct(40, 0.9) + [Label(0.8, correct=i > 0) for i in range(20)]
    labels += [Label(0.7, correct=False)] * 40
    one, two = SelectiveRisk(0.1, 0.1, (0.4,)), SelectiveRisk(0.1, 0.1, (0.4, 0.6))
    late = SelectiveRisk(0.1, 0.1, (0.6, 0.7))

    assert (0.8, 0.6) == (one.fit(labels).value, one.fit(labels).automated)
    assert (0.8, upper_bound(1, 60, 0.1)) == (two.fit(labels).value, two.fit(labels).bound)
    assert (0.8, upper_bound(1, 60, 0.05)) == (late.fit(labels).value, late.fit(labels).bound)


@given(LABELS, st.floats(0.02, 0.5))
def test_nothing_is_automated_that_is_not_proven(labels, alpha):
    """What is proven is at most alpha, of enough labels; and else there is no threshold."""
    found = SelectiveRisk(alpha, 0.1).fit(labels)
    above = [label for label in labels if found.value is not None and label.score >= found.value]
    errors = sum(not label.correct for label in above)

    assert (found.value is None) == (found.automated == 0)
    if found.value is not None:
        assert upper_bound(errors, len(above), 0.1) == found.bound
        assert found.bound <= alpha + 1e-12
        assert (len(above) / len(labels), 0) == (found.automated, found.missing)
    else:
        assert found.missing is None or found.missing > 0


def test_equal_scores_go_together():
    """A threshold cannot part them, so 30 of one score are proven all or not at all."""
    labels = [Label(0.9, correct=i > 3) for i in range(30)]

    assert SelectiveRisk(0.1, 0.1).fit(labels).value is None
    assert SelectiveRisk(0.1, 0.1).fit(labels[4:] + correct(20)).value == 0.9


@pytest.mark.parametrize("n", [0, 1, 21])
def test_it_says_how_many_labels_are_missing(n):
    """Without an error, 22 labels prove 10 % at 90 %: 0.9 ** 22 < 0.1."""
    rule = SelectiveRisk(0.1, 0.1)
    found = rule.fit(correct(n))

    assert (None, 22 - n) == (found.value, found.missing)
    assert rule.fit(correct(22)).value == 0.9
    assert f"at least {22 - n} more" in found.guarantee


def test_with_errors_more_labels_are_missing():
    """The forecast is about right: with so many more of the same, it is proven."""
    labels = [Label(0.9, correct=i % 20 > 0) for i in range(40)]
    rule = SelectiveRisk(0.1, 0.1)
    missing = rule.fit(labels).missing
    more = [Label(0.9, correct=i % 20 > 0) for i in range(80)]

    assert 20 < missing <= 40
    assert rule.fit(more).value == 0.9


def test_where_no_number_of_labels_would_do_it_says_so():
    """At an error of 30 % everywhere, waiting is no plan."""
    labels = [Label(i / 100, correct=i % 10 > 2) for i in range(100)]
    found = SelectiveRisk(0.1, 0.1).fit(labels)

    assert (None, None) == (found.value, found.missing)
    assert "more of them would not prove it" in found.guarantee


def test_the_guarantee_is_in_plain_words():
    """A reviewer reads what is promised."""
    risk = SelectiveRisk(0.1, 0.1).fit(correct(1000))
    escape = EscapeRate(0.025).fit(correct(1000))

    assert risk.guarantee == (
        "with probability 90 % the error among auto-approved is at most 10 %, "
        "if new cases are like the 1,000 labelled ones"
    )
    assert escape.guarantee == (
        "on average at most 2.5 % of all cases are auto-approved and wrong, "
        "if new cases are like the 1,000 labelled ones"
    )


@pytest.mark.parametrize("rule", [SelectiveRisk(0.1, 0.1, minimum=50), EscapeRate(0.1, 50)])
def test_a_stratum_needs_its_minimum(rule):
    """Each stratum has its own threshold, or none."""
    labels = [Label(0.9, True, stratum="a")] * 60 + [Label(0.8, True, stratum="b")] * 40
    found = fit_each(rule, labels)

    assert ({"a": 0.9, "b": None}, 10) == (
        {name: one.value for name, one in found.items()},
        found["b"].missing,
    )


@given(st.integers(), st.integers(100, 400))
def test_a_looser_promise_never_automates_less(seed, n):
    """Given enough labels that the tests start at the same place."""
    labels = in_tenths(Random(seed), n)
    shares = [SelectiveRisk(alpha, 0.1, (0.5,)).fit(labels).automated for alpha in (0.1, 0.2, 0.4)]
    escapes = [EscapeRate(alpha).fit(labels).automated for alpha in (0.05, 0.1, 0.2, 0.4)]

    assert sorted(shares) == shares
    assert sorted(escapes) == escapes


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SelectiveRisk(0, 0.1),
        lambda: SelectiveRisk(0.1, 1),
        lambda: SelectiveRisk(0.1, 0.1, starts=()),
        lambda: SelectiveRisk(0.1, 0.1, starts=(0.0,)),
        lambda: EscapeRate(1),
        lambda: Label(float("nan"), True),
        lambda: Label(0.5, True, probability=0),
        lambda: Label(0.5, True, probability=0.2, draw=0.3),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    """At construction, not when a threshold is needed."""
    with pytest.raises(ValueError):
        wrong()


# ----------------------------------------------------------------------------- escape rate
@given(LABELS.filter(bool), st.sampled_from([0.02, 0.1, 0.3]))
def test_the_escape_rate_is_mapie_s_conformal_risk_control(labels, alpha):
    """The loosest threshold at which the corrected risk is at most alpha."""
    values = np.array(sorted({label.score for label in labels}, reverse=True))
    losses = np.array([[not x.correct and x.score >= v for v in values] for x in labels], float)
    _, corrected = get_r_hat_plus(losses, values, "crc", None, None, None)
    held = values[corrected <= alpha + 1e-12]
    found = EscapeRate(alpha).fit(labels)

    assert (held[-1] if len(held) else None) == found.value
    if found.value is not None:
        assert corrected[list(values).index(found.value)] == pytest.approx(found.bound)


@pytest.mark.parametrize(
    "score",
    [None, lambda r: round(r.random(), 1), lambda r: 1 - r.random() ** 3],
    ids=["smooth", "ties", "steep"],
)
def test_escapes_are_at_most_alpha_on_average(score):
    """Over labels and one new case: exact, for any n and any scores."""
    random, rule, draws = Random(3), EscapeRate(0.1), 4000
    escaped = 0
    for _ in range(draws):
        *labels, new = reviews(random, 40, score=score)
        value = rule.fit(labels).value
        escaped += value is not None and new.score >= value and not new.correct

    assert stats.binomtest(escaped, draws, 0.1, "greater").pvalue > 0.001


def test_the_escape_rate_says_what_is_missing():
    """(0 + 1) / (n + 1) <= 0.1 takes nine labels; with errors at the top, more or no number."""
    rule = EscapeRate(0.1)
    some = [Label(0.9, correct=i > 0) for i in range(12)]

    assert (None, 4) == (rule.fit(correct(5)).value, rule.fit(correct(5)).missing)
    assert rule.fit(correct(9)).value == 0.9
    assert (None, 42) == (rule.fit(some).value, rule.fit(some).missing)
    assert rule.fit([Label(0.9, False)] * 10).missing is None


# ------------------------------------------------------------------------ unequal sampling
def test_thinning_makes_unequal_samples_uniform():
    """A label stays if it would have been drawn at the smallest probability."""
    labels = [
        Label(0.9, True, 0.1, draw=0.05),
        Label(0.8, True, 0.5, draw=0.05),
        Label(0.7, True, 0.5, draw=0.3),
        Label(0.6, True, 1.0, draw=0.99),
    ]

    assert labels[:2] == uniform(labels)


def test_equal_probabilities_need_no_draw_and_unequal_ones_do():
    """An exact bound on a biased sample would be a lie."""
    labels = [Label(0.9, True, 0.1), Label(0.6, True)]

    assert labels[:1] == uniform(labels[:1])
    with pytest.raises(ValueError, match="need the draw"):
        SelectiveRisk(0.1).fit(labels)


def test_the_promise_holds_on_labels_that_were_sampled_unequally():
    """Reviewed cases all, auto-approved ones at a fifth: the error is just above alpha, and the
    wrong ones are no more likely to pass for it."""
    random, rule, draws = Random(4), SelectiveRisk(0.1, 0.1), 300
    broken = 0
    for _ in range(draws):
        labels = []
        for case in reviews(random, 800, lambda s: 0.899, lambda r: r.random()):
            probability, number = 0.2 if case.score > 0.5 else 1.0, random.random()
            if number < probability:
                labels.append(Label(case.score, case.correct, probability, draw=number))
        broken += rule.fit(labels).value is not None

    assert stats.binomtest(broken, draws, 0.1, "greater").pvalue > 0.001
