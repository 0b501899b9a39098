"""Behaviours and cases in DeepEval, in a process of its own: importing it takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("deepeval")
ROOT = Path(__file__).parent.parent.parent
TESTS = """
import json

import pytest
from deepeval import assert_test
from deepeval.config.settings import get_settings
from deepeval.test_case import LLMTestCase, ToolCall

from lg_production.errors import CaseInvalid, JudgeUnreadable
from lg_production.evaluation.deepeval import (
    BehaviourMetric, JudgeMetric, metrics_of, read_goldens, test_case_of, write_goldens,
)
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.outcome import Outcome, ToolUse
from tests.evaluation.agent_for_tests import case, suite

BOOKED = Outcome("I have booked it.", (ToolUse("book", {"what": "x"}),), steps=1)
ONE = case("one", "book it")


def judge(said):
    return Judge.of("acme", "j", "20260101", lambda *_: said, "Be fair.")


def test_a_behaviour_is_a_metric():
    assert_test(test_case_of(ONE, BOOKED), metrics_of(ONE), run_async=False)
    metric = metrics_of(ONE)[0]
    assert (0.0, False) == (metric.measure(test_case_of(ONE, Outcome("no"))), metric.is_successful())


def test_a_test_case_of_deepevals_own_is_judged_by_what_it_says():
    theirs = LLMTestCase(input="x", actual_output="y", tools_called=[ToolCall(name="book")])
    assert 1.0 == BehaviourMetric(ONE.behaviours[0]).measure(theirs)


def test_a_judge_is_a_metric_and_its_nonsense_is_no_zero():
    metric = JudgeMetric(judge("reason: fine\nscore: 8"))
    assert (0.8, True) == (metric.measure(test_case_of(ONE, BOOKED)), metric.is_successful())
    with pytest.raises(JudgeUnreadable):
        JudgeMetric(judge("what?")).measure(test_case_of(ONE, BOOKED))


def test_goldens_go_there_and_back(tmp_path):
    cases = suite(ONE, case("two", "x", expected="y", tags=["t"]))
    file = write_goldens(cases, tmp_path / "goldens.json")
    assert cases.cases == read_goldens(file)
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps([{"input": "hello", "expected_output": "hi"}]))
    with pytest.raises(CaseInvalid, match="behaviours"):
        read_goldens(plain)
    assert "hi" == read_goldens(plain, behaviours=ONE.behaviours)[0].expected


def test_telemetry_is_off():
    assert get_settings().DEEPEVAL_TELEMETRY_OPT_OUT is True
"""


def test_every_behaviour_is_a_metric_there(tmp_path):
    """In `deepeval test run`, whose own process asks for telemetry before we are imported."""
    file = tmp_path / "test_theirs.py"
    file.write_text(TESTS.replace("\nscore", "\\nscore"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DEEPEVAL_NO_INSPECT_PROMPT": "1",
                   "DEEPEVAL_TELEMETRY_OPT_OUT": "1"}  # fmt: skip
    command = [sys.executable, "-m", "deepeval.cli.main", "test", "run", str(file)]
    theirs = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True,
                            check=False, stdin=subprocess.DEVNULL, timeout=240)  # fmt: skip

    assert 0 == theirs.returncode, theirs.stdout[-3_000:] + theirs.stderr[-2_000:]
    assert "Pass Rate: 100.0%" in theirs.stdout
