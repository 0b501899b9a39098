"""Behaviours and cases in DeepEval, in a process of its own: importing it takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("deepeval")
ROOT = Path(__file__).parent.parent.parent
TESTS = """
import codecs
import json

import pytest
from deepeval import assert_test
from deepeval.config.settings import get_settings
from deepeval.test_case import LLMTestCase, ToolCall

from lg_production.errors import CaseInvalid, JudgeUnreadable
from lg_production.evaluation.behaviours import Trajectory
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


@pytest.mark.parametrize("name, id", [("golden_0", "golden-0"), ("My Golden", "my-golden"), ("???", "golden-1")])
def test_a_golden_of_any_name_is_a_case(tmp_path, name, id):
    file = tmp_path / "theirs.json"
    file.write_bytes(codecs.BOM_UTF8 + json.dumps([{"input": "hi", "name": name}] * 2).encode())
    first, second = read_goldens(file, behaviours=ONE.behaviours)
    assert (id, f"DeepEval's name: {name}") == (first.id, first.note)
    assert first.id != second.id
    assert "book it" == read_goldens(write_goldens(suite(ONE), file), behaviours=())[0].input["messages"][0]["content"]


def test_expected_tools_are_the_trajectory(tmp_path):
    file = tmp_path / "theirs.json"
    tools = [{"name": "book", "input_parameters": {"what": "x"}}, {"name": "pay"}]
    file.write_text(json.dumps([{"input": "hi", "expected_tools": tools}]))
    one, = read_goldens(file, behaviours=[Trajectory()])
    assert [("book", {"what": "x"}), ("pay", {})] == [(use.name, dict(use.args)) for use in one.trajectory]
    assert one.check(Outcome("", one.trajectory))[0].passed
    assert not one.check(BOOKED)[0].passed


@pytest.mark.parametrize("rows, told", [
    ([{"scenario": "a", "turns": [{"role": "user", "content": "x"}]}], "a conversation is no case"),
    ([{"name": "no input"}], "DeepEval cannot read it"),
    ([5], "DeepEval cannot read it"),
    ("nonsense", "DeepEval cannot read it"),
])
def test_what_is_no_golden_of_one_turn_is_refused(tmp_path, rows, told):
    file = tmp_path / "theirs.json"
    file.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    with pytest.raises(CaseInvalid, match=told):
        read_goldens(file, behaviours=ONE.behaviours)


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


LISTENING = """
import json, os, socket, sys

asked = []


def noted(kind):
    def refuse(*given, **_):
        asked.append(f"{kind} {given[-1] if kind == 'connect' else given[0]}")
        raise OSError("no network in this test")

    return refuse


socket.socket.connect = socket.socket.connect_ex = noted("connect")
socket.getaddrinfo = socket.create_connection = noted("name")

from lg_production.evaluation.deepeval import JudgeMetric, metrics_of, test_case_of
from deepeval import assert_test, evaluate
from deepeval.evaluate.configs import AsyncConfig, DisplayConfig
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.outcome import Outcome, ToolUse
from tests.evaluation.agent_for_tests import case

ONE = case("one", "book it")
THEIRS = test_case_of(ONE, Outcome("I have booked it.", (ToolUse("book", {"what": "x"}),), steps=1))
judge = Judge.of("acme", "j", "20260101", lambda *_: "reason: fine\\nscore: 8", "Be fair.")
metrics = [*metrics_of(ONE), JudgeMetric(judge)]
assert_test(THEIRS, metrics, run_async=False)
evaluate([THEIRS], metrics, async_config=AsyncConfig(run_async=False))
import atexit, threading
atexit._run_exitfuncs()
ours = [*asked]
try:
    socket.create_connection(("example.org", 80))
except OSError:
    pass
print("\\n" + json.dumps({"ours": ours, "control": len(asked) - len(ours)}))
"""


def test_nothing_is_sent_while_metrics_are_measured(tmp_path):
    """Not a name is looked up, though nobody has said that he wants no telemetry."""
    environment = {k: v for k, v in os.environ.items() if "TELEMETRY" not in k and "CI" != k}
    environment |= {"PYTHONPATH": str(ROOT), "DEEPEVAL_NO_INSPECT_PROMPT": "1"}
    command = [sys.executable, "-c", LISTENING.replace("\\\\n", "\\n")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL, timeout=240)  # fmt: skip

    assert 0 == done.returncode, done.stdout[-2_000:] + done.stderr[-3_000:]
    assert {"ours": [], "control": 1} == json.loads(done.stdout.splitlines()[-1])
