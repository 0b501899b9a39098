"""How sure the agent is: what scorers read, and that they never make a number up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from lg_production import Budget, Budgeted, BudgetPolicy, Database, Limit, wrapped_model
from lg_production.errors import BudgetExceeded
from lg_production.oversight.calibration import Logistic, Temperature
from lg_production.oversight.combined import Calibrated, Combined, Validators, fits_schema
from lg_production.oversight.scorers import (
    LogProbability,
    Score,
    SelfConsistency,
    Verbalised,
    said_number,
)

from ..graphs_for_tests import call

BOOK = call("book", "call-1", flight="LH1", seats=2)
TEXT = 'book {"flight": "LH1", "seats": 2} now'


def state(text: str = "", **metadata: Any) -> dict[str, Any]:
    answer = AIMessage(text, tool_calls=[BOOK], response_metadata=metadata)
    return {"messages": [HumanMessage("Book LH1 for two"), answer]}


@dataclass
class Says:
    """A model that answers with these, in their order, and remembers what it was shown."""

    answers: list[AIMessage]
    shown: list[Sequence[Any]] = field(default_factory=list)

    def invoke(self, messages: Sequence[Any]) -> AIMessage:
        self.shown.append(messages)
        return self.answers.pop(0)


# ------------------------------------------------------------------------------ verbalised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 0.9), ("90 %", 0.9), ("0.95 %", 0.0095), ("It fits.\nconfidence: 85", 0.85), ("**Confidence: 85%**", 0.85),
        ("confidence: 0.85", 0.85), ("confidence: 1", 0.01), ("confidence: 0", 0.0),
        ("confidence: 140", 1.4), ("confidence: -5", -0.05),
        ("", None), ("I am very sure", None), ("2 seats on flight 17", None),
        ("confidence: 10\nconfidence: 90", None), ("confidence: high", None), ("nan", None),
    ],
)  # fmt: skip
def test_one_number_is_read_where_it_was_asked_for(text: str, expected: float | None) -> None:
    """No number, several, or one somewhere else in the text, is no answer."""
    assert expected == pytest.approx(said_number(text))


@pytest.mark.parametrize(("said", "expected"), [("140", 1.0), ("-5", 0.0), ("80", 0.8)])
def test_what_a_model_says_is_clamped_and_not_calibrated(said: str, expected: float) -> None:
    """A model that is asked sees the whole history and the call."""
    model = Says([AIMessage(said)])

    score = Verbalised(model)(state(), BOOK)

    assert (expected, "verbalised", False) == (score.value, score.source, score.calibrated)
    assert "Book LH1 for two" == model.shown[0][0].content
    assert '{"flight":"LH1","seats":2}' in model.shown[0][-1].content


def test_without_a_model_the_agents_own_answer_is_read() -> None:
    """Its prompt asked for the line; where it left it out there is no score."""
    assert 0.6 == Verbalised()(state("I book.\nconfidence: 60"), BOOK).value
    assert Verbalised()(state("I book."), BOOK).value is None
    assert Verbalised()({"messages": []}, BOOK).value is None


# ----------------------------------------------------------------------- log-probabilities


def logprobs(*tokens: tuple[str, Any]) -> dict[str, Any]:
    return {"content": [{"token": t, "logprob": p, "top_logprobs": []} for t, p in tokens]}


SPELLED = logprobs(
    ("Yes, I ", -9.0), ("book", -0.1), (' {"flight": ', 0.0), ('"LH1"', -0.5), (', "seats": ', 0.0),
    ("2}", -0.4), (" now", -9.0),
)  # fmt: skip


def test_the_tokens_of_the_call_and_no_others_count() -> None:
    """Their geometric mean, or the least of them."""
    mean = LogProbability()(state(logprobs=SPELLED), BOOK)
    least = LogProbability("min")(state(logprobs=SPELLED), BOOK)

    assert pytest.approx(math.exp(-1.0 / 5)) == mean.value
    assert pytest.approx(math.exp(-0.5)) == least.value
    assert 5 == mean.evidence["tokens"]


def test_a_call_that_is_written_as_one_object_is_found() -> None:
    """As open models write it: name, then arguments."""
    told = logprobs(
        ('{"name": "', -1.0), ("book", -0.2), ('", "arguments": ', -0.2),
        ('{"seats":2.0,"flight":"LH1"}', -0.2), ("}", -7.0),
    )  # fmt: skip

    assert pytest.approx(math.exp(-0.2)) == LogProbability()(state(logprobs=told), BOOK).value


@pytest.mark.parametrize(
    "metadata",
    [
        {}, {"logprobs": None}, {"logprobs": {"content": None}}, {"logprobs": {"content": []}},
        {"logprobs": []}, {"logprobs": "no"},
        {"logprobs": logprobs(("I think that it is fine", -0.01))},
        {"logprobs": logprobs(("book", -0.1), (' {"flight": "LH2", "seats": 2}', -0.1))},
        {"logprobs": logprobs(("book it", -0.1), (" {", -0.1))},
        {"logprobs": logprobs((TEXT, None))}, {"logprobs": logprobs((TEXT, "x"))},
        {"logprobs": logprobs((TEXT, float("nan")))}, {"logprobs": logprobs((TEXT, 0.5))},
        {"logprobs": {"content": ["x"]}},
    ],
)  # fmt: skip
def test_where_the_call_has_no_logprobs_there_is_no_score(metadata: dict[str, Any]) -> None:
    """Absent, broken, or about other text than this very call."""
    assert LogProbability()(state(**metadata), BOOK).value is None


# ----------------------------------------------------------------------- self-consistency


def answer(*calls: dict[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=list(calls))


def test_the_share_of_samples_that_agree_is_the_score() -> None:
    """Spaces and how a number is written make no other call; what was made else is recorded."""
    other, same = call("book", flight="LH2", seats=2), call("book", flight=" LH1", seats=2.0)
    model = Says([answer(BOOK), answer(same), answer(other), answer()])

    score = SelfConsistency(model, k=4)(state(), BOOK)

    assert 0.5 == score.value
    assert {"samples": 4, "agreed": 2, "no_call": 1} == score.evidence
    assert [{"name": "book", "args": other["args"], "share": 0.25}] == score.alternatives


def test_samples_see_what_the_agent_saw() -> None:
    """The history before the answer that asks for the call."""
    model = Says([answer(BOOK), answer(BOOK)])

    score = SelfConsistency(model, k=2)(state(), BOOK)

    assert 1.0 == score.value
    assert [["Book LH1 for two"]] * 2 == [[m.content for m in shown] for shown in model.shown]


def test_a_call_that_is_made_twice_in_one_sample_agrees_once() -> None:
    """The share is of samples, never above 1."""
    model = Says([answer(BOOK, {**BOOK, "id": "again"}), answer(BOOK)])

    assert 1.0 == SelfConsistency(model, k=2)(state(), BOOK).value


def test_samples_are_counted_in_the_budget(database: Database) -> None:
    """k calls of the model, through `wrapped_model`; without room there is no score."""
    budget = Budget(database, BudgetPolicy(limits=(Limit(scope="thread", model_calls=3),)))
    chat = GenericFakeChatModel(messages=iter([answer(BOOK)] * 9))
    asked = wrapped_model(chat, Budgeted(budget)).with_config(metadata={"thread_id": "t"})
    scorer = SelfConsistency(asked, k=3)

    first = scorer(state(), BOOK)

    assert 1.0 == first.value
    with pytest.raises(BudgetExceeded):
        scorer(state(), BOOK)


def test_one_sample_proves_nothing() -> None:
    """It always agrees with itself."""
    with pytest.raises(ValueError, match="at least 2"):
        SelfConsistency(Says([]), k=1)


# ------------------------------------------------------------------- validators, combined


@tool("book")
def book(flight: str, seats: int) -> str:
    """Book."""
    return f"{flight} {seats}"


def gives(value: float | None, **more: Any) -> Any:
    return lambda *_: Score(value, "given", **more)


def test_one_check_that_finds_something_wrong_is_enough() -> None:
    """It says what; None and True are nothing wrong."""
    fine = Validators(lambda *_: None, lambda *_: True, fits_schema(book))(state(), BOOK)
    wrong = Validators(lambda *_: "over_limit", fits_schema(book))(state(), call("book", seats="x"))

    assert (1.0, []) == (fine.value, fine.evidence["failed"])
    assert (0.0, ["over_limit", "schema"]) == (wrong.value, wrong.evidence["failed"])
    assert "unknown_tool" == fits_schema()(state(), BOOK)


def test_a_veto_cannot_be_outvoted_and_spares_the_rest() -> None:
    """Those behind it are not asked: they cost tokens."""
    asked: list[int] = []
    dear = lambda *_: asked.append(1) or Score(1.0, "dear")  # noqa: E731

    score = Combined(gives(1.0), Validators(lambda *_: False), dear)(state(), BOOK)

    assert 0.0 == score.value
    assert [] == asked


def test_scores_become_their_weighted_mean() -> None:
    """What passes validation makes it no better; alternatives are kept."""
    parts = (gives(0.9), Validators(lambda *_: True), gives(0.5, alternatives=({"name": "x"},)))

    score = Combined(*parts, weights=(3, 1, 1))(state(), BOOK)

    assert pytest.approx(0.8) == score.value
    assert [{"name": "x"}] == score.alternatives
    assert ["given", "validators", "given"] == [part.source for part in score.parts]
    assert not score.calibrated


def test_validators_alone_are_a_score() -> None:
    """1 if nothing is wrong."""
    assert 1.0 == Combined(Validators(lambda *_: True))(state(), BOOK).value


def test_where_one_cannot_tell_the_whole_cannot() -> None:
    """A mean of the others would be made up: it stands on another scale."""
    assert Combined(gives(0.9), gives(None))(state(), BOOK).value is None
    assert Calibrated(gives(None), Temperature(2.0))(state(), BOOK).value is None


def test_a_calibrator_says_how_often_such_calls_are_right() -> None:
    """Several scores by a logistic model, one by a temperature."""
    several = Combined(gives(0.9), gives(0.9), calibrator=Logistic(0.0, (0.5, 0.5)))(state(), BOOK)
    one = Calibrated(gives(0.9), Temperature(2.0))(state(), BOOK)

    assert (pytest.approx(0.9), True) == (several.value, several.calibrated)
    assert (pytest.approx(0.75), True) == (one.value, one.calibrated)
    assert 0.9 == one.parts[0].value


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_score_is_from_0_to_1(value: float) -> None:
    """A scorer of the user's own that says otherwise is told so."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Score(value, "mine")


@pytest.mark.parametrize(
    ("scorers", "options"),
    [
        ((), {}), ((gives(1),), {"weights": (1, 2)}), ((gives(1),), {"weights": (0,)}),
        ((gives(1),), {"weights": (1,), "calibrator": max}),
    ],
)  # fmt: skip
def test_what_cannot_be_combined_is_refused(scorers: Any, options: Any) -> None:
    """When it is written down."""
    with pytest.raises(ValueError):
        Combined(*scorers, **options)
