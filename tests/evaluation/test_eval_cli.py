"""`lg-production eval` on the command line: exit codes, reports, and clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock
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
    """Nothing that was run is run again; and the budget is that of one command."""
    first = run("run", "trips", "--workers", 1, "--budget-tokens", 1)
    second = run("run", "trips", "--workers", 1, "--budget-tokens", 1)

    assert (3, 0) == (first.exit_code, second.exit_code)
    assert "The same command goes on" in first.output


def test_another_run_neither_goes_on_with_one_that_was_cut_off_nor_disturbs_it(golden):
    """A run is its data, target and settings; `--fresh` begins it anew."""
    run("run", "trips", "--workers", 1, "--budget-tokens", 1)
    other = run("run", "trips", "--workers", 1, "--repeat", 2)
    stopped = run("run", "trips", "--workers", 1, "--budget-tokens", 0)
    anew = run("run", "trips", "--workers", 1, "--budget-tokens", 1, "--fresh")

    assert (0, 3, 3) == (other.exit_code, stopped.exit_code, anew.exit_code)
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
        (("run", "trips", "--judge", "json:dumps"), "makes no Judge. TypeError"),
        (("run", "trips", "--max-drop", "0.1"), "--before FILE"),
        (("run", "trips", "--version", "v9"), "v9"),
        (("run", "trips", "--min-pass", "95"), "between 0 and 1"),
        (("run", "trips", "--timeout", "inf"), "a number of seconds above 0, not inf"),
        (("run", "trips", "--graph", "leaves:x"), "cannot be imported. SystemExit"),
        (("run", "trips", "--graph", "dies:x"), "cannot be imported. BaseException"),
        (("run", "trips", "--judge", "sys:exit"), "makes no Judge. SystemExit"),
        (("run", "trips", "--graph", "/no/such/file.py:x"), "there is no file /no/such/file.py"),
        (("compare", "a.json", "b.json"), "no report of an evaluation"),
        (("check", "nothing"), "no suite"),
        (("promote", "t", "--suite", "trips", "--id", "x", "--split", "sad"), "a split is one of"),
    ],
)
def test_bad_input_is_exit_code_2_and_a_sentence(golden, tmp_path, arguments, told):
    """Not a traceback, and not the exit code of a gate."""
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "exiting.py").write_text("raise SystemExit(0)")
    (tmp_path / "leaves.py").write_text("import sys; sys.exit(0)")
    (tmp_path / "dies.py").write_text("raise BaseException")
    found = run(*arguments)

    assert 2 == found.exit_code
    assert told in " ".join(found.output.split())


@pytest.fixture
def counting(golden, tmp_path, monkeypatch):
    """A target that notes that it was run, in a file somewhere else."""
    folder = tmp_path / "else where"
    folder.mkdir()
    (folder / "neighbour_of_it.py").write_text("ANSWER = {'messages': [('ai', 'hello')]}")
    (folder / "counts.py").write_text(
        "from pathlib import Path\nfrom neighbour_of_it import ANSWER\n"
        "def target(case):\n    Path(f'ran-{case.id}').touch()\n    return ANSWER\n"
    )
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    (tmp_path / "below" / "evals").symlink_to(tmp_path / "evals")
    monkeypatch.syspath_prepend(str(tmp_path / "below"))
    return f"{folder}/counts.py:target"


def runs() -> int:
    """How many cases were run since the last look."""
    found = list(Path().glob("ran-*"))
    for one in found:
        one.unlink()
    return len(found)


def test_a_graph_in_a_file_may_be_anywhere(counting):
    """By its absolute path or by one that leads out of the folder; it finds its neighbours."""
    for graph in (counting, "../else where/counts.py:target"):
        assert (0, 3) == (run("run", "trips", "--graph", graph).exit_code, runs())


def test_what_would_fail_when_a_run_has_ended_is_refused_before_it_begins(counting, golden):
    """Another's report to compare with, and a place where nothing can be written."""
    run("run", "trips", "--json", "a.json")
    (golden / "v1" / "edge.jsonl").write_text(
        json.dumps(row(id="c", input="other", behaviours=GOOD))
    )
    Path("folder").mkdir()
    Path("file").write_text("")
    begin = ("run", "trips", "--graph", counting, "--json", "new.json")
    refused = [
        run(*begin, "--before", "a.json"),
        run("run", "trips", "--graph", counting, "--json", "folder"),
        run(*begin, "--html", "folder"),
        run(*begin, "--junit", "file/r.xml"),
    ]

    assert ([2, 2, 2, 2], 0) == ([one.exit_code for one in refused], runs())
    assert "differ in c" in " ".join(refused[0].output.split())
    assert not Path("new.json").exists()


def test_a_run_that_could_not_be_written_goes_on_without_running_anything_again(
    counting, monkeypatch
):
    """The journal is kept until the last file is written."""
    with monkeypatch.context() as patch:
        failing = mock.Mock(side_effect=AttributeError("an odd message"))
        patch.setattr("lg_production.eval_cli.html", failing)
        lost = run("run", "trips", "--graph", counting, "--json", "r.json", "--html", "r.html")
    ran = runs()
    again = run("run", "trips", "--graph", counting, "--html", "r.html")

    assert (1, 3) == (lost.exit_code, ran)
    assert (0, 0) == (again.exit_code, runs())
    assert Path("r.json").exists()
    assert "3 trials are known" in " ".join(again.output.split())


def test_a_graph_can_be_awaited_on_request(golden, tmp_path):
    """Where nobody can see that it must be."""
    (tmp_path / "only_awaited.py").write_text(
        "class Graph:\n"
        "    def invoke(self, *_, **__): raise NotImplementedError('use ainvoke')\n"
        "    async def ainvoke(self, *_, **__): return {'messages': [('ai', 'hello')]}\n"
        "graph = Graph\n"
    )
    found = [run("run", "trips", "--graph", "only_awaited:graph", "--json", "r.json", *more)
             for more in ((), ("--async",))]  # fmt: skip
    stored = json.loads((tmp_path / "r.json").read_text())

    assert [0, 0] == [one.exit_code for one in found]
    assert "NotImplementedError" in found[0].output
    assert ["hello"] * 3 == [trial["outcome"]["answer"] for trial in stored["trials"]]


def test_a_judge_that_never_grades_and_answers_that_nobody_asks_for_are_told(golden, tmp_path):
    """In the terminal, the JSON and the page."""
    (tmp_path / "silent.py").write_text(
        "from lg_production.evaluation import Judge\n"
        "judge = Judge.of('a', 'mute', '2024-08-06', lambda *_: '', 'rubric')\n"
    )
    (golden / "v1" / "edge.jsonl").write_text(
        json.dumps(row(id="c", behaviours=GOOD, answers=["yes"]))
    )
    found = run("run", "trips", "--judge", "silent:judge", "--json", "r.json", "--html", "r.html")
    told = ["The judge mute gave no grade in 3 trials: its answer could not be read.",
            "Not every answer was used of c: the agent asked less often."]  # fmt: skip

    assert 0 == found.exit_code
    assert told == json.loads((tmp_path / "r.json").read_text())["remarks"]
    for place in (" ".join(found.output.split()), (tmp_path / "r.html").read_text()):
        assert [True, True] == [one in place for one in told]


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
