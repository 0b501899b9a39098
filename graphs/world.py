"""The airline: a real HTTP server on loopback that keeps its own record and fails on demand.

    python -m graphs.world --port 0 --record bookings.jsonl

prints its port and stops when its parent dies or nobody calls for ten minutes.

    GET  /flights?to=Lisbon&date=3+May   the flights, cheapest first
    POST /bookings {"flight": "TP1234"}  book a seat; honours an Idempotency-Key header
    POST /cancellations {"reference": …} give a seat back; twice is once
    GET  /bookings, /cancellations       the record
    POST /faults {"flight": …, "kind": …, "seconds": …, "times": …}   what shall go wrong next
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from graphs.record import Fault, Record

IDLE = 600.0


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """Flights or the record."""
        record, url = self.server.record, urlsplit(self.path)
        record.last_call = time.monotonic()
        query = dict(parse_qsl(url.query))
        if url.path == "/flights":
            self._answer(200, record.flights(query.get("to", ""), query.get("date", "")))
        elif url.path == "/bookings":
            self._answer(200, record.bookings)
        elif url.path == "/cancellations":
            self._answer(200, record.cancellations)
        else:
            self._answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        """A booking, or an order to fail."""
        record = self.server.record
        record.last_call = time.monotonic()
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if self.path == "/faults":
            record.faults.append(Fault(**body))
            self._answer(200, {})
        elif self.path == "/bookings":
            self._book(body["flight"], self.headers.get("Idempotency-Key"))
        elif self.path == "/cancellations":
            self._answer(*record.cancel(body["reference"]))
        else:
            self._answer(404, {"error": "no such page"})

    def _book(self, flight: str, key: str | None) -> None:
        fault = self.server.record.next_fault(flight)
        kind = fault.kind if fault else None
        seconds = fault.seconds if fault else 0.0
        if kind == "unavailable":
            self._answer(503, {"error": "try again later"})
            return
        if kind == "full":
            self._answer(409, {"error": "sold out"})
            return
        if kind == "delay":
            time.sleep(seconds)
        status, booking = self.server.record.book(flight, key)
        if kind == "hang":
            time.sleep(seconds)
        if kind == "reset":
            # Close without the farewell: the client sees "connection reset by peer".
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            return
        self._answer(status, booking)

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client has hung up: that is what we are for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Serves one airline."""

    daemon_threads = True

    def __init__(self, port: int, record: Record) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.record = record

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that was killed is no news here."""


def watch(server: Server, parent: int) -> None:
    """Stop the server when its parent has died or nobody calls any more."""
    record = server.record
    while os.getppid() == parent and time.monotonic() - record.last_call < IDLE:
        time.sleep(0.2)
    server.shutdown()


def main() -> None:
    """Serve until the parent dies."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="graphs.world", description="An airline on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, required=True)
    options = parser.parse_args()
    with Server(options.port, Record(options.record)) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=watch, args=(server, parent), daemon=True).start()
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
