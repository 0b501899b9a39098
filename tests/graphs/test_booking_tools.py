"""Every tool of the travel agent by itself, on a real airline and without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from graphs.airline import Airline, airline
from graphs.booking import POLICIES, booking_tools
from graphs.refusals import Refused


@pytest.fixture
def an_airline(tmp_path: Path) -> Iterator[Airline]:
    with airline(tmp_path / "bookings.jsonl", timeout=0.5) as an_airline:
        yield an_airline


def using(an_airline: Airline, name: str, **arguments: Any) -> Any:
    (tool,) = [one for one in booking_tools(an_airline) if one.name == name]
    return tool.invoke(arguments)


def flights(an_airline: Airline) -> list[str]:
    return [booking["flight"] for booking in an_airline.bookings()]


def test_every_tool_has_a_policy_for_its_effect(an_airline):
    """What is not said of a tool is not known after a crash."""
    assert list(POLICIES) == [tool.name for tool in booking_tools(an_airline)]


def test_the_model_is_not_shown_the_idempotency_key(an_airline):
    """It chooses flights; keys are made of the thread and the call."""
    shown = {
        tool.name: set(tool.tool_call_schema.model_fields) for tool in booking_tools(an_airline)
    }

    assert {
        "search_flights": {"to", "date"}, "book_flight": {"flight"}, "cancel_booking": {"reference"}
    } == shown  # fmt: skip


# --------------------------------------------------------------------------------- search


@pytest.mark.parametrize(
    ("to", "date"),
    [
        ("Lisbon", "3 May"),
        ("São Paulo", "29 February"),
        ("", ""),
        ("Lisbon&date=never", "3 May?to=Rome#x"),
        ("Paris\r\nHost: evil.com", "3 May"),
        ("x" * 5_000, "3 May"),
    ],
    ids=["plain", "accents", "empty", "like a query", "like a header", "long"],
)
def test_a_search_asks_for_exactly_this_city_and_day(an_airline, to, date):
    """Whatever is in the words, they are values: four flights, cheapest first, and no booking."""
    found = using(an_airline, "search_flights", to=to, date=date)

    assert ["TP1234", "LH1166", "AF1024", "PJ0001"] == [one["flight"] for one in found]
    assert [289, 342, 511, 50_000] == [one["euros"] for one in found]
    assert [(to, date)] * 4 == [(one["to"], one["date"]) for one in found]
    assert [] == an_airline.bookings()


@pytest.mark.parametrize("arguments", [{}, {"to": "Lisbon"}, {"to": None, "date": "3 May"}])
def test_a_search_without_a_city_or_a_day_is_refused(an_airline, arguments):
    """Before anything is asked of the airline."""
    with pytest.raises(ValidationError):
        using(an_airline, "search_flights", **arguments)


# -------------------------------------------------------------------------------- booking


def test_a_seat_is_booked_once_for_each_key(an_airline):
    """The same key is the same booking; another one is another seat."""
    said = [using(an_airline, "book_flight", flight="TP1234", key=key) for key in "aab"]

    assert [f"Booked TP1234, reference REF00{n}" for n in (1, 1, 2)] == said
    assert ["TP1234", "TP1234"] == flights(an_airline)


def test_a_key_is_for_one_flight(an_airline):
    """The airline refuses it for another, and books nothing."""
    using(an_airline, "book_flight", flight="TP1234", key="a")
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        using(an_airline, "book_flight", flight="AF1024", key="a")

    assert ["TP1234"] == flights(an_airline)


@pytest.mark.parametrize("arguments", [{}, {"key": "a"}, {"flight": 7.5, "key": "a"}])
def test_a_booking_without_a_flight_is_refused(an_airline, arguments):
    """No seat is taken for what names none."""
    with pytest.raises(ValidationError):
        using(an_airline, "book_flight", **arguments)

    assert [] == flights(an_airline)


@pytest.mark.parametrize(
    ("kind", "error", "before"),
    [
        ("unavailable", httpx.HTTPStatusError, []),
        ("delay", httpx.ReadTimeout, []),
        ("hang", httpx.ReadTimeout, ["TP1234"]),
        ("reset", httpx.TransportError, ["TP1234"]),
    ],
)
def test_a_booking_that_failed_is_made_once_with_the_same_key(an_airline, kind, error, before):
    """It tells that it failed, before the airline acted or after; trying again is safe."""
    an_airline.fail(kind, seconds=1)
    with pytest.raises(error):
        using(an_airline, "book_flight", flight="TP1234", key="a")
    found = flights(an_airline)
    said = using(an_airline, "book_flight", flight="TP1234", key="a")

    assert before == found
    assert "Booked TP1234, reference REF001" == said
    assert ["TP1234"] == flights(an_airline)


# ----------------------------------------------------------------------------- cancelling


def test_a_seat_is_given_back_once(an_airline):
    """Twice is once."""
    using(an_airline, "book_flight", flight="TP1234", key="a")
    said = [using(an_airline, "cancel_booking", reference="REF001") for _ in range(2)]

    assert ["Cancelled REF001"] * 2 == said
    assert [{"cancels": "REF001"}] == an_airline.cancellations()


@pytest.mark.parametrize("reference", ["REF001", "", "ref001", "REF001' OR 1=1", "TP1234"])
def test_what_was_never_booked_is_not_cancelled(an_airline, reference):
    """The airline says 404, which the model is told, and gives nothing back."""
    with pytest.raises(Refused, match="404 no such booking"):
        using(an_airline, "cancel_booking", reference=reference)

    assert [] == an_airline.cancellations()


# ------------------------------------------------------------- what the review asks about


@pytest.mark.parametrize(
    ("flight", "euros"), [("TP1234", 289), ("PJ0001", 50_000), ("XX9999", None), ("", None)]
)
def test_a_flight_s_price_is_the_airline_s_to_say(an_airline, flight, euros):
    """None for a flight that there is not: a price that nobody knows counts as too much."""
    assert euros == an_airline.price(flight)


def answering(status: int, body: Any) -> Any:
    """What httpx does in the place of an airline that says this, whatever it is asked."""
    said = json.dumps(body).encode()
    return lambda _, method, url, **more: httpx.Response(
        status, content=said, request=httpx.Request(method, url)
    )


@pytest.mark.parametrize("euros", [None, "289", True, [289], float("nan"), float("inf"), ...])
def test_what_is_no_number_is_no_price(an_airline, monkeypatch, euros):
    """The flight is found all the same, with no price; and none is made up for it."""
    flight = {"flight": "TP1234", **({} if euros is ... else {"euros": euros})}
    monkeypatch.setattr(httpx.Client, "request", answering(200, [flight]))

    assert [None] == [one["euros"] for one in an_airline.flights("Lisbon", "3 May")]
    assert an_airline.price("TP1234") is None


@pytest.mark.parametrize("status", [400, 404, 409, 410])
def test_what_the_airline_says_of_an_order_is_the_model_s_to_deal_with(
    an_airline, monkeypatch, status
):
    """In one line, whatever its body is; and that the same again is no use."""
    for body in ({"error": "sold\nout"}, ["?"], {"error": "x" * 9_000}):
        monkeypatch.setattr(httpx.Client, "request", answering(status, body))
        with pytest.raises(Refused) as caught:
            an_airline.book("TP1234", "k")

        assert f"the airline says '{status} " in str(caught.value)
        assert "The same again will not help" in str(caught.value)
        assert len(str(caught.value)) < 400
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 408, 422, 429, 500, 503])
def test_what_says_nothing_of_an_order_stays_an_error_of_httpx(an_airline, monkeypatch, status):
    """An operator, a wait, the ledger: none of it is the model's."""
    monkeypatch.setattr(httpx.Client, "request", answering(status, {"error": "?"}))
    with pytest.raises(httpx.HTTPStatusError, match=str(status)):
        an_airline.book("TP1234", "k")
