"""Behaviours, judges and cases in DeepEval: `assert_test`, `evaluate` and `deepeval test run`.

Needs the extra `evals`. DeepEval's telemetry is off unless you have decided about it yourself
(`DEEPEVAL_TELEMETRY_OPT_OUT`), in processes that this one starts, too. Importing it takes seconds:
nothing else here does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import convert_to_messages

from ..errors import CaseInvalid, ExtraMissing, JudgeUnreadable
from .behaviours import Behaviour
from .cases import Case, Suite, case_of
from .judges import Judge
from .outcome import Outcome, ToolUse
from .scale import SCALE

try:
    from deepeval.config.settings import get_settings
    from deepeval.dataset import EvaluationDataset, Golden
    from deepeval.metrics import BaseMetric
    from deepeval.test_case import LLMTestCase, ToolCall
except ImportError as error:
    raise ExtraMissing("Install it: pip install 'lg_production[evals]'") from error

OURS = "lg_production"
"""Under this key of a test case's metadata stand the case and what came of it."""

DECISIONS = {"DEEPEVAL_TELEMETRY_OPT_OUT", "DEEPEVAL_TELEMETRY_ENABLED"}


def _quiet() -> None:
    """No telemetry, unless somebody has said that he wants it.

    Where nobody has said anything the setting is False, and not None: what was set is asked.
    """
    settings = get_settings()
    if not settings.model_fields_set & DECISIONS:
        with settings.edit(persist=False):
            settings.DEEPEVAL_TELEMETRY_OPT_OUT = True


_quiet()


class BehaviourMetric(BaseMetric):
    """A behaviour as a metric: 1 if it holds, 0 if not, with the reason. Asks no model."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour, self.threshold, self.async_mode = behaviour, 1.0, False
        self.score: float | None = None
        self.success: bool | None = None
        self.reason: str | None = None
        self.error: str | None = None

    def measure(self, test_case: LLMTestCase, *_: Any, **__: Any) -> float:
        """Look at what the test case did."""
        verdict = self.behaviour.check(outcome_in(test_case))
        self.success, self.reason = verdict.passed, verdict.why or verdict.behaviour
        self.score = float(verdict.passed)
        return self.score

    async def a_measure(self, test_case: LLMTestCase, *_: Any, **__: Any) -> float:
        """The same."""
        return self.measure(test_case)

    def is_successful(self) -> bool:
        """Whether it held."""
        return bool(self.success)

    @property
    def __name__(self) -> str:
        return self.behaviour.kind


class JudgeMetric(BehaviourMetric):
    """A pinned judge as a metric: its grade of ten in tenths, held against `threshold`.

    Raises `JudgeUnreadable` where the judge has answered nonsense: that is no 0.
    """

    def __init__(self, judge: Judge, *, threshold: float = 0.7) -> None:
        self.judge, self.threshold, self.async_mode = judge, threshold, False
        self.score, self.success, self.reason, self.error = None, None, None, None
        self.evaluation_model = f"{judge.pin.provider}:{judge.pin.model}@{judge.pin.version}"

    def measure(self, test_case: LLMTestCase, *_: Any, **__: Any) -> float:
        """Have it graded."""
        grade = self.judge.grade(case_in(test_case), outcome_in(test_case))
        self.reason = grade.reason
        if grade.score is None:
            raise JudgeUnreadable(f"({self.evaluation_model})")
        score = grade.score / SCALE  # DeepEval's end at 1
        self.score, self.success = score, score >= (self.threshold or 0)
        return score

    @property
    def __name__(self) -> str:
        return f"judge {self.judge.pin.model}"


def metrics_of(case: Case) -> list[BehaviourMetric]:
    """The metrics of a case: one for each of its behaviours."""
    return [BehaviourMetric(behaviour) for behaviour in case.behaviours]


def test_case_of(case: Case, outcome: Outcome) -> LLMTestCase:
    """A case and what came of it as DeepEval's test case."""
    return LLMTestCase(
        name=case.id,
        input=text_of(case),
        actual_output=outcome.answer,
        expected_output=case.expected,
        tools_called=[call_of(use) for use in outcome.tools],
        expected_tools=[call_of(use) for use in case.trajectory or ()] or None,
        token_cost=None if outcome.usd is None else float(outcome.usd),
        input_token_count=outcome.input_tokens,
        output_token_count=outcome.output_tokens,
        completion_time=outcome.seconds,
        metadata={OURS: {"case": dumped(case), "outcome": outcome.stored()}},
    )


test_case_of.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it


def outcome_in(test_case: LLMTestCase) -> Outcome:
    """What a test case did; of one that was not made here, what DeepEval knows of it."""
    ours = (test_case.metadata or {}).get(OURS)
    if isinstance(ours, Mapping) and "outcome" in ours:
        return Outcome.read(ours["outcome"])
    calls = test_case.tools_called or []
    return Outcome(
        answer=test_case.actual_output or "",
        tools=tuple(ToolUse(c.name, c.input_parameters or {}, str(c.output or "")) for c in calls),
        steps=0, input_tokens=test_case.input_token_count or 0,
        output_tokens=test_case.output_token_count or 0, usd=None,
        tokens=(test_case.input_token_count or 0) + (test_case.output_token_count or 0),
        seconds=test_case.completion_time or 0.0, interrupts=(), ended="done", error="",
        messages=(), state={},
    )  # fmt: skip


def case_in(test_case: LLMTestCase) -> Case:
    """The case that a test case was made of; of another, one that has its input."""
    ours = (test_case.metadata or {}).get(OURS)
    if isinstance(ours, Mapping) and "case" in ours:
        return case_of(ours["case"])
    return Case.model_validate({
        "id": "deepeval", "split": "happy", "input": test_case.input,
        "expected": test_case.expected_output, "behaviours": [{"kind": "ends"}],
    })  # fmt: skip


# -------------------------------------------------------------------------------- data sets


def goldens_of(suite: Suite) -> list[Golden]:
    """The cases as DeepEval's goldens; their metadata has all that those do not know."""
    return [
        Golden(
            name=case.id,
            input=text_of(case),
            expected_output=case.expected,
            expected_tools=[call_of(use) for use in case.trajectory or ()] or None,
            comments=case.note or None,
            additional_metadata={OURS: dumped(case), "suite": suite.hash},
        )
        for case in suite.cases
    ]


def write_goldens(suite: Suite, file: Path | str) -> Path:
    """The cases as a JSON file that DeepEval reads."""
    target = Path(file)
    dataset = EvaluationDataset(goldens=goldens_of(suite))
    return Path(dataset.save_as("json", str(target.parent), target.stem))


def read_goldens(file: Path | str, *, behaviours: Sequence[Behaviour] = ()) -> tuple[Case, ...]:
    """The cases of such a file. One that was not written here gets these behaviours.

    Its name becomes an id; what it was is in the note. The tools that it expects become the
    trajectory, for a `trajectory` behaviour. Raises `CaseInvalid` for one that has no behaviours (a
    case that demands nothing shows nothing), for a conversation, and for what is no golden.
    """
    dataset = EvaluationDataset()
    try:
        dataset.add_goldens_from_json_file(str(file), encoding_type="utf-8-sig")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        told = " ".join(str(error).split())[:200]
        raise CaseInvalid(f"DeepEval cannot read it: {told}", file=str(file)) from None
    cases: list[Case] = []
    for number, golden in enumerate(dataset.goldens, 1):
        known = {case.id for case in cases}
        cases.append(_case(golden, number, str(file), behaviours, known))
    return tuple(cases)


def _case(
    golden: Any, number: int, file: str, behaviours: Sequence[Behaviour], known: set[str]
) -> Case:
    if not isinstance(golden, Golden):
        told = "a conversation is no case: give what the user says first as its input"
        raise CaseInvalid(told, file=file, line=number, field="scenario")
    ours = (golden.additional_metadata or {}).get(OURS)
    if isinstance(ours, Mapping):
        return case_of(ours, file=file, line=number)
    name = golden.name or f"golden-{number}"
    slug = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or f"golden-{number}"
    calls = None if golden.expected_tools is None else [*map(_expected, golden.expected_tools)]
    note = "" if slug == name else f"DeepEval's name: {name}"
    given = {
        "id": f"{slug}-{number}" if slug in known else slug, "split": "happy",
        "input": golden.input, "expected": golden.expected_output, "trajectory": calls,
        "note": ". ".join(filter(None, (golden.comments, note))),
        "behaviours": [one.model_dump(mode="json") for one in behaviours],
    }  # fmt: skip
    return case_of(given, file=file, line=number)


def _expected(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "args": call.input_parameters or {}}


def dumped(case: Case) -> dict[str, Any]:
    """A case as JSON."""
    return case.model_dump(mode="json")


def text_of(case: Case) -> str:
    """What the user says first; of other inputs, their JSON."""
    messages = case.input.get("messages")
    said = convert_to_messages(messages) if isinstance(messages, list) else []
    return said[0].text if said else str(dict(case.input))


def call_of(use: ToolUse) -> ToolCall:
    """A tool call as DeepEval's."""
    return ToolCall(name=use.name, input_parameters=dict(use.args), output=use.result or None)
