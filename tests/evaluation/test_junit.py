"""A report as JUnit XML: what a CI server reads."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_production.evaluation.expectation import Verdict
from lg_production.evaluation.junit import junit
from lg_production.evaluation.outcome import Outcome
from lg_production.evaluation.results import Report, Trial
from tests.evaluation.report_for_tests import HOSTILE, report, trial

SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, set()),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"}, {"name"},
        {"time", "classname", "group"},
    ),
    "error": (set(), set(), {"type", "message"}),
    "failure": (set(), set(), {"type", "message"}),
}  # fmt: skip
"""Children, needed and other attributes of each element, by junit-10.xsd of Jenkins' plugin."""
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")
"""SUREFIRE_TIME of the same schema."""
TEXT = {"failure", "error"}
"""The elements that may have text."""
NO_LETTERS = ["\x00", "\x0b", "\x1b", "\ud800", "\udfff", "\ufffe", "\uffff", "]]>", "<!--", "&#0;",
              "\"'<&>", HOSTILE]  # fmt: skip


@pytest.fixture
def mixed():
    """Four cases: passed, failed with hostile words, raised, and now and then."""
    cases = tuple({"id": name, "split": "edge" if name == "c" else "happy"} for name in "abcd")
    trials = (
        trial("a", 0, True, seconds=1234.5),
        trial("b", 0, False, HOSTILE),
        trial("c", 0, False, error="KeyError: x"),
        *(trial("d", n, n < 2, seconds=0.25) for n in range(3)),
    )
    return Report("s", "v1", "h", HOSTILE, cases, trials, started="2026-01-02T03:04:05+00:00")


def read(found: Report) -> ET.Element:
    """The XML as a CI server reads it: bytes of a file."""
    return ET.fromstring(junit(found).encode("utf-8"))


def broken(root: ET.Element) -> list[str]:
    """What the schema, and the sums of the counts, object to."""
    found = []
    for one in root.iter():
        children, needed, others = SCHEMA[one.tag]
        if not {child.tag for child in one} <= children:
            found.append(f"{one.tag} may not contain all of {[child.tag for child in one]}")
        if not needed <= {*one.keys()} <= needed | others:
            found.append(f"{one.tag} has the attributes {one.keys()}")
        if one.tag not in TEXT and (one.text or "").strip():
            found.append(f"{one.tag} has text")
        if not TIME.fullmatch(one.get("time", "")):
            found.append(f"{one.tag} took {one.get('time')}")
        if one.tag.startswith("testsuite") and counted(one) != told(one):
            found.append(f"{one.tag} has {counted(one)}, and says {told(one)}")
    return found


def counted(one: ET.Element) -> list[int]:
    """Tests, failures and errors that there are."""
    return [sum(1 for _ in one.iter(tag)) for tag in ("testcase", "failure", "error")]


def told(one: ET.Element) -> list[int]:
    """Tests, failures and errors that there should be."""
    return [int(one.get(name, "-1")) for name in ("tests", "failures", "errors")]


def test_it_is_as_the_schema_wants_it(mixed):
    """No element, and no attribute, that a CI server does not know; the counts are those it finds."""
    assert [] == broken(read(mixed))
    assert [] == broken(read(report([2, 1, 0] * 5, repeat=2)))
    assert {1} == {len(case) for case in read(report([0, 0])).iter("testcase")}


def test_what_is_not_as_the_schema_wants_it_is_found(mixed):
    """Or the test above would say nothing."""
    for path, name, value in [
        (".", "tests", "5"), ("testsuite", "failures", "0"), ("testsuite", "time", "1.2.3"),
        (".//testcase", "colour", "red"),
    ]:  # fmt: skip
        root = read(mixed)
        root.find(path).set(name, value)

        assert 1 == len(broken(root))


def hostile(said: str) -> Report:
    """A report in which every text is this one."""
    outcome = Outcome(said, error=said)
    trials = (
        Trial(said, 0, outcome, (Verdict(said, False, said),)),
        Trial("b" + said, 0, Outcome(said), (Verdict("uses " + said, False, said),)),
    )
    cases = ({"id": said, "split": said}, {"id": "b" + said, "split": "happy"})
    return Report(said, said, said, said, cases, trials, started=said, words=said)


@pytest.mark.parametrize("said", NO_LETTERS)
def test_whatever_a_model_writes_it_stays_xml(said):
    """A NUL, half of a letter, the end of a CDATA section: in names, reasons and properties."""
    assert [] == broken(read(hostile(said)))


@given(st.text(st.characters(), min_size=1))
def test_any_text_stays_xml(said):
    """And what XML has letters for is read as it was written."""
    root = read(hostile(said))
    plain = re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", said)

    assert [] == broken(root)
    if "\r" not in said:
        assert plain == root.find(".//property[@name='target']").get("value")


def test_there_is_a_test_for_each_case(mixed):
    """Failures and errors apart; the data's hash is a property."""
    root = read(mixed)
    counts = [[s.get(n) for n in ("name", "tests", "failures", "errors")] for s in root]

    assert [["s.happy", "3", "2", "0"], ["s.edge", "1", "0", "1"]] == counts
    assert ["4", "2", "1"] == [root.get(name) for name in ("tests", "failures", "errors")]
    assert ["a", "b", "d", "c"] == [one.get("name") for one in root.iter("testcase")]
    assert {"2026-01-02T03:04:05"} == {one.get("timestamp") for one in root}
    assert "h" == root.find(".//property[@name='data']").get("value")


def test_a_failure_says_why(mixed):
    """And how often; what was raised has its class as its type."""
    root = read(mixed)
    failures, error = root.findall(".//failure"), root.find(".//error")

    assert ["uses", "uses"] == [one.get("type") for one in failures]
    assert "<script>" in failures[0].text
    assert failures[1].text.startswith("2 of 3 trials passed")
    assert ("KeyError", "KeyError: x") == (error.get("type"), error.get("message"))


def test_a_report_of_nothing_is_xml_too():
    """With no suite in it."""
    assert [] == list(read(report([])))
