"""Versions of golden data: folders that add and override."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_production.errors import CaseInvalid, SuiteEmpty
from lg_production.evaluation.cases import load_suite
from lg_production.evaluation.versions import content_hash, versions
from tests.evaluation.test_cases import line
from tests.evaluation.test_outcome import JSON, TEXT


def write(root, version: str, split: str = "happy", *lines: str):
    file = root / version / f"{split}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))
    return root


def told(root, version=None) -> dict:
    return {case.id: (case.split, case.note) for case in load_suite(root, version).cases}


def removed(id: str) -> str:
    return f'{{"id": "{id}", "removed": true, "note": "was wrong"}}'


def test_a_version_adds_to_the_ones_before_and_overrides_them(tmp_path):
    """By id, whatever the split; what is removed is gone; an old version stays what it was."""
    write(tmp_path, "v1", "happy", line(id="a", note="1"), line(id="b", note="1"), line(id="c"))
    write(tmp_path, "v2", "edge", line(id="a", note="2"), line(id="d"), removed("c"))
    write(tmp_path, "v10", "happy", line(id="c", note="10"))

    assert {"a": ("happy", "1"), "b": ("happy", "1"), "c": ("happy", "")} == told(tmp_path, "v1")
    assert {"b": ("happy", "1"), "a": ("edge", "2"), "d": ("edge", "")} == told(tmp_path, "v2")
    assert ("happy", "10") == told(tmp_path)["c"]
    assert ["v1", "v2", "v10"] == versions(tmp_path)


def test_the_folder_of_a_version_is_that_version(tmp_path):
    """Not of a suite that is called v1."""
    write(tmp_path / "booking", "v1", "happy", line())
    write(tmp_path / "booking", "v2", "happy", line(id="b"))
    suite = load_suite(tmp_path / "booking" / "v1")

    assert ("booking", "v1", 1) == (suite.name, suite.version, len(suite.cases))


def test_what_is_not_there_cannot_be_removed(tmp_path):
    """A misspelt id would leave the case in."""
    write(tmp_path, "v1", "happy", line(id="a"))
    write(tmp_path, "v2", "happy", removed("b"))

    with pytest.raises(CaseInvalid, match=r"happy.jsonl:1, field 'removed': there is no earlier"):
        load_suite(tmp_path)


@pytest.mark.parametrize("rest", ['"removed": false', '"removed": true, "input": "x"'])
def test_removing_says_nothing_else(tmp_path, rest):
    """Half a case that is removed is a mistake."""
    write(tmp_path, "v1", "happy", line(id="a"))
    write(tmp_path, "v2", "happy", f'{{"id": "a", {rest}}}')

    with pytest.raises(CaseInvalid, match=r"happy.jsonl:1, field"):
        load_suite(tmp_path)


def test_an_id_stands_once_in_a_version(tmp_path):
    """In whichever of its files."""
    write(tmp_path, "v1", "happy", line(id="a"))
    write(tmp_path, "v1", "edge", line(id="b"), line(id="a"))

    with pytest.raises(CaseInvalid) as caught:
        load_suite(tmp_path)
    assert "'a' is the id of line 2 of edge.jsonl, too" == caught.value.problem
    assert (1, "id") == (caught.value.line, caught.value.field)


@pytest.mark.parametrize("name", ["v01", "v1.1", "V2", "v2-draft", "v0"])
def test_a_folder_that_nearly_is_a_version_is_refused(tmp_path, name):
    """Passed over, its cases would be missed by nobody."""
    write(tmp_path, name, "happy", line())

    with pytest.raises(CaseInvalid, match="a version is called v1, v2"):
        load_suite(tmp_path)


def test_a_file_that_is_no_split_is_refused(tmp_path):
    """Its cases would never run."""
    write(tmp_path, "v1", "hapy", line())

    with pytest.raises(CaseInvalid, match=r"a file is called happy\.jsonl, edge\.jsonl, adv"):
        load_suite(tmp_path)


def test_other_files_and_folders_are_left_alone(tmp_path):
    """A suite has a description and perhaps pictures."""
    write(tmp_path, "v1", "happy", line())
    (tmp_path / "suite.json").write_text("{}")
    (tmp_path / "v1" / "README.md").write_text("")
    (tmp_path / "videos").mkdir()

    assert {"a": ("happy", "")} == told(tmp_path)


def test_an_empty_suite_says_what_is_missing(tmp_path):
    """The folder, the version, or the cases."""
    with pytest.raises(SuiteEmpty, match=r"There is no v1 in .*nothing: it has no v1"):
        load_suite(tmp_path / "nothing")
    write(tmp_path, "v1", "happy", "", "  ")
    with pytest.raises(SuiteEmpty, match="v1 holds no case"):
        load_suite(tmp_path)
    with pytest.raises(SuiteEmpty, match=r"There is no v3 in .*: it has v1"):
        load_suite(tmp_path, "v3")


@given(st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=4), st.randoms())
def test_the_hash_is_of_the_set_of_cases(contents, random):
    """Whatever their order."""
    cases = [{**data, "id": str(i)} for i, data in enumerate(contents)]
    expected = content_hash(cases)
    random.shuffle(cases)

    assert expected == content_hash(cases)
    assert expected != content_hash([*cases, {"id": "x"}])
