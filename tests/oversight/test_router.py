"""A call's verdict is made once, before anything pauses, and holds ever after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from lg_production import Checkpointer, Database
from lg_production.core.events import Event
from lg_production.core.steps import drive
from lg_production.core.wrappers import tool_node
from lg_production.errors import NotDurable, Stopped
from lg_production.oversight import ledger
from lg_production.oversight.policy import ReviewPolicy, Stakes
from lg_production.oversight.records import Recorded
from lg_production.oversight.review import Review
from lg_production.oversight.router import ConfidenceRouter
from lg_production.oversight.routing import Asked, Routing
from lg_production.oversight.sampling import Sampler
from lg_production.oversight.scorers import Score

from ..graphs_for_tests import ASK, call, says, thread
from ..walk_paths import execute
from .review_for_tests import APPROVE, REJECT, Bank, messages, questions

SMALL, BIG = call("pay", "small", to="ada", amount=5), call("pay", "big", to="bob", amount=900)
WIPE = call("wipe", "wipe", table="users")
STAKES = Stakes(tier="low", amount="amount", amount_over=500)
POLICY = ReviewPolicy(tools={"pay": STAKES, "wipe": Stakes(tier="low", deny=True)}, sample_rate=0)
UNSURE = ReviewPolicy(tools={"pay": Stakes(tier="medium")}, sample_rate=0)
LOOSE = ReviewPolicy(tools={"pay": Stakes(tier="low")}, sample_rate=0)
STRICT = ReviewPolicy(tools={"pay": Stakes(tier="high")}, sample_rate=0)
DRIVERS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class Travel:
    """Model, router, review and tools, as a user would wire them."""

    def __init__(
        self, database: Database, *calls: Any, policy: ReviewPolicy = POLICY, **options: Any
    ) -> None:
        self.database, self.bank, self.config = database, Bank(), thread()
        tools = self.bank.tools()
        self.router = ConfidenceRouter(database, policy, observers=[self.bank.observe], **options)
        self.review = Review(database, policy, tools=tools)
        builder = StateGraph(MessagesState)
        builder.add_node("model", says(*calls))
        builder.add_node("route", self.router, destinations=self.router.destinations)
        builder.add_node("review", self.review, destinations=("tools",))
        builder.add_node("tools", tool_node(tools, self.review))
        builder.add_edge(START, "model")
        builder.add_edge("model", "route")
        builder.add_edge("tools", "model")
        self.graph = builder.compile(checkpointer=Checkpointer(database))

    def run(self, given: Any, is_async: bool = False, config: Any = None) -> Any:
        where = config or self.config
        if is_async:
            return asyncio.run(self.graph.ainvoke(given, where))
        return self.graph.invoke(given, where)

    def change(self, policy: ReviewPolicy) -> None:
        self.router.routing.policy = self.review.routing.policy = policy

    def verdicts(self) -> dict[str, Any]:
        return {row.tool_call_id: row.verdict for row in rows_of(self.database)}


def rows_of(database: Database) -> list[Recorded]:
    keys = execute(database, "SELECT key FROM lg_production.reviews ORDER BY tool_call_id")
    return database.execute(ledger.look([key for (key,) in keys]))


def scored(value: float | None, asked: list[str] | None = None) -> Callable[..., Score]:
    def scorer(_: Any, call: Any) -> Score:
        if asked is not None:
            asked.append(call["id"])
        return Score(value, "mine", {"why": 1}, alternatives=({"name": "wait", "args": {}},))

    return scorer


# ------------------------------------------------------------------------------- the node


@DRIVERS
def test_what_needs_nobody_goes_straight_to_the_tools(database: Database, is_async: bool) -> None:
    """A denied call, too: the wrapper around the tools answers for it."""
    travel = Travel(database, SMALL, WIPE)

    state = travel.run(ASK, is_async)

    assert {"small": "auto", "wipe": "deny"} == travel.verdicts()
    assert [("ada", 5)] == travel.bank.paid
    assert ["success", "error"] == [status for status, _ in messages(state)]


@DRIVERS
def test_no_tool_runs_before_all_that_wait_are_decided(database: Database, is_async: bool) -> None:
    """One question for each call that waits; the rest is not asked about and not repeated."""
    travel = Travel(database, SMALL, BIG, {**BIG, "id": "bigger"})
    state = travel.run(ASK, is_async)
    asked, before = questions(state), list(travel.bank.paid)
    first, second = state["__interrupt__"]
    state = travel.run(Command(resume={first.id: APPROVE}), is_async)
    between = list(travel.bank.paid)

    state = travel.run(Command(resume={second.id: REJECT}), is_async)

    assert ["pay", "pay"] == [question["name"] for question in asked]
    assert [] == before == between
    assert [("ada", 5), ("bob", 900)] == sorted(travel.bank.paid)
    assert ["error", "success", "success"] == sorted(status for status, _ in messages(state))


def test_an_answer_without_calls_ends_the_run(database: Database) -> None:
    """Or goes where `otherwise` says."""
    travel = Travel(database, SMALL)

    state = travel.run(ASK)

    assert "done" == state["messages"][-1].content
    assert () == travel.graph.get_state(travel.config).next


def test_studio_draws_where_the_router_leads(database: Database) -> None:
    """A box with three arrows."""
    drawn = Travel(database).graph.get_graph()

    leads = {edge.target for edge in drawn.edges if edge.source == "route"}

    assert {"tools", "review", "__end__"} == leads


def test_an_event_tells_the_verdict_and_no_payload(database: Database) -> None:
    """Codes and numbers only."""
    travel = Travel(database, BIG)
    travel.run(ASK)

    (event,) = travel.bank.told("review.routed")

    assert {"tool", "verdict", "reasons", "confidence", "review"} == set(event.attributes)
    assert ("review", "amount_over") == (event.attributes["verdict"], event.attributes["reasons"])


# ------------------------------------------------------------------------------- frozen


@pytest.mark.parametrize(
    ("answer", "paid"), [(REJECT, []), (APPROVE, [("bob", 900)])], ids=["reject", "approve"]
)
def test_a_policy_that_changes_its_mind_on_resume_changes_nothing(
    database: Database, answer: Any, paid: Any
) -> None:
    """LangChain's `when` would let a rejected call run; ours asked, and the answer holds."""
    travel = Travel(database, BIG)
    travel.run(ASK)
    travel.change(LOOSE)

    travel.run(Command(resume=answer))

    assert paid == travel.bank.paid
    assert {"big": "review"} == travel.verdicts()


def test_a_stricter_policy_does_not_stop_what_passed(database: Database) -> None:
    """Beside a call that waits, one that did not: its verdict is frozen as well."""
    travel = Travel(database, SMALL, BIG)
    travel.run(ASK)
    travel.change(STRICT)

    travel.run(Command(resume=APPROVE))

    assert [("ada", 5), ("bob", 900)] == sorted(travel.bank.paid)


def test_time_travel_finds_the_verdict_and_asks_no_scorer_again(database: Database) -> None:
    """Samples cost tokens, and another score would be another verdict."""
    asked: list[str] = []
    travel = Travel(database, SMALL, policy=UNSURE, scorers=[scored(0.9, asked)])
    travel.run(ASK)
    before = [s for s in travel.graph.get_state_history(travel.config) if s.next == ("route",)]
    travel.change(UNSURE.model_copy(update={"threshold": 0.95}))

    state = travel.run(None, config=before[-1].config)

    assert ["small"] == asked
    assert {"small": "auto"} == travel.verdicts()
    assert "__interrupt__" not in state


def test_other_arguments_under_the_same_ids_get_a_verdict_of_their_own(database: Database) -> None:
    """What was decided about 5 euros says nothing about 900."""
    routing, told = Routing(POLICY), Asked("thread", "answer", {})
    first = drive(routing.route(told, [SMALL]), database)[0]

    second = drive(routing.route(told, [{**SMALL, "args": BIG["args"]}]), database)[0]

    assert ("auto", "review") == (first.verdict, second.verdict)
    assert (first.key, 900) == (second.key, second.arguments["amount"])
    assert 1 == len(rows_of(database))


def route_once(url: str, policy: ReviewPolicy, thread_id: str) -> str:
    with Database(url, max_connections=2) as database:
        asked = Asked(thread_id, "answer", {})
        return drive(Routing(policy).route(asked, [SMALL]), database)[0].verdict


def test_two_processes_that_route_one_message_have_one_verdict(
    database: Database, database_url: str
) -> None:
    """They read two versions of the policy; whoever was first, both obey it."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        pairs = [
            [processes.submit(route_once, database_url, p, f"t{n}") for p in (LOOSE, STRICT)]
            for n in range(6)
        ]
        found = [{future.result() for future in pair} for pair in pairs]

    assert [1] * 6 == [len(verdicts) for verdicts in found]
    assert 6 == len(rows_of(database))


def test_many_threads_that_route_one_message_have_one_row(database: Database) -> None:
    """Through one pool, in combined statements."""
    policies = [LOOSE, STRICT] * 8

    with ThreadPoolExecutor(16) as threads:
        found = threads.map(
            lambda p: drive(Routing(p).route(Asked("t", "m", {}), [SMALL]), database), policies
        )
        verdicts = {row.verdict for (row,) in found}

    assert 1 == len(verdicts) == len(rows_of(database))


def test_tenants_do_not_share_a_verdict(database: Database) -> None:
    """Their threads may have the same name."""
    asked = Asked("t", "m", {})

    verdicts = [
        drive(Routing(policy, tenant=tenant).route(asked, [SMALL]), database)[0].verdict
        for policy, tenant in [(LOOSE, "one"), (STRICT, "two")]
    ]

    assert ["auto", "review"] == verdicts


@pytest.mark.parametrize(
    ("message_id", "calls"),
    [(None, [SMALL]), ("m", [{**SMALL, "id": None}]), ("m", [SMALL, SMALL])],
)
def test_what_nothing_identifies_is_not_routed(
    database: Database, message_id: str | None, calls: Any
) -> None:
    """A verdict that could not be found again would not be frozen."""
    with pytest.raises(NotDurable):
        drive(Routing(POLICY).route(Asked("t", message_id, {}), calls), database)


# ------------------------------------------------------------------------------- scores


def routed(database: Database, **options: Any) -> tuple[Recorded, list[Event]]:
    """A payment of medium stakes, routed; and what observers were told."""
    events: list[Event] = []
    state = options.pop("state", {"messages": [HumanMessage("pay", id="q")]})
    routing = Routing(options.pop("policy", UNSURE), **options)
    steps = routing.route(Asked("t", "m", state, "ada"), [SMALL])
    return drive(steps, database, [events.append])[0], events


def test_the_row_keeps_what_led_to_the_verdict(database: Database) -> None:
    """Scores by their source, the alternatives, the policy, and who asked."""
    row, _ = routed(database, scorers=[scored(0.6), scored(0.7)], agent="booking")

    assert ("review", ("low_confidence",)) == (row.verdict, tuple(row.reasons))
    assert pytest.approx(0.65) == row.confidence
    assert {"combined", "mine", "mine_2"} == set(row.scores)
    assert {"why": 1, "value": 0.6, "calibrated": False} == row.scores["mine"]
    assert [{"name": "wait", "args": {}}] * 2 == list(row.alternatives)
    assert (UNSURE.hash, "ada", "booking") == (row.policy_hash, row.requester, row.agent)
    assert "medium" == row.evidence["risk"]


def test_a_scorer_that_fails_sends_the_call_to_a_person(database: Database) -> None:
    """Observers hear of it, by the kind of the error only."""

    def broken(*_: Any) -> Score:
        raise RuntimeError("secret")

    row, events = routed(database, scorers=[broken])

    assert ("review", ("no_confidence",)) == (row.verdict, tuple(row.reasons))
    assert {"failed": {"error": "RuntimeError", "value": None, "calibrated": False}} == row.scores
    told = [event.attributes for event in events if event.name == "review.unscored"]
    assert [{"tool": "pay", "error": "RuntimeError"}] == told


def test_a_stop_is_no_failure_of_a_scorer(database: Database) -> None:
    """The button stands before its model, too."""

    def stopped(*_: Any) -> Score:
        raise Stopped

    with pytest.raises(Stopped):
        routed(database, scorers=[stopped])

    assert [] == rows_of(database)


def test_a_sampled_call_goes_to_a_person_and_its_odds_are_known(database: Database) -> None:
    """The same call draws the same number wherever it is routed."""
    every = UNSURE.model_copy(update={"sample_rate": 1.0})
    row, _ = routed(database, policy=every, scorers=[scored(0.9)])

    assert ("sample", 1.0, "pay/0.9") == (row.verdict, row.probability, row.stratum)
    assert row.waits


def test_a_sampler_of_ones_own_decides_who_is_sampled(database: Database) -> None:
    """Its strata and its rates, the policy's rate or not."""
    sampler = Sampler(b"x" * 32, rate=0.25, near_rate=0.25, edges=())
    row, _ = routed(database, sampler=sampler, scorers=[scored(0.9)])

    assert (0.25, "pay/-") == (row.probability, row.stratum)


def test_the_channels_that_the_state_tells_of_count(database: Database) -> None:
    """An amount from a document makes a medium tool a high one."""
    state = {"messages": [], "provenance": {"small": {"amount": "document"}}}
    row, _ = routed(database, state=state, scorers=[scored(1.0)])

    assert ("review", ("untrusted", "tier_high")) == (row.verdict, tuple(row.reasons))
    assert {"amount": "document"} == row.provenance
