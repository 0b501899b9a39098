"""`lg-production eval run` as a process: how it ends, whatever an agent does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.evaluation.case_for_tests import row

LONG = 240
"""Seconds after which a process that should have ended has not."""
AGENT = '''
import sys, time
from pathlib import Path
from typing import TypedDict
from langgraph.graph import START, StateGraph
from lg_production.evaluation import Judge

class State(TypedDict):
    messages: list

def hang(*_):
    Path("begun").touch()
    time.sleep(100_000)

def node(state):
    if "hang" in str(state["messages"]):
        hang()

def maker():
    """Two nodes side by side: LangGraph runs them on threads that Python joins at its end."""
    graph = StateGraph(State).add_node("one", node).add_node("two", lambda _: None)
    return graph.add_edge(START, "one").add_edge(START, "two")

def leaves(case):
    sys.exit(0)

judge = Judge.of("a", "m", "2024-08-06", hang, "rubric")
'''
COMMAND = [sys.executable, "-c", "from lg_production.cli import main; main()", "eval", "run", "s"]


@pytest.fixture
def folder(tmp_path):
    """A suite of a case that ends and one that hangs, and their agent."""
    (tmp_path / "evals/golden/s/v1").mkdir(parents=True)
    rows = [row(id="a", input="quick"), row(id="b", input="hang")]
    (tmp_path / "evals/golden/s/v1/happy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "exits.py").write_text("import sys; sys.exit(0)")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, timeout=LONG, check=False, capture_output=True, text=True
    )  # fmt: skip


def trials(file: Path) -> dict[str, str]:
    found = json.loads(file.read_text())["trials"]
    return {trial["case"]: trial["outcome"]["ended"] for trial in found}


def test_ctrl_c_ends_a_process_whose_agent_hangs(folder):
    """What has ended is in the report, and the same command goes on."""
    command = [*COMMAND, "--graph", "agent:maker", "--json", "r.json"]
    process = subprocess.Popen(  # a suite that is run in the background would ignore Ctrl-C
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        until = time.monotonic() + LONG
        while not ((folder / "begun").exists() and noted(folder) == 1):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LONG)
    finally:
        process.kill()
        process.wait()

    assert 3 == process.returncode
    assert {"a": "done"} == trials(folder / "r.json")
    assert "Not finished (interrupted)" in output


def noted(folder: Path) -> int:
    """The trials in the journal."""
    found = list((folder / ".lg_production" / "evals").glob("*.jsonl"))
    return found[0].read_bytes().count(b"\n") - 1 if found else 0


def test_what_hangs_is_given_up_and_the_process_ends(folder):
    """Agent and judge alike, and whatever threads they have left."""
    done = run(folder, "--graph", "agent:maker", "--judge", "agent:judge", "--timeout", "8",
               "--json", "r.json")  # fmt: skip

    assert (0, {"a": "done", "b": "error"}) == (done.returncode, trials(folder / "r.json"))
    assert "The judge m gave no grade in 2 trials" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--graph", "exits:graph"), 2),
        (("--graph", "agent:maker", "--judge", "exits:judge"), 2),
        (("--graph", "agent:leaves", "--every"), 1),
    ],
)
def test_no_code_of_a_stranger_ends_the_process_as_if_all_had_passed(folder, arguments, code):
    """`sys.exit(0)` is what it is: bad input, or a case that failed."""
    done = run(folder, *arguments)

    assert code == done.returncode
    assert "SystemExit" in done.stdout + done.stderr
