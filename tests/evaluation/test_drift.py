"""A judge that changed is found, one that did not is left alone, and the right one is blamed."""

from __future__ import annotations

from random import Random

import pytest
from scipy import stats

from lg_production.core.intervals import wilson
from lg_production.errors import BaselineUnusable, RunsDiffer
from lg_production.evaluation.attribution import attribute
from lg_production.evaluation.cusum import Monitor
from lg_production.evaluation.drift import Baseline, PermutationTest, baseline_of, residuals
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.outcome import Outcome
from lg_production.evaluation.ppi import prediction_powered
from tests.evaluation.agent_for_tests import case

TEST = PermutationTest(draws=999)


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
    ours = PermutationTest(draws=20_000 - 1)
    seen = abs(sum(row[-1] for row in rows))
    p = sum(total >= seen - 1e-9 for total, _ in ours._drawn(rows)) / 20_000
    theirs = stats.permutation_test((first, second), lambda a, b: sum(b) - sum(a),
                                    permutation_type="samples", n_resamples=99_999, vectorized=False)  # fmt: skip

    assert pytest.approx(theirs.pvalue, abs=0.02) == p


def test_a_judge_that_always_says_the_same_has_not_changed():
    """Nor has one with constant grades; a p of exactly alpha is an alarm."""
    baseline = Baseline("p", "d", {f"i-{n}": (7,) * 5 for n in range(10)})
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


@pytest.mark.exhaustive
def test_a_nightly_monitor_leaves_an_unchanged_judge_alone():
    """For 200 grades, in 99 of 100 cases."""
    random = Random(9)
    alarms = 0
    for seed in range(60):
        baseline, _ = grades(random, 60)
        monitor = Monitor.of(baseline, seed=seed)
        pool = [r for scores in baseline.grades.values() for r in residuals(scores)]
        alarms += monitor.after(*random.choices(pool, k=200)).alarm is not None

    assert wilson(alarms, 60).low <= 0.01


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
    with pytest.raises(ValueError, match="at least two items"):
        prediction_powered([1], [1], [1])


def test_a_judge_that_knows_nothing_is_not_listened_to():
    """Then the interval is that of the labels."""
    random = Random(12)
    human = [int(random.random() < 0.5) for _ in range(200)]
    found = prediction_powered(human, [1] * 200, [1] * 500)

    assert pytest.approx(sum(human) / 200) == found.value
