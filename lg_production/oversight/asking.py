"""Ask people about one call until it is decided, and act on nothing but answers to that question.

A question is remembered with the task that asked it, its place among the answers of that task
and the version it showed. Answers in that place to anything else than the question that is open
now are spent: they are passed over, so that nobody's question behind it is given one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool
from langgraph.types import interrupt

from ..core.answers import ACTIONS, Answer, Unreadable
from ..core.events import Event
from ..core.interrupts import ask, pass_over, place
from ..core.keys import canonical
from ..core.steps import Call, Emit, Steps
from . import ledger
from .answers import given_by, read_answer
from .ledger import Ballot
from .people import REFUSALS, forbidden, told
from .records import Recorded, Route

AGREEING = ("approve", "edit")
ALIKE = frozenset({"sampled", "low_confidence", "no_confidence", "threshold_unproven"})


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and whom: the task that may pause, the reviewer who resumes it, and the tool."""

    task_id: str
    reviewer: str
    tool: BaseTool | None = None
    tell: Callable[[dict[str, Any]], None] = lambda _: None
    """Says something to whoever streams the run (`stream_mode="custom"`)."""

    def ballot(self, answer: Answer) -> Ballot:
        """An answer as the vote of this reviewer."""
        return Ballot(self.reviewer, answer.action, answer.message, answer.arguments)


def settle(row: Recorded, asker: Asker) -> Steps[Recorded]:
    """The row once it is decided or expired. Pauses the graph for as long as it is not."""
    row, slot = yield from line_up(row, asker)
    problem = ""
    while row.waits:
        shown = yield from ledger.opened(row.key)
        if shown is None or shown.overdue:
            row, slot = yield from line_up((yield from over(row)), asker)
            continue
        if slot is not None and shown.version != row.version:
            slot = None  # what was answered is not what stands here now
        row = shown
        answer = yield from ask(request(row, problem), slot, remember(row, asker))
        slot = None
        row, problem = yield from take(row, answer, asker)
    return row


def remember(row: Recorded, asker: Asker) -> Callable[[int], Any]:
    """Write down where the answer to this question will stand."""
    return lambda slot: ledger.asked(row, asker.task_id, slot)


def over(row: Recorded) -> Steps[Recorded]:
    """It has ended, or does so now: nobody decided in time."""
    for ended in (yield from ledger.expire(row.key)):
        yield from Emit(Event("review.expired", told(ended)))
    return (yield from ledger.look([row.key]))[0]


def line_up(row: Recorded, asker: Asker) -> Steps[tuple[Recorded, int | None]]:
    """Pass over the answers that are spent. The slot of one that is not, if there is."""
    if row.asked_task != asker.task_id or row.asked_slot is None:
        return row, None
    if row.waits and row.asked_version == row.version:
        return row, row.asked_slot
    here = yield from Call(place)
    given = here.answers + here.pending
    if given <= row.asked_slot:
        # Decided without an answer of this task's, or that was lost in a crash.
        yield from ledger.spent(row.key, asker.task_id, given)
    spent = min(given, row.asked_slot + 1)
    if spent > here.calls:
        yield from pass_over(spent - 1)
        answer = yield from Call(lambda: interrupt({"passed_over": True}))
        if row.state in ("decided", "expired"):
            yield from compare(row, read_answer(answer, row, asker.tool), asker)
    return row, None


def take(row: Recorded, answer: Any, asker: Asker) -> Steps[tuple[Recorded, str]]:
    """Count an answer, or say what is wrong with it."""
    read = read_answer(answer, row, asker.tool)
    if isinstance(read, Unreadable):
        return row, read.problem
    if given_by(answer) not in ("", asker.reviewer):
        return row, f"{given_by(answer)} gave it, and {asker.reviewer} runs this"
    return (yield from cast(row, read, asker))


def cast(row: Recorded, answer: Answer, asker: Asker) -> Steps[tuple[Recorded, str]]:
    """Vote on what `row` shows: the row then, and why the vote did not count if it waits."""
    ballot = asker.ballot(answer)
    shown = row.digest
    while row.waits:
        if row.digest != shown:
            return row, "it has changed since it was shown"
        if row.state != "open":
            return row, "it is not open: nobody has been asked yet"
        if problem := forbidden(row, asker.reviewer, AGREEING, answer.action):
            return row, problem
        changed = yield from ledger.vote(row, ballot)
        if changed is not None:
            yield from Emit(Event("review.voted", {**told(changed), "action": answer.action}))
            return changed, ""
        if refused := (yield from ledger.refusal(row.key, asker.reviewer)):
            return row, REFUSALS[refused]
        row = yield from over(row)
    yield from compare(row, answer, asker)
    return row, ""


def compare(row: Recorded, answer: Answer | Unreadable, asker: Asker) -> Steps[None]:
    """Tell whoever says something else than what is decided that they came too late."""
    if isinstance(answer, Unreadable) or is_same(row, answer):
        return
    yield from ledger.late(row.key, asker.ballot(answer))
    late = {**told(row), "reviewer": asker.reviewer, "wanted": answer.action}
    yield from Emit(Event("review.late", late))
    yield from Call(lambda: asker.tell({"review.late": late}))


def is_same(row: Recorded, answer: Answer) -> bool:
    """Whether an answer says what is decided."""
    if row.state != "decided" or answer.action != row.outcome:
        return row.state == "decided" and row.outcome == "edit" and answer.action == "approve"
    if answer.action == "edit":
        return canonical(answer.arguments) == canonical(row.edited)
    return answer.action != "respond" or answer.message == row.message


# ------------------------------------------------------------------------------- the question
def request(row: Recorded, problem: str = "") -> dict[str, Any]:
    """LangChain's HITLRequest with one action, and what a reviewer should know besides."""
    action = {
        "name": row.tool,
        "args": dict(row.proposed),
        "description": describe(row, problem),
        "confidence": row.confidence,
        "risk": {"verdict": blind(row), "reasons": reasons(row)},
        "evidence": dict(row.evidence),
        "provenance": row.provenance,
        "alternatives": list(row.alternatives),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "idempotency_key": row.key.hex(),
        "digest": row.digest.hex(),
        "quorum": row.quorum,
        "agreed": list(row.voters),
    }
    config = {"action_name": row.tool, "allowed_decisions": list(ACTIONS)}
    return {"action_requests": [action], "review_configs": [config]}


def describe(row: Recorded, problem: str = "") -> str:
    """The question in words."""
    why = f" ({', '.join(reasons(row))})" if reasons(row) else ""
    text = f"May {row.tool} be called like this?{why}"
    if row.edited is not None:
        text += " The arguments were edited by a reviewer."
    if row.voters:
        left = row.quorum - len(row.voters)
        text += f" {', '.join(row.voters)} agreed; {left} more must."
    return text + (f" The last answer did not count: {problem}." if problem else "")


def blind(row: Recorded) -> Route:
    """The verdict, as a reviewer sees it: a sample looks like any other."""
    return "review" if row.verdict == "sample" else row.verdict


def reasons(row: Recorded) -> list[str]:
    """Why a person is asked, as a reviewer sees it: a sample looks like a doubt."""
    shown = ["confidence" if reason in ALIKE else reason for reason in row.reasons]
    return list(dict.fromkeys(shown))
