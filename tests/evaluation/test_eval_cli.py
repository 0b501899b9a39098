"""`lg-production eval` on the command line: exit codes, reports, and clear errors."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from lg_production import Checkpointer, Database, cli
from tests.evaluation.agent_for_tests import NAME, builder
from tests.evaluation.case_for_tests import row

GOOD = [{"kind": "uses", "tool": "book"}]


@pytest.fixture
def golden(tmp_path, monkeypatch):
    """A folder with a suite of three cases, one of which fails."""
    root = tmp_path / "evals" / "golden" / "trips"
    (root / "v1").mkdir(parents=True)
    rows = [row(id="a", behaviours=GOOD, tags=["t"]), row(id="b", input="fail", behaviours=GOOD)]
    (root / "v1" / "happy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (root / "v1" / "edge.jsonl").write_text(json.dumps(row(id="c", behaviours=GOOD)))
    (root / "suite.json").write_text(json.dumps({"graph": NAME, "description": "Trips."}))
    monkeypatch.chdir(tmp_path)
    return root


def run(*arguments: Any, url: str = "") -> Any:
    options = ["--database-url", url] if url else []
    return CliRunner().invoke(cli.app, [*options, "eval", *map(str, arguments)])


def test_a_run_is_told_written_and_judged(golden, tmp_path):
    """Table, JSON, page and JUnit; a gate that fails is exit code 1."""
    done = run("run", "trips", "--json", "r.json", "--html", "deep/r.html", "--junit", "r.xml")
    gated = run("run", "trips", "--every")
    rates = [run("run", "trips", "--min-pass", rate).exit_code for rate in (0.2, 0.21)]

    assert (0, 1) == (done.exit_code, gated.exit_code)
    assert [0, 1] == rates  # two of three are surely no less than 20.8 %
    assert "RuntimeError: no airline" in done.output
    assert "1 cases failed: b" in gated.output
    assert 3 == len(list(ET.parse(tmp_path / "r.xml").iter("testcase")))
    assert "trips v1" in (tmp_path / "deep" / "r.html").read_text()


def test_without_a_gate_nothing_fails(golden):
    """Whoever wants an exit code sets one: even no case that passed is 0."""
    assert [0, 1] == [
        run("run", "trips", "--case", "b", *gate).exit_code for gate in ((), ("--every",))
    ]


def test_two_runs_are_compared(golden):
    """A worse one is exit code 1; of other data, 2, and a way to go on."""
    run("run", "trips", "--json", "a.json")
    (golden / "v1" / "edge.jsonl").write_text(
        json.dumps(row(id="c", input="other", behaviours=GOOD))
    )
    run("run", "trips", "--json", "b.json")
    same, other = run("compare", "a.json", "a.json"), run("compare", "a.json", "b.json")
    allowed = run("compare", "a.json", "b.json", "--allow-different-data")

    assert (0, 2, 0) == (same.exit_code, other.exit_code, allowed.exit_code)
    assert "no evidence" in same.output
    assert "Not compared: c" in allowed.output


def test_other_words_of_claims_are_told(golden, tmp_path):
    """A note, and no other exit code."""
    run("run", "trips", "--json", "a.json")
    stored = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps({**stored, "words": "b" * 64}))
    found = run("compare", "a.json", "b.json")

    assert 0 == found.exit_code
    assert f"now is {'b' * 12}" in " ".join(found.output.split())


def test_a_part_is_chosen_and_repeated(golden):
    """By split, tag and id; and pass^k is told."""
    chosen = run("run", "trips", "--tag", "t", "--repeat", 3)

    assert 0 == chosen.exit_code
    assert "pass^3 = 100.0%" in chosen.output
    assert "3 trials" in chosen.output


def test_a_budget_that_is_used_up_is_exit_code_3_and_the_same_command_goes_on(golden):
    """Nothing that was run is run again."""
    first = run("run", "trips", "--workers", 1, "--budget-tokens", 1)
    second = run("run", "trips", "--workers", 1)

    assert (3, 0) == (first.exit_code, second.exit_code)
    assert "The same command goes on" in first.output


def test_another_run_neither_goes_on_with_one_that_was_cut_off_nor_disturbs_it(golden):
    """A run is its data, target and settings; `--fresh` begins it anew."""
    run("run", "trips", "--workers", 1, "--budget-tokens", 1)
    other = run("run", "trips", "--workers", 1, "--repeat", 2)
    stopped = run("run", "trips", "--workers", 1)
    anew = run("run", "trips", "--workers", 1, "--budget-tokens", 1, "--fresh")

    assert (0, 0, 3) == (other.exit_code, stopped.exit_code, anew.exit_code)
    assert "Going on" not in other.output
    assert "1 trials are known" in " ".join(stopped.output.split())
    assert "Going on" not in anew.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "nothing"), "there is no suite 'nothing' here; under evals/golden: trips"),
        (("run", "trips", "--split", "sad"), "a split is one of"),
        (("run", "trips", "--case", "zz"), "has no case zz"),
        (("run", "trips", "--graph", "no.module:x"), "there is no module"),
        (("run", "trips", "--graph", "broken:x"), "cannot be imported. ZeroDivisionError"),
        (("run", "trips", "--graph", "exiting:x"), "cannot be imported. SystemExit"),
        (("run", "trips", "--timeout", "inf"), "timeout"),
        (("run", "trips", "--json", "."), "Is a directory"),
        (("run", "trips", "--judge", "json:dumps"), "makes no Judge. TypeError"),
        (("run", "trips", "--max-drop", "0.1"), "--before FILE"),
        (("run", "trips", "--version", "v9"), "v9"),
        (("run", "trips", "--min-pass", "95"), "between 0 and 1"),
        (("compare", "a.json", "b.json"), "no report of an evaluation"),
        (("check", "nothing"), "no suite"),
        (("promote", "t", "--suite", "trips", "--id", "x", "--split", "sad"), "a split is one of"),
    ],
)
def test_bad_input_is_exit_code_2_and_a_sentence(golden, tmp_path, arguments, told):
    """Not a traceback, and not the exit code of a gate."""
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "exiting.py").write_text("raise SystemExit(0)")
    found = run(*arguments)

    assert 2 == found.exit_code
    assert told in " ".join(found.output.split())


def test_a_baseline_of_other_data_is_refused_before_anything_is_run(golden, tmp_path):
    """What was paid for would be lost."""
    run("run", "trips", "--split", "edge", "--json", "edge.json")
    found = run("run", "trips", "--before", "edge.json", "--json", "new.json")

    assert 2 == found.exit_code
    assert "is of other data" in " ".join(found.output.split())
    assert "trials" not in found.output
    assert not (tmp_path / "new.json").exists()


def test_a_malformed_case_is_told_with_its_place(golden):
    """File, line and field."""
    with (golden / "v1" / "happy.jsonl").open("a") as file:
        file.write("\n" + json.dumps(row(id="d", behaviors=[])))
    found = run("check", "trips")

    assert 2 == found.exit_code
    assert "happy.jsonl:3" in found.output.replace("\n", "")
    assert "behaviors" in found.output


def test_suites_are_listed_and_checked(golden):
    """With their hash, which stands in every report."""
    listed, checked = run("list"), run("check", "trips", "--json")

    assert "Trips." in listed.output
    assert {"happy": 2, "edge": 1, "adversarial": 0, "version": "v1"}.items() <= (
        json.loads(checked.output).items()
    )


def test_a_thread_of_production_becomes_a_case(golden, database_url):
    """Without its secrets; in a suite that may be new; and never twice."""
    with Database(database_url) as database:
        graph = builder().compile(checkpointer=Checkpointer(database))
        said = "trip for ann@example.org with Ann Lee, api_key=sk-123456789012345678901234"
        graph.invoke({"messages": [("user", said)]}, {"configurable": {"thread_id": "t-1"}})
    promote = ("promote", "t-1", "--suite", "new", "--id", "ann", "--split", "happy")
    dry = run(*promote, "--name", "Ann Lee", "--dry-run", url=database_url)
    done = run(*promote, "--name", "Ann Lee", url=database_url)
    again, lost = (
        run(*promote, url=database_url),
        run("promote", "t-2", "--suite", "new", "--id", "x", url=database_url),
    )
    line = (golden.parent / "new" / "v1" / "happy.jsonl").read_text()

    assert (0, 0, 2, 2) == (dry.exit_code, done.exit_code, again.exit_code, lost.exit_code)
    assert dry.output == line
    assert "trip for person-1@example.com with Person 1, api_key=[redacted]" in line
    assert 0 == run("run", "new", "--graph", NAME, "--every").exit_code
