"""What a run did, as data."""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt
from pydantic import BaseModel

from lg_production.core.wrappers import in_place_of
from lg_production.evaluation.jsonable import CUT, as_json
from lg_production.evaluation.outcome import Outcome, ToolUse, outcome_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
USES = st.builds(
    ToolUse, TEXT, st.dictionaries(TEXT, JSON, max_size=3), TEXT,
    st.sampled_from(["success", "error", "not_run"]), TEXT,
)  # fmt: skip
OUTCOMES = st.builds(
    Outcome,
    answer=TEXT,
    tools=st.lists(USES, max_size=3).map(tuple),
    steps=st.integers(0, 9),
    tokens=st.integers(0, 9),
    usd=st.none() | st.decimals(0, 100, allow_nan=False, places=6),
    seconds=st.floats(0, 100),
    interrupts=st.lists(JSON, max_size=2).map(tuple),
    ended=st.sampled_from(["done", "interrupted", "error"]),
    error=TEXT,
    state=st.dictionaries(TEXT, JSON, max_size=3),
)


def asking(name: str, id: str, **args) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": id}])


HISTORY = [
    HumanMessage("Book BA117"),
    AIMessage(
        "I look.",
        tool_calls=[
            {"name": "search", "args": {"to": "Rome"}, "id": "1"},
            {"name": "book", "args": {"flight": "BA117"}, "id": "2"},
        ],
        usage_metadata={"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    ),
    ToolMessage("seat sold out", tool_call_id="2", status="error"),
    ToolMessage("BA117", tool_call_id="1", name="search"),
    AIMessage(
        [{"type": "text", "text": "Sorry."}],
        usage_metadata={"input_tokens": 20, "output_tokens": 1, "total_tokens": 21},
    ),
]


@given(OUTCOMES)
def test_an_outcome_survives_being_stored(outcome):
    """Through JSON text and back it is the same."""
    text = json.dumps(outcome.stored(), allow_nan=False)

    assert outcome == Outcome.read(json.loads(text))


def test_an_outcome_is_what_the_messages_tell():
    """The tools in the order of their answers, the tokens summed, the last text as the answer."""
    outcome = outcome_of({"messages": HISTORY, "plan": {"due": date(2026, 1, 2)}}, seconds=1.5)

    assert outcome.tools == (
        ToolUse("book", {"flight": "BA117"}, "seat sold out", "error", "2"),
        ToolUse("search", {"to": "Rome"}, "BA117", "success", "1"),
    )
    assert ("Sorry.", 2, 30, 6, 36) == (
        outcome.answer, outcome.steps, outcome.input_tokens, outcome.output_tokens, outcome.tokens,
    )  # fmt: skip
    assert ({"plan": {"due": "2026-01-02"}}, "done", None) == (
        outcome.state, outcome.ended, outcome.usd,
    )  # fmt: skip


def test_a_call_that_a_guard_answered_was_not_run():
    """Whatever its status says: the tool did not give that."""
    held = in_place_of({"name": "book", "args": {}, "id": "1"}, "A person said no.", "success")
    outcome = outcome_of({"messages": [asking("book", "1"), held]})

    assert ["not_run"] == [use.status for use in outcome.tools]


def test_a_call_without_an_answer_was_not_run():
    """It was asked for, and comes last."""
    messages = [asking("book", "1"), asking("look", "2"), ToolMessage("x", tool_call_id="2")]
    outcome = outcome_of({"messages": messages, "__interrupt__": [Interrupt("May I?", id="i")]})

    assert [("look", "success"), ("book", "not_run")] == [(u.name, u.status) for u in outcome.tools]
    assert (("May I?",), "interrupted", {}) == (outcome.interrupts, outcome.ended, outcome.state)


def test_calls_of_one_id_are_told_apart_by_their_order():
    """Some models number their calls anew in every message."""
    history = [
        m for n in (1, 2) for m in (asking("t", "1", n=n), ToolMessage("", tool_call_id="1"))
    ]

    assert [1, 2] == [use.args["n"] for use in outcome_of({"messages": history}).tools]


def test_what_was_given_is_no_work_of_the_run():
    """Messages of the input are neither steps nor tools nor the answer."""
    outcome = outcome_of({"messages": [*HISTORY, HumanMessage("And?")]}, given=6)

    assert ("", 0, (), 0) == (outcome.answer, outcome.steps, outcome.tools, outcome.tokens)
    assert 6 == len(outcome.messages)


def test_what_a_subgraph_did_counts_once():
    """Messages that were seen beside the state, and are partly in it."""
    inner = [
        asking("search", "9").model_copy(update={"id": "a"}),
        ToolMessage("x", tool_call_id="9", id="b"),
    ]
    outcome = outcome_of(
        {"messages": [HumanMessage("?"), *inner[:1], AIMessage("Yes.")]}, seen=inner
    )

    assert (2, ["search"], "Yes.") == (
        outcome.steps,
        [u.name for u in outcome.tools],
        outcome.answer,
    )


def test_an_error_is_told_without_its_secrets():
    """Type and text, cut; and it is how the run ended."""
    outcome = outcome_of(
        {}, error=RuntimeError("401 for Bearer abcdefghijklmnop1234 " + "x" * 9999)
    )

    assert ("error", 2_000) == (outcome.ended, len(outcome.error))
    assert outcome.error.startswith("RuntimeError: 401 for Bearer [redacted] xxx")


@dataclass
class Plain:
    messages: list
    colour: str = "red"


class Modelled(BaseModel):
    messages: list
    colour: str = "red"


@pytest.mark.parametrize(
    "state", [Plain(HISTORY), Modelled(messages=HISTORY), HISTORY, HISTORY[-1]]
)
def test_states_of_other_shapes_are_read_as_well(state):
    """A dataclass, a model, messages, a message."""
    assert "Sorry." == outcome_of(state).answer


@pytest.mark.parametrize(
    ("state", "expected"),
    [("Yes", "Yes"), (None, ""), (3, ""), ({"messages": [3, None, {"role": "x"}]}, "")],
)
def test_a_state_without_messages_has_an_answer_or_none(state, expected):
    """An entrypoint's text is its answer; nonsense is none, and no error."""
    assert expected == outcome_of(state).answer


@given(st.integers(-9, 9), st.text(), st.floats())
def test_anything_becomes_json(number, text, real):
    """Halves of surrogate pairs, infinities, sets, bytes, classes, things within themselves."""
    endless: list = [number]
    endless.append(endless)
    value = {
        f"text {text}": [real, Decimal(number), {number}, endless], 3: b"x", None: object(), "t": int,
        "message": AIMessage(text.encode("utf-8", "replace").decode()),
    }  # fmt: skip
    plain = as_json(value)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()

    assert json.loads(text) == plain
    assert [number, CUT] == next(iter(plain.values()))[3]
    assert "<builtins.object>" == plain["None"]


def test_half_a_surrogate_pair_does_not_get_into_an_outcome():
    """A report that is written as UTF-8 would die of it."""
    outcome = outcome_of({"messages": [AIMessage("a\ud800b")], "x": "\udfff"})

    assert ("a\ufffdb", {"x": "\ufffd"}) == (outcome.answer, outcome.state)


def test_what_is_no_outcome_is_refused():
    """A file of something else is not taken for an empty run."""
    with pytest.raises(ValueError, match="answer"):
        Outcome.read({"tools": []})
