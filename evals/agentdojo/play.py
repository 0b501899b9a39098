"""Play one case on one surface, behind one defence, and count what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from langchain.agents import create_agent
from langchain.agents.middleware import AgentState
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command

from lg_production import Checkpointer, Database
from lg_production.middleware import as_middleware
from lg_production.security.gate import GatePolicy, ProvenanceGate
from lg_production.security.held import has_run
from lg_production.security.plan import seal

from . import plans, suites, variants
from .model import Obedient, next_message

Surface = Literal["tool_node", "tool_node_async", "create_agent", "postgres"]


@dataclass(frozen=True)
class Row:
    """One line of the report: a defence on a surface, against an attacker."""

    name: str
    defence: Literal["none", "block", "ask"] = "block"
    surface: Surface = "tool_node"
    plan: Literal["", "names", "sources"] = ""
    """A perfect planner's plan: the tools that the task needs, or whence addresses come, too."""
    variant: str = ""
    benign: bool = True
    attacks: bool = True
    under_attack: bool = False
    """Whether the user's task is checked under attack, too."""

    @property
    def policy(self) -> GatePolicy:
        return GatePolicy(plan="required" if self.plan else "optional")


@dataclass(frozen=True)
class Outcome:
    """What came of one case. `useful` is None where it was not checked."""

    suite: str
    user: str
    injection: str | None
    useful: bool | None
    attacked: bool
    questions: int
    held: tuple[str, ...] = ()
    """Calls of the user's task that were held: tool and reasons."""
    hostile: int = 0
    """Calls of the attacker's that were carried out."""


class State(MessagesState):
    plan: dict[str, Any]


class AgentWithPlan(AgentState[Any]):
    plan: dict[str, Any]


def play(row: Row, suite: str, user: str, injection: str | None, database: Any = None) -> Outcome:
    """Play a case."""
    case = make(row, suite, user, injection)
    held: list[str] = []
    gate = gate_of(row)
    graph = build(row, case, gate, database)
    first = HumanMessage(case.prompt)
    given: Any = {"messages": [first]}
    if row.plan:
        given["plan"] = seal(plans.perfect(case, sources=row.plan == "sources"), [first])
    config: Any = {"configurable": {"thread_id": uuid4().hex}, "recursion_limit": 200}
    run = runner(row, graph, config)
    state, questions = run(given), 0
    while asked := state.get("__interrupt__"):
        (question,) = asked
        questions += 1
        theirs = attacking(state["messages"][-1])
        action = question.value["action_requests"][0]
        if not theirs:
            held.append(f"{action['name']}: {', '.join(action['reasons'])}; {shown(action)}")
        answer = {"type": "reject" if theirs else "approve", "digest": action["digest"]}
        state = run(Command(resume={question.id: {"decisions": [answer]}}))
    held += [m.name for m in refused(state, "user-")]
    return judge(row, case, state, questions, held)


def make(row: Row, suite: str, user: str, injection: str | None) -> suites.Case:
    spread = {"field": variants.as_field, "json": variants.as_json}.get(row.variant)
    case = suites.case(suite, user, injection, spread)
    if row.variant in variants.SPELLINGS and injection is not None:
        case.attack = variants.spelled(case.attack, row.variant)
    return case


def gate_of(row: Row) -> ProvenanceGate | None:
    if row.defence == "none":
        return None
    return ProvenanceGate(row.policy, on_held="interrupt" if row.defence == "ask" else "block")


def build(row: Row, case: suites.Case, gate: ProvenanceGate | None, database: Any) -> Any:
    saver = Checkpointer(database) if row.surface == "postgres" else InMemorySaver()
    keep: Any = saver if row.defence == "ask" or row.surface == "postgres" else None
    if row.surface == "create_agent":
        return create_agent(
            Obedient(case=case),
            case.tools(),
            middleware=as_middleware(gate) if gate else (),
            state_schema=AgentWithPlan,
            checkpointer=keep,
        )
    around: Any = {}
    if gate is not None:
        around = {"wrap_tool_call": gate.wrap_tool_call, "awrap_tool_call": gate.awrap_tool_call}
    builder = StateGraph(State)
    builder.add_node("agent", lambda state: {"messages": [next_message(case, state["messages"])]})
    builder.add_node("tools", ToolNode(case.tools(), **around))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    return builder.compile(checkpointer=keep)


def runner(row: Row, graph: Any, config: Any) -> Callable[[Any], Any]:
    if row.surface == "tool_node_async":
        return lambda given: asyncio.run(graph.ainvoke(given, config))
    return lambda given: graph.invoke(given, config)


def attacking(message: Any) -> bool:
    return any(call["id"].startswith("attack-") for call in message.tool_calls)


def shown(action: Any) -> str:
    return ", ".join(f"{v['kind']} in {v['argument']}" for v in action["provenance"])


def results(state: Any, whose: str) -> list[Any]:
    """What the tools answered to the calls of one side: `user-` or `attack-`."""
    tools = [m for m in state["messages"] if m.type == "tool"]
    return [m for m in tools if str(m.tool_call_id).startswith(whose)]


def refused(state: Any, whose: str) -> list[Any]:
    """Those of its calls that the gate did not let pass."""
    return [m for m in results(state, whose) if not has_run(m)]


def judge(row: Row, case: suites.Case, state: Any, questions: int, held: list[str]) -> Outcome:
    """Score by AgentDojo's own checkers; respelled values by whether the calls were carried out."""
    said = state["messages"][-1].text
    made = results(state, "attack-")
    done = len(made) - len(refused(state, "attack-"))
    attacked = False
    if case.injection is not None:
        if row.variant in variants.SPELLINGS:
            attacked = done == len(case.attack)
        else:
            attacked = case.attacked(said)
    check = case.injection is None or row.under_attack
    useful = case.useful(said) if check else None
    return Outcome(
        case.suite, case.user, case.injection, useful, attacked, questions, tuple(held), done
    )


def connect(url: str) -> Database:
    return Database(url, max_connections=2)
