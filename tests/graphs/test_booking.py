"""The reference graph, on an airline that fails in every way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.types import Command

from graphs.airline import Airline, airline
from graphs.booking import builder
from lg_production import Checkpointer, Database
from lg_production.core.steps import drive
from lg_production.errors import Stopped
from lg_production.oversight import stops

WISH = {"messages": [("user", "Find me a flight to Lisbon on 3 May under 300 and book it")]}
CONFIG: Any = {"configurable": {"thread_id": "1"}}
BOOKED = "Done: Booked TP1234, reference REF001"


@pytest.fixture
def an_airline(tmp_path: Path) -> Iterator[Airline]:
    with airline(tmp_path / "bookings.jsonl", timeout=0.5) as an_airline:
        yield an_airline


@pytest.fixture
def graph(database: Database, an_airline: Airline) -> Any:
    return builder(database, an_airline, sample_rate=0).compile(checkpointer=Checkpointer(database))


def answered(graph: Any, **decision: Any) -> str:
    graph.invoke(WISH, CONFIG)
    state = graph.invoke(Command(resume={"decisions": [decision]}), CONFIG)
    return str(state["messages"][-1].content)


def flights(an_airline: Airline) -> list[str]:
    return [booking["flight"] for booking in an_airline.bookings()]


def test_nothing_is_booked_before_a_person_approves(graph, an_airline):
    """The graph pauses in front of the effect, not behind it."""
    asked = graph.invoke(WISH, CONFIG)["__interrupt__"][0].value

    assert [{"flight": "TP1234"}] == [a["args"] for a in asked["action_requests"]]
    assert [] == flights(an_airline)


def test_nothing_is_booked_once_a_person_has_pressed_stop(database, graph, an_airline):
    """Not even what was approved; when the stop is lifted, the thread goes on."""
    graph.invoke(WISH, CONFIG)
    drive(stops.press("agent:booking", by="ann", reason="the airline called"), database)
    time.sleep(1.1)  # a stop is read at most once a second
    with pytest.raises(Stopped):
        graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), CONFIG)
    stopped = flights(an_airline)
    database.execute(stops.lift("agent:booking", by="ann"))
    time.sleep(1.1)

    state = graph.invoke(None, CONFIG)

    assert [] == stopped
    assert BOOKED == state["messages"][-1].content


def test_an_approved_flight_is_booked(graph, an_airline):
    """Approve: the call as the model asked for it."""
    assert answered(graph, type="approve") == BOOKED
    assert ["TP1234"] == flights(an_airline)


def test_an_edited_flight_is_booked_instead(graph, an_airline):
    """Edit: the person's arguments."""
    other = {"name": "book_flight", "args": {"flight": "LH1166"}}

    assert "Done: Booked LH1166, reference REF001" == answered(
        graph, type="edit", edited_action=other
    )
    assert ["LH1166"] == flights(an_airline)


def test_a_rejected_flight_is_not_booked(graph, an_airline):
    """Reject: the model hears why, and nothing happens."""
    said = answered(graph, type="reject", message="too early")

    assert said.startswith("book_flight was not carried out: ")
    assert "too early" in said
    assert [] == flights(an_airline)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("Book flight AF1024", "amount_over"),
        ("Find a flight to Lisbon and book it", "confidence"),
        ("Cancel REF001", "irreversible"),
    ],
)
def test_what_is_dear_doubtful_or_final_waits_for_a_person(graph, an_airline, wish, reason):
    """Over 500, below the threshold, or irreversible; and nothing happens meanwhile."""
    asked = graph.invoke({"messages": [("user", wish)]}, CONFIG)["__interrupt__"][0].value

    assert [reason] == asked["action_requests"][0]["risk"]["reasons"]
    assert ([], []) == (flights(an_airline), an_airline.cancellations())


def test_a_cheap_flight_that_the_traveller_named_is_booked_at_once(graph, an_airline):
    """Nobody is asked about what is small and sure."""
    state = graph.invoke({"messages": [("user", "Book flight TP1234")]}, CONFIG)

    assert BOOKED == state["messages"][-1].content
    assert ["TP1234"] == flights(an_airline)


def test_each_of_several_calls_is_decided_by_itself(graph, an_airline):
    """Two go through, the dear one waits; all are booked once it is approved."""
    wish = {"messages": [("user", "Book flights TP1234, LH1166 and AF1024")]}
    asked = graph.invoke(wish, CONFIG)["__interrupt__"]
    before = flights(an_airline)
    graph.invoke(Command(resume={"type": "approve"}), CONFIG)

    assert ["AF1024"] == [i.value["action_requests"][0]["args"]["flight"] for i in asked]
    assert [] == before
    assert ["AF1024", "LH1166", "TP1234"] == sorted(flights(an_airline))


def test_a_cancellation_that_is_approved_is_made_once(graph, an_airline):
    """What cannot be undone is done once a person has said so."""
    an_airline.book("TP1234", "k")
    graph.invoke({"messages": [("user", "Cancel REF001")]}, CONFIG)
    state = graph.invoke(Command(resume={"type": "approve"}), CONFIG)

    assert "Done: Cancelled REF001" == state["messages"][-1].content
    assert ["REF001"] == [entry["cancels"] for entry in an_airline.cancellations()]


@pytest.mark.parametrize("kind", ["unavailable", "hang", "reset", "delay"])
def test_a_failing_airline_books_once(graph, an_airline, kind):
    """Before or after acting, it fails once, and the booking is one."""
    an_airline.fail(kind, seconds=1)
    said = ""
    try:
        said = answered(graph, type="approve")
    except httpx.HTTPStatusError:  # 503: refused before any work, for the caller to resume
        said = graph.invoke(None, CONFIG)["messages"][-1].content

    assert said == BOOKED
    assert ["TP1234"] == flights(an_airline)


def test_the_airline_refuses_a_key_with_another_flight(an_airline):
    """The airline is an honest provider: one key, one request."""
    an_airline.book("TP1234", "k")
    again = an_airline.book("TP1234", "k")
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        an_airline.book("LH1166", "k")

    assert "REF001" == again["reference"]
    assert ["TP1234"] == flights(an_airline)


def test_the_airline_forgets_nothing_when_it_restarts(tmp_path):
    """Its record is a file."""
    for _ in range(2):
        with airline(tmp_path / "bookings.jsonl") as an_airline:
            an_airline.book("TP1234", "k")
            found = flights(an_airline)

    assert ["TP1234"] == found
