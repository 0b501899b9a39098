"""A judge that changed is found, one that did not is left alone, and the right one is blamed."""

from __future__ import annotations

import json
from itertools import product
from random import Random
from statistics import fmean

import pytest
from scipy import stats

from lg_production.core.intervals import wilson
from lg_production.errors import BaselineUnusable, RunsDiffer
from lg_production.evaluation.attribution import attribute
from lg_production.evaluation.cusum import Monitor
from lg_production.evaluation.drift import Baseline, PermutationTest, baseline_of, regraded
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.outcome import Outcome
from lg_production.evaluation.permuting import drawn, least, residuals
from tests.evaluation.agent_for_tests import case

TEST = PermutationTest(draws=999)
SEVEN = {f"i-{n}": (7,) * 5 for n in range(10)}
"""A judge without any noise."""
NO_GRADES = [True, 3.5, 7.0, 0, 11, 37, float("nan"), "7"]


def grades(random, n, shift=0.0, noise=0.7):
    """A first five grades and one of today for each item, on ten levels."""
    centres = {f"i-{k}": random.uniform(2, 9) for k in range(n)}

    def grade(centre, by=0.0):
        return min(10, max(1, round(random.gauss(centre + by, noise))))

    before = {name: tuple(grade(c) for _ in range(5)) for name, c in centres.items()}
    return Baseline("pin", "data", before), {name: grade(c, shift) for name, c in centres.items()}


def test_a_residual_is_a_grade_less_the_mean_of_the_others():
    """Of all of them."""
    assert (-1.5, 0.0, 1.5) == residuals([1, 2, 3])


def test_an_unchanged_judge_is_seldom_called_changed():
    """At most in one of a hundred rounds, also if its noise differs by item, and with ties."""
    random = Random(5)
    alarms = sum(
        TEST.test(*grades(random, 25, noise=random.choice([0.2, 0.7, 1.5]))).drifted
        for _ in range(300)
    )

    assert wilson(alarms, 300).low <= 0.01


def test_a_stricter_judge_is_found_with_25_grades():
    """And by how much it is stricter."""
    random = Random(6)
    found = [TEST.test(*grades(random, 25, shift=-1.0)) for _ in range(40)]

    assert sum(one.drifted for one in found) >= 36
    assert -1.3 < sum(one.shift for one in found) / 40 < -0.7
    assert all(one.p_direction <= one.p_dispersion for one in found if one.drifted)


def test_a_permutation_p_is_scipys():
    """For two grades an item, which are exchanged with each other: scipy's paired permutation."""
    random = Random(7)
    pairs = {f"i-{n}": (random.randint(1, 10), random.randint(1, 10)) for n in range(12)}
    first, second = zip(*pairs.values(), strict=True)
    differences = [(b - a) for a, b in pairs.values()]
    rows = [(-d, d) for d in differences]
    seen = abs(sum(row[-1] for row in rows))
    p = sum(total >= seen - 1e-9 for total, _ in drawn(rows, 20_000 - 1, seed=0)) / 20_000
    theirs = stats.permutation_test((first, second), lambda a, b: sum(b) - sum(a),
                                    permutation_type="samples", n_resamples=99_999, vectorized=False)  # fmt: skip

    assert pytest.approx(theirs.pvalue, abs=0.02) == p


def test_a_judge_that_always_says_the_same_has_not_changed():
    """Nor has one with constant grades; a p of exactly alpha is an alarm."""
    baseline = Baseline("p", "d", SEVEN)
    same = TEST.test(baseline, {f"i-{n}": 7 for n in range(10)})
    other = TEST.test(baseline, {f"i-{n}": 6 for n in range(10)})

    assert (1.0, False) == (same.p, same.drifted)
    assert other.drifted
    assert (
        PermutationTest(alpha=other.p, draws=999)
        .test(baseline, {f"i-{n}": 6 for n in range(10)})
        .drifted
    )


def test_what_could_show_nothing_is_refused(tmp_path):
    """Too few items, grades that are missing, an item that nobody knows, a file that is none."""
    baseline, today = grades(Random(1), 12)
    with pytest.raises(BaselineUnusable, match="7 items have two grades"):
        grades(Random(1), 7)
    with pytest.raises(BaselineUnusable, match="3 items were graded today"):
        TEST.test(baseline, {k: (v if n < 3 else None) for n, (k, v) in enumerate(today.items())})
    with pytest.raises(RunsDiffer, match="no item 'new'"):
        TEST.test(baseline, {"new": 3})
    with pytest.raises(ValueError, match="at least 2 / alpha"):
        PermutationTest(alpha=0.01, draws=99)
    file = tmp_path / "b.json"
    file.write_text("{}")
    with pytest.raises(BaselineUnusable, match=r"b\.json"):
        Baseline.read(file)
    assert baseline == Baseline.read(baseline.write(file))


@pytest.mark.parametrize("score", [*NO_GRADES, None])
def test_a_score_that_is_none_makes_no_baseline(score, tmp_path):
    """A bool, a half, a NaN, a text, or one off the scale: the item is named, in a file as well."""
    broken = {**SEVEN, "i-3": (7, 7, score)}
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"pin": "p", "data": "d", "grades": broken}))
    with pytest.raises(BaselineUnusable, match="item 'i-3' has the grade"):
        Baseline("p", "d", broken)
    with pytest.raises(BaselineUnusable, match="item 'i-3' has the grade"):
        Baseline.read(file)


@pytest.mark.parametrize("score", NO_GRADES)
def test_a_score_of_today_that_is_none_is_refused(score):
    """Of a control item, and of a case: it would move a mean that nobody doubts."""
    baseline, today = Baseline("p", "d", SEVEN), dict.fromkeys(SEVEN, 7)
    with pytest.raises(BaselineUnusable, match="today item 'i-3' has the grade"):
        TEST.test(baseline, {**today, "i-3": score})
    with pytest.raises(BaselineUnusable, match="today item 'i-3' has the grade"):
        baseline.residuals({**today, "i-3": score})
    with pytest.raises(BaselineUnusable, match="a case has the grade"):
        attribute(baseline, today, {"a": 7}, {"a": score}, test=TEST)


def test_items_that_were_not_graded_today_are_named():
    """Whether the judge could not be read, or was not asked."""
    today = {name: 7 for name in SEVEN if name != "i-8"} | {"i-2": None}
    found = TEST.test(Baseline("p", "d", SEVEN), today)

    assert (("i-2", "i-8"), 8) == (found.missing, found.items)
    assert () == TEST.test(Baseline("p", "d", SEVEN), dict.fromkeys(SEVEN, 7)).missing


def test_grades_of_another_judge_are_refused():
    """It is another prompt or version: that is no drift, and needs a baseline of its own."""
    baseline, today = Baseline("a" * 64, "d", SEVEN), dict.fromkeys(SEVEN, 7)
    with pytest.raises(BaselineUnusable, match=f"of judge {'a' * 12}, not of {'b' * 12}\\)"):
        TEST.test(baseline, today, pin="b" * 64)
    with pytest.raises(BaselineUnusable, match="of judge"):
        attribute(baseline, today, {"a": 7}, {"a": 7}, test=TEST, pin="b" * 64)

    assert not TEST.test(baseline, today, pin="a" * 64).drifted


def test_regrades_tell_by_which_judge_they_are():
    """So nobody has to say it, and another judge's, or those of other items, are refused."""
    ours, other = (
        Judge.of("acme", "j", version, lambda *_: "score: 7", "Be fair.")
        for version in ("20260101", "20260202")
    )
    items = {f"c-{n}": (case(f"c-{n}", "x"), Outcome(str(n))) for n in range(10)}
    baseline = baseline_of(ours, items, "data")
    same, strange = regraded(ours, items, "data"), regraded(other, items)

    assert dict.fromkeys(items, 7) == same
    assert (ours.pin.hash, "data") == (same.pin, same.data)
    assert not TEST.test(baseline, same).drifted
    assert not attribute(baseline, same, same, {**same}, test=TEST).agent.changed
    for wrong in (strange, regraded(ours, items, "other data")):
        with pytest.raises(BaselineUnusable, match="they are of"):
            TEST.test(baseline, wrong)
        with pytest.raises(BaselineUnusable, match="they are of"):
            baseline.residuals(wrong)
    with pytest.raises(BaselineUnusable, match="of judge"):
        attribute(baseline, strange, strange, strange, test=TEST)
    with pytest.raises(RunsDiffer, match="of judge"):
        attribute(baseline, same, same, strange, test=TEST)
    with pytest.raises(RunsDiffer, match="of judge"):
        TEST.test(baseline, strange, pin=ours.pin.hash)


def test_a_test_that_could_never_give_an_alarm_is_refused():
    """Too few grades for such a small alpha, or items that had every grade there is already."""
    strict = PermutationTest(alpha=0.0002)
    twice = Baseline("p", "d", {f"i-{n}": (7, 7) for n in range(8)})
    often = Baseline("p", "d", {f"i-{n}": (7,) * 5 for n in range(8)})
    wild = Baseline("p", "d", {f"i-{n}": (1, 10) for n in range(8)})
    same, low = ({f"i-{n}": score for n in range(8)} for score in (7, 1))
    with pytest.raises(BaselineUnusable, match=r"p = 0\.0003 at best"):
        strict.test(twice, low)
    with pytest.raises(BaselineUnusable, match="at best, whatever they get today"):
        TEST.test(wild, low)

    assert [False, True] == [strict.test(often, today).drifted for today in (same, low)]
    assert [False, True] == [TEST.test(twice, today).drifted for today in (same, low)]


def test_of_a_judge_without_noise_three_other_grades_are_enough():
    """One draw of 216 looks like that. A single other grade is no evidence: one draw of six does."""
    today = dict.fromkeys(SEVEN, 7)
    found = [
        PermutationTest().test(Baseline("p", "d", SEVEN), {**today, **dict.fromkeys(some, 8)})
        for some in (["i-1"], ["i-1", "i-2", "i-3"])
    ]

    assert [False, True] == [one.drifted for one in found]
    assert pytest.approx(1 / 216, abs=0.002) == found[1].p_direction


def p_of(rows):
    """The exact p of both statistics."""
    found = [(abs(sum(picked)), sum(r * r for r in picked)) for picked in product(*rows)]
    seen = abs(sum(row[-1] for row in rows)), sum(row[-1] ** 2 for row in rows)
    above = [[one[side] >= seen[side] - 1e-9 for one in found] for side in (0, 1)]
    return [sum(side) / len(found) for side in above]


def reached(before):
    """The smallest p of any day, exactly: every grade is tried for both items."""
    days = [
        [residuals((*row, score)) for row, score in zip(before, today, strict=True)]
        for today in product(range(1, 11), repeat=2)
    ]
    return min(min(p_of(rows)) for rows in days)


def test_no_grades_of_today_have_a_smaller_p_than_the_least():
    """Of all days; a judge without noise can come to it, by direction or by dispersion."""
    random = Random(13)
    tried = [[tuple(random.choices((1, 2, 9, 10), k=3)) for _ in range(2)] for _ in range(12)]

    assert [] == [before for before in tried if least(before) > reached(before) + 1e-12]
    assert pytest.approx(1 / 12) == least([(7, 7), (4, 4, 4)]) == reached([(7, 7), (4, 4, 4)])
    assert pytest.approx(1 / 9) == least([(10, 10), (1, 1)]) == reached([(10, 10), (1, 1)])


def test_draws_are_of_all_that_could_have_been_today():
    """Each as often as it should be, an odd number of items too; the same seed draws the same."""
    rows = [residuals((3, 4, 4, 6)), residuals((7, 8, 9)), residuals((2, 2, 5, 5, 9))]
    sums = drawn(rows, 40_000, seed=3)
    p = [sum(one[side] >= sums[0][side] - 1e-9 for one in sums) / len(sums) for side in (0, 1)]

    assert pytest.approx(p_of(rows), abs=0.01) == p
    assert sums == drawn(rows, 40_000, seed=3)
    assert sums != drawn(rows, 40_000, seed=4)


def test_a_baseline_is_made_by_the_judge_itself():
    """K grades of each item; what it could not read is left out."""
    random = Random(2)
    judge = Judge.of("acme", "j", "20260101",
                     lambda *_: random.choice(["score: 7", "score: 8", "?"]), "Be fair.")  # fmt: skip
    items = {f"c-{n}": (case(f"c-{n}", "x"), Outcome(str(n))) for n in range(10)}
    found = baseline_of(judge, items, "data")

    assert (judge.pin.hash, set(items)) == (found.pin, set(found.grades))
    assert {7, 8} == {score for scores in found.grades.values() for score in scores}


@pytest.mark.parametrize(("shift", "noise", "alarm"), [(-1.0, 0.7, "stricter"), (1.0, 0.7, "milder"),
                                                       (0.0, 2.5, "erratic")])  # fmt: skip
def test_a_nightly_monitor_tells_what_kind_of_change_it_is(shift, noise, alarm):
    """Within some tens of grades, and it stays told."""
    random = Random(8)
    baseline, _ = grades(random, 100)
    monitor = Monitor.of(baseline)
    found = monitor.after(*(random.gauss(shift, noise) for _ in range(80)))

    assert alarm == found.alarm
    assert alarm == found.after(0, 0, 0).alarm
    assert None is monitor.alarm


def false_alarm(random, items, seed):
    """Whether an unchanged judge is called changed within 200 grades of the same items."""
    centres = {f"i-{k}": random.uniform(2, 9) for k in range(items)}

    def grade(name):
        return min(10, max(1, round(random.gauss(centres[name], 0.7))))

    before = {name: tuple(grade(name) for _ in range(5)) for name in centres}
    monitor = Monitor.of(Baseline("", "", before), seed=seed)
    while monitor.seen < 200 and not monitor.alarm:
        for name, scores in before.items():
            if monitor.seen < 200:
                monitor = monitor.after(grade(name) - fmean(scores))
    return monitor.alarm is not None


def test_a_few_items_that_come_again_every_night_are_no_drift():
    """What their baseline is wrong by comes again as well, so it takes more to be an alarm."""
    few, _ = grades(Random(9), 12)
    rows = {f"{name} {n}": row for name, row in few.grades.items() for n in range(15)}
    some, many = Monitor.of(few), Monitor.of(Baseline("", "", rows))

    assert 1.1 < some.level / many.level < 2
    assert 1.3 < some.noise / many.noise < 3


@pytest.mark.exhaustive
@pytest.mark.parametrize("items", [12, 25, 60])
def test_a_nightly_monitor_leaves_an_unchanged_judge_alone(items):
    """For 200 grades, in 99 of 100 cases."""
    random = Random(9)
    alarms = sum(false_alarm(random, items, seed) for seed in range(150))

    assert wilson(alarms, 150).low <= 0.01


def test_so_few_items_that_no_shift_would_be_found_are_refused():
    """Eight that were graded twice each, with much noise, for a year."""
    random = Random(4)
    held = {f"i-{n}": (random.randint(1, 10), random.randint(1, 10)) for n in range(8)}
    with pytest.raises(BaselineUnusable, match="8 items cannot be watched for 40 grades"):
        Monitor.of(Baseline("", "", held), within=40)


def test_the_one_who_changed_is_blamed():
    """Each alone, both and neither; and it is said in words."""
    random = Random(10)
    seen = []
    for judge, agent in ((0.0, 0.0), (-1.2, 0.0), (0.0, -1.2), (-1.2, -1.2)):
        baseline, control = grades(random, 40, shift=judge)
        _, old = grades(random, 60, shift=judge)
        new = {name: max(1, min(10, score + round(agent))) for name, score in old.items()}
        found = attribute(baseline, control, old, new, test=TEST)
        seen.append((found.judge.drifted, found.agent.changed, found.words.split(" (")[0]))

    assert [
        (False, False, "The judge did not change"), (True, False, "The judge changed"),
        (False, True, "The judge did not change"), (True, True, "The judge changed"),
    ] == seen  # fmt: skip
    with pytest.raises(RunsDiffer, match="only in one"):
        attribute(baseline, control, old, {"other": 3})


@pytest.mark.parametrize(("n", "said"), [(8, "8 cases are too few to say"), (9, "became worse")])
def test_so_few_cases_say_nothing_of_the_agent_and_that_is_said(n, said):
    """Whatever their grades are: p cannot be small enough."""
    baseline = Baseline("", "", {f"i{k}": (5, 6, 5, 6, 5) for k in range(30)})
    control = {f"i{k}": 5 + k % 2 for k in range(30)}
    old, new = ({f"c{k}": grade for k in range(n)} for grade in (10, 1))

    assert said in attribute(baseline, control, old, new, test=TEST).words
