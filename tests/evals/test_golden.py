"""The golden data: every case can be used, and the reference graphs do what it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from evals.suites import stage
from lg_production.core.intervals import wilson
from lg_production.evaluation.cases import Case, Suite, load_suite
from lg_production.evaluation.results import Report
from lg_production.evaluation.running import Runner
from lg_production.evaluation.targets import Target, target_of

SUITES = ("booking", "inbox", "research")
SAMPLE = 10
"""Cases of a suite that every run of the tests plays."""
KNOWN = "known-failure"


def suite(name: str) -> Suite:
    return load_suite(stage.GOLDEN / name)


def described(name: str) -> dict[str, Any]:
    text = (stage.GOLDEN / name / "suite.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def target(name: str) -> Target:
    return target_of(described(name)["graph"])


def told(report: Report) -> dict[str, list[str]]:
    """What was wrong, by the cases that failed."""
    return {
        trial.case: [
            trial.outcome.error,
            *(f"{v.behaviour}: {v.why}" for v in trial.verdicts if not v.passed),
        ]
        for trial in report.trials
        if not trial.passed
    }


def asked(case: Case) -> str:
    """All of a case that makes a difference to the agent."""
    return json.dumps([case.input, case.script, case.answers, case.context], sort_keys=True)


@pytest.mark.parametrize("name", SUITES)
def test_every_split_has_twenty_cases_and_no_two_ask_the_same(name):
    """Differences are in what is asked, and not in the words of the behaviours."""
    cases = suite(name).cases
    splits = Counter(case.split for case in cases)
    twice = [key for key, n in Counter(map(asked, cases)).items() if n > 1]

    assert {"happy", "edge", "adversarial"} == set(splits)
    assert min(splits.values()) >= 20
    assert [] == twice


@pytest.mark.parametrize("name", SUITES)
def test_every_case_says_why_it_is_there(name):
    """A note; and what is wished for or forbidden is more than that the run ends."""
    cases = suite(name).cases

    assert [] == [case.id for case in cases if not case.note]
    assert [] == [case.id for case in cases if {b.kind for b in case.behaviours} <= {"ends"}]


@pytest.mark.parametrize("name", SUITES)
def test_no_world_is_changed_or_forgotten(name):
    """A case's hash holds the name of its world only: the world itself is pinned beside it."""
    used = {case.script for case in suite(name).cases if case.script}

    assert stage.pins(name) == described(name)["worlds"]
    assert used == set(described(name)["worlds"])


@pytest.mark.parametrize("name", SUITES)
def test_a_sample_of_every_suite_is_passed(name):
    """With the scripted models; the whole is played by `-m exhaustive`."""
    whole = [case for case in suite(name).cases if KNOWN not in case.tags]
    part = replace(suite(name), cases=tuple(whole[:: len(whole) // SAMPLE]))
    report = Runner(target(name), part).run()

    assert {} == told(report)
    assert len(part.cases) == len(report.trials) >= SAMPLE


@pytest.mark.parametrize("name", SUITES)
def test_one_more_case_that_fails_does_not_pass_the_gate(name):
    """`make evals-golden` gates each suite just below what the scripted agent surely reaches."""
    makefile = (stage.GOLDEN.parent.parent / "Makefile").read_text(encoding="utf-8")
    (told,) = re.findall(r"^GATES := (.+)$", makefile, re.MULTILINE)
    gates = dict(one.split(":") for one in told.split())
    cases = suite(name).cases
    passed, n = sum(KNOWN not in case.tags for case in cases), len(cases)

    assert {*SUITES} == {*gates}
    assert wilson(passed - 1, n).low < float(gates[name]) <= wilson(passed, n).low
    assert (
        f"| {name} | {passed} of {n} | {100 * wilson(passed, n).low:.1f} % | {gates[name]} |\n"
    ) in (stage.GOLDEN / "README.md").read_text(encoding="utf-8")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SUITES)
def test_every_case_is_passed_but_those_that_are_known_to_fail(name):
    """Twice each: a case that is passed once is passed always, and a tag without a failure goes."""
    whole = suite(name)
    known = {case.id for case in whole.cases if KNOWN in case.tags}
    report = Runner(target(name), whole, repeat=2).run()
    failed = Counter(trial.case for trial in report.trials if not trial.passed)

    assert known == set(failed), {k: v for k, v in told(report).items() if k not in known}
    assert {2} == set(failed.values())
