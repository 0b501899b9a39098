"""The command line: what it prints, what it asks, how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from lg_production import cli

ROOT = Path(__file__).parent.parent
WISH = "Find me a flight to Lisbon on 3 May under 300 and book it"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Nothing is written into the clone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture
def empty_url(server_url):
    """The URL of a database without our schema, on a server that flushes what it commits."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
        flush(connection, "ALTER SYSTEM SET fsync = on")
        yield server_url.replace("/postgres?", "/empty?")
        flush(connection, "ALTER SYSTEM SET fsync = off")
        connection.execute("DROP DATABASE empty WITH (FORCE)")


def flush(connection, setting):
    """Change it, and wait until the server has heard."""
    connection.execute(setting)
    connection.execute("SELECT pg_reload_conf()")
    for _ in range(500):
        (now,) = connection.execute("SELECT current_setting('fsync')").fetchone()
        if setting.endswith(now):
            return
        time.sleep(0.01)
    raise AssertionError(f"{setting} was not heard")


def told(*arguments: str, url: str, answers: str = "") -> tuple[int, str]:
    """Exit code and output of a command on this database."""
    options = ["--database-url", url, *arguments]
    result = CliRunner().invoke(cli.app, options, input=answers, env={"COLUMNS": "200"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_migrate_brings_an_empty_database_up_to_date(empty_url):
    """After it the doctor finds nothing wrong, before it he does; twice is as good as once."""
    before = told("doctor", url=empty_url)
    first, second = told("migrate", url=empty_url), told("migrate", url=empty_url)
    after = told("doctor", url=empty_url)

    assert 1 == before[0]
    assert "run `lg-production migrate`" in before[1]
    assert (0, "The schema is up to date.\n") == first == second
    assert 0 == after[0], after[1]


def test_the_doctor_says_that_the_database_is_away():
    """An unreachable database is a finding, with a remedy, and exit code 1."""
    code, output = told("doctor", url="postgresql://127.0.0.1:1/none?connect_timeout=1")

    assert 1 == code
    assert "PostgreSQL cannot be reached" in output
    assert "Correct DATABASE_URL" in output


def test_our_errors_leave_without_a_traceback(empty_url, monkeypatch, capfd):
    """Message and remedy on stderr, exit code 1."""
    (Path.cwd() / "langgraph.json").symlink_to(ROOT / "langgraph.json")
    (Path.cwd() / "graphs").symlink_to(ROOT / "graphs")
    monkeypatch.setenv("DATABASE_URL", empty_url)
    monkeypatch.setenv("AIRLINE_URL", "http://127.0.0.1:1")
    command = [sys.executable, "-m", "lg_production", "run", "booking", WISH]
    ended = subprocess.run(command, capture_output=True, text=True)

    assert 1 == ended.returncode
    assert "lg-production migrate" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_demo_needs_a_clone(database_url):
    """The package alone does not bring the demo; say where it is."""
    code, output = told("demo", url=database_url)

    assert 1 == code
    assert "Clone the repository" in output


def test_run_needs_a_langgraph_json(database_url):
    """Graphs are found as LangGraph finds them."""
    assert (
        1,
        "There is no langgraph.json with graphs here.\nGo to the project's directory.\n",
    ) == told("run", "booking", WISH, url=database_url)


def test_run_names_the_graphs_there_are(database_url):
    """A wrong name is answered with the right ones."""
    Path("langgraph.json").write_text(json.dumps({"graphs": {"booking": "./x.py:graph"}}))
    assert (
        1,
        "langgraph.json names no graph 'boking'.\nIt names: booking.\n",
    ) == told("run", "boking", WISH, url=database_url)


GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

def ask(state):
    answer = interrupt({"action_requests": [{"name": "pay", "args": {"euros": 300}}],
                        "review_configs": [{"action_name": "pay", "allowed_decisions": %r}]})
    return {"messages": [("ai", repr(answer["decisions"]))]}

graph = StateGraph(MessagesState)
graph.add_node("ask", ask)
graph.add_edge(START, "ask")
"""
ALL = ["approve", "edit", "reject", "respond"]


def project(allowed: list[str]) -> None:
    """A project of the user's with one graph, `payer`."""
    Path("payer.py").write_text(GRAPH % allowed)
    Path("langgraph.json").write_text(json.dumps({"graphs": {"payer": "./payer.py:graph"}}))


@pytest.mark.parametrize(
    ("answers", "decision"),
    [
        ("approve\n", {"type": "approve"}),
        ("reject\ntoo much\n", {"type": "reject", "message": "too much"}),
        ("respond\npaid\n", {"type": "respond", "message": "paid"}),
        (
            'edit\nnonsense\n{"euros": 200}\n',
            {"type": "edit", "edited_action": {"name": "pay", "args": {"euros": 200}}},
        ),
    ],
    ids=["approve", "reject", "respond", "edit"],
)
def test_run_asks_the_person_on_the_terminal(database_url, monkeypatch, answers, decision):
    """Every decision of LangChain's HITL schema reaches the graph."""
    monkeypatch.setenv("DATABASE_URL", "restored afterwards")
    project(ALL)
    code, output = told("run", "payer", "pay", url=database_url, answers=answers)

    assert 0 == code
    assert str([decision]) in output


ODD = GRAPH.replace('"pay"', '"[/x]pay"').replace('"ask"', '"[/x]ask"')


def test_run_shows_any_name(database_url, monkeypatch):
    """Nodes, tools and threads may be named with brackets."""
    monkeypatch.setenv("DATABASE_URL", "restored afterwards")
    project(ALL)
    tools = 'tool_calls=[{"name": "[/x]tool", "args": {}, "id": "[/x]1"}]'
    answer = ODD % [*ALL] + "\n"
    Path("payer.py").write_text(
        "from langchain_core.messages import AIMessage\n"
        + answer.replace('("ai", repr(answer["decisions"]))', f'AIMessage("hi", {tools})')
    )
    waits = told("run", "payer", "pay", "--thread", "[/x]7", url=database_url)
    code, output = told("run", "payer", "--thread", "[/x]7", url=database_url, answers="approve\n")

    assert 0 == waits[0]
    assert "--thread [/x]7" in waits[1]
    assert 0 == code
    assert [True] * 4 == [w in output for w in ("[/x]pay", "[/x]ask", "[/x]tool", "[/x]7")]


def test_run_offers_only_the_decisions_that_are_allowed(database_url, monkeypatch):
    """What the graph does not allow is asked again."""
    monkeypatch.setenv("DATABASE_URL", "restored afterwards")
    project(["approve", "reject"])
    code, output = told("run", "payer", "pay", url=database_url, answers="edit\napprove\n")

    assert 0 == code
    assert "[approve/reject]" in output
    assert str([{"type": "approve"}]) in output


def test_a_thread_that_waits_takes_no_new_message(database_url, monkeypatch):
    """LangGraph would drop what is under way and leave its tool call unanswered."""
    monkeypatch.setenv("DATABASE_URL", "restored afterwards")
    project(ALL)
    waits = told("run", "payer", "pay", "--thread", "7", url=database_url)
    refused = told("run", "payer", "pay more", "--thread", "7", url=database_url)
    done = told("run", "payer", "--thread", "7", url=database_url, answers="approve\n")
    over = told("run", "payer", "--thread", "7", url=database_url)

    assert 0 == waits[0]
    assert "Go on with: lg-production run payer --thread 7" in waits[1]
    assert 1 == refused[0]
    assert "This thread has unfinished work." in refused[1]
    assert str([{"type": "approve"}]) in done[1]
    assert (1, "This thread has nothing left to do.\nGive a MESSAGE.\n") == over


@pytest.mark.slow
def test_the_booking_graph_runs_from_the_command_line(database_url):
    """Search, ask, book, in a process of its own, with an airline of its own."""
    for name in ("langgraph.json", "graphs"):
        Path(name).symlink_to(ROOT / name)
    environment = {**os.environ, "DATABASE_URL": database_url, "COLUMNS": "200"}
    command = [sys.executable, "-m", "lg_production", "run", "booking", WISH]
    ended = subprocess.run(
        command, env=environment, input="approve\n", capture_output=True, text=True
    )
    record = Path(".lg_production", "airline.jsonl").read_text().splitlines()

    assert 0 == ended.returncode, ended.stderr
    assert "Booked TP1234, reference REF001" in ended.stdout
    assert ["TP1234"] == [json.loads(line)["flight"] for line in record]
