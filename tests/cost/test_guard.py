"""A node before the model: it lets the run go on, or ends it well; and its limits last."""

from __future__ import annotations

import asyncio
import operator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, hook_config
from langchain_core.callbacks import CallbackManager
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from lg_production import Checkpointer
from lg_production.core.events import Event
from lg_production.cost import asking, decisions
from lg_production.cost.decisions import Place
from lg_production.cost.guard import BudgetGuard
from lg_production.cost.metering import BudgetCallback
from lg_production.cost.partial import PARTIAL
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.cost.prices import Price, PriceBook
from lg_production.errors import BudgetExceeded, PriceUnknown, StepLimitExceeded
from tests.cost.models_for_tests import books, model, rows

BOTH = pytest.mark.parametrize("on_a_loop", [False, True], ids=["sync", "async"])
THREAD: Any = {"configurable": {"thread_id": "t"}}
ASK: Any = {"messages": [HumanMessage("find it")]}
LOOK = [{"name": "look", "args": {"where": "here"}, "id": "c"}]


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return f"nothing {where}"


@tool
def confirm(where: str) -> str:
    """Ask a person."""
    return str(interrupt("sure?"))


class Agent:
    """A guarded agent whose model asks for `asks` tools in turn, and then answers."""

    def __init__(self, database: Any, *limits: Limit, asks: Any = (), **options: Any) -> None:
        self.database, self.events = database, list[Event]()
        self.model = model(took=(10, 5), tool_calls=list(asks))
        chosen = {k: options.pop(k) for k in ("on_exhausted", "route_to") if k in options}
        policy = BudgetPolicy(
            limits=limits, wait=timedelta(0), max_tokens=100, thresholds=(100,), **chosen
        )
        self.guard = BudgetGuard(
            database, policy, then="model", counter=lambda *_: 20,
            observers=[self.events.append], **options,
        )  # fmt: skip
        self.graph = self.compiled()

    def compiled(self, state: Any = State) -> Any:
        builder = StateGraph(state)
        builder.add_node("budget", self.guard, destinations=("model", "cheap", END))
        builder.add_node("model", lambda s: {"messages": [self.model.invoke(s["messages"])]})
        builder.add_node("settle", self.guard.settle)
        builder.add_node("tools", ToolNode([look, confirm]))
        builder.add_node("cheap", lambda _: {"messages": [AIMessage("cheap")]})
        builder.add_edge(START, "budget")
        builder.add_edge("model", "settle")
        builder.add_conditional_edges(
            "settle", lambda s: "tools" if s["messages"][-1].tool_calls else END, ["tools", END]
        )
        builder.add_edge("tools", "budget")
        return builder.compile(checkpointer=Checkpointer(self.database))

    def run(self, what: Any = ASK, *, on_a_loop: bool = False) -> Any:
        if on_a_loop:
            return asyncio.run(self.graph.ainvoke(what, THREAD))
        return self.graph.invoke(what, THREAD)

    def told(self, name: str) -> list[dict[str, Any]]:
        return [dict(event.attributes) for event in self.events if event.name == name]


def decide(*kinds: Any) -> Command[Any]:
    listed = [kind if isinstance(kind, dict) else {"type": kind} for kind in kinds]
    return Command(resume={"decisions": listed})


def edit(amount: Any) -> dict[str, Any]:
    return {"type": "edit", "edited_action": {"name": "extend_budget", "args": {"add": amount}}}


# ---------------------------------------------------------------------------- accounting


@BOTH
def test_a_run_is_held_step_by_step_and_settled(database, on_a_loop):
    """Two model calls, one tool between: what is used is what the answers say."""
    agent = Agent(database, Limit(scope="thread", total_tokens=1000, steps=10), asks=[LOOK])

    last = agent.run(on_a_loop=on_a_loop)["messages"][-1]

    assert "an answer" == last.text
    assert {"total_tokens": (30, 0), "steps": (2, 0)} == books(database)
    assert ["settled"] * 2 == [state for (state,) in rows(database, "state")]


class NoIds(TypedDict):
    messages: Annotated[list[Any], operator.add]


@BOTH
def test_answers_to_messages_without_ids_are_settled(database, on_a_loop):
    """`operator.add` gives no ids: the place of what was shown names the call."""
    agent = Agent(database, Limit(scope="thread", total_tokens=1000, steps=10), asks=[LOOK])
    graph = agent.compiled(NoIds)

    for _ in range(2):
        asyncio.run(graph.ainvoke(ASK, THREAD)) if on_a_loop else graph.invoke(ASK, THREAD)

    assert {"total_tokens": (45, 0), "steps": (3, 0)} == books(database)
    assert ["settled"] * 3 == [state for (state,) in rows(database, "state")]


def test_a_step_that_begins_again_is_not_settled_by_the_answer_before_it(database):
    """Without ids, too: the answer that was counted belongs to another place."""
    agent = Agent(database, Limit(scope="thread", total_tokens=1000, steps=10), asks=[LOOK])
    graph = agent.compiled(NoIds)
    invoke, seen = agent.model.invoke, []

    def crashing(messages: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            raise Crash
        return invoke(messages)

    object.__setattr__(agent.model, "invoke", crashing)
    with pytest.raises(Crash):
        graph.invoke(ASK, THREAD)
    graph.invoke(None, THREAD)

    assert {"total_tokens": (30, 0), "steps": (2, 0)} == books(database)


def test_what_an_answer_took_is_recorded_only_where_it_says(database):
    """`spent` is measured, never guessed."""
    agent = Agent(database, Limit(scope="thread", total_tokens=1000))
    agent.run()
    agent.model.took = None
    agent.run()

    (first,), (second,) = rows(database, "spent")
    assert (10, 5, 15) == tuple(first[f"{name}_tokens"] for name in ("input", "output", "total"))
    assert second is None
    assert {"total_tokens": (15 + 120, 0)} == books(database)


def test_the_guard_is_a_box_in_the_drawing(database):
    """Studio shows it, with where it may go."""
    drawn = Agent(database, Limit(scope="thread", steps=1)).graph.get_graph()

    assert {"model", "cheap", "__end__"} == {e.target for e in drawn.edges if e.source == "budget"}


def test_a_guard_beside_the_callback_counts_only_steps(database):
    """accounting=False: it asks for room, and the callback counts the call."""
    limit = Limit(scope="thread", total_tokens=1000, steps=10, model_calls=10)
    agent = Agent(database, limit, asks=[LOOK], accounting=False)
    callback = BudgetCallback(agent.guard.budget, counter=lambda *_: 20)

    agent.graph.invoke(ASK, {**THREAD, "callbacks": [callback]})

    assert {"total_tokens": (30, 0), "steps": (2, 0), "model_calls": (2, 0)} == books(database)


def test_an_unknown_price_is_refused_when_the_guard_is_made(database):
    """Not in the middle of the night."""
    limit = Limit(scope="thread", usd=1)

    with pytest.raises(PriceUnknown):
        Agent(database, limit)
    with pytest.raises(PriceUnknown):
        Agent(database, limit, model="nobody-knows-me")


def test_money_is_held_and_settled(database):
    """At declared prices: 10 in at 1, 5 out at 10."""
    prices = PriceBook({"gpt-4o-mini": Price(input=1, output=10)})
    agent = Agent(database, Limit(scope="thread", usd=1), model="gpt-4o-mini", prices=prices)

    agent.run()

    assert {"micro_usd": (60, 0)} == books(database)
    assert [(prices.version,)] == rows(database, "price_version")


# ------------------------------------------------------------------------- on exhaustion


@BOTH
def test_a_run_that_ends_says_what_it_found(database, on_a_loop):
    """`end`: the last message is a partial result, marked as one."""
    agent = Agent(database, Limit(scope="thread", steps=2), asks=[LOOK] * 9)

    last = agent.run(on_a_loop=on_a_loop)["messages"][-1]

    assert 2 == agent.model.calls
    assert {"reason": "StepsExhausted"} == last.additional_kwargs[PARTIAL]
    assert "- look: nothing here" in last.text
    assert "Stopped here:" in last.text
    (told,) = agent.told("budget.exhausted")
    assert ("end", "steps", 2) == (told["action"], told["quantity"], told["limit"])


def test_a_partial_result_can_be_ones_own(database):
    """`partial(state)` writes its text."""
    agent = Agent(
        database, Limit(scope="thread", steps=0), partial=lambda s: f"{len(s['messages'])}!"
    )

    assert agent.run()["messages"][-1].text.startswith("1!\n")


@BOTH
@pytest.mark.parametrize(
    ("limit", "error"),
    [
        (Limit(scope="thread", steps=0), StepLimitExceeded),
        (Limit(scope="thread", total_tokens=1), BudgetExceeded),
    ],
)
def test_an_error_says_which_budget(database, on_a_loop, limit, error):
    """`error`: and nothing is held for the call that was not made."""
    agent = Agent(database, limit, on_exhausted="error")

    with pytest.raises(error, match="thread:t"):
        agent.run(on_a_loop=on_a_loop)
    assert 0 == agent.model.calls
    assert {(0, 0)} == set(books(database).values())


TO_CHEAP: Any = {"on_exhausted": "route", "route_to": "cheap"}


def test_a_run_is_routed_to_a_cheaper_node(database):
    """`route`: to a node of the graph, and that is a step too."""
    agent = Agent(database, Limit(scope="thread", model_calls=0, steps=5), **TO_CHEAP)

    assert "cheap" == agent.run()["messages"][-1].text
    assert {"model_calls": (0, 0), "steps": (1, 0)} == books(database)


@BOTH
@pytest.mark.parametrize("accounting", [True, False])
def test_a_route_that_leads_back_to_the_guard_ends(database, on_a_loop, accounting):
    """A routed run counts its steps; where there are no more it ends with a partial result."""
    limit = Limit(scope="thread", model_calls=1, steps=4)
    agent = Agent(database, limit, asks=[LOOK] * 99, accounting=accounting, **TO_CHEAP)
    cheap, callbacks = model(), [] if accounting else [BudgetCallback(agent.guard.budget)]
    builder = StateGraph(State)
    builder.add_node("budget", agent.guard, destinations=("model", "cheap", END))
    builder.add_node("model", lambda s: {"messages": [agent.model.invoke(s["messages"])]})
    builder.add_node("cheap", lambda s: {"messages": [cheap.invoke(s["messages"], NOBODY)]})
    builder.add_edge(START, "budget")
    builder.add_edge(["model"], "budget")
    builder.add_edge(["cheap"], "budget")
    graph = builder.compile(checkpointer=Checkpointer(database))
    config = {**THREAD, "callbacks": callbacks}

    end = asyncio.run(graph.ainvoke(ASK, config)) if on_a_loop else graph.invoke(ASK, config)

    assert (1, 3) == (agent.model.calls, cheap.calls)
    assert {"model_calls": (1, 0), "steps": (4, 0)} == books(database)
    assert PARTIAL in end["messages"][-1].additional_kwargs
    assert ["route"] * 3 + ["end"] == [told["action"] for told in agent.told("budget.exhausted")]


NOBODY: Any = {"callbacks": CallbackManager([])}


def test_a_route_without_a_limit_on_steps_is_a_route(database):
    """Where no way leads back nothing needs to be limited but what is spent."""
    agent = Agent(database, Limit(scope="thread", model_calls=0), **TO_CHEAP)

    assert "cheap" == agent.run()["messages"][-1].text


# ------------------------------------------------------------------------------ a person


@BOTH
def test_a_person_approves_what_they_were_shown(database, on_a_loop):
    """The question names the budget and the amount; yes adds it, and the run goes on."""
    agent = Agent(
        database, Limit(scope="thread", steps=2), asks=[LOOK] * 2, on_exhausted="interrupt"
    )

    (asked,) = agent.run(on_a_loop=on_a_loop)["__interrupt__"]
    end = agent.run(decide("approve"), on_a_loop=on_a_loop)

    (action,) = asked.value["action_requests"]
    assert {"scope": "thread:t", "period": "", "quantity": "steps", "add": 1} == action["args"]
    assert ("an answer", 3) == (end["messages"][-1].text, agent.model.calls)
    assert {"steps": (3, 0)} == books(database)
    assert [3] == limits(database)


def limits(database: Any) -> list[int]:
    return [account.limit for account in database.execute(decisions.accounts())]


def test_a_person_gives_another_amount(database):
    """edit: the amount in the edited action."""
    agent = Agent(
        database, Limit(scope="thread", steps=1), asks=[LOOK] * 9, on_exhausted="interrupt"
    )
    agent.run()

    again = agent.run(decide(edit(3)))

    assert 4 == agent.model.calls
    assert [4] == limits(database)
    assert again["__interrupt__"]


def test_a_person_says_no(database):
    """reject ends the run with what there is."""
    agent = Agent(
        database, Limit(scope="thread", steps=1), asks=[LOOK] * 9, on_exhausted="interrupt"
    )
    agent.run()

    end = agent.run(decide({"type": "reject", "message": "too dear"}))

    assert PARTIAL in end["messages"][-1].additional_kwargs
    assert (1, [1]) == (agent.model.calls, limits(database))


@pytest.mark.parametrize(
    "garbage",
    [
        Command(resume="yes"),
        Command(resume={"decisions": []}),
        Command(resume={"decisions": "approve"}),
        decide("approve", "approve"),
        decide({"type": "approve!"}),
        decide(edit(-5)),
        decide(edit("lots")),
        decide(edit(True)),
        decide(edit(10**16)),
        decide({"type": "edit"}),
        decide({"type": "edit", "edited_action": "more"}),
    ],
)
def test_an_answer_that_makes_no_sense_is_asked_for_again(database, garbage):
    """It changes nothing; the person sees the same question and can still say yes."""
    agent = Agent(database, Limit(scope="thread", steps=1), asks=[LOOK], on_exhausted="interrupt")
    (first,) = agent.run()["__interrupt__"]

    (second,) = agent.run(garbage)["__interrupt__"]
    unchanged = limits(database)
    end = agent.run(decide("approve"))

    assert first.value == second.value
    assert ([1], [2]) == (unchanged, limits(database))
    assert "an answer" == end["messages"][-1].text


def test_two_people_who_answer_at_once_give_once(database):
    """Two processes resume the same question: one decision."""
    agent = Agent(database, Limit(scope="thread", steps=1), asks=[LOOK], on_exhausted="interrupt")
    agent.run()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: agent.run(decide(edit(5))), range(2)))

    assert [6] == limits(database)


class Crash(BaseException):
    """The process is gone."""


def test_a_crash_behind_the_decision_counts_it_once(database, monkeypatch):
    """The run starts again with the same answer, finds it carried out, and goes on."""
    agent = Agent(database, Limit(scope="thread", steps=1), asks=[LOOK], on_exhausted="interrupt")
    agent.run()
    admit, seen = agent.guard.admit, []

    def crashing(state: Any, runtime: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:  # refused, answered, extended: now
            raise Crash
        return admit(state, runtime)

    monkeypatch.setattr(agent.guard, "admit", crashing)
    with pytest.raises(Crash):
        agent.run(decide(edit(1)))
    end = agent.run(None)

    assert [2] == limits(database)
    assert "an answer" == end["messages"][-1].text


def test_a_yes_is_not_taken_for_the_answer_to_another_question(database):
    """Asked about the thread's budget; meanwhile that is raised, and another one is exhausted."""
    limit, other = Limit(scope="thread", total_tokens=10), Limit(scope="tenant", total_tokens=200)
    agent = Agent(database, limit, other, on_exhausted="interrupt")
    (first,) = agent.run()["__interrupt__"]
    place = Place("default", "thread:t", "", "total_tokens")
    database.execute(
        decisions.decide(place, "set", 5000, key=b"operator", decided_by="ops", reason="more")
    )
    agent.guard.budget.reserve(b"others", agent.guard.budget.who(THREAD), {"total_tokens": 150})

    (second,) = agent.run(decide("approve"))["__interrupt__"]

    def about(asked: Any) -> list[str]:
        return [action["args"]["scope"] for action in asked.value["action_requests"]]

    assert (["thread:t"], ["tenant:default"]) == (about(first), about(second))
    assert 200 in limits(database)
    assert 5110 in limits(database)


def test_an_amount_that_was_approved_is_the_one_that_was_shown(database):
    """Others spend between question and answer: yes to 10 is no yes to 100."""
    agent = Agent(
        database, Limit(scope="thread", total_tokens=130), asks=[LOOK], on_exhausted="interrupt"
    )
    (asked,) = agent.run()["__interrupt__"]
    shown = asked.value["action_requests"][0]["args"]["add"]
    place = Place("default", "thread:t", "", "total_tokens")
    database.execute(
        decisions.decide(place, "set", 20, key=b"operator", decided_by="ops", reason="less")
    )

    again = agent.run(decide("approve"))

    assert 65 == shown
    assert [20 + 65] == limits(database)
    assert again["__interrupt__"]


# -------------------------------------------------------------------------- limits last


def test_a_limit_of_steps_lasts_over_runs_and_resumes(database):
    """LangChain's run_limit=2 allowed seven calls this way; ours allows exactly its limit."""
    sure = [{"name": "confirm", "args": {"where": "x"}, "id": "c"}]
    agent = Agent(database, Limit(scope="thread", steps=3), asks=[sure] * 20)

    agent.run()
    for _ in range(6):
        agent.run(Command(resume="yes"))
    agent.run(ASK)
    agent.run(ASK)

    assert 3 == agent.model.calls
    assert {"steps": (3, 0)} == books(database)


def test_a_run_that_starts_again_after_a_crash_counts_its_step_once(database):
    """The guard held for a call that was not made yet; the next run finds it."""
    agent = Agent(database, Limit(scope="thread", steps=3))
    agent.model.fails.append(Crash())

    with pytest.raises(Crash):
        agent.run()
    agent.run(None)

    assert {"steps": (1, 0)} == books(database)


# --------------------------------------------------------------------------- create_agent


class Middleware(AgentMiddleware):
    """What middleware.py does: it delegates."""

    def __init__(self, guard: BudgetGuard) -> None:
        super().__init__()
        self.guard = guard

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> Any:
        return self.guard.before_model(state, runtime)

    def after_model(self, state: Any, runtime: Any) -> Any:
        return self.guard.settle(state)


@BOTH
def test_create_agent_takes_it_before_the_model(database, on_a_loop):
    """The same node as a hook: it ends the run with a partial result."""
    inner = Agent(database, Limit(scope="thread", steps=2, total_tokens=1000))
    inner.model.tool_calls.extend([LOOK] * 9)
    agent = create_agent(
        inner.model, [look], middleware=[Middleware(inner.guard)],
        checkpointer=Checkpointer(database),
    )  # fmt: skip

    end: Any = asyncio.run(agent.ainvoke(ASK, THREAD)) if on_a_loop else agent.invoke(ASK, THREAD)

    assert 2 == inner.model.calls
    assert PARTIAL in end["messages"][-1].additional_kwargs
    assert {"steps": (2, 0), "total_tokens": (30, 0)} == books(database)


def test_a_question_offers_half_of_the_limit_again_or_what_is_missing():
    """Never more than an amount can be."""
    refusal = asking.Refusal("thread:t", "", "total_tokens", 100, 90, 5, 120)

    assert 115 == asking.suggestion(refusal)
