"""The airline's state: its record of bookings, and what shall go wrong next."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["unavailable", "full", "hang", "reset", "delay"]
Answer: TypeAlias = tuple[int, Any]
PRICES = {"TP1234": 289, "LH1166": 342, "AF1024": 511, "PJ0001": 50_000}


@dataclass
class Fault:
    """What goes wrong with the next `times` bookings, of this flight or of any.

    `delay` waits `seconds` before it books, `hang` after; `unavailable` answers 503 without
    booking, `full` 409; `reset` books and then cuts the connection.
    """

    kind: Kind
    flight: str | None = None
    seconds: float = 30.0
    times: int = 1


@dataclass
class Record:
    """The record of bookings: an append-only file, read again at the start."""

    file: Path
    faults: list[Fault] = field(default_factory=list)
    bookings: list[dict[str, Any]] = field(default_factory=list)
    cancellations: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    last_call: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.file.exists():
            lines = self.file.read_text(encoding="utf-8").splitlines()
            entries = [json.loads(line) for line in lines]
            self.bookings = [entry for entry in entries if "flight" in entry]
            self.cancellations = [entry for entry in entries if "cancels" in entry]

    def flights(self, to: str, date: str) -> list[dict[str, Any]]:
        """Three flights a day to anywhere, and a private jet."""
        return [{"flight": f, "to": to, "date": date, "euros": p} for f, p in PRICES.items()]

    def next_fault(self, flight: str) -> Fault | None:
        """Use up one of the faults that wait for this flight."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.flight in (None, flight):
                    fault.times -= 1
                    return fault
        return None

    def book(self, flight: str, key: str | None) -> Answer:
        """Book a seat, or find the booking that was made under this key."""
        with self.lock:
            known = next((b for b in self.bookings if key and b["key"] == key), None)
            if known is not None:
                return (200, known) if known["flight"] == flight else (422, {"error": "other key"})
            number = len(self.bookings) + 1
            booking = {"reference": f"REF{number:03}", "flight": flight, "key": key}
            self.bookings.append(booking)
            self._write(booking)
            return 201, booking

    def cancel(self, reference: str) -> Answer:
        """Give a seat back; twice is once."""
        with self.lock:
            if all(booking["reference"] != reference for booking in self.bookings):
                return 404, {"error": "no such booking"}
            entry = {"cancels": reference}
            if entry in self.cancellations:
                return 200, entry
            self.cancellations.append(entry)
            self._write(entry)
            return 201, entry

    def _write(self, entry: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")
