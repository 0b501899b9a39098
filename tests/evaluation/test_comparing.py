"""Two runs are compared case by case, and only a bound says better or worse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lg_production.errors import RunsDiffer
from lg_production.evaluation.comparing import compare
from tests.evaluation.report_for_tests import report


def test_a_run_is_better_or_worse_only_if_the_interval_says_so():
    """Two cases of thirty are no evidence; fifteen are."""
    good, bad, odd = report([1] * 30), report([0] * 15 + [1] * 15), report([0, 0] + [1] * 28)

    assert ["worse", "better", "no evidence", "no evidence"] == [
        compare(good, bad).verdict, compare(bad, good).verdict,
        compare(good, odd).verdict, compare(good, good).verdict,
    ]  # fmt: skip
    assert compare(good, good).difference.high > 0.05
    assert "no evidence" == compare(report([1]), report([0])).verdict
    assert "uses book: no such call; fine" == compare(good, bad).changes[0].why


@pytest.mark.parametrize(("changed", "verdict"), [(4, "no evidence"), (5, "no evidence"),
                                                  (6, "worse"), (40, "worse")])  # fmt: skip
def test_interval_p_and_verdict_are_of_one_mind(changed, verdict):
    """Four and five of 100 that got worse are no evidence: p is 0.12 and 0.06."""
    found = compare(report([1] * 100), report([0] * changed + [1] * (100 - changed)))

    assert verdict == found.verdict
    assert (verdict == "worse") == (found.p < 0.05) == (found.difference.high < 0)
    assert found.difference.low < -changed / 100


def test_a_small_change_of_many_trials_is_found():
    """Six cases that pass once of three less: p is 0.03, and the bound is the test's own."""
    old, new = report([3] * 50, repeat=3), report([2] * 6 + [3] * 44, repeat=3)
    found = compare(old, new)

    assert ("worse", 0.03125) == (found.verdict, found.p)
    assert found.difference.value < found.difference.high < 0


def test_cases_are_paired():
    """What is hard in both says nothing: the same loss is clearer than between two groups."""
    old = report([4] * 20 + [0] * 20, repeat=4)
    new = report([3] * 20 + [0] * 20, repeat=4)

    assert "worse" == compare(old, new).verdict
    assert old.rate().low < new.rate().value
    assert compare(old, new).p < 0.001


def test_each_split_is_told_apart():
    """A loss in one may be a gain in the other."""
    found = compare(report([1, 0] * 20), report([0, 1] * 20))
    splits = found.by_split()

    assert "no evidence" == found.verdict
    assert (-1.0, 1.0) == (splits["happy"].value, splits["edge"].value)


def test_two_runs_of_different_data_are_not_compared():
    """Unless it is asked for, and then without what differs."""
    old, new = report([1, 1, 1]), report([1, 1, 0, 1], hash="other")
    with pytest.raises(RunsDiffer, match="c-3"):
        compare(old, new)
    found = compare(old, new, allow_different_data=True)

    assert (("c-3",), 3) == (found.left_out, found.difference.n)


def test_a_case_that_was_changed_is_not_compared():
    """It has the same name, and is another question."""
    old, new = report([1, 1]), report([1, 0], hash="other")
    new.cases[1]["note"] = "changed"
    found = compare(old, new, allow_different_data=True)

    assert (("c-1",), ["c-0"]) == (found.left_out, [change.id for change in found.changes])


def test_other_words_of_claims_are_told_and_refuse_nothing():
    """The verdicts of claims_only_done may differ by that alone; an old report has not noted any."""
    old, new = (replace(report([1, 1]), words=words) for words in ("a" * 64, "b" * 64))
    told = compare(old, new).notes

    assert 1 == len(told)
    assert f"was {'a' * 12}, and now is {'b' * 12}" in told[0]
    assert "was unknown" in compare(report([1, 1]), new).notes[0]
    assert () == compare(old, old).notes == compare(report([1]), report([1])).notes


def test_runs_with_nothing_in_common_are_not_compared():
    """Whatever is asked for."""
    with pytest.raises(RunsDiffer, match="no case in common"):
        compare(report([]), report([1], hash="other"), allow_different_data=True)


def test_a_run_that_was_cut_off_is_not_compared_as_if_it_were_whole():
    """What it has not tried is named."""
    with pytest.raises(RunsDiffer, match="c-2"):
        whole = report([1, 1, 1])
        part = report([1, 1])
        compare(whole, part)
