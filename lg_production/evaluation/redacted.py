"""What a run did, without the secrets in it: what may be written down and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .expectation import Verdict
from .outcome import Outcome, ToolUse
from .redaction import Redact


def redacted_case(case: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """A case of a report; its id stays, since trials go by it."""
    return {**redact(dict(case)), "id": case["id"]}


def redacted_outcome(outcome: Outcome, redact: Redact) -> Outcome:
    """All that was said, asked, called, raised and left behind; what was counted stays."""
    return replace(
        outcome,
        answer=redact(outcome.answer),
        tools=tuple(_use(use, redact) for use in outcome.tools),
        interrupts=tuple(redact([*outcome.interrupts])),
        error=redact(outcome.error),
        messages=tuple(redact([*outcome.messages])),
        state=redact(dict(outcome.state)),
    )


def redacted_verdict(verdict: Verdict, redact: Redact) -> Verdict:
    """What was demanded, and why it failed."""
    return replace(verdict, behaviour=redact(verdict.behaviour), why=redact(verdict.why))


def redacted_grade(grade: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """A judge's grade: its pin is a hash, and no secret."""
    return {**grade, "reason": redact(grade.get("reason", ""))}


def _use(use: ToolUse, redact: Redact) -> ToolUse:
    args, result = redact(dict(use.args)), redact(use.result)
    return replace(use, name=redact(use.name), args=args, result=result)
