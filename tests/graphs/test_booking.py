"""The reference graph, on an airline that fails in every way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from langgraph.types import Command

from graphs.airline import Airline, airline
from graphs.booking import builder
from graphs.refusals import Refused
from lg_production import Checkpointer, Database
from lg_production.core.steps import drive
from lg_production.errors import OutcomeUnknown, Stopped
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


def refused(database: Database, airline: Airline, wish: str) -> list[Any]:
    """All messages of a run whose questions are answered with a yes."""
    graph = builder(database, airline, sample_rate=0).compile(checkpointer=Checkpointer(database))
    state = graph.invoke({"messages": [("user", wish)]}, CONFIG)
    while "__interrupt__" in state:
        state = graph.invoke(Command(resume={"type": "approve"}), CONFIG)
    return list(state["messages"])


@pytest.mark.parametrize(
    ("wish", "says"),
    [("Cancel REF042", "404 no such booking"), ("Book flight TP1234", "409 sold out")],
)
def test_what_the_airline_refuses_is_told_to_the_model(database, an_airline, wish, says):
    """As an error that says what to do; the run goes on, and nothing has happened."""

    an_airline.fail("full", seconds=0)
    messages = refused(database, an_airline, wish)
    told = messages[-2]

    assert ("tool", "error") == (told.type, told.status)
    assert f"This was not carried out: the airline says '{says}'." in told.text
    assert "The same again will not help" in told.text
    assert says in messages[-1].text
    assert ([], []) == (flights(an_airline), an_airline.cancellations())


def test_a_refusal_after_a_doubt_does_not_end_the_doubt(database, an_airline):
    """The first try was cut off and may have booked: that the second was refused says nothing."""

    class Unclear(Airline):
        tries: ClassVar[list[str]] = []

        def book(self, flight: str, key: str | None = None) -> dict[str, Any]:
            self.tries.append(str(key))
            if len(self.tries) == 1:
                raise httpx.ReadTimeout("no answer")
            raise Refused("This was not carried out: the airline says '409 sold out'.")

    with pytest.raises(OutcomeUnknown):
        refused(database, Unclear(an_airline.url), "Book flight TP1234")

    assert 2 == len(Unclear.tries)
    assert 1 == len(set(Unclear.tries))


def test_a_flight_without_a_price_waits_for_a_person(database, an_airline):
    """A price that nobody names counts as too much, and none is the cheapest by it."""

    class Silent(Airline):
        def _json(self, method: str, path: str, **arguments: Any) -> Any:
            said = super()._json(method, path, **arguments)
            if path != "/flights":
                return said
            return [{k: v for k, v in one.items() if k != "euros"} for one in said]

    silent = Silent(an_airline.url, an_airline.timeout)
    graph = builder(database, silent, sample_rate=0).compile(checkpointer=Checkpointer(database))
    named = {"messages": [("user", "Book flight TP1234")]}
    asked = graph.invoke(named, CONFIG)["__interrupt__"][0].value["action_requests"][0]
    found = graph.invoke(WISH, {"configurable": {"thread_id": "2"}})

    assert ["amount_unknown"] == asked["risk"]["reasons"]
    assert "The airline names no price of any flight." == found["messages"][-1].text
    assert [] == flights(an_airline)


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
