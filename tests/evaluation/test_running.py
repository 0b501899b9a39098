"""A suite is run on a graph: questions answered, failures kept, cut off and gone on with."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from asyncio import CancelledError
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from lg_production.errors import RunsDiffer, SuiteEmpty, TargetUnknown
from lg_production.evaluation import running
from lg_production.evaluation.cases import Case, Suite
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.outcome import Outcome
from lg_production.evaluation.results import Report
from lg_production.evaluation.running import Runner
from lg_production.evaluation.scripted import ScriptedChatModel
from lg_production.evaluation.targets import async_only, target_of
from tests.evaluation.agent_for_tests import NAME, builder, case, suite

ROOT = Path(__file__).parent.parent.parent
NEVER = {"kind": "never_uses", "tool": "book"}


def ended(report: Report) -> dict[str, tuple[bool, str]]:
    return {trial.case: (trial.passed, trial.outcome.ended) for trial in report.trials}


def test_questions_are_answered_in_their_order_and_one_more_ends_the_run():
    """What it asked stands in the outcome, answered or not."""
    asks = {"kind": "asks"}
    cases = suite(
        case("yes", "dear trip", asks, {"kind": "uses", "tool": "book"}, answers=["yes"]),
        case("no", "dear trip", asks, NEVER, answers=["no"]),
        case("nobody", "dear trip", asks, NEVER, {"kind": "ends", "ended": "interrupted"}),
    )
    report = Runner(builder, cases).run()

    assert {"yes": (True, "done"), "no": (True, "done"), "nobody": (True, "interrupted")} == (
        ended(report)
    )
    assert 20 == report.trials[0].outcome.tokens


def test_what_a_case_raises_is_its_outcome_and_nobody_elses():
    """The others run on."""
    report = Runner(builder, suite(case("bad", "fail"), case("good", "trip")), workers=1).run()

    assert {"bad": (False, "error"), "good": (True, "done")} == ended(report)
    assert "RuntimeError: no airline" == report.trials[0].outcome.error


class Weird(BaseException):
    """What a test library may raise."""


@pytest.mark.parametrize(
    "raised", [SystemExit(3), CancelledError(), RecursionError("deep"), Weird("x")]
)
@pytest.mark.parametrize("timeout", [None, 20])
def test_no_case_can_end_the_run(raised, timeout):
    """Not even one that leaves the process."""

    def target(case):
        raise raised

    report = Runner(target, suite(case("a", "x"), case("b", "y")), timeout=timeout).run()

    assert [type(raised).__name__] * 2 == [
        trial.outcome.error.partition(":")[0] for trial in report.trials
    ]


def test_an_outcome_that_cannot_be_kept_is_an_error(tmp_path):
    """And the journal goes on."""
    bad = Outcome("x", state={"socket": object()})
    report = Runner(lambda case: bad, suite(case("a", "x")), journal=tmp_path / "j").run()

    assert "error" == report.trials[0].outcome.ended
    assert "socket" not in report.trials[0].outcome.state


def test_what_was_done_before_an_error_is_in_the_outcome():
    """The state that the run has left behind."""
    graph = builder()
    graph.add_node("breaks", lambda _: 1 / 0)
    graph.add_edge("act", "breaks")
    outcome = Runner(graph, suite(case("a", "trip"))).run().trials[0].outcome

    assert ("error", ["book"]) == (outcome.ended, [use.name for use in outcome.tools])


def test_a_trial_that_hangs_is_given_up():
    """After its time, as an error of its own."""
    report = Runner(builder, suite(case("slow", "wait")), timeout=0.2).run()

    assert "TimeoutError" in report.trials[0].outcome.error
    assert report.seconds < 4


def test_a_graph_that_can_only_be_awaited_is_awaited():
    """Nodes and tools that are coroutines, on one loop for a trial, across its questions."""
    loops: list[asyncio.AbstractEventLoop] = []

    @tool
    async def book(what: str) -> str:
        """Book it."""
        loops.append(asyncio.get_running_loop())
        return "done"

    async def ask(state):
        loops.append(asyncio.get_running_loop())
        call = {"name": "book", "args": {"what": interrupt("what?")}, "id": "1"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    inner = StateGraph(MessagesState).add_node("tools", ToolNode([book])).add_edge(START, "tools")
    graph = StateGraph(MessagesState).add_node("ask", ask).add_node("inner", inner.compile())
    graph.add_edge(START, "ask").add_edge("ask", "inner")
    report = Runner(graph, suite(case("a", "x", answers=["jet"]))).run()

    assert ([True], 3, 1) == ([t.passed for t in report.trials], len(loops), len({*loops}))
    assert async_only(inner.compile())
    assert not async_only(builder().compile())


def test_a_conditional_edge_that_can_only_be_awaited_is_awaited():
    """Like a node; middleware must be said to be."""

    async def route(state):
        return END

    class Waits(AgentMiddleware):
        async def awrap_model_call(self, request, handler):
            return await handler(request)

    graph = builder().add_conditional_edges("act", route, [END])
    agent = create_agent(ScriptedChatModel(["done"]), [], middleware=[Waits()])
    done = {"kind": "ends", "ended": "done"}
    found = [
        Runner(target, suite(case("a", "x", done))).run().trials[0].passed
        for target in (graph, target_of(agent), target_of(agent, awaited=True))
    ]

    assert [True, False, True] == found


def test_judges_grade_and_have_no_say(tmp_path):
    """One that fails gives no grade, which is counted, and never a 0."""

    def judge(provider, answer):
        return Judge.of(provider, "m", "2026-01-01", answer, "Is it good?")

    def fails(system, data):
        raise ConnectionError("secret")

    judges = [judge("one", lambda system, data: "reason: bad\nscore: 1"), judge("two", fails)]
    journal = tmp_path / "j"
    report = Runner(builder, suite(), judges=judges, journal=journal, budget_tokens=20).run()
    grades = report.trials[0].grades

    assert (1, None) == (grades[0]["score"], grades[1]["score"])
    assert "the judge failed: ConnectionError" == grades[1]["reason"]
    assert report.trials[0].passed
    assert ["one", "two"] == [pin["provider"] for pin in report.judges]
    with pytest.raises(RunsDiffer, match="judges"):
        Runner(builder, suite(), judges=judges[:1], journal=journal).run()


def test_every_case_is_run_once_before_any_is_repeated():
    """A run that is cut off has seen them all."""
    order: list[tuple[str, int]] = []
    cases = suite(case("a", "x"), case("b", "y"))
    Runner(builder, cases, repeat=2, workers=1,
           progress=lambda trial, *_: order.append((trial.case, trial.repetition))).run()  # fmt: skip

    assert [("a", 0), ("b", 0), ("a", 1), ("b", 1)] == order


def test_trials_run_side_by_side():
    """As many as there are workers."""
    meeting = threading.Barrier(3, timeout=20)

    def target(case):
        meeting.wait()
        return {"messages": []}

    cases = suite(*(case(f"c-{n}", "x", {"kind": "ends", "ended": "done"}) for n in range(3)))

    assert [True] * 3 == [trial.passed for trial in Runner(target, cases, workers=3).run().trials]


@pytest.mark.parametrize("deadly", [1, 18])
def test_a_run_that_was_killed_goes_on_where_it_stood(tmp_path, deadly):
    """No trial that was noted is run again, and the report is that of a run nobody killed."""
    journal, out = tmp_path / "j.jsonl", tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.evaluation.agent_for_tests", journal, out]
    died = subprocess.run([*command, str(deadly)], cwd=ROOT, check=False)
    lines = journal.read_bytes().count(b"\n")
    with journal.open("ab") as file:
        file.write(b'{"case": "c-19", "repet')
    seen: list[str] = []
    resumed = Runner(NAME, suite(), journal=journal,
                     progress=lambda trial, *_: seen.append(trial.case)).run()  # fmt: skip
    whole = Runner(builder, suite()).run()

    assert (-signal.SIGKILL, deadly + 1) == (died.returncode, lines)
    assert 20 - deadly == len(seen)
    assert [(t.case, t.passed, t.outcome.tools) for t in whole.trials] == [
        (t.case, t.passed, t.outcome.tools) for t in resumed.trials
    ]


def test_a_run_of_other_data_settings_or_words_does_not_go_on(tmp_path, monkeypatch):
    """It says what differs."""
    journal = tmp_path / "j.jsonl"
    Runner(builder, suite(), journal=journal).run()
    with pytest.raises(RunsDiffer, match="hash"):
        Runner(builder, suite(case("a", "x")), journal=journal).run()
    with pytest.raises(RunsDiffer, match="repeat: 1, now 2"):
        Runner(builder, suite(), journal=journal, repeat=2).run()
    with pytest.raises(RunsDiffer, match="target"):
        Runner(builder().compile(), suite(), journal=journal).run()
    monkeypatch.setattr(running, "words_hash", lambda: "other")
    with pytest.raises(RunsDiffer, match="now 'other'"):
        Runner(builder, suite(), journal=journal).run()


def test_another_graph_does_not_go_on_with_a_journal(tmp_path):
    """Every compiled graph is called LangGraph: its nodes, edges and what they run tell them apart."""
    journal = tmp_path / "j.jsonl"
    Runner(builder().compile(), suite(), journal=journal).run()
    more = builder().add_node("more", lambda state: {}).add_edge("act", "more")
    other = StateGraph(MessagesState).add_node("act", lambda state: {}).add_edge(START, "act")
    again = Runner(builder().compile(), suite(), journal=journal).run()
    for graph in (more, other):
        with pytest.raises(RunsDiffer, match="shape"):
            Runner(graph.compile(), suite(), journal=journal).run()

    assert (20, ["20 of 20 trials are of an earlier run: its journal had them."]) == (
        again.known, again.remarks,
    )  # fmt: skip


def test_a_journal_holds_no_secret_of_a_judges_pin(tmp_path):
    """And a run goes on whatever the secret is now."""
    journal = tmp_path / "j.jsonl"
    for key in ("hunter2Zq9x", "hunter3Zq9x"):
        judge = Judge.of("acme", "j", "20260101", lambda _: "score: 7", "Fair?", {"api_key": key})
        Runner(builder, suite(case("a", "trip")), judges=[judge], journal=journal).run()

    assert "hunter" not in journal.read_text()


def test_what_a_judge_uses_counts():
    """As the model tells it: who pays for a judge has a budget, too."""
    model = ScriptedChatModel(
        lambda _: "reason: ok\nscore: 7", usage=(90, 10), model_name="j-20260101"
    )
    judge = Judge.of("acme", "j", "20260101", model, "Fair?")
    report = Runner(builder, suite(), workers=1, budget_tokens=240, judges=[judge]).run()

    assert ("budget", 2) == (report.stopped, len(report.trials))
    assert (200, 40) == (
        sum(grade["tokens"] for trial in report.trials for grade in trial.grades), report.tokens,
    )  # fmt: skip


def test_a_budget_begins_no_trial_once_it_is_reached(tmp_path):
    """The report says so, and more money goes on with it."""
    journal = tmp_path / "j.jsonl"
    first = Runner(builder, suite(), workers=1, budget_tokens=50, journal=journal).run()
    price = Runner(builder, suite(), workers=1, budget_usd=Decimal("0.03"),
                   price=lambda message: Decimal("0.01")).run()  # fmt: skip
    second = Runner(builder, suite(), journal=journal).run()

    assert ("budget", 3) == (first.stopped, len(first.trials))
    assert ("budget", 2, Decimal("0.04")) == (price.stopped, len(price.trials), price.usd)
    assert ("", 20) == (second.stopped, len(second.trials))


def test_a_budget_of_money_cannot_be_kept_without_prices():
    """So it does not go on: an unknown price is not 0."""
    unknown = Runner(builder, suite(), workers=1, budget_usd=Decimal(1)).run()
    free = Runner(lambda case: {"messages": []}, suite(), budget_usd=Decimal(1)).run()
    silent = Runner(lambda case: "hello", suite(), workers=1, budget_usd=Decimal(1)).run()
    mute = Runner(lambda case: [AIMessage("hello")], suite(), workers=1, budget_usd=Decimal(1),
                  price=lambda _: None).run()  # fmt: skip

    assert ("price", 1) == (unknown.stopped, len(unknown.trials))
    assert ("price", 1) == (mute.stopped, len(mute.trials))
    assert ("", 20) == (silent.stopped, len(silent.trials))
    assert ("", 20) == (free.stopped, len(free.trials))


class Hanging(ScriptedChatModel):
    """Answers once, and never again."""

    def _generate(self, messages, *more, **settings):
        if len(messages) > 1:
            threading.Event().wait(600)
        return super()._generate(messages, *more, **settings)


def test_what_a_trial_used_before_it_was_given_up_counts():
    """Its tokens; and a model that owes an answer has an unknown price."""
    model = Hanging(["Hello."], usage=(7, 3))
    graph = StateGraph(MessagesState)
    graph.add_node("one", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("two", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "one").add_edge("one", "two")
    limits = {"workers": 1, "timeout": 5, "price": lambda _: Decimal("0.01")}
    tokens = Runner(graph, suite(), budget_tokens=10, **limits).run()
    money = Runner(graph, suite(), budget_usd=Decimal(1), **limits).run()

    assert ("budget", 1, 10) == (tokens.stopped, len(tokens.trials), tokens.tokens)
    assert ("price", 1) == (money.stopped, len(money.trials))
    assert ("Hello.", "error", None) == (
        (found := money.trials[0].outcome).answer, found.ended, found.usd,
    )  # fmt: skip


def test_a_budget_is_that_of_one_call(tmp_path):
    """So the same call goes on until all is run."""
    journal, counts = tmp_path / "j.jsonl", []
    for _ in range(3):
        report = Runner(builder, suite(), workers=1, budget_tokens=150, journal=journal).run()
        counts.append((report.stopped, len(report.trials)))

    assert [("budget", 8), ("budget", 16), ("", 20)] == counts


def test_a_judge_that_hangs_gives_no_grade():
    """The trial keeps what the agent did, and its verdicts."""

    def hangs(system, data):
        threading.Event().wait(600)

    def leaves(system, data):
        sys.exit(0)

    judges = [Judge.of("a", "m", "2024-08-06", one, "Good?") for one in (hangs, leaves)]
    trial = Runner(builder, suite(case("a", "x")), judges=judges, timeout=5).run().trials[0]

    assert ("done", True, [None, None]) == (
        trial.outcome.ended, trial.passed, [grade["score"] for grade in trial.grades],
    )  # fmt: skip
    assert ["the judge took longer than 5 s", "the judge failed: SystemExit"] == [
        grade["reason"] for grade in trial.grades
    ]


def test_a_check_that_hangs_is_not_passed(monkeypatch):
    """Nor does it hold up the others."""
    monkeypatch.setattr(Case, "check", lambda *_: threading.Event().wait(600))
    trial = Runner(builder, suite(case("a", "x")), timeout=5).run().trials[0]

    assert [(False, "It could not be checked within 5 s.")] == [
        (verdict.passed, verdict.why) for verdict in trial.verdicts
    ]


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_time_limit_is_a_number_of_seconds(timeout):
    """What no clock can wait for is refused before anything is run."""
    with pytest.raises(ValueError, match="above 0"):
        Runner(builder, suite(), timeout=timeout)
    with pytest.raises(ValueError, match="a budget is 0 or more"):
        Runner(builder, suite(), budget_usd=Decimal("nan"))


def test_an_interrupted_run_reports_what_has_ended():
    """Ctrl-C loses nothing."""

    def progress(trial, done, total):
        if done == 3:
            raise KeyboardInterrupt

    report = Runner(builder, suite(), workers=1, progress=progress).run()

    assert ("interrupted", 3) == (report.stopped, len(report.trials))


def test_anything_that_makes_a_graph_is_a_target():
    """With the case or without, as a value or for a block."""
    closed: list[str] = []

    @contextmanager
    def block(case):
        yield builder().compile()
        closed.append(case.id)

    @asynccontextmanager
    async def later(case):
        yield builder().compile()
        closed.append("later")

    async def makes():
        return builder()

    async def runs(case):
        await asyncio.sleep(0)
        return builder().compile().invoke(case.input)

    compiled = builder().compile()
    for target in (builder, builder(), compiled, block, later, makes, runs, "tests.evaluation.agent_for_tests:builder",
                   "tests/evaluation/agent_for_tests.py:builder"):  # fmt: skip
        said = "trip" if target is runs else "dear"
        report = Runner(target, suite(case("a", said, answers=["yes"]))).run()

        assert [True] == [trial.passed for trial in report.trials]

    assert ["a", "later"] == closed


@pytest.mark.parametrize(
    "odd", [None, 5, 2.5, b"x", {}, [], [1, 2], {1}, (x for x in "a"), object(), int]
)
def test_what_is_neither_a_graph_nor_a_state_is_an_error(odd):
    """A function that forgets its return has not passed."""
    ends = {"kind": "ends", "ended": "done"}
    trial = Runner(lambda case: odd, suite(case("a", "x", ends))).run().trials[0]

    assert ("error", False) == (trial.outcome.ended, trial.passed)
    assert f"it gave {type(odd).__name__}" in trial.outcome.error
    assert not Runner(dict, suite(case("a", "x", ends))).run().trials[0].passed


@pytest.mark.parametrize("told", ["hi", AIMessage("hi"), [AIMessage("hi")], {"output": "hi"}])
def test_a_function_may_give_an_answer_or_messages(told):
    """As a graph may."""
    wanted = {"kind": "mentions", "any_of": "hi"}

    assert Runner(lambda case: told, suite(case("a", "x", wanted))).run().trials[0].passed


@pytest.mark.parametrize("spec", ["nothing", "no.such.module:x", "tests.evaluation:nothing", 7])
def test_what_is_no_target_is_refused(spec):
    """And it says what one is."""
    with pytest.raises(TargetUnknown, match="module:attribute"):
        target_of(spec)


def test_an_empty_suite_is_refused():
    """It would pass."""
    with pytest.raises(SuiteEmpty):
        Runner(builder, Suite("empty", "v1", ()))
