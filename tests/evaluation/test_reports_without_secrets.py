"""Nothing that a report is written to, or shown on, has a secret in it; unless that is wanted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lg_production import cli
from lg_production.evaluation.cases import Suite
from lg_production.evaluation.comparing import compare
from lg_production.evaluation.expectation import Verdict
from lg_production.evaluation.html import html
from lg_production.evaluation.journal import Journal
from lg_production.evaluation.junit import junit
from lg_production.evaluation.outcome import Outcome, ToolUse
from lg_production.evaluation.results import Report
from lg_production.evaluation.running import Runner
from tests.evaluation.agent_for_tests import case
from tests.evaluation.case_for_tests import row

KEY = "sk-ant-api03-" + "Ab3dE5fG7hJ9kL1mN2pQ4rS6tU8v" * 3
SECRETS = (KEY, "supersecret99", "tok_1", "T00000000/B00000000")
SAID = f"key {KEY}, password=supersecret99, https://hooks.slack.com/services/T00000000/B00000000/{'aB1' * 8}"


def leaky(*_: Any) -> Outcome:
    """What an agent did that says what it must not, everywhere."""
    message = {
        "type": "ai",
        "data": {"content": SAID, "tool_calls": [{"name": "x", "args": {"token": "tok_1"}}]},
    }
    use = ToolUse("login", {"password": "supersecret99", "n": 1}, json.dumps({"token": "tok_1"}))
    return Outcome(SAID, (use,), steps=1, tokens=512, interrupts=({"api_key": KEY},), error=SAID,
                   ended="error", messages=(message,), state={"credentials": {"a": KEY}})  # fmt: skip


def leaking() -> Report:
    """A report with a secret in its cases, outcomes, verdicts, grades and judges."""
    one = case(
        "one", SAID, {"kind": "mentions", "any_of": ["other"]}, context={"api_key": KEY}, note=SAID
    )
    found = Runner(leaky, Suite("s", "v1", (one,))).run()
    (trial,) = found.trials
    grade = {"score": None, "reason": SAID, "pin": "ab12", "tokens": 7}
    bad = replace(trial, grades=(grade,), verdicts=(*trial.verdicts, Verdict("x", False, SAID)))
    pin = {"provider": "acme", "model": "m", "version": "v", "parameters": {"api_key": KEY}}
    return replace(found, trials=(bad,), judges=(pin,))


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def test_no_form_of_a_report_has_a_secret_by_default(tmp_path):
    """JSON, page and JUnit; with `redact=None` all of them have."""
    found = leaking()
    forms = [found.write(tmp_path / "r.json").read_text(), html(found), junit(found)]
    bare = [found.write(tmp_path / "b.json", redact=None).read_text(), html(found, redact=None),
            junit(found, redact=None)]  # fmt: skip

    assert [[], [], []] == [leaks(form) for form in forms]
    assert [list(SECRETS), list(SECRETS)] == [leaks(form) for form in bare[:2]]
    assert KEY in bare[2]


def test_what_is_counted_and_what_a_report_goes_by_stays(tmp_path):
    """Tokens, pins, ids, the hash of the data: a report can be read and compared with itself."""
    found = leaking()
    read = Report.read(found.write(tmp_path / "r.json"))

    assert (512, "ab12", 7) == (
        read.tokens,
        read.trials[0].grades[0]["pin"],
        read.trials[0].grades[0]["tokens"],
    )
    assert (found.hash, "one", False) == (read.hash, read.results[0].id, read.trials[0].passed)
    assert read == read.redacted()
    assert "no evidence" == compare(read, found.redacted()).verdict


def test_a_journal_has_none_either(tmp_path):
    """It stays where a run was cut off."""
    with Journal(tmp_path / "j.jsonl", {}) as journal:
        journal.add(leaking().trials[0])

    with Journal(tmp_path / "j.jsonl", {}) as again:
        read = again.trials

    assert [] == leaks((tmp_path / "j.jsonl").read_text())
    assert [leaking().trials[0].redacted()] == read


@pytest.fixture
def suite(tmp_path, monkeypatch) -> Path:
    """A suite whose agent says its secrets, where the command looks for it."""
    folder = tmp_path / "evals" / "golden" / "leaky" / "v1"
    folder.mkdir(parents=True)
    wanted = [{"kind": "mentions", "any_of": ["other"]}]
    (folder / "happy.jsonl").write_text(json.dumps(row(behaviours=wanted, note=SAID)))
    graph = {"graph": f"{__name__}:leaky"}
    (folder.parent / "suite.json").write_text(json.dumps(graph))
    (tmp_path / "broken_for_tests.py").write_text(f"raise RuntimeError({SAID!r})")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["eval", *arguments])


def test_neither_the_terminal_nor_any_file_of_the_command_has_a_secret(suite):
    """Nor a comparison, nor the error of a module; `--no-redact` shows what is there."""
    files = ("--json", "r.json", "--html", "r.html", "--junit", "r.xml")
    done = run("run", "leaky", *files)
    told = [done.output, *(Path(name).read_text() for name in files[1::2])]
    again = run("run", "leaky", "--before", "r.json")
    bare = run("run", "leaky", "--no-redact", "--json", "bare.json")
    compared = run("compare", "bare.json", "bare.json", "--html", "c.html")
    broken = run("run", "leaky", "--graph", "broken_for_tests:x")

    assert [[], [], [], []] == [leaks(one) for one in told]
    assert "raised: key [redacted], password=[redacted]" in " ".join(done.output.split())
    assert (0, []) == (again.exit_code, leaks(again.output))
    assert KEY in "".join(bare.output.split())
    assert [] == leaks(compared.output + Path("c.html").read_text())
    assert (2, []) == (broken.exit_code, leaks("".join(broken.output.split())))
    assert "cannot be imported. RuntimeError: key [redacted]" in " ".join(broken.output.split())
