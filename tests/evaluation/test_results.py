"""What a run came to, as figures with intervals and as JSON."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from lg_production.core.intervals import wilson
from lg_production.errors import ReportUnreadable
from lg_production.evaluation.claims import words_hash
from lg_production.evaluation.results import Report
from lg_production.evaluation.running import Runner
from tests.evaluation.agent_for_tests import builder, case, suite
from tests.evaluation.report_for_tests import report, trial


def test_repetitions_are_no_further_cases():
    """Half of the trials of each of four cases: two of four, and not eight of sixteen."""
    found = report([2, 2, 2, 2], repeat=4)

    assert wilson(2, 4) == found.rate()
    assert [0.5, 1 / 6, 0.0] == [pytest.approx(found.pass_hat(k)) for k in (1, 2, 3)]


def test_passing_every_time_has_an_interval_over_cases():
    """One of two cases passed both of its runs."""
    found = report([2, 0], repeat=2)

    assert wilson(1, 2) == found.every_time(2)
    with pytest.raises(ValueError, match="no case was run 3 times"):
        found.every_time(3)


def test_why_a_case_failed_is_told_by_the_first_trial_that_did():
    """What was raised comes first: the behaviours failed because of it."""
    cases = ({"id": "a", "split": "happy"},)
    told = (
        trial("a", 0, True, error="not this: it passed"),
        trial("a", 1, False, "first"),
        trial("a", 2, False, "second", error="KeyError: x"),
    )
    failures = Report("s", "v1", "h", "t", cases, told).results[0].failures

    assert [("raised", "KeyError: x"), ("uses book", "no such call; first")] == [*failures.items()]


def test_what_it_cost_is_known_only_if_every_price_is():
    """A sum without some of its parts would be too low."""
    cases = ({"id": "a", "split": "happy"}, {"id": "b", "split": "happy"})
    known = [trial(name, 0, True, usd=Decimal("0.10")) for name in "ab"]
    some = [known[0], trial("b", 0, True)]

    assert Decimal("0.20") == Report("s", "v1", "h", "t", cases, tuple(known)).usd
    assert Report("s", "v1", "h", "t", cases, tuple(some)).usd is None


def test_a_report_survives_its_own_json(tmp_path):
    """All of it."""
    found = Runner(builder, suite(case("a", "x"), case("b", "fail")), repeat=2).run()

    assert found == Report.read(found.write(tmp_path / "deep" / "r.json"))


def test_a_report_names_its_words_of_claims(tmp_path):
    """Beside the hash of its data; one that was written before they were noted can be read."""
    found = Runner(builder, suite()).run()
    file = found.write(tmp_path / "r.json")
    stored = json.loads(file.read_text())
    file.write_text(json.dumps({name: stored[name] for name in stored if name != "words"}))

    assert words_hash() == found.words == stored["words"]
    assert "" == Report.read(file).words


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\ufffd", '{"format": 1}', '{"format": 99, "trials": []}']
)
def test_what_is_no_report_says_so(tmp_path, text):
    """And which file it is."""
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(ReportUnreadable, match=r"r\.json"):
        Report.read(file)


def stored(**changes):
    found = Runner(builder, suite(case("a", "x"), case("b", "y"))).run().stored()
    return {**json.loads(json.dumps(found)), **changes}


def twice(trials):
    return [*trials, trials[0]]


def changed(**changes):
    return lambda found: [{**found[0], **changes}, *found[1:]]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("cases", lambda _: [{}]),
        ("cases", lambda _: [1, 2]),
        ("cases", twice),
        ("cases", changed(id=7)),
        ("cases", changed(split=None)),
        ("cases", changed(behaviours=None)),
        ("hash", lambda _: None),
        ("trials", twice),
        ("trials", changed(case="z")),
        ("trials", changed(repetition=-1)),
        ("trials", changed(verdicts=[])),
        ("trials", changed(verdicts=[{"behaviour": "uses", "passed": "no"}])),
        ("trials", changed(verdicts=[{"behaviour": "uses", "passed": 1}])),
        ("trials", changed(grades=[1])),
        ("trials", changed(outcome={})),
        ("settings", lambda _: 3),
    ],
)
def test_a_report_that_does_not_fit_together_is_refused(tmp_path, field, change):
    """It would be counted, and perhaps in favour of an agent that never ran."""
    file, found = tmp_path / "r.json", stored()
    file.write_text(json.dumps(found))
    assert 2 == len(Report.read(file).trials)

    file.write_text(json.dumps({**found, field: change(found[field])}))
    with pytest.raises(ReportUnreadable, match=r"r\.json"):
        Report.read(file)


def test_a_report_that_is_nested_for_ever_is_refused(tmp_path):
    """It is no crash."""
    file = tmp_path / "r.json"
    file.write_text("[" * 100_000)
    with pytest.raises(ReportUnreadable):
        Report.read(file)


def test_answers_that_no_trial_asked_for_are_told():
    """And those that one of them did, or an error prevented, are not."""
    behaviours = {"kind": "ends", "ended": "done"}
    cases = suite(
        case("asked", "dear trip", behaviours, answers=["yes"]),
        case("idle", "trip", behaviours, answers=["yes"]),
        case("broken", "fail", behaviours, answers=["yes"]),
    )

    assert ["Not every answer was used of idle: the agent asked less often."] == (
        Runner(builder, cases).run().remarks
    )
