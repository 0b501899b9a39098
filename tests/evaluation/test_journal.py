"""The journal of a run: what is in it was run, and nothing of another run is."""

from __future__ import annotations

import json

import pytest

from lg_production.errors import RunsDiffer
from lg_production.evaluation.journal import Journal
from tests.evaluation.report_for_tests import trial

HEADER = {"suite": "s", "hash": "h", "repeat": 1}


@pytest.fixture
def file(tmp_path):
    """A journal with two trials."""
    with Journal(tmp_path / "deep" / "j.jsonl", HEADER) as journal:
        journal.add(trial("a", 0, True))
        journal.add(trial("b", 0, False))
    return tmp_path / "deep" / "j.jsonl"


def test_what_was_noted_is_read_again(file):
    """In order, and more can be added."""
    with Journal(file, HEADER) as journal:
        journal.add(trial("c", 0, True))
    with Journal(file, HEADER) as journal:
        assert [("a", True), ("b", False), ("c", True)] == [
            (one.case, one.passed) for one in journal.trials
        ]


def test_it_may_be_cut_off_at_any_byte(file):
    """What was whole stays; what was torn is taken out, and the next line is not spoiled by it."""
    whole = file.read_bytes()
    ends = [n for n, byte in enumerate(whole) if byte == 10]
    near = {end + off for end in ends for off in (-1, 0, 1)}
    for cut in sorted({*range(0, len(whole), 19), *near}):
        file.write_bytes(whole[:cut])
        with Journal(file, HEADER) as journal:
            known = len(journal.trials)
            journal.add(trial("z", 0, True))
        with Journal(file, HEADER) as journal:
            assert max(0, sum(end < cut for end in ends) - 1) == known
            assert "z" == journal.trials[-1].case


def test_another_run_does_not_go_on_with_it(file):
    """It says what differs, and leaves the file as it is."""
    before = file.read_bytes()
    with pytest.raises(RunsDiffer, match=r"repeat: 1, now 2; more: None, now 3"):
        Journal(file, {**HEADER, "repeat": 2, "more": 3})

    assert before == file.read_bytes()


@pytest.mark.parametrize("text", ["my notes", "my notes\n", "[1]\n", '{"a": 1}\nmore'])
def test_what_is_no_journal_is_not_overwritten(tmp_path, text):
    """Somebody may need it."""
    file = tmp_path / "notes.txt"
    file.write_text(text)
    with pytest.raises(RunsDiffer, match=r"notes\.txt"):
        Journal(file, HEADER)

    assert text == file.read_text()


def test_a_damaged_line_is_named(file):
    """It is not skipped: its trial would be run twice."""
    header, first, second = file.read_text().splitlines()
    file.write_text("\n".join([header, first[:-9], second, ""]))
    with pytest.raises(RunsDiffer, match=r"j\.jsonl:2 is damaged"):
        Journal(file, HEADER)
    file.write_text("\n".join([header, json.dumps({"case": "a"}), second, ""]))
    with pytest.raises(RunsDiffer, match=r"j\.jsonl:2 is damaged"):
        Journal(file, HEADER)


def test_it_is_held_by_one_process(file):
    """Two runs would mix."""
    with Journal(file, HEADER), pytest.raises(RunsDiffer, match="another process"):
        Journal(file, HEADER)
    Journal(file, HEADER).close()
