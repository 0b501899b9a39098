"""LangGraph's dev server, which stands behind Studio, with the booking graph on PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client

from graphs.airline import Airline, airline

ROOT = Path(__file__).parent.parent
WISH = {"messages": [{"role": "user", "content": "Find a flight to Lisbon and book it"}]}
APPROVED = {"decisions": [{"type": "approve"}]}
pytestmark = pytest.mark.slow


@pytest.fixture
def an_airline(tmp_path: Path) -> Iterator[Airline]:
    with airline(tmp_path / "bookings.jsonl") as an_airline:
        yield an_airline


@pytest.fixture
def server(database_url: str, an_airline: Airline, tmp_path: Path) -> Iterator[str]:
    """The URL of a dev server without network, browser or LangSmith."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "AIRLINE_URL": an_airline.url,
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "LANGSMITH_TRACING": "false",
    }
    command = [
        str(Path(sys.executable).with_name("langgraph")), "dev", "--port", str(port),
        "--no-browser", "--no-reload",
    ]  # fmt: skip
    for name in ("langgraph.json", "graphs"):  # the server writes beside langgraph.json
        (tmp_path / name).symlink_to(ROOT / name)
    log = (tmp_path / "server.log").open("w+")
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        await_server(url, process, tmp_path / "server.log")
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def await_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{url}/ok", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture
def client(server: str) -> Iterator[Any]:
    with get_sync_client(url=server) as client:
        yield client


def test_a_flight_is_booked_once_through_studio(client, an_airline):
    """Run, interrupt, resume, draw, travel in time and resume again: one booking."""
    assistant = client.assistants.search(graph_id="booking")[0]["assistant_id"]
    thread = client.threads.create()["thread_id"]

    asked = client.runs.wait(thread, assistant, input=WISH)
    before = an_airline.bookings()
    done = client.runs.wait(thread, assistant, command={"resume": APPROVED})
    drawing = client.assistants.get_graph(assistant)
    past = next(s for s in client.threads.get_history(thread) if s["next"] == ["tools"])
    replayed = client.runs.wait(thread, assistant, input=None, checkpoint=past["checkpoint"])

    assert "book_flight" == asked["__interrupt__"][0]["value"]["action_requests"][0]["name"]
    assert [] == before
    assert "Done: Booked TP1234, reference REF001" == done["messages"][-1]["content"]
    assert {"model", "router", "review", "tools"} <= {node["id"] for node in drawing["nodes"]}
    assert "Done: Booked TP1234, reference REF001" == replayed["messages"][-1]["content"]
    assert ["TP1234"] == [booking["flight"] for booking in an_airline.bookings()]
