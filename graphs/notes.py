"""What researchers do in the library, and how their notes become an answer with citations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypedDict

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException, tool

from graphs.library import Library
from lg_production.cost.partial import PARTIAL
from lg_production.errors import BudgetExceeded

REASONS = {
    "Exhausted": "the budget is used up",
    "StepsExhausted": "the limit of steps is reached",
    "LoopDetected": "it went round in circles",
}


class Note(TypedDict):
    """One sentence of a document, word for word."""

    text: str
    document: str
    title: str


class Report(TypedDict):
    """What one researcher brings home. `stopped` says why, if it did not come to an end."""

    question: str
    notes: list[Note]
    stopped: str


def library_tools(library: Library) -> list[BaseTool]:
    """The tools of a researcher."""

    @tool
    def search(query: str) -> list[dict[str, Any]]:
        """Find the documents that a query is about, best first."""
        return [
            {"document": h.document.name, "title": h.document.title, "score": h.score,
             "snippet": h.snippet}
            for h in library.search(query)
        ]  # fmt: skip

    @tool
    def read(document: str) -> str:
        """Read a document that search has found."""
        try:
            found = library.read(document)
        except LookupError as error:
            raise ToolException(str(error)) from None
        return f"# {found.title}\n\n{found.text}"

    @tool(response_format="content_and_artifact")
    def take_note(text: str, document: str) -> tuple[str, Note]:
        """Note a sentence of a document, word for word. Only what is noted can be cited."""
        try:
            title, there = library.read(document).title, library.quotes(document, text)
        except LookupError as error:
            raise ToolException(str(error)) from None
        if not there or not text.strip():
            raise ToolException(f"{document} does not say that, word for word.")
        return f"Noted from {title}.", Note(text=text, document=document, title=title)

    for each in (search, read, take_note):
        each.handle_tool_error = True  # the model can act on it
    return [search, read, take_note]


def listed(text: str) -> list[str]:
    """The lines of a list, without what stands before them, each once."""
    lines = [re.sub(r"^\s*([-*]|\d+[.)])\s+", "", line).strip() for line in text.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))


def reported(question: str, messages: Sequence[BaseMessage]) -> Report:
    """The report of a researcher whose work is this conversation."""
    taken = [m.artifact for m in messages if isinstance(m, ToolMessage) and m.artifact]
    notes = list({(note["document"], note["text"]): note for note in taken}.values())
    last = messages[-1]
    if not isinstance(last, AIMessage) or last.tool_calls:
        return Report(question=question, notes=notes, stopped="it did not come to an end")
    ending = last.additional_kwargs.get(PARTIAL)
    why = "" if ending is None else REASONS.get(ending.get("reason"), "it was stopped")
    return Report(question=question, notes=notes, stopped=why)


def stopped_by(refused: BudgetExceeded) -> AIMessage:
    """The end of a researcher whose next call has no room."""
    reason = {PARTIAL: {"reason": type(refused).__name__}}
    return AIMessage(f"Stopped here: {refused}", additional_kwargs=reason)


def told(report: Report) -> str:
    """A report in one line."""
    notes = len(report["notes"])
    documents = len({note["document"] for note in report["notes"]})
    found = (
        f"{counted(notes, 'note')} from {counted(documents, 'document')}" if notes else "no notes"
    )
    stopped = f"; stopped early: {report['stopped']}" if report["stopped"] else ""
    return f"{report['question']} — {found}{stopped}"


def counted(number: int, noun: str) -> str:
    """One note, two notes."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def sources(reports: Sequence[Report]) -> list[str]:
    """The titles of all documents that were noted, in the order of their numbers from 1."""
    return list(dict.fromkeys(note["title"] for report in reports for note in report["notes"]))


def brief(reports: Sequence[Report]) -> str:
    """The notes under their questions, each with the number of its source."""
    number = {title: n for n, title in enumerate(sources(reports), 1)}
    parts = []
    for report in reports:
        lines = [f"- {note['text']} [{number[note['title']]}]" for note in report["notes"]]
        none = "Not researched:" if report["stopped"] else "The library has nothing about this:"
        parts.append(
            "\n".join([report["question"], *(lines or [f"- {none} {report['question']}"])])
        )
    return "\n\n".join(parts)


def cited(text: str, reports: Sequence[Report]) -> str:
    """The answer with its sources, and without citations of what nobody read.

    Where researchers were stopped, it says first that it is partial, and what is missing.
    """
    titles = sources(reports)
    known = {str(n) for n in range(1, len(titles) + 1)}
    text = re.sub(r" ?\[(\d+)\]", lambda m: m[0] if m[1] in known else "", text).strip()
    used = [f"[{n}] {title}" for n, title in enumerate(titles, 1) if f"[{n}]" in text]
    missing = [f"- {r['question']} ({r['stopped']})" for r in reports if r["stopped"]]
    warning = "This answer is partial. Not researched to the end:\n" + "\n".join(missing)
    parts = [warning if missing else "", text, "\n".join(used)]
    return "\n\n".join(part for part in parts if part)
