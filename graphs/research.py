"""Researchers that share one budget: one plans, many search and take notes, one writes.

plan ──Send──> researcher ──> write        in it: loops ─> budget ─> model ─> tools ─> loops
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any
from uuid import uuid4

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
from graphs.research_model import PLAN, RESEARCH, UNWRITTEN, WRITE, Make, last_human, research_model
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
from lg_production.security import OutputFilter

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
    choose = within_budget(database, policy, TOOLS, make, **who)
    return wire(choose, limited, guards, OutputFilter(observers=observers))


def wire(
    choose: Choose,
    tools: ToolNode,
    guards: Mapping[str, Any] | None = None,
    output: OutputFilter | None = None,
) -> StateGraph[Any, Any]:
    """Plan, research, write; whose models, tools and guards these are is yours to choose."""
    output = output or OutputFilter()

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
        try:
            text = choose("write", runtime).invoke([SystemMessage(WRITE), HumanMessage(asked)]).text
        except BudgetExceeded:
            text = f"{UNWRITTEN}\n\n{brief(reports)}"
        said = {"messages": [AIMessage(cited(text, reports), id=uuid4().hex)]}
        return output.after_model(said, runtime) or said  # before anybody streams or renders it

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
