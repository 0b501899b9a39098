"""A report as JUnit XML: what a CI server reads."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from lg_production.evaluation.junit import junit
from lg_production.evaluation.results import Report
from tests.evaluation.report_for_tests import HOSTILE, report, trial

SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"properties", "testcase"}, {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package"},
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, set()),
    "testcase": ({"error", "failure", "skipped"}, {"name"}, {"classname", "time"}),
    "error": (set(), set(), {"type", "message"}),
    "failure": (set(), set(), {"type", "message"}),
}  # fmt: skip
"""Children, needed and other attributes of each element, by junit-10.xsd of Jenkins' plugin."""


@pytest.fixture
def mixed():
    """Four cases: passed, failed with hostile words, raised, and now and then."""
    cases = tuple({"id": name, "split": "edge" if name == "c" else "happy"} for name in "abcd")
    trials = (
        trial("a", 0, True),
        trial("b", 0, False, HOSTILE),
        trial("c", 0, False, error="KeyError: x"),
        *(trial("d", n, n < 2) for n in range(3)),
    )
    return Report("s", "v1", "h", HOSTILE, cases, trials, started="2026-01-02T03:04:05+00:00")


def test_it_is_as_the_schema_wants_it(mixed):
    """No element, and no attribute, that a CI server does not know."""
    for one in ET.fromstring(junit(mixed)).iter():
        children, needed, others = SCHEMA[one.tag]

        assert {child.tag for child in one} <= children
        assert needed <= {*one.keys()} <= needed | others


def test_there_is_a_test_for_each_case(mixed):
    """Failures and errors apart; the data's hash is a property."""
    root = ET.fromstring(junit(mixed))
    counts = [[s.get(n) for n in ("name", "tests", "failures", "errors")] for s in root]

    assert [["s.happy", "3", "2", "0"], ["s.edge", "1", "0", "1"]] == counts
    assert ["4", "2", "1"] == [root.get(name) for name in ("tests", "failures", "errors")]
    assert ["a", "b", "d", "c"] == [one.get("name") for one in root.iter("testcase")]
    assert {"2026-01-02T03:04:05"} == {one.get("timestamp") for one in root}
    assert "h" == root.find(".//property[@name='data']").get("value")


def test_a_failure_says_why(mixed):
    """And how often; what was raised has its class as its type."""
    root = ET.fromstring(junit(mixed))
    failures, error = root.findall(".//failure"), root.find(".//error")

    assert ["uses", "uses"] == [one.get("type") for one in failures]
    assert "<script>" in failures[0].text
    assert failures[1].text.startswith("2 of 3 trials passed")
    assert ("KeyError", "KeyError: x") == (error.get("type"), error.get("message"))


def test_a_report_of_nothing_is_xml_too():
    """With no suite in it."""
    assert [] == list(ET.fromstring(junit(report([]))))
