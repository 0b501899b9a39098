"""Incident g: a model that never stops, in four workers, on one user's monthly budget."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime

from evals.demo.forking import PROCESSES
from evals.demo.provider import Billed, Unplugged, billed, total
from evals.demo.report import Spending
from evals.demo.stage import PATIENCE, Stage, Stuck
from evals.demo.worker import Column
from graphs.library import library
from graphs.notes import library_tools
from graphs.research import builder, wire
from graphs.research_costs import Settings
from lg_production import Checkpointer, Database
from lg_production.cost.policy import BudgetPolicy, Limit

BUDGET, PLUG = 60_000, 5
"""Tokens a month, and how many times that until the demo pulls the plug."""
QUESTIONS = (
    "How does a Fresnel lens work, and what did lighthouses burn before electricity?",
    "What causes the tides, and why are the tides of Fundy so high?",
    "Who built the Eddystone lighthouses, and how did Gustaf Dalén's sun valve work?",
    "Who first mapped the Gulf Stream, and how did Harrison find the longitude?",
)
POLICY = BudgetPolicy(
    limits=(Limit(scope="user", per="month", total_tokens=BUDGET),), max_tokens=512
)


@dataclass(frozen=True)
class Purse:
    """Whose money it is, and who bills it. The same for all workers of a column."""

    column: Column
    database_url: str
    bill: Path


@dataclass(frozen=True)
class Errand:
    """What one worker does: a question on a thread; without one it resumes the thread."""

    thread: str
    question: str | None = None


def burn(purse: Purse, tell: Callable[[str], None]) -> Spending:
    """Let four workers loose; kill and resume the first once a quarter of the budget is gone."""
    stage, error = Stage(purse, tell, work=research), ""
    answers: list[dict[str, Any]] = []
    try:
        together = PROCESSES.Barrier(len(QUESTIONS))
        errands = [Errand(str(n), asked) for n, asked in enumerate(QUESTIONS)]
        reports = [stage.start(errand, together) for errand in errands]
        victim = stage.started[0]
        await_spending(purse.bill, victim.is_alive)
        victim.kill()
        victim.join()
        tell(f"{total(purse.bill):,} tokens are spent; kill -9 {victim.pid}")
        answers = [stage.hear(r) for r in [stage.start(Errand("0")), *reports[1:]]]
    except Stuck as stuck:
        error = str(stuck)
    finally:
        stage.close()
    errors = [a["error"] for a in answers if "error" in a]
    lines = billed(purse.bill)
    spent = sum(line["tokens"] for line in lines)
    said = tuple(a["said"] for a in answers if "said" in a)
    return Spending(
        purse.column, BUDGET, spent, len(lines), said, error or "; ".join(errors),
        PLUG if any("unplugged" in a for a in answers) else 0,
    )  # fmt: skip


def await_spending(bill: Path, alive: Callable[[], bool]) -> None:
    """Until a quarter of the budget is gone and the first worker has notes to lose."""
    deadline = time.monotonic() + PATIENCE
    while total(bill) < BUDGET / 4 or sum(line["payer"] == "0" for line in billed(bill)) < 8:
        if not alive() or time.monotonic() > deadline:
            raise Stuck("the first worker ended early, or did not begin")
        time.sleep(0.005)


def research(purse: Purse, errand: Errand, start: Barrier | None, report: Connection) -> None:
    """One worker process: ask the question, or go on with the thread."""
    os.environ["LANGSMITH_TRACING"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it kills us
    # LangChain warns of every call that a callback refuses; the answer says it too.
    logging.getLogger("langchain_core.callbacks.manager").setLevel(logging.ERROR)
    config: Any = {"configurable": {"thread_id": errand.thread, "user_id": "ada"}}
    asked: Any = {"messages": [("user", errand.question)]} if errand.question else None
    try:
        with researchers(purse, errand.thread) as graph:
            if start is not None:
                start.wait(timeout=30)
            report.send({"said": graph.invoke(asked, config)["messages"][-1].text})
    except Unplugged:
        report.send({"unplugged": True})
    except Exception as error:  # whatever it is, the parent shall hear of it
        report.send({"error": f"{type(error).__name__}: {error}"})


@contextmanager
def researchers(purse: Purse, payer: str) -> Iterator[CompiledStateGraph[Any, Any]]:
    """The research graph of this column. Nothing differs but the guards."""

    def make(name: str, size: str) -> Any:
        del name
        return Billed(model=f"scripted-{size}", bill=purse.bill, payer=payer, plug=PLUG * BUDGET)

    def unguarded(role: str, runtime: Runtime[Settings]) -> Any:
        del runtime
        return make("", "small" if role == "research" else "large").bind_tools(tools)

    tools = library_tools(library())
    if purse.column == "plain":
        with PostgresSaver.from_conn_string(purse.database_url) as saver:
            yield wire(unguarded, ToolNode(tools)).compile(checkpointer=saver)
        return
    with Database(purse.database_url) as database:
        yield builder(database, POLICY, make).compile(checkpointer=Checkpointer(database))
