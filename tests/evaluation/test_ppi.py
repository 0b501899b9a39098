"""A few human labels correct a judge's many, and the interval is no narrower than they allow."""

from __future__ import annotations

from random import Random

import pytest

from lg_production.core.intervals import wilson
from lg_production.evaluation.ppi import prediction_powered


def test_a_few_human_labels_make_a_judges_many_honest():
    """The interval covers the truth as often as it says, and is narrower than the labels' own."""
    random, hits, narrower = Random(11), 0, 0

    def label(truth):
        right = random.random() < (0.95 if truth else 0.7)
        return truth if right else 1 - truth

    for _ in range(300):
        human = [int(random.random() < 0.8) for _ in range(100)]
        more = [label(int(random.random() < 0.8)) for _ in range(1_000)]
        found = prediction_powered(human, list(map(label, human)), more)
        hits += found.low <= 0.8 <= found.high
        alone = wilson(sum(human), 100)
        narrower += found.high - found.low < alone.high - alone.low

    assert 0.90 < hits / 300 < 0.985
    assert narrower > 250


@pytest.mark.parametrize("n", [20, 50, 200])
@pytest.mark.parametrize(("rate", "hit", "miss"), [(0.8, 0.9, 0.3), (0.95, 0.98, 0.2),
                                                   (0.97, 1.0, 0.1), (0.97, 0.7, 0.4)])  # fmt: skip
def test_few_labels_of_a_good_agent_are_not_too_sure(n, rate, hit, miss):
    """The truth is in 93 % and more of the intervals, and none of them is a point."""
    random, runs = Random(n), 300

    def drawn_labels(how_many):
        truth = [int(random.random() < rate) for _ in range(how_many)]
        return truth, [int(random.random() < (hit if one else miss)) for one in truth]

    found = [prediction_powered(*drawn_labels(n), drawn_labels(300)[1]) for _ in range(runs)]
    hits = sum(one.low <= rate <= one.high for one in found)

    assert wilson(hits, runs).high >= 0.93
    assert all(0 <= one.low < one.high <= 1 for one in found)
    assert all(one.low <= one.value <= one.high for one in found)


@pytest.mark.parametrize(
    ("human", "judged", "more", "said"),
    [
        ([1] * 9, [1] * 9, [1], "at least 10 items"), ([1] * 10, [1] * 10, [], "at least 10"),
        ([1] * 10, [1] * 11, [1], "at least 10"), ([1] * 9 + [float("nan")], [1] * 10, [1], "nan is"),
        ([1] * 10, [1] * 9 + [None], [1], "None is no label"), ([1] * 10, [7] * 10, [1], "see `scale`"),
    ],
)  # fmt: skip
def test_labels_that_are_none_are_refused(human, judged, more, said):
    """Too few, none, no numbers, or of another scale."""
    with pytest.raises(ValueError, match=said):
        prediction_powered(human, judged, more)


def test_grades_have_a_scale_of_their_own():
    """It is said, and the interval stays on it."""
    found = prediction_powered([10] * 12, [10] * 12, [10] * 40, scale=(1, 10))

    assert (10, True) == (found.high, 7 < found.low < 10)
    with pytest.raises(ValueError, match="a least and a highest"):
        prediction_powered([1] * 10, [1] * 10, [1], scale=(1, 1))


def test_a_judge_that_knows_nothing_is_not_listened_to():
    """Then the interval is that of the labels, with one that passed more and one that did not."""
    random = Random(12)
    human = [int(random.random() < 0.5) for _ in range(200)]
    found = prediction_powered(human, [1] * 200, [1] * 500)

    assert pytest.approx((sum(human) + 1) / 202, abs=0.005) == found.value
