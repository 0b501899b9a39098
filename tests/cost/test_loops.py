"""Whether an agent goes in circles: what is a loop, what is not, and which rung is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import ValidationError

from lg_production.cost.loop_history import LOOP, last_mark, open_calls
from lg_production.cost.loops import LoopPolicy, turns

POLICY = LoopPolicy()
LONG = (
    "which of the many small hotels near our old harbour still have one quiet room with a view now"
)


def step(*calls: Any, agent: str | None = None) -> list[Any]:
    """One answer with calls `(tool, arguments, result)`; a result may be an exception."""
    made = [{"name": t, "args": a, "id": f"c{n}"} for n, (t, a, _) in enumerate(calls)]
    results = []
    for n, (tool, _, result) in enumerate(calls):
        failed = isinstance(result, Exception)
        text = f"Error: {result!r}\n Please fix your mistakes." if failed else result
        status = "error" if failed else "success"
        results.append(ToolMessage(text, name=tool, tool_call_id=f"c{n}", status=status))
    return [AIMessage("", name=agent, tool_calls=made), *results]


def look(query: Any, result: Any, *, agent: str | None = None) -> list[Any]:
    return step(("look", {"query": query}, result), agent=agent)


def new(n: int) -> list[Any]:
    """A step that brings something that was not there before."""
    return step(("read", {"file": f"chapter {n}"}, f"what chapter {n} says"))


def said(agent: str, text: str) -> list[Any]:
    return [AIMessage(text, name=agent)]


def hands(to: str, agent: str | None = None) -> list[Any]:
    return step((f"transfer_to_{to}", {}, f"Successfully transferred to {to}"), agent=agent)


def messages(*steps: list[Any]) -> list[Any]:
    return [HumanMessage("go"), *(message for one in steps for message in one)]


def findings(steps: list[list[Any]], policy: LoopPolicy = POLICY) -> list[str | None]:
    """What is found after each step."""
    kinds = []
    for end in range(1, len(steps) + 1):
        finding = policy.decide(turns(messages(*steps[:end])))
        kinds.append(finding and finding.kind)
    return kinds


# ------------------------------------------------------------------------ what is a loop

LOOPS: dict[str, tuple[Callable[[int], list[Any]], str, int]] = {
    "the same call and result": (lambda n: look("hotels", "Ritz"), "same_result", 3),
    "parallel calls again": (
        lambda n: step(("look", {"query": "a"}, "A"), ("look", {"query": "b"}, "B")),
        "same_result",
        3,
    ),
    "the same call, another result": (lambda n: look("time", f"12:{n:02}"), "same_call", 6),
    "A-B-A-B": (lambda n: look("ab"[n % 2], "ab"[n % 2]), "cycle", 4),
    "a round of six": (lambda n: look("abcdef"[n % 6], "abcdef"[n % 6]), "cycle", 12),
    "case and space": (
        lambda n: look(["hotels in Lisbon", "Hotels  in lisbon", " HOTELS IN LISBON"][n % 3], "[]"),
        "near_duplicate",
        3,
    ),
    "other writings of a number": (
        lambda n: step(("page", {"n": [1, 1.0, "01", " 1 "][n % 4]}, "rows")),
        "near_duplicate",
        3,
    ),
    "one word changed, which the result echoes": (
        lambda n: look(f"{LONG} {n}", f"No results found for '{LONG} {n}'"),
        "near_duplicate",
        3,
    ),
    "the same error": (
        lambda n: look(f"{n} stars", ValueError(f"cannot parse {n} stars at line {n}")),
        "repeated_error",
        3,
    ),
    "the same error between known calls": (
        lambda n: look("x", OSError("timeout")) if n % 2 else look("y", "Ritz"),
        "cycle",
        4,
    ),
    "handing to and fro": (lambda n: hands("ab"[n % 2]), "ping_pong", 6),
    "handing to one who has it": (lambda n: hands("a"), "ping_pong", 5),
    "handing to and fro, by name": (
        lambda n: (
            hands("planner agent".replace(" ", "_"), "Writer")
            if n % 2
            else hands("writer", "Planner-Agent")
        ),
        "ping_pong",
        5,
    ),
    "agents that say the same again": (
        lambda n: said("ab"[n % 2], ["You do it.", "No, you."][n % 2]),
        "ping_pong",
        7,
    ),
    "nothing is found": (lambda n: look(f"idea{n}", "[]"), "no_progress", 15),
    "nothing is found, in words": (
        lambda n: look(f"idea{n}", f"No results for idea{n}."),
        "no_progress",
        15,
    ),
}


@pytest.mark.parametrize(("loop", "kind", "at"), LOOPS.values(), ids=LOOPS)
def test_a_loop_is_found_at_its_threshold_and_not_before(loop, kind, at):
    """The first finding, and at which step it comes."""
    found = findings([loop(n) for n in range(at)])

    assert [None] * (at - 1) + [kind] == found


@pytest.mark.parametrize(("loop", "kind", "at"), LOOPS.values(), ids=LOOPS)
@given(before=st.integers(0, 12), after=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_a_loop_is_found_wherever_it_begins_and_forgotten_when_it_is_left(
    loop, kind, at, before, after
):
    """A good run, with a loop put in at any place: one step more than alone, where its first
    result is the only news."""
    good = [new(n) for n in range(before)]
    looping = [loop(n) for n in range(at + 1)]

    found = findings([*good, *looping, *(new(99 + n) for n in range(after))])
    of_loop = found[before : before + at + 1]

    assert [None] * before == found[:before]
    assert kind in of_loop
    assert of_loop.index(kind) >= 2
    assert [None] * after == found[before + at + 1 :]


def test_a_finding_says_since_when_how_often_and_which_tools_and_nothing_else():
    """Identifiers and numbers: neither arguments nor results."""
    finding = POLICY.decide(turns(messages(new(1), *[look("secret", "hidden")] * 4)))

    assert finding is not None
    assert ("same_result", 3, 4, ("look",), 1) == (
        finding.kind,
        finding.since,
        finding.repeats,
        finding.tools,
        len(finding.calls),
    )
    assert "secret" not in repr(finding)
    assert "hidden" not in repr(finding)


def test_a_loop_in_ten_thousand_turns_is_found():
    """Time is linear in the history; no text makes it worse."""
    odd = "aError" * 100 + "0x" * 100
    history = [look(f"{n} {odd[:40]}", f"{odd} {n}") for n in range(10_000)]

    finding = POLICY.decide(turns(messages(*history, *[look(odd, OSError(odd))] * 3)))

    assert finding is not None
    assert ("repeated_error", 3, 20_001) == (finding.kind, finding.repeats, finding.since)


def test_blocks_of_content_get_new_ids_and_are_the_same_result():
    """LangChain and MCP adapters give each block of a result a random id."""
    found = findings(
        [look("x", [{"type": "text", "text": "Ritz", "id": f"{n}"}]) for n in range(3)]
    )

    assert [None, None, "same_result"] == found


def test_calls_that_the_model_wrote_wrongly_count_too():
    """An invalid call that is answered by an error, again and again."""
    call = {"name": "look", "args": "{'query", "id": "c", "error": "no JSON"}
    error = ToolMessage("invalid JSON", tool_call_id="c", status="error")

    found = findings([[AIMessage("", invalid_tool_calls=[call]), error]] * 3)

    assert [None, None, "repeated_error"] == found


@pytest.mark.parametrize(
    ("field", "loop"),
    [
        ("same_result", lambda n: look("x", "y")),
        ("same_call", lambda n: look("time", f"{n}")),
        ("cycle", lambda n: look("abcdefg"[n % 6], "x")),
        ("near_duplicate", lambda n: look(" " * n, "[]")),
        ("repeated_error", lambda n: look(n, OSError())),
        ("ping_pong", lambda n: hands("ab"[n % 2])),
        ("no_progress", lambda n: look(n, "[]")),
    ],
)
def test_every_threshold_can_be_moved_and_taken_away(field, loop):
    """Each detector alone: found at its threshold; off, it finds nothing."""
    off = dict.fromkeys(
        ("same_result", "same_call", "cycle", "near_duplicate", "repeated_error", "ping_pong",
         "no_progress")
    )  # fmt: skip
    steps = [loop(n) for n in range(40)]

    assert {None, field} == set(findings(steps, LoopPolicy(**{**off, field: 5})))
    assert {None} == set(findings(steps, LoopPolicy(**off)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"same_result": 1},
        {"same_call": 11},
        {"near_duplicate": 6, "window": 5},
        {"ladder": ()},
        {"ladder": ("shout",)},
        {"recovery": 0},
        {"similarity": 0},
        {"handoffs": ("",)},
        {"same_results": 3},
    ],
)
def test_a_policy_that_cannot_work_is_refused(wrong):
    """One repetition is none, and a window must hold what is counted in it."""
    with pytest.raises(ValidationError):
        LoopPolicy(**wrong)


# -------------------------------------------------------------------- what is not a loop

POLLS = LoopPolicy(polling=frozenset({"status", "wait"}), max_polls=30)
ACTS = LoopPolicy(acting=frozenset({"send"}))


def test_edits(n: int) -> list[Any]:
    """Tests, then an edit that says "ok", and so on."""
    if n % 2:
        return step(("edit", {"line": n, "text": f"x = {n}"}, "ok"))
    return step(("test", {}, f"{20 - n} failed, {n} passed"))


test_edits.__test__ = False  # type: ignore[attr-defined]


def rewrites(n: int) -> list[Any]:
    """The same with whole files, nearly the same each time, and tests that fail as errors."""
    if n % 2:
        return step(("write", {"path": "a.py", "text": f"{LONG} {LONG[::-1]} {n}"}, "written"))
    return step(("test", {}, RuntimeError(f"{20 - n} failed, {n} passed")))


def supervised(n: int) -> list[Any]:
    """A supervisor that sends a worker off again and again, who comes back with news."""
    if n % 2:
        return said("worker", f"Chapter {n} is done: it says {n * n}.")
    return hands("worker", "supervisor")


NORMAL: dict[str, tuple[list[list[Any]], LoopPolicy]] = {
    "two retries": (
        [s for n in range(9) for s in [*[look(n, OSError("timeout"))] * 2, look(n, f"hotel {n}")]],
        POLICY,
    ),
    "two tries that bring the same": (
        [s for n in range(9) for s in [look(n, f"hotel {n}")] * 2],
        POLICY,
    ),
    "pages": (
        [step(("rows", {"query": LONG, "page": n}, f"row {n}0, row {n}1")) for n in range(30)],
        POLICY,
    ),
    "numbers": (
        [step(("customer", {"id": n}, f"customer {n}: paid {n % 3}")) for n in range(30)],
        POLICY,
    ),
    "numbers that are not all there": (
        [
            step(("customer", {"id": n}, KeyError(n) if n % 3 else f"customer {n}"))
            for n in range(30)
        ],
        POLICY,
    ),
    "pages in a long text": (
        [look(f"{LONG} {LONG} limit 10 offset {n}0", f"row {n}") for n in range(30)],
        POLICY,
    ),
    "tests and edits": ([test_edits(n) for n in range(20)], POLICY),
    "tests and rewrites": ([rewrites(n) for n in range(20)], POLICY),
    "polls": (
        [
            step(("status", {"job": 7}, "running" if n < 25 else f"{n} %"))
            for n in range(30)
        ],
        POLLS,
    ),
    "polls between waits": (
        [step(("wait", {"s": 5}, "ok") if n % 2 else ("status", {}, "running")) for n in range(40)],
        POLLS,
    ),
    "polls beside work": (
        [[*step(("status", {}, "running"), ("read", {"n": n}, f"part {n}"))] for n in range(30)],
        POLLS,
    ),
    "messages sent, to one after the other": (
        [step(("send", {"to": f"user{n}", "text": LONG}, "sent")) for n in range(60)],
        ACTS,
    ),
    "a few messages sent by a tool nobody told us of": (
        [step(("send", {"to": f"user{n}", "text": LONG}, "sent")) for n in range(14)],
        POLICY,
    ),
    "siblings": (
        [step(*[("look", {"query": "x"}, "Ritz")] * 9), step(*[("a", {}, OSError())] * 9), new(1)],
        POLICY,
    ),
    "the same sibling beside news": (
        [step(("time", {}, "noon"), ("read", {"n": n}, f"part {n}")) for n in range(5)],
        POLICY,
    ),
    "two agents that ask the same": (
        [look("x", "Ritz", agent=agent) for agent in ("a", "a", "b", "b")],
        POLICY,
    ),
    "a supervisor and a worker with news": ([supervised(n) for n in range(30)], POLICY),
    "an unnamed supervisor and worker": (
        [said("", f"Chapter {n} is done.") if n % 2 else hands("worker") for n in range(30)],
        POLICY,
    ),
    "a supervisor that says what to do": (
        [
            said("worker", f"Chapter {n} is done.")
            if n % 2
            else step(("transfer_to_worker", {"task": f"chapter {n}"}, "transferred"))
            for n in range(60)
        ],
        POLICY,
    ),
    "money that is transferred": (
        [step(("transfer_to_account", {"account": n, "eur": 5}, f"{n} paid")) for n in range(30)],
        POLICY,
    ),
    "agents that hand over after work": (
        [s for n in range(9) for s in (new(n), hands("ab"[n % 2]))],
        POLICY,
    ),
    "words of different length": ([look("x " * n, f"{n}") for n in range(30)], POLICY),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "policy"), NORMAL.values(), ids=NORMAL)
def test_normal_work_is_no_loop(steps, policy):
    """At no step of it."""
    assert {None} == set(findings(steps, policy))


def test_polls_have_an_end():
    """Whether the answer changes or not."""
    polls = [step(("status", {"job": 7}, f"{n} %")) for n in range(31)]

    assert [None] * 30 + ["polling"] == findings(polls, POLLS)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30))
@settings(max_examples=60, deadline=None)
def test_whatever_brings_something_new_each_time_is_no_progressless_loop(queries):
    """Random calls whose results are all new: only the very same call can be too many."""
    found = findings([look(query, f"{n}") for n, query in enumerate(queries)])

    assert {None, "same_call"} >= set(found)


def test_a_person_who_speaks_starts_afresh():
    """What was done for the last question says nothing about this one."""
    again = [*look("x", "Ritz"), HumanMessage("and again?")]

    assert [None] * 9 == findings([again] * 9)


@pytest.mark.parametrize(
    "not_a_person",
    [
        SystemMessage("Be brief."),
        HumanMessage("The story so far.", additional_kwargs={"lc_source": "summarization"}),
        HumanMessage("found it", name="worker"),
        HumanMessage("from us", additional_kwargs={LOOP: {"rung": "tell"}}),
    ],
)
def test_not_every_message_of_role_user_is_a_person(not_a_person):
    """Summaries, other agents and our own words do not start afresh."""
    steps = [[*look("x", "Ritz", agent="worker"), not_a_person]] * 3

    assert [None, None, "same_result"] == findings(steps)


def test_calls_without_results_are_not_judged():
    """A run that was cut off, or is paused."""
    asked = look("x", "Ritz")
    history = messages(asked, asked, asked[:1])

    assert None is POLICY.decide(turns(history))
    assert None is POLICY.due(messages(asked, asked, asked, asked[:1]))
    assert (True, False) == (open_calls(history), open_calls(messages(asked)))


def test_a_call_id_that_is_used_again_belongs_to_the_latest_answer():
    """Some models number their calls from one in each answer."""
    history = turns(messages(look("x", "one"), look("x", "two")))

    assert 2 == len({turn.result for turn in history})


# ------------------------------------------------------------------------------- ladders

SAME = look("x", "Ritz")


def marked(policy: LoopPolicy, history: list[Any], **more: Any) -> list[Any]:
    """The history with the message of the rung that is due."""
    due = policy.due(history)
    assert due is not None
    told = {
        "rung": due.rung, "level": due.level, "kind": due.finding.kind, "since": due.finding.since,
        "repeats": due.finding.repeats, "calls": list(due.finding.calls), **more,
    }  # fmt: skip
    return [*history, HumanMessage("from us", additional_kwargs={LOOP: told})]


def rung(policy: LoopPolicy, history: list[Any]) -> str | None:
    due = policy.due(history)
    return due and due.rung


def test_each_finding_climbs_one_rung_and_the_last_is_kept():
    """The rungs of a loop that nothing stops."""
    policy = LoopPolicy(ladder=("tell", "block", "interrupt", "stop"))
    history, rungs = messages(SAME, SAME), []
    for _ in range(6):
        history += SAME
        rungs.append(rung(policy, history))
        history = marked(policy, history)

    assert ["tell", "block", "interrupt", "stop", "stop", "stop"] == rungs


def test_nothing_is_due_until_the_model_has_answered_what_it_was_told():
    """The same history twice is one rung, not two."""
    history = marked(POLICY, messages(SAME, SAME, SAME))

    assert None is POLICY.due(history)


@pytest.mark.parametrize(("news", "expected"), [(0, "block"), (2, "block"), (3, "tell")])
def test_progress_leads_back_to_the_foot(news, expected):
    """Three steps with new results, by default."""
    history = marked(POLICY, messages(SAME, SAME, SAME))
    for n in range(news):
        history += new(n)

    assert expected == rung(POLICY, [*history, *SAME, *SAME, *SAME])


def test_known_results_errors_and_nothing_are_no_progress():
    """Only news is."""
    history = marked(POLICY, messages(new(1), new(2), SAME, SAME, SAME))
    history += [*new(1), *look("y", "[]"), *look("z", OSError()), *new(2)]

    assert "block" == rung(POLICY, [*history, *SAME, *SAME, *SAME])


def test_a_person_who_speaks_leads_back_to_the_foot():
    """The task is another one."""
    history = [*marked(POLICY, messages(SAME, SAME, SAME)), HumanMessage("and now?")]

    assert None is POLICY.due([*history, *SAME])
    assert "tell" == rung(POLICY, [*history, *SAME, *SAME, *SAME])


@pytest.mark.parametrize("decision", ["approve", "respond"])
def test_a_person_who_was_asked_starts_the_counting_anew_but_not_the_ladder(decision):
    """They said yes once, not for ever."""
    policy = LoopPolicy(ladder=("interrupt", "stop"))
    history = marked(policy, messages(SAME, SAME, SAME), decision=decision)

    assert None is policy.due([*history, *SAME, *SAME])
    assert "stop" == rung(policy, [*history, *SAME, *SAME, *SAME])


def test_any_call_after_answer_is_the_next_rung():
    """Even one with news."""
    policy = LoopPolicy(ladder=("answer", "stop"))
    history = marked(policy, messages(SAME, SAME, SAME))
    due = policy.due([*history, *step(*[("read", {"n": n}, f"{n}") for n in range(9)])])

    assert due is not None
    assert ("stop", "same_result", 4, 1) == (
        due.rung,
        due.finding.kind,
        due.finding.repeats,
        due.finding.since,
    )


def test_an_answer_settles_answer():
    """What goes on after it, without a person, starts at the foot."""
    policy = LoopPolicy(ladder=("answer", "stop"))
    history = [*marked(policy, messages(SAME, SAME, SAME)), AIMessage("That is all.")]

    assert None is last_mark(history)
    assert None is policy.due([*history, *new(1)])
    assert "answer" == rung(policy, [*history, *SAME, *SAME, *SAME])


def test_a_smaller_ladder_than_before_is_no_error():
    """The policy was changed while the run was paused."""
    history = marked(POLICY, messages(SAME, SAME, SAME), level=7)

    assert "stop" == rung(LoopPolicy(ladder=("tell", "stop")), [*history, *SAME])


@pytest.mark.parametrize(
    "broken",
    [
        "tell",
        {"rung": "shout"},
        {"rung": "tell", "level": 0},
        {"rung": "tell", "level": "0", "since": 1, "repeats": 3, "kind": "cycle", "calls": []},
        {"rung": ["tell"], "level": 0, "since": 1, "repeats": 3, "kind": "cycle", "calls": []},
        {"rung": "tell", "level": 0, "since": 1, "repeats": 3, "kind": {}, "calls": []},
        {"rung": "tell", "level": 0, "since": 1, "repeats": 3, "kind": "cycle", "calls": "abc"},
    ],
)
def test_a_mark_that_is_not_ours_is_none(broken):
    """Whatever a client writes there."""
    message = HumanMessage("hello", additional_kwargs={LOOP: broken})

    assert None is last_mark([message])
    assert "tell" == rung(POLICY, [*messages(SAME, SAME), message, *SAME])
