"""The airline's client: what the tools call, and how to start an airline of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from graphs.processes import kept, serving
from graphs.record import Kind


@dataclass(frozen=True)
class Airline:
    """An airline by URL. `timeout` is in seconds."""

    url: str
    timeout: float = 5.0

    def flights(self, to: str, date: str) -> list[dict[str, Any]]:
        """The flights to a city on a day."""
        found: list[dict[str, Any]] = self._json("GET", "/flights", params={"to": to, "date": date})
        return found

    def book(self, flight: str, key: str | None = None) -> dict[str, Any]:
        """Book a seat. Raises httpx's errors."""
        headers = {"Idempotency-Key": key} if key else {}
        booked: dict[str, Any] = self._json(
            "POST", "/bookings", json={"flight": flight}, headers=headers
        )
        return booked

    def price(self, flight: str) -> float | None:
        """What a seat costs, in euros; None for a flight that there is not."""
        prices = {found["flight"]: found["euros"] for found in self.flights("", "")}
        return prices.get(flight)

    def cancel(self, reference: str) -> dict[str, Any]:
        """Give a seat back; twice is once. Raises httpx's errors."""
        given: dict[str, Any] = self._json("POST", "/cancellations", json={"reference": reference})
        return given

    def bookings(self) -> list[dict[str, Any]]:
        """The airline's own record."""
        record: list[dict[str, Any]] = self._json("GET", "/bookings")
        return record

    def cancellations(self) -> list[dict[str, Any]]:
        """The seats that were given back."""
        record: list[dict[str, Any]] = self._json("GET", "/cancellations")
        return record

    def fail(
        self, kind: Kind, *, flight: str | None = None, seconds: float = 30.0, times: int = 1
    ) -> None:
        """Order what shall go wrong with the next bookings."""
        fault = {"kind": kind, "flight": flight, "seconds": seconds, "times": times}
        self._json("POST", "/faults", json=fault)

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        # trust_env: a proxy in the environment has no business on loopback.
        with httpx.Client(timeout=self.timeout, trust_env=False) as client:
            response = client.request(method, self.url + path, **arguments)
        response.raise_for_status()
        return response.json()


@contextmanager
def airline(record: Path, *, timeout: float = 5.0) -> Iterator[Airline]:
    """An airline in a process of its own, for this block."""
    with serving("graphs.world", record) as port:
        yield Airline(f"http://127.0.0.1:{port}", timeout)


@cache
def default_airline() -> Airline:
    """The airline at AIRLINE_URL; without it, one of this process under `.lg_production/`."""
    if url := os.environ.get("AIRLINE_URL"):
        return Airline(url)
    record = Path(".lg_production") / "airline.jsonl"
    record.parent.mkdir(exist_ok=True)
    return kept(airline(record))
