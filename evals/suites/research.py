"""The researchers with a library, a budget and a user of their own for each trial.

A world (`evals/golden/research/worlds/`) may hold `documents` (names to Markdown texts), which are
added to the corpus, or stand `alone`; and `limits` in the place of the usual ones, as
`lg_production.Limit` takes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from langgraph.graph import StateGraph

from evals.suites import stage
from graphs import research
from graphs.library import CORPUS, Library, document, library
from graphs.notes import library_tools
from graphs.research_costs import LOOPS, POLICY, USER, room_guard, within_budget
from graphs.research_model import Make, research_model
from lg_production import BudgetPolicy, Database, Limit, Limits, LoopBreaker, LoopGuard, tool_node
from lg_production.evaluation.cases import Case

Build: TypeAlias = Callable[[Database, Library, BudgetPolicy], StateGraph[Any, Any]]
NUMBER = re.compile(r"\[(\d+)\]")
SOURCE = re.compile(r"^\[\d+\] (.+)$", re.MULTILINE)
SENTENCE = re.compile(r"(?<=[a-z\d)\]][.!?]) (?=[A-Z])")
MISSING = ("The library has nothing about this", "Not researched", "This answer is partial")


def build(
    database: Database, ours: Library, policy: BudgetPolicy, make: Make = research_model
) -> StateGraph[Any, Any]:
    """The graph as it is, in another library where a case brings one."""
    if ours is library():
        return research.builder(database, policy, make, observers=())
    tools = library_tools(ours)
    who: Any = {"user": USER}
    guards = {
        "loops": LoopGuard(LOOPS, then="budget"),
        "budget": room_guard(database, policy, then="model", **who),
    }
    limited = tool_node(tools, LoopBreaker(LOOPS), Limits(database, policy, **who))
    return research.wire(within_budget(database, policy, tools, make, **who), limited, guards)


@contextmanager
def target(case: Case, build: Build = build) -> Iterator[stage.Watched]:
    """The researchers in the library of a case."""
    world = stage.world("research", case.script)
    with TemporaryDirectory() as folder:
        ours = shelved(world, Path(folder))
        policy = POLICY
        if "limits" in world:
            limits = tuple(Limit(**limit) for limit in world["limits"])
            policy = policy.model_copy(update={"limits": limits})
        graph = build(stage.database(), ours, policy)
        yield stage.Watched(graph, lambda state: told(state, ours), user=stage.somebody())


def shelved(world: stage.World, folder: Path) -> Library:
    """The library of a world; the corpus itself where it adds nothing."""
    if "documents" not in world:
        return library()
    for name, text in world["documents"].items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    own = [document(file) for file in sorted(folder.glob("*.md"))]
    return Library(own if world.get("alone") else [*library(CORPUS).documents.values(), *own])


def told(state: Mapping[str, Any], ours: Library) -> Mapping[str, Any]:
    """What the library has to say about an answer: its sources, and what has none."""
    messages = state.get("messages") or [None]
    answer = str(getattr(messages[-1], "text", ""))
    notes = [note for report in state.get("reports", ()) for note in report["notes"]]
    return {
        "sources": stage.spelled(SOURCE.findall(answer)),
        "unsourced": stage.spelled(s for s in said(answer) if not NUMBER.search(s)),
        "invented": stage.spelled(
            note["text"] for note in notes if not ours.quotes(note["document"], note["text"])
        ),
    }


def said(answer: str) -> list[str]:
    """The sentences of an answer, without its sources and without what it says is missing.

    A number in brackets belongs to the sentence before it.
    """
    joined = re.sub(r"([.!?]) (\[\d+\])", r" \2\1", SOURCE.sub("", answer))
    lines = [line for line in joined.splitlines() if not line.startswith(("- ", *MISSING))]
    return [s.strip() for line in lines for s in SENTENCE.split(line) if s.strip()]
