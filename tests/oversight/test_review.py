"""Review around tools, on every surface, with real graphs."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.types import Command, interrupt

from lg_production import Checkpointer, Database, IdempotentToolNode
from lg_production.core.steps import Statement
from lg_production.core.wrappers import tool_node
from lg_production.errors import DatabaseUnavailable, NotDurable, ReviewExpired, ReviewInSharedTask
from lg_production.idempotency.tool import Idempotent
from lg_production.middleware import as_middleware
from lg_production.oversight import ledger
from lg_production.oversight.ledger import Ballot
from lg_production.oversight.policy import ReviewPolicy, Stakes
from lg_production.oversight.review import Review
from tests.graphs_for_tests import ASK, agent, call, says, thread

from .review_for_tests import (
    APPROVE,
    POLICY,
    REJECT,
    Bank,
    Office,
    messages,
    overdue,
    questions,
    votes,
)

SURFACES = pytest.mark.parametrize(
    ("send", "is_async"), [(False, False), (False, True), (True, False), (True, True)]
)
PAY = call("pay", "c1", to="ann", amount=900)


def effects(database: Database) -> list[Any]:
    sql = "SELECT tool_call_id, arguments, evidence FROM lg_production.effects"
    return database.execute(Statement(sql, {}, list))


def edit(**args: Any) -> Any:
    edited = {"name": "pay", "args": args}
    return {"decisions": [{"type": "edit", "edited_action": edited}]}


# ------------------------------------------------------------------------- what is decided


@SURFACES
def test_what_is_approved_runs_once(database, send, is_async):
    """Nothing is paid before a person says so, and then once."""
    office = Office(database, PAY, send=send, is_async=is_async)
    asked, before = office.start(), list(office.bank.paid)
    state = office.resume(APPROVE)

    assert ["pay"] == [q["name"] for q in questions(asked)]
    assert [] == before
    assert [("ann", 900)] == office.bank.paid
    assert [("success", "paid 900 to ann")] == messages(state)


@SURFACES
def test_what_is_rejected_takes_no_key(database, send, is_async):
    """The model is told who and why, and the ledger of effects knows nothing of it."""
    office = Office(database, PAY, send=send, is_async=is_async)
    office.start()
    state = office.resume(REJECT, by="bob")

    assert [("error", "pay was not carried out: bob rejected it. too much.")] == messages(state)
    assert [] == office.bank.paid
    assert [] == effects(database)


@SURFACES
def test_what_is_edited_runs_as_edited(database, send, is_async):
    """Agent Inbox sends text: the tool gets a number, and the claim has the edited arguments."""
    office = Office(database, PAY, send=send, is_async=is_async)
    office.start()
    office.resume(
        [{"type": "edit", "args": {"action": "pay", "args": {"to": "bob", "amount": "7"}}}]
    )

    assert [("bob", 7)] == office.bank.paid
    assert [{"to": "bob", "amount": 7}] == [arguments for _, arguments, _ in effects(database)]
    assert "edit" == office.row().outcome


def test_what_is_answered_does_not_run(database):
    """respond: the person's text is the tool's result."""
    office = Office(database, PAY)
    office.start()
    state = office.resume({"type": "respond", "message": "paid by hand"})

    assert [("success", "paid by hand")] == messages(state)
    assert [] == office.bank.paid


def test_what_needs_nobody_runs_and_what_is_forbidden_does_not(database):
    """auto and deny pause nothing, beside each other in one node."""
    small, wipe = call("pay", "c1", to="ann", amount=5), call("wipe", "c2", table="users")
    office = Office(database, small, wipe)
    state = office.start()

    assert [("ann", 5)] == office.bank.paid
    assert "wipe was not carried out: the policy forbids it (denied)." == messages(state)[1][1]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("yes", "a decision is {'type': …}, not str"),
        (True, "a decision is {'type': …}, not bool"),
        ({"decisions": []}, "0 decisions for one question"),
        ({"decisions": [{"type": "approve"}] * 2}, "2 decisions for one question"),
        ({"type": "maybe"}, "'maybe' is not one of approve, edit, reject, respond"),
        ({"type": "respond"}, "respond needs a message"),
        (edit(to="ann", amount="much"), "amount: Input should be a valid integer"),
        (edit(to="ann", amount=1, tip=5), "the tool takes no tip"),
        (edit(to="ann"), "amount: Field required"),
        ({"type": "approve", "idempotency_key": "00"}, "it answers another question"),
        ({"decisions": [{"type": "approve"}], "digest": "00"}, "it answers another question"),
    ],
)
def test_what_makes_no_sense_leaves_the_question_open(database, answer, problem):
    """It says what is wrong, nothing runs, and the next answer counts."""
    office = Office(database, PAY)
    office.start()
    asked, state = office.resume(answer), None
    before = list(office.bank.paid)
    state = office.resume(APPROVE)

    assert problem in questions(asked)[0]["description"]
    assert [] == before
    assert [("success", "paid 900 to ann")] == messages(state)


def test_none_leaves_the_question_open(database):
    """An answer with nothing in it, and a plain start of the thread, ask again."""
    office = Office(database, PAY)
    office.start()
    asked = [office.resume({"decisions": None}), office.run(None)]

    assert ["pay", "pay"] == [questions(state)[0]["name"] for state in asked]
    assert [] == office.bank.paid


# ------------------------------------------------------------------------- what stays true


def test_the_claim_names_the_decision(database):
    """Who looks at an effect finds the review that let it pass."""
    office = Office(database, PAY)
    office.start()
    office.resume(APPROVE)

    (evidence,) = [evidence for _, _, evidence in effects(database)]
    assert office.row().key.hex() == evidence["decision"]


def test_a_policy_that_changes_its_mind_changes_nothing(database):
    """The verdict was frozen when it was made: the rejection holds under a policy that allows."""
    office = Office(database, PAY)
    office.start()
    lenient = ReviewPolicy(tools={"pay": Stakes(tier="low")}, sample_rate=0)
    later = Office(database, PAY, policy=lenient, bank=office.bank)
    later.config = office.config
    state = later.resume(REJECT)

    assert [] == office.bank.paid
    assert "error" == messages(state)[0][0]


def test_an_approval_of_other_arguments_does_not_count(database):
    """The state was changed after the approval: what would run now is asked about."""
    office = Office(database, PAY)
    office.start()
    row = office.row()
    office.decide_elsewhere("approve")
    message = office.graph.get_state(office.config).values["messages"][-1]
    changed = AIMessage(
        "", id=message.id, tool_calls=[call("pay", "c1", to="mallory", amount=9000)]
    )
    office.graph.update_state(office.config, {"messages": [changed]}, as_node="model")
    asked = office.run(None)
    before = list(office.bank.paid)
    state = office.resume({"type": "approve", "digest": row.digest.hex()})
    office.resume(REJECT)

    assert [{"to": "mallory", "amount": 9000}] == [q["args"] for q in questions(asked)]
    assert "before it changed" in questions(state)[0]["description"]
    assert [] == before == office.bank.paid


def test_nobodys_silence_approves(database):
    """Behind the deadline it is denied, whatever the answer, and the late one is kept."""
    office = Office(database, PAY)
    office.start()
    overdue(database)
    state = office.resume(APPROVE, by="ann")

    assert [("error", "pay was not carried out: nobody decided about it in time.")] == messages(
        state
    )
    assert [] == office.bank.paid
    assert "expired" == office.row().state
    assert [("ann", "approve", False)] == votes(database)
    assert ["expired"] == [e.attributes["state"] for e in office.bank.told("review.late")]


def test_an_operator_may_be_told_of_the_deadline_instead(database):
    """on_expired="error": it is raised, past the model, as often as it is tried."""
    office = Office(database, PAY, on_expired="error")
    office.start()
    overdue(database)

    for _ in range(2):
        with pytest.raises(ReviewExpired):
            office.run(None)


# ---------------------------------------------------------------------------------- people


def test_two_people_must_agree(database):
    """Not the same one twice, not who asked for it, not somebody unknown; then the second."""
    office = Office(database, call("pay", "c1", to="ann", amount=20_000))
    office.start(user_id="eve")
    tries = [
        ("ann", "1 more"),
        ("ann", "agreed already"),
        ("eve", "may not approve"),
        (None, "who"),
    ]
    asked = [questions(office.resume(APPROVE, by=by))[0]["description"] for by, _ in tries]
    before = list(office.bank.paid)
    office.resume(APPROVE, by="bob")

    assert [] == [(text, want) for text, (_, want) in zip(asked, tries, strict=True)
                  if want not in text]  # fmt: skip
    assert [] == before
    assert [("ann", 20_000)] == office.bank.paid
    assert ["ann", "bob"] == list(office.row().decided_by)


def test_an_edit_needs_somebody_else_to_agree(database):
    """Two people: who edits proposes, and the other is shown what will run."""
    office = Office(database, call("pay", "c1", to="ann", amount=20_000))
    office.start()
    office.resume(APPROVE, by="ann")
    asked = office.resume(edit(to="ann", amount=15_000), by="bob")
    office.resume(APPROVE, by="ann")

    assert [{"to": "ann", "amount": 15_000}] == [q["args"] for q in questions(asked)]
    assert ["bob"] == questions(asked)[0]["agreed"]
    assert [("ann", 15_000)] == office.bank.paid


def test_one_of_two_can_reject(database):
    """It takes both to approve, and one to refuse."""
    office = Office(database, call("pay", "c1", to="ann", amount=20_000))
    office.start()
    office.resume(APPROVE, by="ann")
    office.resume(REJECT, by="bob")

    assert [] == office.bank.paid
    assert ["bob"] == list(office.row().decided_by)


def test_a_decision_from_elsewhere_holds(database):
    """Decided at the command line: the run goes on without an answer, as it was decided."""
    office = Office(database, PAY)
    office.start()
    office.decide_elsewhere("approve")
    office.run(None)

    assert [("ann", 900)] == office.bank.paid


def test_who_comes_too_late_is_told(database):
    """The recorded decision holds; the other answer is kept beside it, and streamed."""
    office = Office(database, PAY)
    office.start()
    office.decide_elsewhere("reject")
    given = Command(resume=APPROVE)
    config = {"configurable": {**office.config["configurable"],
                               "langgraph_auth_user": {"identity": "bob"}}}  # fmt: skip
    streamed = [*office.graph.stream(given, config, stream_mode="custom")]

    assert [] == office.bank.paid
    assert [("ann", "reject", True), ("bob", "approve", False)] == votes(database)
    assert ["bob"] == [said["review.late"]["reviewer"] for said in streamed]


# ------------------------------------------------------------- questions beside each other


TWO = (call("pay", "c1", to="ann", amount=900), call("pay", "c2", to="bob", amount=800))


def test_one_node_with_several_calls_asks_nothing(database):
    """There an answer could reach another call: it is refused, and nothing was paid for it."""
    office = Office(database, *TWO)

    with pytest.raises(ReviewInSharedTask):
        office.start()
    assert [] == office.bank.paid


@pytest.mark.parametrize("is_async", [False, True])
def test_a_task_each_asks_about_each(database, is_async):
    """Send per call: the answers come in any order, and each reaches its own question."""
    office = Office(database, *TWO, send=True, is_async=is_async)
    ids = {
        i.value["action_requests"][0]["args"]["to"]: i.id for i in office.start()["__interrupt__"]
    }
    office.resume({ids["bob"]: REJECT})
    before = list(office.bank.paid)
    office.resume({ids["ann"]: APPROVE})

    assert [] == before
    assert [("ann", 900)] == office.bank.paid


def with_node(database, *calls, **options):
    """The same node in front of the tools as around them."""
    office = Office(database, *calls, **options)
    builder = office.builder
    builder.branches["model"].clear()
    builder.add_node("review", office.review, destinations=("tools", "review", "__end__"))
    builder.add_edge("model", "review")
    office.graph = builder.compile(checkpointer=Checkpointer(database))
    return office


@pytest.mark.parametrize("is_async", [False, True])
def test_the_node_asks_for_a_tool_node_with_several_calls(database, is_async):
    """Each call is asked about in a task of its own, and no tool runs before all are decided."""
    small = call("pay", "c3", to="cat", amount=5)
    office = with_node(database, *TWO, small, is_async=is_async)
    ids = {
        i.value["action_requests"][0]["args"]["to"]: i.id for i in office.start()["__interrupt__"]
    }
    office.resume({ids["bob"]: edit(to="bob", amount=1)})
    before = list(office.bank.paid)
    state = office.resume({ids["ann"]: REJECT})

    assert [] == before
    assert [("bob", 1), ("cat", 5)] == sorted(office.bank.paid)
    assert ["error", "success", "success"] == [status for status, _ in messages(state)]


def test_a_retried_resume_does_not_answer_the_next_question(database):
    """The same yes, sent twice, by its id: the second finds its question gone."""
    office = Office(database, *TWO, send=True)
    ids = {
        i.value["action_requests"][0]["args"]["to"]: i.id for i in office.start()["__interrupt__"]
    }
    office.resume({ids["ann"]: APPROVE})
    state = office.resume({ids["ann"]: APPROVE})

    assert ["bob"] == [q["args"]["to"] for q in questions(state)]
    assert [("ann", 900)] == office.bank.paid


def test_a_retried_first_vote_is_not_the_second(database):
    """Two people in one task: LangGraph takes the first question's id for the second's."""
    office = Office(database, call("pay", "c1", to="ann", amount=20_000))
    first = office.start()["__interrupt__"][0].id
    office.resume({first: APPROVE}, by="ann")
    state = office.resume({first: APPROVE}, by="bob")

    assert [] == office.bank.paid
    assert ["ann"] == questions(state)[0]["agreed"]


# ---------------------------------------------------------------- the tool asks, and so do we


class Asking:
    """A payment that itself asks, and one whose provider may not answer."""

    def __init__(self, database: Database, *, idempotent: bool, fails: bool = False) -> None:
        self.database, self.fails = database, fails
        self.heard: list[Any] = []
        self.paid: list[str] = []

        @tool
        def pay(to: str, amount: int) -> str:
            """Pay, after a question of its own."""
            self.heard.append(interrupt("from which account?"))
            return f"paid from {self.heard[-1]}"

        @tool
        def wire(to: str) -> str:
            """Wire money; the first time the provider does not answer."""
            self.paid.append(to)
            if len(self.paid) == 1:
                raise TimeoutError
            return "wired"

        tools = [wire] if fails else [pay]
        review = Review(database, POLICY)
        node = tool_node(tools, review, *([Idempotent(database)] if idempotent else []))
        ask = call("wire", "c1", to="ann") if fails else PAY
        self.graph = agent(says(ask), node).compile(checkpointer=Checkpointer(database))
        self.config = thread()

    def resume(self, answer: Any) -> Any:
        return self.graph.invoke(Command(resume=answer), self.config)


@pytest.mark.parametrize("idempotent", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_tools_own_question_gets_its_own_answer(database, idempotent, elsewhere):
    """Ours was answered before it, in this task or at the command line: it is passed over."""
    asking = Asking(database, idempotent=idempotent)
    asking.graph.invoke(ASK, asking.config)
    if elsewhere:
        (key,) = database.execute(Statement("SELECT key FROM lg_production.reviews", {}, list))
        (row,) = database.execute(ledger.look(key))
        database.execute(ledger.vote(row, Ballot("ann", "approve")))
        state = asking.graph.invoke(None, asking.config)
    else:
        state = asking.resume(APPROVE)
    asking.resume("savings")

    assert ["from which account?"] == [i.value for i in state["__interrupt__"]]
    assert ["savings"] == asking.heard


@pytest.mark.parametrize("retried", [False, True])
def test_an_effect_in_doubt_asks_a_question_of_its_own(database, retried):
    """The approval of the call is not the approval to repeat it, also if it is sent twice."""
    asking = Asking(database, idempotent=True, fails=True)
    first = asking.graph.invoke(ASK, asking.config)["__interrupt__"][0]
    state = asking.resume({first.id: APPROVE})
    if retried:
        state = asking.resume({first.id: APPROVE})
    (doubt,) = state["__interrupt__"]
    before = list(asking.paid)
    asking.resume({doubt.id: {"decisions": [{"type": "respond", "message": "it arrived"}]}})

    assert re.match("Nobody knows whether wire", doubt.value["action_requests"][0]["description"])
    assert ["ann"] == before == asking.paid


def test_a_call_outside_of_a_thread_is_refused(database):
    """Without a thread nothing could find the decision again."""
    office = Office(database, PAY)
    graph = agent(says(PAY), office.node).compile()

    with pytest.raises(Exception, match="There is no thread"):
        graph.invoke(ASK)


def doubtful(database: Database, *, send: bool, asks: bool = True) -> tuple[Any, list[str]]:
    """Two wires that people must approve, and whose provider does not answer the first time."""
    wired: list[str] = []

    @tool
    def wire(to: str) -> str:
        """Wire money."""
        wired.append(to)
        if wired.count(to) == 1:
            raise TimeoutError
        return f"wired to {to}"

    review = Review(database, POLICY, tools=[wire])
    node = IdempotentToolNode(
        [wire], database,
        wrap_tool_call=review.wrap_tool_call, awrap_tool_call=review.awrap_tool_call,
    )  # fmt: skip
    calls = [call("wire", "c1", to="ann"), call("wire", "c2", to="bob")]
    builder = agent(says(*calls), node, send=send)
    if asks and not send:
        builder.branches["model"].clear()
        builder.add_node("review", review, destinations=("tools", "review", "__end__"))
        builder.add_edge("model", "review")
    return builder.compile(checkpointer=Checkpointer(database)), wired


LOOKED_UP = {
    "ann": {"type": "respond", "message": "it arrived"},
    "bob": {"type": "approve"},
}


@pytest.mark.parametrize("send", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_reviews_and_doubts_keep_apart(database, send, order):
    """In one node with several calls and in a task each: every answer reaches its question."""
    graph, wired = doubtful(database, send=send)
    config = thread()
    asked = graph.invoke(ASK, config)["__interrupt__"]
    state: Any = {}
    for question in asked[::order]:
        state = graph.invoke(Command(resume={question.id: APPROVE}), config)
    doubts = state["__interrupt__"]
    before = sorted(wired)
    for doubt in doubts[::order]:
        names = [action["args"]["to"] for action in doubt.value["action_requests"]]
        answer = {"decisions": [LOOKED_UP[name] for name in names]}
        state = graph.invoke(Command(resume={doubt.id: answer}), config)

    assert [2 if send else 1] == [len(doubts)]
    assert ["ann", "bob"] == before
    assert ["ann", "bob", "bob"] == sorted(wired)
    assert [("success", "it arrived"), ("success", "wired to bob")] == messages(state)


def test_a_drop_in_node_with_several_calls_asks_nothing_either(database):
    """Without the node in front it is refused, beside questions that the node itself may ask."""
    graph, wired = doubtful(database, send=False, asks=False)

    with pytest.raises(ReviewInSharedTask):
        graph.invoke(ASK, thread())
    assert [] == wired


def test_a_review_that_was_lost_is_not_approved(database):
    """The task knows its key and the ledger does not: nobody can say what was shown."""
    office = with_node(database, PAY)
    office.start()
    database.execute(Statement("DELETE FROM lg_production.reviews", {}, lambda _: None))

    with pytest.raises(NotDurable, match="is not in this database's ledger"):
        office.resume(APPROVE)
    assert [] == office.bank.paid


@pytest.mark.parametrize("is_async", [False, True])
def test_create_agent_asks_about_each_call(database, is_async):
    """As a middleware, outside of another: both calls wait, and each gets its own answer."""
    bank = Bank()
    guards = as_middleware(Review(database, POLICY), Idempotent(database))
    built = create_agent(
        FakeMessages(responses=[AIMessage("", tool_calls=list(TWO)), AIMessage("done")]),
        bank.tools(),
        middleware=guards,
        checkpointer=Checkpointer(database),
    )
    config = thread()

    def run(given: Any) -> Any:
        if is_async:
            return asyncio.run(built.ainvoke(given, config))
        return built.invoke(given, config)

    asked = run(ASK)["__interrupt__"]
    ids = {i.value["action_requests"][0]["args"]["to"]: i.id for i in asked}
    run(Command(resume={ids["bob"]: APPROVE}))
    state = run(Command(resume={ids["ann"]: REJECT}))

    assert [("bob", 800)] == bank.paid
    assert ["error", "success"] == [status for status, _ in messages(state)]


class FakeMessages(FakeMessagesListChatModel):
    """A scripted model that takes tools."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def test_an_answer_that_was_counted_is_nobody_elses_vote(database, monkeypatch):
    """The run fails behind ann's vote; bob, who starts it again, has not voted with her answer."""
    office = Office(database, call("pay", "c1", to="ann", amount=20_000))
    office.start()
    opened = ledger.opened

    def fails(key: bytes) -> Any:
        if office.row().voters:
            raise DatabaseUnavailable
        return opened(key)

    monkeypatch.setattr(ledger, "opened", fails)
    with pytest.raises(DatabaseUnavailable):
        office.resume(APPROVE, by="ann")
    monkeypatch.undo()
    state = office.run(None, langgraph_auth_user={"identity": "bob"})

    assert [] == office.bank.paid
    assert ["ann"] == questions(state)[0]["agreed"]


@pytest.mark.parametrize("around", [False, True])
def test_an_answer_that_names_its_reviewer_counts_for_nobody_else(database, around):
    """A run that died before it was counted is started again by somebody else."""
    office = Office(database, PAY)
    office.start()
    named = {"reviewer": "ann"}
    one = {"type": "approve", **({} if around else named)}
    answer = {"decisions": [one], **(named if around else {})}
    state = office.resume(answer, by="bob")
    before = list(office.bank.paid)
    office.resume(answer, by="ann")

    assert "ann gave it, and bob runs this" in questions(state)[0]["description"]
    assert [] == before
    assert ["ann"] == list(office.row().decided_by)
