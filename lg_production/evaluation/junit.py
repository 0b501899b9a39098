"""A report as JUnit XML, which CI servers show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from .redaction import Redact, redact
from .results import CaseResult, Report, by_split

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no letter for."""


def junit(report: Report, *, redact: Redact | None = redact) -> str:
    """The report in JUnit's form: a test suite for each split, a test for each case.

    A case fails if any of its trials did; one whose run raised something is an error.
    Secrets are left out unless `redact` is None. Source: the schema of Jenkins' xUnit plugin,
    junit-10.xsd.
    """
    report = report.redacted(redact) if redact else report
    root = ET.Element("testsuites", _counts(report.results), name=_name(report))
    told = {
        "data": report.hash, "words": report.words, "target": report.target,
        "version": report.version,
    }  # fmt: skip
    for split, found in by_split(report.results).items():
        suite = ET.SubElement(
            root, "testsuite", _counts(found), name=_xml(f"{report.suite}.{split}"), skipped="0",
            timestamp=_xml(report.started[:19]),
        )  # fmt: skip
        properties = ET.SubElement(suite, "properties")
        for name, value in told.items():
            ET.SubElement(properties, "property", name=name, value=_xml(value))
        for one in found:
            _case(suite, one, report)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _name(report: Report) -> str:
    return _xml(f"{report.suite} {report.version}")


def _counts(results: Sequence[CaseResult]) -> dict[str, str]:
    errors = sum(_raised(one) != "" for one in results)
    failed = sum(one.rate < 1 for one in results) - errors
    counts = {"tests": len(results), "failures": failed, "errors": errors}
    return {**{name: str(n) for name, n in counts.items()}, "time": _seconds(results)}


def _seconds(results: Sequence[CaseResult]) -> str:
    return f"{sum(trial.outcome.seconds for one in results for trial in one.trials):.3f}"


def _case(suite: ET.Element, result: CaseResult, report: Report) -> None:
    case = ET.SubElement(
        suite, "testcase", name=_xml(result.id), time=_seconds([result]),
        classname=_xml(f"{report.suite}.{result.split}"),
    )  # fmt: skip
    if result.rate == 1:
        return
    why = "\n".join(f"{name}: {reason}" for name, reason in result.failures.items())
    raised = _raised(result)
    kind, message = ("error", raised) if raised else ("failure", next(iter(result.failures), ""))
    told = f"{result.passed} of {len(result.trials)} trials passed\n{why}"
    of = message.split(":" if raised else " ")[0]  # the class of what was raised, or the kind
    ET.SubElement(case, kind, message=_xml(message[:300]), type=_xml(of)).text = _xml(told)


def _raised(result: CaseResult) -> str:
    """What a failed trial raised; "" if none did."""
    failed = (trial.outcome.error for trial in result.trials if not trial.passed)
    return next(filter(None, failed), "")


def _xml(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
