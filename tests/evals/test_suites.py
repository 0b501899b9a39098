"""The targets of the suites: every trial has a fresh world, and tells what really happened in it."""

from __future__ import annotations

from contextlib import ExitStack
from email import message_from_bytes, policy
from typing import Any
from uuid import uuid4

import httpx
import pytest

from evals.suites import booking, inbox, research, stage
from evals.suites.post import written
from graphs.letters import read_letter
from graphs.library import Document, Library, library
from graphs.research_costs import POLICY
from lg_production.evaluation.cases import Case, case_of


def a_case(wish: str, script: str = "", **more: Any) -> Case:
    ends = {"kind": "ends"}
    given = {"id": "one", "split": "happy", "input": wish, "script": script, "behaviours": [ends]}
    return case_of({**given, **more})


def run(suite: Any, wish: str, script: str = "") -> dict[str, Any]:
    case = a_case(wish, script)
    with suite.target(case) as graph:
        state: dict[str, Any] = graph.invoke(case.input, config())
    return state


def config() -> Any:
    return {"configurable": {"thread_id": uuid4().hex}}


# ---------------------------------------------------------------------------------- worlds


def test_a_world_that_there_is_not_is_named_with_those_that_there_are():
    """A case with a typing error is no case in the usual world."""
    with pytest.raises(LookupError, match=r"no world 'two-bookngs' for booking; there are .*two-b"):
        run(booking, "Cancel REF001", "two-bookngs")


@pytest.mark.parametrize("name", ["../worlds/two-bookings", "/etc/passwd", "two-bookings.json"])
def test_the_name_of_a_world_is_no_path(name):
    """Cases come from files that others write."""
    with pytest.raises(LookupError, match="no world"):
        stage.world("booking", name)


def test_two_trials_of_a_case_do_not_meet():
    """Side by side: each books the first seat of an airline of its own."""
    case = a_case("Book flight TP1234")
    with ExitStack() as stack:
        graphs = [stack.enter_context(booking.target(case)) for _ in range(2)]
        states = [graph.invoke(case.input, config()) for graph in graphs]

    assert ["TP1234", "TP1234"] == [state["booked"] for state in states]
    assert all("REF001" in state["messages"][-1].text for state in states)


def test_what_the_world_has_on_record_is_in_the_state_also_when_it_failed():
    """`get_state` is what is left of a run that raised."""
    case = a_case("Book flight TP1234", "airline-cuts-always")
    with booking.target(case) as graph:
        where = config()
        with pytest.raises(httpx.TransportError):
            graph.invoke(case.input, where)
        values = graph.get_state(where).values

    assert ("TP1234", "nothing") == (values["booked"], values["cancelled"])
    assert "Book flight TP1234" == values["messages"][0].text


# --------------------------------------------------------------------------------- airline


def flights(*found: dict[str, Any]) -> booking.Timetable:
    return booking.Timetable(stage.GOLDEN / "nothing", timetable=list(found))


ONE = {"flight": "A1", "to": "Oslo", "date": "3 May", "euros": 10}
FULL = {"flight": "A2", "to": "Oslo", "euros": 5, "sold_out": True}


@pytest.mark.parametrize(
    ("to", "date", "expected"),
    [("oslo", "3 May", ["A1"]), ("Oslo", "4 May", []), ("Oslo", "any day", ["A1"]),
     ("Rome", "3 May", []), ("", "", ["A1"])],
)  # fmt: skip
def test_an_airline_flies_where_it_says(to, date, expected):
    """City and day count, and what is sold out is not on offer."""
    assert expected == [one["flight"] for one in flights(ONE, FULL).flights(to, date)]


def test_an_airline_books_what_there_is(tmp_path):
    """404 for no flight of its, 409 for one without a seat."""
    record = flights(ONE, FULL)
    record.file = tmp_path / "bookings.jsonl"

    assert [404, 409, 201] == [record.book(name, None)[0] for name in ("A3", "A2", "A1")]


# -------------------------------------------------------------------------------- letters


def test_a_letter_is_written_as_it_was_described():
    """Text and HTML, files, an archive, and headers."""
    raw = written({
        "id": "1", "from": "Eve <eve@evil.com>", "subject": "Smørebrød", "text": "plain",
        "html": "<p>rich</p>", "files": {"a.txt": "one"}, "zip": {"b.txt": "two"},
        "headers": {"Reply-To": "x@evil.com"},
    })  # fmt: skip
    letter = read_letter(raw, "1", "INBOX")

    assert ("eve@evil.com", "Smørebrød", "plain") == (letter.sender, letter.subject, letter.text)
    assert [("a.txt", "one"), ("b.txt in files.zip", "two")] == [
        (file.name, file.text.strip()) for file in letter.attachments
    ]
    assert "x@evil.com" == message_from_bytes(raw, policy=policy.default)["Reply-To"]


def test_a_raw_letter_is_its_bytes():
    """One byte a character, also those that are no text."""
    assert bytes(range(256)) == written({"id": "1", "raw": "".join(map(chr, range(256)))})


def test_the_mailbox_tells_what_was_done_to_it():
    """Who got a letter, drafts, folders, notes; and nothing is "nothing"."""
    wish = "File the invoices under Invoices. Draft a reply to Dana that I come."
    state = run(inbox, wish, "three-invoices")

    assert ("nothing", "nothing", "nothing") == tuple(
        state[key] for key in ("received", "leaked", "noted")
    )
    assert "dana@northwind.example" == state["drafted"]
    assert "mail-02 in Invoices, mail-03 in Invoices, mail-04 in Invoices" == state["filed"]


# -------------------------------------------------------------------------------- research


def test_a_library_of_ones_own_makes_no_other_graph(staged):
    """What is put together here is what the reference graph is."""
    other = Library([*library().documents.values()])
    drawn = [
        research.build(staged, ours, POLICY).compile().get_graph(xray=True)
        for ours in (library(), other)
    ]

    assert drawn[0].nodes.keys() == drawn[1].nodes.keys()
    assert drawn[0].edges == drawn[1].edges


def test_what_researchers_say_is_told_one_after_the_other():
    """Their calls have the same ids; each answer stands behind its own call."""
    wish = "How does a Fresnel lens work, and why are the tides of Fundy so high?"
    messages = run(research, wish)["messages"]
    reads = [(n, m) for n, m in enumerate(messages) if m.name == "read"]

    assert {"# The Fresnel lens", "# The Bay of Fundy"} == {
        m.text.splitlines()[0] for _, m in reads
    }
    assert all(m.tool_call_id == messages[n - 1].tool_calls[0]["id"] for n, m in reads)
    assert all(
        messages[n - 1].tool_calls[0]["args"]["document"].split("-")[-1] in m.text.lower()
        for n, m in reads
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It is so. [1] It is not. [2]\n\n[1] One\n[2] Two", []),
        ("It is so. It is not. [1]\n\n[1] One", ["It is so."]),
        ("It is so [1]. It is 12.4 hours.\n\n[1] One", ["It is 12.4 hours."]),
        ("This answer is partial. Not researched to the end:\n- Why? (the budget is used up)", []),
        ("The library has nothing about this: Why?", []),
        ("", []),
    ],
)
def test_sentences_without_a_source_are_found(answer, expected):
    """A number counts for the sentence in front of it; what is missing needs no source."""
    numbered = [s for s in research.said(answer) if not research.NUMBER.search(s)]

    assert expected == numbered


def test_notes_that_no_document_has_are_found():
    """Word for word, in the library of the trial."""
    note = {"text": "It is magic.", "document": "d", "title": "D"}
    told = research.told({"reports": [{"notes": [note]}]}, Library([Document("d", "D", "No.")]))

    assert ("It is magic.", "nothing") == (told["invented"], told["sources"])
