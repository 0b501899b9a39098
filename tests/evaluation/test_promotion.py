"""A thread of production becomes a case."""

import json
import multiprocessing
import os
from functools import reduce
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from lg_production.errors import CaseInvalid
from lg_production.evaluation.behaviours import Ends, Mentions
from lg_production.evaluation.cases import Suite, case_of, load_suite
from lg_production.evaluation.outcome import outcome_of
from lg_production.evaluation.promotion import append, derived, promote
from lg_production.evaluation.redaction import Redaction
from lg_production.evaluation.running import Runner
from lg_production.persistence.checkpointing import Checkpointer
from tests.evaluation.test_cases import CASES, GOOD
from tests.evaluation.test_outcome import OUTCOMES

QUESTION = {"action_requests": [{"name": "book", "args": {}}], "review_configs": []}


@tool
def search(to: str) -> str:
    """Flights to a city."""
    return f"BA117 to {to}"


@tool
def book(flight: str, email: str, password: str = "") -> str:
    """Book a flight, if a person agrees."""
    answer = interrupt(QUESTION)
    return "Booked" if answer == "yes" else "A person said no."


def model(state: MessagesState) -> dict[str, Any]:
    """Searches, books what was asked for, and says so."""
    turn = [m for m in state["messages"] if isinstance(m, HumanMessage)][-1]
    since = state["messages"][state["messages"].index(turn) + 1 :]
    calls = [
        {"name": "search", "args": {"to": "Rome"}, "id": f"{turn.id}-1"},
        {"name": "book", "args": {"flight": "BA117", "email": "ada@x.example", "password": "hunter22"}, "id": f"{turn.id}-2"},
    ]  # fmt: skip
    step = sum(isinstance(m, AIMessage) for m in since)
    if step < 2 and "Hello" not in turn.text:
        return {"messages": [AIMessage("", tool_calls=[calls[step]])]}
    return {"messages": [AIMessage("Booked BA117." if step else "Hello.")]}


def compiled(saver=None, state: Any = MessagesState):
    graph = StateGraph(state)
    graph.add_node("model", model, input_schema=state)
    graph.add_node("tools", ToolNode([search, book]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda s: "tools" if s["messages"][-1].tool_calls else END)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver or InMemorySaver())


def config(thread: str = "t") -> dict:
    return {"configurable": {"thread_id": thread}}


def asked(text: str = "Book a flight to Rome for ada@x.example") -> dict:
    return {"messages": [HumanMessage(text)]}


def run(app, *answers: Any, text: str = "Book a flight to Rome for ada@x.example") -> None:
    app.invoke(asked(text), config())
    for answer in answers:
        app.invoke(Command(resume=answer), config())


def promoted(source, **kwargs):
    return promote(source, "t", case_id="rome", split="edge", **kwargs)


# ------------------------------------------------------------------------------- the thread
@pytest.mark.parametrize("source", [lambda app: app, lambda app: app.checkpointer])
def test_a_thread_becomes_a_case(source):
    """Its first input, what people answered, and what was called; by the graph or its saver."""
    app = compiled()
    run(app, "yes")
    case = promoted(source(app))

    assert {
        "id": "rome",
        "split": "edge",
        "input": {"messages": [{"role": "user", "content": "Book a flight to Rome for ada@x.example"}]},
        "answers": ["yes"],
        "behaviours": [
            {"kind": "ends"},
            {"kind": "uses_only", "tools": ["search", "book"]},
            {"kind": "uses", "tool": "search"},
            {"kind": "uses", "tool": "book"},
            {"kind": "asks", "tool": "book"},
            {"kind": "claims_only_done"},
            {"kind": "within", "steps": 8},
        ],
        "trajectory": [
            {"name": "search", "args": {"to": "Rome"}},
            {"name": "book", "args": {"flight": "BA117", "email": "ada@x.example", "password": "[redacted]"}},
        ],
        "tags": ["production"],
        "note": "From production.",
    } == case.stored()  # fmt: skip


def test_a_case_on_postgresql_is_the_same(database):
    """Whatever keeps the checkpoints."""
    saver = Checkpointer(database)
    saver.setup()
    app, other = compiled(saver), compiled()
    for one in (app, other):
        run(one, "yes")

    assert promoted(other) == promoted(app) == promoted(saver)


def test_only_the_first_run_of_a_thread_counts():
    """What came later is another case."""
    app = compiled()
    run(app, text="Hello")
    run(app, "yes")
    case = promoted(app)

    assert ((), ()) == (case.answers, case.trajectory)
    assert "Hello" == case.input["messages"][0]["content"]
    assert {"kind": "uses_only", "tools": []} in case.stored()["behaviours"]


def test_a_run_that_waits_is_a_case_that_waits():
    """Nobody has answered: the case has no answer, and ends interrupted."""
    app = compiled()
    run(app)
    case = promoted(app)

    assert (Ends(ended="interrupted"), ()) == (case.behaviours[0], case.answers)
    assert ["search"] == [use.name for use in case.trajectory]
    assert promoted(app.checkpointer) == case


def test_a_question_that_nobody_answered_before_the_next_input_ends_the_run():
    """The person said something else instead."""
    app = compiled()
    run(app)
    run(app, text="Hello")

    for case in (promoted(app), promoted(app.checkpointer)):
        assert (Ends(ended="interrupted"), ()) == (case.behaviours[0], case.answers)


def test_a_run_that_raised_is_a_case_that_fails_until_it_is_mended():
    """It should end, and claim nothing that was not done. What else, is for a person to say."""

    def fail(state: MessagesState) -> dict[str, Any]:
        raise RuntimeError("no")

    graph = StateGraph(MessagesState)
    graph.add_node("fail", fail)
    graph.add_edge(START, "fail")
    app = graph.compile(checkpointer=InMemorySaver())
    with pytest.raises(RuntimeError):
        run(app)

    for source in (app, app.checkpointer):
        case = promoted(source)
        (trial,) = Runner(app, Suite("s", "v1", (case,))).run().trials

        assert ["ends", "claims_only_done"] == [one.kind for one in case.behaviours]
        assert not trial.passed


def test_what_was_abandoned_by_going_back_does_not_count():
    """A person went back and answered otherwise."""
    app = compiled()
    run(app, "no")
    before = next(s for s in app.get_state_history(config()) if s.next == ("tools",))
    app.invoke(None, before.config)
    app.invoke(Command(resume="yes"), config())

    assert ("yes",) == promoted(app).answers == promoted(app.checkpointer).answers


def test_answers_and_calls_within_a_subgraph_are_seen():
    """They are in its own checkpoints."""

    def ask(state: MessagesState) -> dict[str, Any]:
        answers = [interrupt("one"), interrupt("two")]
        call = {"name": "note", "args": {"text": answers}, "id": "1"}
        told = ToolMessage("noted", tool_call_id="1")
        return {"messages": [AIMessage("", tool_calls=[call]), told]}

    inner = StateGraph(MessagesState)
    inner.add_node("ask", ask)
    inner.add_edge(START, "ask")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile() | (lambda state: {"messages": [AIMessage("Done.")]}))
    outer.add_edge(START, "inner")
    app = outer.compile(checkpointer=InMemorySaver())
    run(app, "a", {"b": [1]})
    case = promoted(app)

    assert ("a", {"b": [1]}) == case.answers
    assert [("note", {"text": ["a", {"b": [1]}]})] == [(u.name, u.args) for u in case.trajectory]


def test_where_the_first_checkpoints_are_gone_the_messages_are_asked():
    """Some savers keep the newest only: what the user said stands in it, what people said does not."""
    app = compiled()
    run(app, "yes")
    newest = app.get_state(config())
    saver = InMemorySaver()
    kept = compiled(saver)
    kept.update_state(config(), newest.values, as_node="model")
    case = promoted(kept)

    assert ["Book a flight to Rome for ada@x.example"] == [
        m["content"] for m in case.input["messages"]
    ]
    assert ["search", "book"] == [use.name for use in case.trajectory]


def test_a_graph_that_cannot_be_looked_into_says_that_answers_are_missing():
    """A remote graph tells its history, and not what was resumed with."""

    class Remote:
        def __init__(self, app):
            self.get_state_history = app.get_state_history

    app = compiled()
    run(app, "yes")
    case = promoted(Remote(app))

    assert ((), "From production. The answers of people could not be seen.") == (
        case.answers,
        case.note,
    )
    assert promoted(app).trajectory == case.trajectory


def test_inputs_of_other_shapes_are_spelled_as_one():
    """Pairs, dicts and messages with calls; other keys of the state stay."""

    class State(MessagesState):
        customer: str

    graph = StateGraph(State)
    graph.add_node("model", lambda state: {"messages": [AIMessage("Hi")]})
    graph.add_edge(START, "model")
    app = graph.compile(checkpointer=InMemorySaver())
    call = {"name": "search", "args": {}, "id": "1"}
    told = [("user", "a"), {"role": "system", "content": "b"}, AIMessage("c", tool_calls=[call]), ToolMessage("d", tool_call_id="1")]  # fmt: skip
    app.invoke({"messages": told, "customer": "Ada"}, config())
    case = promoted(app)

    assert {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "system", "content": "b"},
            {"role": "assistant", "content": "c", "tool_calls": [{**call, "type": "tool_call"}]},
            {"role": "tool", "content": "d", "tool_call_id": "1"},
        ],
        "customer": "Ada",
    } == case.input
    assert () == case.trajectory
    assert ["user", "system", "assistant", "tool"] == [
        m["role"] for m in case_of(case.stored()).input["messages"]
    ]


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_messages_that_are_kept_as_differences_need_the_graph():
    """Without it nobody can add them up, and a run without calls would be a lie."""

    def folded(state: list, writes: list) -> list:
        return reduce(add_messages, writes, state or [])

    class State(TypedDict):
        messages: Annotated[list, DeltaChannel(folded)]

    app = compiled(state=State)
    run(app, "yes")

    assert ["search", "book"] == [use.name for use in promoted(app).trajectory]
    with pytest.raises(CaseInvalid, match="hold no messages: give the graph"):
        promoted(app.checkpointer)


def test_a_thread_that_is_not_there_is_named():
    """And so is one without a user's input."""
    app = compiled()
    app.update_state(config("empty"), {"messages": [AIMessage("Hi")]}, as_node="model")

    for source in (app, app.checkpointer):
        with pytest.raises(CaseInvalid, match=r"\(thread t: the thread has no checkpoint\)"):
            promoted(source)
        with pytest.raises(CaseInvalid, match="thread empty, field 'input': no input of a user"):
            promote(source, "empty", case_id="a", split="happy")


def test_people_are_hidden_if_asked():
    """In input, trajectory and behaviours alike."""
    app = compiled()
    run(app, {"decisions": [{"type": "reject", "message": "Ada, ada@x.example"}]})
    case = promoted(app, redact=Redaction(emails=True, names=["Ada"]))

    assert "Book a flight to Rome for person-1@example.com" == case.input["messages"][0]["content"]
    assert (
        {"decisions": [{"type": "reject", "message": "Person 1, person-1@example.com"}]},
    ) == case.answers
    assert "person-1@example.com" == case.trajectory[1].args["email"]
    assert "ada" not in case.line().casefold()


def test_your_own_behaviours_replace_the_derived():
    """For an incident: what happened was wrong."""
    app = compiled()
    run(app, "yes")
    case = promoted(app, behaviours=[Mentions(any_of="R1"), {"kind": "ends"}], note="No reference.")

    assert ((Mentions(any_of="R1"), Ends()), "No reference.") == (case.behaviours, case.note)
    with pytest.raises(CaseInvalid, match=r"field 'behaviours.0.kind'"):
        promoted(app, behaviours=[{"kind": "use"}])


@given(OUTCOMES)
def test_what_is_derived_holds_for_what_it_is_derived_of(outcome):
    """At least one behaviour, and each passes; but that a run should end which has raised."""
    found = derived(outcome)
    raised = outcome.ended == "error"

    assert found
    assert [not raised, *[True] * (len(found) - 1)] == [one.check(outcome).passed for one in found]


def test_a_call_that_was_held_back_must_not_be_made():
    """With these arguments."""
    call = {"name": "pay", "args": {"to": "Eve"}, "id": "1"}
    held = ToolMessage("No.", tool_call_id="1", additional_kwargs={"lg_production": {"held": True}})
    outcome = outcome_of([AIMessage("", tool_calls=[call]), held, AIMessage("I did not pay.")])
    kinds = {one.kind: one for one in derived(outcome)}

    assert ("pay", {"to": "Eve"}) == (kinds["never_uses"].tool, kinds["never_uses"].args)


# --------------------------------------------------------------------------------- the file
@given(CASES)
def test_an_appended_case_is_read_again(tmp_path_factory, case):
    """The same, with the same hash."""
    folder = tmp_path_factory.mktemp("suite")
    file = append(case, folder)

    assert folder / "v1" / f"{case.split}.jsonl" == file
    assert (case,) == load_suite(folder).cases


def test_a_case_is_put_behind_what_is_there(tmp_path):
    """What is there stays as it is, byte for byte; a last line without an end gets one."""
    file = tmp_path / "v1" / "happy.jsonl"
    file.parent.mkdir()
    old = (
        b"\xef\xbb\xbf"
        + json.dumps({**GOOD, "note": "\u202e"}).encode()
        + b"\r\n\r\n"
        + json.dumps({**GOOD, "id": "b"}).encode()
    )
    file.write_bytes(old)
    file.chmod(0o640)
    append(case_of({**GOOD, "id": "c", "split": "happy"}), tmp_path)

    assert (
        old + b'\n{"id": "c", "input": "Hi", "behaviours": [{"kind": "ends"}]}\n'
        == file.read_bytes()
    )
    assert (0o640, ["happy.jsonl"]) == (file.stat().st_mode & 0o777, os.listdir(file.parent))
    assert ["a", "b", "c"] == [case.id for case in load_suite(tmp_path).cases]


@pytest.mark.parametrize("into", ["v2", None])
def test_an_id_that_is_there_is_refused(tmp_path, into):
    """In any split, and in an earlier version; nothing is written."""
    case = case_of({**GOOD, "split": "happy"})
    append(case, tmp_path, "v1")
    other = case.model_copy(update={"split": "edge"})

    with pytest.raises(
        CaseInvalid, match=r"v1/happy.jsonl:1, field 'id': there is a case 'a' already"
    ):
        append(other, tmp_path, into)
    assert not [*tmp_path.rglob("edge.jsonl")]


def test_a_case_goes_into_the_newest_version_or_the_one_named(tmp_path):
    """As an argument, or as the folder itself."""
    a, b, c, d = (case_of({**GOOD, "split": "happy", "id": id}) for id in "abcd")
    append(a, tmp_path)
    append(b, tmp_path, "v2")
    append(c, tmp_path)
    append(d, tmp_path / "v1")

    assert {"a", "d"} == {case.id for case in load_suite(tmp_path, "v1").cases}
    assert {"a", "b", "c", "d"} == {case.id for case in load_suite(tmp_path).cases}
    with pytest.raises(CaseInvalid, match="a version is called"):
        append(a, tmp_path, "../v1")


def test_nothing_is_written_where_what_is_there_is_bad(tmp_path):
    """Else the bad line would be found by somebody else."""
    file = tmp_path / "v1" / "happy.jsonl"
    file.parent.mkdir()
    file.write_text("{")

    with pytest.raises(CaseInvalid, match=r"happy.jsonl:1: not JSON"):
        append(case_of({**GOOD, "split": "edge"}), tmp_path)
    assert ["happy.jsonl"] == os.listdir(file.parent)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    """And no half of a new one."""
    file = append(case_of({**GOOD, "split": "happy"}), tmp_path)
    old = file.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        append(case_of({**GOOD, "split": "happy", "id": "b"}), tmp_path)
    assert (old, ["happy.jsonl"]) == (file.read_bytes(), os.listdir(file.parent))


def _append(folder, n: int) -> None:
    for i in range(5):
        append(case_of({**GOOD, "split": "happy", "id": f"p{n}-{i}"}), folder)


def test_processes_that_append_at_a_time_lose_nothing(tmp_path):
    """Each waits for the others."""
    workers = [
        multiprocessing.get_context("fork").Process(target=_append, args=(tmp_path, n))
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert 20 == len(load_suite(tmp_path).cases)
