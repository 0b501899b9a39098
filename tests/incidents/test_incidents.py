"""The failures that made us write this, by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool

from lg_production import Checkpointer, EffectPolicy, IdempotentToolNode
from tests.graphs_for_tests import ASK, agent, call, says, thread

WORKER = """
import sys, time
from lg_production import Checkpointer, Database, IdempotentToolNode
from langchain_core.tools import tool
from tests.graphs_for_tests import ASK, agent, call, says

url, thread_id, record, resume = sys.argv[1:]

@tool
def search(to: str) -> str:
    "Search flights: the work of an hour."
    open(record, "a").write("search\\n")
    return "TP 123"

@tool
def book(flight: str) -> str:
    "Book a flight."
    open(record, "a").write("book\\n")
    if resume == "no":
        time.sleep(60)
    return "booked"

def model(state):
    done = sum(m.type == "tool" for m in state["messages"])
    plan = [call("search", "c0", to="LIS"), call("book", "c1", flight="TP 123")]
    from langchain_core.messages import AIMessage
    return {"messages": [AIMessage("done" if done == 2 else "", tool_calls=plan[done:done + 1])]}

with Database(url, max_connections=4) as database:
    node = IdempotentToolNode([search, book], database)
    graph = agent(model, node).compile(checkpointer=Checkpointer(database))
    config = {"configurable": {"thread_id": thread_id}}
    state = graph.invoke(None if resume == "yes" else ASK, config)
    print([m.content for m in state["messages"]], "__interrupt__" in state)
"""


def worker(url: str, thread_id: str, record: Path, resume: str) -> subprocess.Popen[str]:
    root = Path(__file__).parent.parent.parent
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, thread_id, str(record), resume],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )


def wait_for(record: Path, line: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if record.exists() and line in record.read_text().splitlines():
            return
        time.sleep(0.02)
    raise TimeoutError(line)


@pytest.fixture
def killed(database, tmp_path) -> Any:
    """A run that is killed inside its last tool, after the effect."""
    thread_id, record = thread()["configurable"]["thread_id"], tmp_path / "record"
    first = worker(database.url, thread_id, record, "no")
    wait_for(record, "book")
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    second = worker(database.url, thread_id, record, "yes")
    output, _ = second.communicate(timeout=60)
    return record.read_text().splitlines(), output


def test_it_books_the_same_flight_twice(killed):
    """kill -9 after the booking, then resume: a person is asked, nothing is booked again."""
    record, output = killed

    assert 1 == record.count("book")
    assert output.strip().endswith("True")


def test_it_loses_all_progress_when_the_browser_closes(killed):
    """The process is gone, the thread is not: the search of an hour is not repeated."""
    record, output = killed

    assert 1 == record.count("search")
    assert "TP 123" in output


def test_it_sends_47_follow_ups_because_it_did_not_know_it_was_waiting(database):
    """An agent that is woken again and again asks for the same mail: it is sent once."""
    sent = []

    @tool
    def follow_up(customer: str, text: str) -> str:
        """Send a follow-up mail."""
        sent.append(customer)
        return f"sent to {customer}"

    policy = EffectPolicy(
        business=lambda arguments: arguments["customer"], content_arguments=frozenset({"text"})
    )
    node = IdempotentToolNode([follow_up], database, policies={"follow_up": policy})
    wakings = []
    for n in range(47):
        mail = call("follow_up", customer="ann", text=f"Just checking in, no. {n}")
        graph = agent(says(mail), node).compile(checkpointer=Checkpointer(database))
        state = graph.invoke(ASK, thread())
        wakings += [m.content for m in state["messages"] if isinstance(m, ToolMessage)]

    assert ["ann"] == sent
    assert ["sent to ann"] * 47 == wakings
