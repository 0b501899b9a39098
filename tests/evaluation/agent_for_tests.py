"""An agent to evaluate: it books what it is told to, and asks about what is dear."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from lg_production.evaluation.cases import Case, Suite, case_of
from lg_production.evaluation.results import Report
from lg_production.evaluation.running import Runner

NAME = "tests.evaluation.agent_for_tests:builder"
USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


def act(state: MessagesState) -> Any:
    """Books, asks, fails or waits, as the words say."""
    said = str(state["messages"][-1].content)
    if "fail" in said:
        raise RuntimeError("no airline")
    if "wait" in said:
        time.sleep(5)
    if "dear" in said and interrupt({"action": "book"}) != "yes":
        return {"messages": [AIMessage("Nothing was booked.", usage_metadata=USAGE)]}
    call = {"name": "book", "args": {"what": said}, "id": "1", "type": "tool_call"}
    return {
        "messages": [
            AIMessage("", tool_calls=[call], usage_metadata=USAGE),
            ToolMessage("done", name="book", tool_call_id="1"),
            AIMessage("I have booked it.", usage_metadata=USAGE),
        ]
    }


def builder() -> Any:
    """The graph, not compiled."""
    graph = StateGraph(MessagesState)
    graph.add_node("act", act)
    graph.add_edge(START, "act")
    return graph


def case(name: str, said: str, *behaviours: Any, **more: Any) -> Case:
    """A case; by default something must be booked."""
    wanted = behaviours or ({"kind": "uses", "tool": "book"},)
    given = {"id": name, "split": "happy", "input": said, "behaviours": list(wanted)}
    return case_of({**given, **more})


def suite(*cases: Case) -> Suite:
    """A suite of these."""
    return Suite("tests", "v1", cases or tuple(case(f"c-{n}", f"trip {n}") for n in range(20)))


def main() -> None:
    """A run with a journal, which is killed after so many trials."""
    journal, out, deadly = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

    def progress(trial: Any, done: int, total: int) -> None:
        if done == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    report: Report = Runner(NAME, suite(), journal=journal, progress=progress).run()
    report.write(out)


if __name__ == "__main__":
    main()
