"""A gate looks at the bound of an interval, and not at a lucky figure."""

from __future__ import annotations

import pytest

from lg_production.errors import RunsDiffer
from lg_production.evaluation.gates import Exit, Gate
from tests.evaluation.report_for_tests import report


def test_ten_of_ten_are_surely_no_more_than_72_percent():
    """A hundred of a hundred are enough."""
    ten, hundred = report([1] * 10), report([1] * 100)
    gate = Gate(min_pass_rate=0.9)

    assert [Exit.FAILED, Exit.PASSED] == [gate.exit(ten), gate.exit(hundred)]
    assert "72.2%" in gate.objections(ten)[0]


def test_no_case_may_fail_where_that_is_asked_for():
    """And those that did are named."""
    gate = Gate(every=True)

    assert [Exit.PASSED, Exit.FAILED] == [gate.exit(report([1, 1])), gate.exit(report([1, 0]))]
    assert ["1 cases failed: c-1"] == gate.objections(report([1, 0]))


def test_a_drop_must_surely_be_smaller_than_is_allowed():
    """Few cases cannot show that, even if none has changed."""
    gate = Gate(max_drop=0.1)
    few, many = report([1] * 10), report([1] * 100)

    assert Exit.PASSED == gate.exit(many, many)
    assert Exit.FAILED == gate.exit(few, few)
    assert Exit.FAILED == gate.exit(report([0] * 20 + [1] * 80), many)
    with pytest.raises(RunsDiffer):
        gate.exit(report([1], hash="other"), many)


@pytest.mark.parametrize(("n", "allowed"), [(100, 0.03), (20, 0.13), (20, 0.1)])
def test_no_run_passes_that_is_worse_than_one_that_fails(n, allowed):
    """One case of them, then two: a gate that the same run fails, a worse one fails."""
    gate, same = Gate(max_drop=allowed), report([1] * n)
    codes = [gate.exit(report([0] * bad + [1] * (n - bad)), same) for bad in range(4)]

    assert sorted(codes) == codes
    assert Exit.FAILED == codes[-1]


def test_a_run_that_is_not_finished_passes_no_gate():
    """Nor does it fail one."""
    assert Exit.NOT_FINISHED == Gate().exit(report([1] * 100, stopped="budget"))


@pytest.mark.parametrize("share", [95, -0.1])
def test_a_share_is_between_0_and_1(share):
    """95 is not 95 %."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Gate(min_pass_rate=share)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Gate(max_drop=share)
