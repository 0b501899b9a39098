"""The airline's client: what the tools call, and how to start an airline of one's own."""

from __future__ import annotations

import math
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
from graphs.refusals import Refused

ABOUT_THE_ORDER = {400, 404, 409, 410}
"""What another order may mend. 401 and 403 are an operator's, 422 is a key that was used twice,
408, 429 and 5xx say nothing about the order."""


@dataclass(frozen=True)
class Airline:
    """An airline by URL. `timeout` is in seconds."""

    url: str
    timeout: float = 5.0

    def flights(self, to: str, date: str) -> list[dict[str, Any]]:
        """The flights to a city on a day; `euros` is None where the airline names no price."""
        found: list[dict[str, Any]] = self._json("GET", "/flights", params={"to": to, "date": date})
        return [{**flight, "euros": price_in(flight)} for flight in found]

    def book(self, flight: str, key: str | None = None) -> dict[str, Any]:
        """Book a seat. Raises `Refused`, and httpx's errors."""
        headers = {"Idempotency-Key": key} if key else {}
        booked: dict[str, Any] = self._json(
            "POST", "/bookings", json={"flight": flight}, headers=headers
        )
        return booked

    def price(self, flight: str) -> float | None:
        """What a seat costs, in euros; None if the airline does not say, or has no such flight."""
        prices = {found["flight"]: found["euros"] for found in self.flights("", "")}
        return prices.get(flight)

    def cancel(self, reference: str) -> dict[str, Any]:
        """Give a seat back; twice is once. Raises `Refused`, and httpx's errors."""
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
        if response.status_code in ABOUT_THE_ORDER:
            raise Refused(
                f"This was not carried out: the airline says {reason(response)!r}. The same again "
                "will not help: look for something else, or ask the traveller."
            )
        response.raise_for_status()
        return response.json()


def price_in(flight: dict[str, Any]) -> float | None:
    """The price of a flight, in euros; None for anything but a number."""
    match flight.get("euros"):
        case bool():
            return None
        case int() as euros:
            return euros
        case float() as euros if math.isfinite(euros):
            return euros
    return None


def reason(response: httpx.Response) -> str:
    """Why the airline refuses something, in a line."""
    try:
        said = str(response.json()["error"])
    except (ValueError, TypeError, KeyError):
        said = response.reason_phrase
    return f"{response.status_code} {' '.join(said.split())[:200]}"


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
