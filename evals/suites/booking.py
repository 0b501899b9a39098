"""The travel agent on an airline of its own for each trial.

A world (`evals/golden/booking/worlds/`) may hold `flights` (flight, to, euros, and `date` or
`sold_out`), `bookings` that there are already, and `faults` of the next bookings; see
`graphs.record.Fault`. Without flights, four go to anywhere on any day.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from langgraph.graph import StateGraph

from evals.suites import stage
from graphs import booking
from graphs.airline import Airline
from graphs.record import Answer, Fault, Record
from graphs.world import Server
from lg_production import Database
from lg_production.evaluation.cases import Case

PATIENCE = 0.4
"""How many seconds the agent waits for the airline; one that hangs takes longer."""
Build: TypeAlias = Callable[[Database, Airline], StateGraph[Any, Any]]


@dataclass
class Timetable(Record):
    """An airline that flies where it says and nowhere else."""

    timetable: list[dict[str, Any]] = field(default_factory=list)

    def flights(self, to: str, date: str) -> list[dict[str, Any]]:
        """The flights to a city on a day; all of them, to whoever asks for no city."""
        if not self.timetable:
            return super().flights(to, date)
        return [
            {"date": date, **flight}
            for flight in self.timetable
            if to.casefold() in ("", flight["to"].casefold())
            and not flight.get("sold_out")
            and date in ("", "any day", flight.get("date", date))
        ]

    def book(self, flight: str, key: str | None) -> Answer:
        """Book a seat on a flight that there is."""
        known = {one["flight"]: one for one in self.timetable}
        if known and flight not in known:
            return 404, {"error": "no such flight"}
        if known and known[flight].get("sold_out"):
            return 409, {"error": "sold out"}
        return super().book(flight, key)


def build(database: Database, airline: Airline) -> StateGraph[Any, Any]:
    """The graph as it is; nobody is asked by chance."""
    return booking.builder(database, airline, sample_rate=0)


@contextmanager
def target(case: Case, build: Build = build) -> Iterator[stage.Watched]:
    """The travel agent in the world of a case."""
    world = stage.world("booking", case.script)
    with TemporaryDirectory() as folder:
        record = Timetable(Path(folder) / "bookings.jsonl", timetable=world.get("flights", []))
        for flight in world.get("bookings", ()):
            record.book(flight, None)
        record.faults += [Fault(**fault) for fault in world.get("faults", ())]
        before = len(record.bookings)
        with serving(record) as airline:
            yield stage.Watched(build(stage.database(), airline), lambda _: told(record, before))


@contextmanager
def serving(record: Record) -> Iterator[Airline]:
    """An airline in a thread of this process, for this block."""
    with Server(0, record) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield Airline(f"http://127.0.0.1:{server.server_address[1]}", PATIENCE)
        finally:
            server.shutdown()
            thread.join()


def told(record: Record, before: int) -> Mapping[str, Any]:
    """What the airline has on record of this trial."""
    return {
        "booked": stage.spelled(one["flight"] for one in record.bookings[before:]),
        "cancelled": stage.spelled(one["cancels"] for one in record.cancellations),
    }
