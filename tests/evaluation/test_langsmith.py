"""Behaviours and cases in LangSmith's `evaluate`, without a network."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
from langsmith import evaluate

from lg_production.errors import CaseInvalid
from lg_production.evaluation import langsmith as adapter
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.playing import play
from lg_production.evaluation.targets import target_of
from tests.evaluation.agent_for_tests import builder, case, suite

CASES = suite(case("good", "trip"), case("bad", "fail"))


def test_a_suite_is_evaluated_there(monkeypatch):
    """Every behaviour of every case, and a judge; nothing is uploaded."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    target = target_of(builder)
    judge = Judge.of("acme", "j", "20260101", lambda *_: "reason: fine\nscore: 8", "Be fair.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = evaluate(
            adapter.target_of(lambda one: play(target, one)), data=adapter.examples_of(CASES),
            evaluators=[adapter.behaviours, adapter.judge_evaluator(judge)], upload_results=False,
        )  # fmt: skip
        rows = [
            (row["example"].inputs["case"]["id"],
             {f.key: f.score for f in row["evaluation_results"]["results"]})
            for row in results
        ]  # fmt: skip

    assert {"good": {"1 uses": 1, "judge j": 0.8}, "bad": {"1 uses": 0, "judge j": 0.8}} == dict(
        rows
    )


def test_one_behaviour_is_an_evaluator():
    """Of a graph that LangSmith itself has run, by its state."""
    state = builder().compile().invoke({"messages": [("user", "trip")]})

    assert 1 == adapter.evaluator(case("a", "x").behaviours[0])(outputs=state)["score"]


def test_examples_go_there_and_back():
    """The same case is the same example; one from elsewhere needs behaviours."""
    examples = adapter.examples_of(CASES)
    foreign = SimpleNamespace(id="12345678-0", inputs={"messages": []}, outputs={"answer": "hi"})

    assert CASES.cases == adapter.cases_of(examples)
    assert [one.id for one in examples] == [one.id for one in adapter.examples_of(CASES)]
    with pytest.raises(CaseInvalid, match="behaviours"):
        adapter.cases_of([foreign])
    assert "hi" == adapter.cases_of([foreign], CASES.cases[0].behaviours)[0].expected
