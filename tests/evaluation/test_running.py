"""A suite is run on a graph: questions answered, failures kept, cut off and gone on with."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from asyncio import CancelledError
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from lg_production.errors import RunsDiffer, SuiteEmpty, TargetUnknown
from lg_production.evaluation import running
from lg_production.evaluation.cases import Suite
from lg_production.evaluation.judges import Judge
from lg_production.evaluation.outcome import Outcome
from lg_production.evaluation.results import Report
from lg_production.evaluation.running import Runner
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


@pytest.mark.parametrize("raised", [SystemExit(3), CancelledError(), RecursionError("deep")])
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


class Plain(TypedDict):
    messages: list[Any]


@pytest.mark.parametrize("said", ["hello", [{"role": "user", "content": "hello"}] * 5])
def test_an_answer_is_found_wherever_the_graph_keeps_it(said):
    """Without a reducer, over all that was given, or behind a summary of it."""

    def instead(state: Any) -> Any:
        return {"messages": [AIMessage("the answer is 42")]}

    def over_all(state: Any) -> Any:
        removed = RemoveMessage(id=REMOVE_ALL_MESSAGES)
        return {"messages": [removed, HumanMessage("a summary"), AIMessage("the answer is 42")]}

    def behind(state: Any) -> Any:
        gone = [RemoveMessage(id=m.id) for m in state["messages"][:-1]]
        return {"messages": [*gone, AIMessage("the answer is 42")]}

    for kind, node in ((Plain, instead), (MessagesState, over_all), (MessagesState, behind)):
        graph = StateGraph(kind)
        graph.add_node("act", node)
        graph.add_edge(START, "act")
        wanted = {"kind": "mentions", "any_of": ["the answer is 42"]}
        given = said if isinstance(said, str) else {"messages": said}
        report = Runner(graph, suite(case("one", given, wanted))).run()

        assert ("the answer is 42", 1) == (
            report.trials[0].outcome.answer, report.trials[0].outcome.steps
        )  # fmt: skip


def test_a_function_that_must_be_awaited_is_awaited():
    """It would pass with nothing done."""

    async def target(case: Any) -> Any:
        await asyncio.sleep(0)
        return "the answer is 42"

    report = Runner(target, suite(case("one", "x", {"kind": "mentions", "any_of": ["42"]}))).run()

    assert {"one": (True, "done")} == ended(report)


@pytest.mark.parametrize("odd", [42, {1, 2}, (n for n in "ab")])
def test_what_a_function_gives_that_is_no_state_is_an_error(odd):
    """It would pass whatever asks for nothing."""
    done = {"kind": "ends", "ended": "done"}
    report = Runner(lambda: odd, suite(case("one", "x", done))).run()

    assert {"one": (False, "error")} == ended(report)


def test_a_budget_is_that_of_a_call_and_the_same_call_goes_on(tmp_path):
    """Until all is run: what an earlier one spent it does not spend again."""
    runs = [
        Runner(builder, suite(), workers=1, budget_tokens=100, journal=tmp_path / "j").run()
        for _ in range(4)
    ]

    assert sorted(len(one.trials) for one in runs) == [len(one.trials) for one in runs]
    assert (20, "") == (len(runs[-1].trials), runs[-1].stopped)


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
    monkeypatch.setattr(running, "words_hash", lambda: "other")
    with pytest.raises(RunsDiffer, match="now 'other'"):
        Runner(builder, suite(), journal=journal).run()


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

    assert ("price", 1) == (unknown.stopped, len(unknown.trials))
    assert ("", 20) == (free.stopped, len(free.trials))


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

    compiled = builder().compile()
    for target in (builder, builder(), compiled, block, "tests.evaluation.agent_for_tests:builder",
                   "tests/evaluation/agent_for_tests.py:builder"):  # fmt: skip
        report = Runner(target, suite(case("a", "dear", answers=["yes"]))).run()

        assert [True] == [trial.passed for trial in report.trials]

    assert ["a"] == closed


@pytest.mark.parametrize("spec", ["nothing", "no.such.module:x", "tests.evaluation:nothing", 7])
def test_what_is_no_target_is_refused(spec):
    """And it says what one is."""
    with pytest.raises(TargetUnknown, match="module:attribute"):
        target_of(spec)


def test_an_empty_suite_is_refused():
    """It would pass."""
    with pytest.raises(SuiteEmpty):
        Runner(builder, Suite("empty", "v1", ()))
