"""Researchers that share one budget: one plans, many search and take notes, one writes.

plan ──Send──> researcher ──> write        in it: loops ─> budget ─> model ─> tools ─> loops
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime
from langgraph.types import Send

from graphs.database import open_database, shared_database
from graphs.library import library
from graphs.notes import Report, brief, cited, library_tools, listed, reported, stopped_by, told
from graphs.research_costs import LOOPS, POLICY, USER, Choose, Settings, room_guard, within_budget
from graphs.research_model import Make, last_human, research_model
from lg_production import (
    BudgetPolicy,
    Checkpointer,
    Database,
    Limits,
    LoopBreaker,
    LoopGuard,
    Observer,
    log_events,
    tool_node,
)
from lg_production.errors import BudgetExceeded

PLAN = """You coordinate researchers. Split the question into at most four questions that can be \
researched separately, one a line, and write nothing else. One is enough for a simple question."""
RESEARCH = """You are a researcher. Search the library, read what fits, and note with take_note \
the sentences that answer the question, word for word. Then say in a sentence what you found."""
WRITE = """You write the answer to the question from these notes alone. Put the number of the \
source, like [1], behind every sentence. If the notes do not answer a part, say so."""
UNWRITTEN = "This answer is partial: the budget ended before it was written. The notes:"
TOOLS = library_tools(library())


class Research(MessagesState):
    """The conversation, what is to be found out now, and all that was found so far."""

    questions: list[str]
    reports: Annotated[list[Report], operator.add]


class Researcher(MessagesState):
    """One researcher's work on one question."""

    question: str


def builder(
    database: Database,
    policy: BudgetPolicy = POLICY,
    make: Make = research_model,
    observers: tuple[Observer, ...] = (log_events,),
) -> StateGraph[Any, Any]:
    """The reference graph: all model calls of a thread, in any process, share one budget."""
    who: Any = {"user": USER, "observers": observers}
    loops = LoopGuard(LOOPS, then="budget", observers=observers)
    guards = {"loops": loops, "budget": room_guard(database, policy, then="model", **who)}
    limited = tool_node(TOOLS, LoopBreaker(LOOPS), Limits(database, policy, **who))
    return wire(within_budget(database, policy, TOOLS, make, **who), limited, guards)


def wire(
    choose: Choose, tools: ToolNode, guards: Mapping[str, Any] | None = None
) -> StateGraph[Any, Any]:
    """Plan, research, write; whose models, tools and guards these are is yours to choose."""

    def plan(state: Research, runtime: Runtime[Settings]) -> dict[str, Any]:
        said = ""
        with suppress(BudgetExceeded):  # then the question is not split
            said = choose("plan", runtime).invoke([SystemMessage(PLAN), *state["messages"]]).text
        questions = listed(said)[:4] or [last_human(state["messages"])]
        return {"questions": questions, "messages": [AIMessage("\n".join(questions))]}

    def send(state: Research) -> list[Send]:
        works = [{"question": q, "messages": [HumanMessage(q)]} for q in state["questions"]]
        return [Send("researcher", work) for work in works]

    def report(ended: Researcher) -> dict[str, Any]:
        found = reported(ended["question"], ended["messages"])
        return {"reports": [found], "messages": [AIMessage(told(found))]}

    def write(state: Research, runtime: Runtime[Settings]) -> dict[str, Any]:
        latest = {found["question"]: found for found in state["reports"]}
        reports = [latest[question] for question in state["questions"]]
        asked = f"Question: {' '.join(last_human(state['messages']).split())}\n\n{brief(reports)}"
        prompt = [SystemMessage(WRITE), HumanMessage(asked)]
        try:
            text = choose("write", runtime).invoke(prompt).text
        except BudgetExceeded:
            text = f"{UNWRITTEN}\n\n{brief(reports)}"
        return {"messages": [AIMessage(cited(text, reports))]}

    graph = StateGraph(Research, context_schema=Settings)
    graph.add_node("plan", plan)
    graph.add_node("researcher", researcher(choose, tools, guards or {}) | report)
    graph.add_node("write", write)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", send, ["researcher"])
    graph.add_edge("researcher", "write")
    return graph


def researcher(
    choose: Choose, tools: ToolNode, guards: Mapping[str, Any]
) -> CompiledStateGraph[Any, Any]:
    """Guards, model and tools in a loop. A guard goes on to the next, or ends the research."""

    def model(state: Researcher, runtime: Runtime[Settings]) -> dict[str, Any]:
        try:
            said = choose("research", runtime).invoke([SystemMessage(RESEARCH), *state["messages"]])
        except BudgetExceeded as refused:
            said = stopped_by(refused)  # others took what was left since the guard looked
        return {"messages": [said]}

    graph, names = StateGraph(Researcher, context_schema=Settings), [*guards, "model"]
    for name, following in zip(guards, names[1:], strict=True):
        graph.add_node(name, guards[name], destinations=(following, END))
    graph.add_node("model", model)
    graph.add_node("tools", tools)
    graph.add_edge(START, names[0])
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", names[0])
    return graph.compile()


def graph() -> CompiledStateGraph[Any, Any]:
    """For Studio, which brings its own checkpointer."""
    return builder(shared_database()).compile()


@contextmanager
def standalone() -> Iterator[CompiledStateGraph[Any, Any]]:
    """For a program of your own; a run's config names its `thread_id` and its `user_id`."""
    with open_database() as database:
        checkpointer = Checkpointer(database)
        checkpointer.setup()
        yield builder(database).compile(checkpointer=checkpointer)
