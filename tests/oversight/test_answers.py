"""What a person's answer means."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Any

import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel

from lg_production.core.answers import Answer, Unreadable
from lg_production.core.steps import drive
from lg_production.oversight.answers import coerce, read_answer
from lg_production.oversight.ledger import freeze
from lg_production.oversight.records import Recorded, Routed, Verdict, review_key


class Seat(Enum):
    """Where to sit."""

    WINDOW = "window"
    AISLE = "aisle"


class Guest(BaseModel):
    """Who flies."""

    name: str
    age: int


@tool
def book(
    flight: str, seats: int = 1, vip: bool = False, tags: list[str] | None = None,
    seat: Seat = Seat.AISLE, day: date | None = None, guest: Guest | None = None,
) -> str:  # fmt: skip
    """Book."""
    return flight


REMOTE = StructuredTool(
    name="book",
    description="Book, somewhere else.",
    args_schema={
        "type": "object",
        "properties": {
            "flight": {"type": "string"},
            "seats": {"type": "integer"},
            "price": {"type": "number"},
            "vip": {"type": ["boolean", "null"]},
            "tags": {"type": "array"},
            "any": {},
        },
        "required": ["flight"],
    },
)


@pytest.fixture
def row(database: Any) -> Recorded:
    """A review of one booking."""
    key = review_key("default", "thread", "message", "call")
    verdict = Verdict("review")
    arguments = {"flight": "TP 1", "seats": 2}
    asked = Routed(key, "default", "thread", "book", "call", arguments, verdict, "policy")
    return drive(freeze([asked]), database)[0]


EDIT = {"type": "edit", "edited_action": {"name": "book", "args": {"flight": "TP 2"}}}


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ({"decisions": [{"type": "approve"}]}, Answer("approve")),
        ([{"type": "accept", "args": None}], Answer("approve")),
        ({"type": "approve"}, Answer("approve")),
        ([{"type": "ignore", "args": None}], Answer("reject")),
        ({"type": "reject", "message": "no"}, Answer("reject", "no")),
        ([{"type": "response", "args": "done by hand"}], Answer("respond", "done by hand")),
        ({"decisions": [EDIT]}, Answer("edit", "", {"flight": "TP 2"})),
        (
            [{"type": "edit", "args": {"action": "book", "args": {"flight": "x", "seats": "3"}}}],
            Answer("edit", "", {"flight": "x", "seats": 3}),
        ),
    ],
)
def test_three_shapes_say_the_same(row: Recorded, answer: Any, read: Answer) -> None:
    """LangChain's decisions, Agent Inbox's list, and a bare decision."""
    assert read == read_answer(answer, row, book)


@pytest.mark.parametrize(
    "answer",
    [
        None, "approve", 1, [], {}, {"decisions": "approve"}, {"decisions": [None]},
        {"decisions": [[{"type": "approve"}]]}, {"type": ["approve"]}, {"type": "edit"},
        {"type": "edit", "edited_action": {"name": "wipe", "args": {}}},
        {"type": "edit", "args": "flight=x"}, {"type": "respond", "message": 7},
    ],
)  # fmt: skip
def test_nothing_else_is_a_decision(row: Recorded, answer: Any) -> None:
    """It is told apart from every decision, and says what is wrong."""
    read = read_answer(answer, row, book)

    assert isinstance(read, Unreadable)
    assert read.problem


@pytest.mark.parametrize("name", ["idempotency_key", "digest"])
@pytest.mark.parametrize("outside", [False, True])
def test_an_answer_may_name_its_question(row: Recorded, name: str, outside: bool) -> None:
    """In the decision or around it; one that names another question does not answer this one."""
    mine = {"idempotency_key": row.key.hex(), "digest": row.digest.hex()}[name]

    def answer(named: str) -> Any:
        said = {"type": "approve", **({} if outside else {name: named})}
        return {"decisions": [said], **({name: named} if outside else {})}

    assert Answer("approve") == read_answer(answer(mine), row)
    assert isinstance(read_answer(answer(row.key.hex()[::-1]), row), Unreadable)


@pytest.mark.parametrize(
    ("edited", "fitted"),
    [
        ({"flight": "5", "seats": "3"}, {"flight": "5", "seats": 3}),
        ({"flight": "x", "vip": "true"}, {"flight": "x", "vip": True}),
        ({"flight": "x", "vip": "False"}, {"flight": "x", "vip": False}),
        ({"flight": "x", "tags": '["a", "b"]'}, {"flight": "x", "tags": ["a", "b"]}),
        ({"flight": "x", "tags": "null"}, {"flight": "x", "tags": None}),
        ({"flight": "x", "seat": "window"}, {"flight": "x", "seat": "window"}),
        ({"flight": "x", "day": "2026-11-24"}, {"flight": "x", "day": "2026-11-24"}),
        (
            {"flight": "x", "guest": '{"name": "7", "age": "8"}'},
            {"flight": "x", "guest": {"name": "7", "age": 8}},
        ),
        ({"flight": "[1]"}, {"flight": "[1]"}),
    ],
)
def test_text_becomes_what_the_tool_takes(edited: Any, fitted: Any) -> None:
    """A text stays one where the tool takes texts."""
    assert fitted == coerce(edited, {}, book)


@pytest.mark.parametrize(
    "edited",
    [{"seats": 1}, {"flight": "x", "seats": "two"}, {"flight": "x", "price": 1},
     {"flight": "x", "seat": "roof"}, {"flight": "x", "guest": {"name": "a"}}],
)  # fmt: skip
def test_what_the_tool_does_not_take_is_no_edit(edited: Any) -> None:
    """Missing, of another type, or unknown: the question stays open and says so."""
    assert isinstance(coerce(edited, {}, book), Unreadable)


@pytest.mark.parametrize("shown", [3, 1.5, True, None, ["a"], {"a": 1}])
@pytest.mark.parametrize("spell", [str, repr])
def test_a_field_that_nobody_touched_keeps_its_value(shown: Any, spell: Any) -> None:
    """Without a schema, too: a form shows every value as text and sends it back."""
    returned = coerce({"x": spell(shown)}, {"x": shown}, None)

    assert {"x": "None" if shown is None else shown} == returned


@pytest.mark.parametrize(
    ("edited", "fitted"),
    [
        ({"flight": "5", "seats": "3"}, {"flight": "5", "seats": 3}),
        ({"flight": "x", "price": "2"}, {"flight": "x", "price": 2}),
        ({"flight": "x", "vip": "null"}, {"flight": "x", "vip": None}),
        ({"flight": "x", "tags": "[1]", "any": "y"}, {"flight": "x", "tags": [1], "any": "y"}),
    ],
)
def test_a_remote_tool_states_its_types_in_json(edited: Any, fitted: Any) -> None:
    """MCP tools have a JSON schema and no model."""
    assert fitted == coerce(edited, {}, REMOTE)


@pytest.mark.parametrize(
    "edited",
    [{}, {"flight": "x", "seats": "two"}, {"flight": "x", "seats": True}, {"flight": "x", "b": 1}],
)
def test_a_remote_tool_does_not_take_everything(edited: Any) -> None:
    """Missing, of another type, or unknown. A truth value is no number."""
    assert isinstance(coerce(edited, {}, REMOTE), Unreadable)
