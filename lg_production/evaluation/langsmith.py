"""Behaviours, judges and cases in LangSmith: `evaluate()` and `@pytest.mark.langsmith`.

Needs nothing else: `langsmith` comes with LangChain. `evaluate` uploads unless
`upload_results=False`; then nothing is sent by what is here either, whatever the environment says
about tracing: neither a run of `target_of` nor the model of a judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5

from langsmith import testing
from langsmith.run_helpers import get_tracing_context, tracing_context
from langsmith.schemas import Example

from .behaviours import Behaviour
from .cases import Case, Suite, case_of
from .expectation import Verdict
from .judges import Judge
from .outcome import Outcome, outcome_of

Feedback: TypeAlias = dict[str, Any]
OUTCOME, CASE = "outcome", "case"


def evaluator(behaviour: Behaviour) -> Callable[..., Feedback]:
    """A behaviour for `evaluate(evaluators=[…])`."""

    def evaluate(outputs: dict[str, Any], **_: Any) -> Feedback:
        return feedback(behaviour.check(outcome_in(outputs)), behaviour.kind)

    evaluate.__name__ = behaviour.kind
    return evaluate


def behaviours(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    """An evaluator with all behaviours of each example's own case (`examples_of`)."""
    case, outcome = case_of(reference_outputs[CASE]), outcome_in(outputs)
    results = [feedback(one.check(outcome), f"{n} {one.kind}") for n, one in _numbered(case)]
    return {"results": results}


def judge_evaluator(judge: Judge) -> Callable[..., Feedback]:
    """A pinned judge for `evaluate`: its grade of ten in tenths, None if it cannot be read."""

    def evaluate(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> Feedback:
        with unsent():
            grade = judge.grade(case_of(reference_outputs[CASE]), outcome_in(outputs))
        score = None if grade.score is None else grade.score / 10
        return {"key": f"judge {judge.pin.model}", "score": score, "comment": grade.reason}

    evaluate.__name__ = "judge"
    return evaluate


def target_of(run: Callable[[Case], Outcome]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What runs a case, as the target of `evaluate`."""

    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        with unsent():
            outcome = run(case_of(inputs[CASE]))
        return {"answer": outcome.answer, OUTCOME: outcome.stored()}

    return target


@contextmanager
def unsent() -> Iterator[None]:
    """Trace nothing within, if `evaluate` was told to upload nothing.

    Its own runs stay local then; LangChain's tracer takes "local" for yes, and sends.
    """
    local = get_tracing_context().get("enabled") == "local"
    with tracing_context(enabled=False if local else None):
        yield


def log_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Tell LangSmith about a test's verdicts, within a test that has its mark."""
    for number, verdict in enumerate(verdicts, 1):
        told = feedback(verdict, f"{number} {verdict.behaviour}"[:100])
        testing.log_feedback(key=told["key"], score=told["score"], comment=told["comment"])


def feedback(verdict: Verdict, key: str) -> Feedback:
    """A verdict as LangSmith's feedback."""
    return {"key": key, "score": int(verdict.passed), "comment": verdict.why or verdict.behaviour}


def outcome_in(outputs: Mapping[str, Any]) -> Outcome:
    """What a run did; of a graph that was run by LangSmith itself, what its state shows."""
    stored = outputs.get(OUTCOME)
    return Outcome.read(stored) if isinstance(stored, Mapping) else outcome_of(outputs)


# -------------------------------------------------------------------------------- data sets


def examples_of(suite: Suite, dataset_id: UUID | None = None) -> list[Example]:
    """The cases as examples: for `evaluate(data=…)`, or `client.create_examples`.

    An example's id is made of its case, so that the same case is the same example.
    """
    dataset = dataset_id or uuid5(NAMESPACE_URL, f"lg_production/{suite.name}")
    return [
        Example(
            id=uuid5(dataset, case.id),
            dataset_id=dataset,
            inputs={**case.input, CASE: (stored := case.model_dump(mode="json"))},
            outputs={CASE: stored, "answer": case.expected},
            metadata={"split": case.split, "tags": list(case.tags), "suite": suite.hash},
        )
        for case in suite.cases
    ]


def cases_of(examples: Iterable[Any], behaviours: Sequence[Behaviour] = ()) -> tuple[Case, ...]:
    """Cases from examples. One that was not made here gets these behaviours.

    Raises `CaseInvalid` for one that has none.
    """
    return tuple(_case(example, number, behaviours) for number, example in enumerate(examples, 1))


def _case(example: Any, number: int, behaviours: Sequence[Behaviour]) -> Case:
    stored = (example.outputs or {}).get(CASE)
    if isinstance(stored, Mapping):
        return case_of(stored, file="LangSmith", line=number)
    answer = (example.outputs or {}).get("answer")
    given = {
        "id": f"example-{str(example.id)[:8]}", "split": "happy", "input": example.inputs or {},
        "expected": answer if isinstance(answer, str) else None,
        "behaviours": [one.model_dump(mode="json") for one in behaviours],
    }  # fmt: skip
    return case_of(given, file="LangSmith", line=number)


def _numbered(case: Case) -> Iterable[tuple[int, Behaviour]]:
    return enumerate(case.behaviours, 1)
