"""Declared behaviours, and the verdicts that they pass."""

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lg_production.evaluation.behaviours import (
    KINDS,
    Behaviour,
    Ends,
    Mentions,
    Trajectory,
    Uses,
    Verdict,
)
from lg_production.evaluation.calls import MISSING, pairs, same, value_at
from lg_production.evaluation.outcome import Outcome, ToolUse
from lg_production.evaluation.patterns import LENGTHS, checked, most_searched, search
from lg_production.evaluation.texts import finds, normal
from tests.evaluation.test_cases import BEHAVIOURS
from tests.evaluation.test_outcome import JSON, OUTCOMES, TEXT, USES

READ = TypeAdapter(Behaviour)
SEARCH = ToolUse("search", {"to": "Rome", "date": "2026-01-02"}, "BA117")
BOOK = ToolUse("book", {"flight": "BA117", "seat": {"row": 3, "side": "A"}}, "R1")
FAILED = ToolUse("book", {"flight": "BA999"}, "sold out", "error")
HELD = ToolUse("cancel", {"reference": "R1"}, status="not_run")
RUN = Outcome(
    "Booked BA117 for EUR 1,234.00.\n**Intent:** Refund.",
    (SEARCH, FAILED, BOOK, HELD),
    steps=4,
    tokens=300,
    usd=Decimal("0.012"),
    seconds=2.5,
    interrupts=({"action_requests": [{"name": "cancel", "args": {"reference": "R1"}}]},),
    messages=(
        {"type": "human", "data": {"content": "Book the cheapest"}},
        {"type": "ai", "data": {"content": [{"type": "text", "text": "My key is k-123"}]}},
        {"type": "ai", "data": {"content": "Booked BA117 for EUR 1,234.00."}},
    ),
    state={"plan": {"intent": "Refund"}, "all": ["refund", "rebook"]},
)


def verdict(kind: str, outcome: Outcome = RUN, **fields) -> Verdict:
    return READ.validate_python({"kind": kind, **fields}).check(outcome)


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        ("uses_only", {"tools": ["search", "book"]}, ""),
        ("uses_only", {"tools": "book"}, "It called search(to='Rome', date='2026-01-02'), which is not among book."),
        ("uses_only", {"tools": []}, "It called search(to='Rome', date='2026-01-02'), which is not among nothing."),
        ("uses_only", {"tools": ["search", "book"], "counts": "asked"}, "It called cancel(reference='R1'), which is not among search, book."),
        ("uses", {"tool": "book"}, ""),
        ("uses", {"tool": "book", "args": {"flight": "BA117", "seat": {"row": 3.0}}, "at_most": 1}, ""),
        ("uses", {"tool": "book", "args": {"seat": {"row": 4}}}, "It was done not once; of the calls there were book(flight='BA999') error, book(flight='BA117', seat={'row': 3, 'side': 'A'}) success."),
        ("uses", {"tool": "book", "args": {"seat": {"row": True}}}, "It was done not once"),
        ("uses", {"tool": "book", "matches": {"flight": "^BA\\d+$", "seat.row": "^3$"}}, ""),
        ("uses", {"tool": "book", "matches": {"flight": "^LH"}}, "It was done not once"),
        ("uses", {"tool": "book", "matches": {"nothing": ".*"}}, "It was done not once"),
        ("uses", {"tool": "book", "at_least": 2}, "It was done once"),
        ("uses", {"tool": "book", "at_least": 2, "counts": "made"}, ""),
        ("uses", {"tool": "book", "at_most": 1, "counts": "made"}, "It was made twice"),
        ("uses", {"tool": "cancel"}, "It was done not once; of the calls there were cancel(reference='R1') not_run."),
        ("uses", {"tool": "pay"}, "It was done not once; of the calls there were search("),
        ("uses", {"tool": "book", "at_least": 0, "at_most": 0}, "It was done once"),
        ("never_uses", {"tool": "cancel"}, ""),
        ("never_uses", {"tool": "cancel", "counts": "asked"}, "It called cancel(reference='R1') (not_run)."),
        ("never_uses", {"tool": "book"}, "It called book(flight='BA999') (error)."),
        ("never_uses", {"tool": "book", "args": {"flight": "LH1"}}, ""),
        ("never_uses", {"tool": "search", "matches": {"to": "(?i)rome"}}, "It called search(to='Rome', date='2026-01-02') (success)."),
        ("in_order", {"tools": ["search", "book"]}, ""),
        ("in_order", {"tools": ["book", "search"]}, "After what was wanted before it, search is missing in search, book."),
        ("in_order", {"tools": ["search", "book", "book"]}, "After what was wanted before it, book is missing in search, book."),
        ("in_order", {"tools": ["search", "book", "book"], "counts": "made"}, ""),
        ("intent", {"state": "plan.intent", "allowed": ["refund"]}, ""),
        ("intent", {"state": "all", "allowed": ["refund"]}, "It is rebook, not one of refund."),
        ("intent", {"state": "all.0", "allowed": ["refund"]}, ""),
        ("intent", {"state": "plan.other", "allowed": ["refund"]}, "There is no plan.other."),
        ("intent", {"label": "intent", "allowed": ["REFUND", "book"]}, ""),
        ("intent", {"label": "intent", "allowed": ["book"]}, "It is ** Refund., not one of book."),
        ("intent", {"label": "mood", "allowed": ["book"]}, "There is no mood."),
        ("within", {"steps": 4, "tokens": 300, "usd": "0.012", "seconds": 2.5, "tool_calls": 3}, ""),
        ("within", {"steps": 3}, "It took 4 steps; the limit is 3."),
        ("within", {"usd": 0.0119}, "It took 0.012 usd; the limit is 0.0119."),
        ("within", {"seconds": 2}, "It took 2.50 seconds; the limit is 2.0."),
        ("within", {"tool_calls": 2}, "It took 3 tool_calls; the limit is 2."),
        ("asks", {}, ""),
        ("asks", {"tool": "cancel"}, ""),
        ("asks", {"tool": "book"}, "It asked {'action_requests':"),
        ("asks", {"tool": "book", "never": True}, ""),
        ("asks", {"never": True}, "It asked once: {'action_requests':"),
        ("ends", {}, ""),
        ("ends", {"ended": "interrupted"}, "It ended done."),
        ("mentions", {"any_of": "ba117"}, ""),
        ("mentions", {"any_of": ["Rome", "1234"]}, ""),
        ("mentions", {"any_of": ["Rome"]}, "It said 'Booked BA117 for EUR 1,234.00.\\n**Intent:** Refund.'."),
        ("mentions", {"any_of": "ba117", "case_sensitive": True}, "It said"),
        ("mentions", {"regex": "BA\\d{3} for"}, ""),
        ("mentions", {"regex": "EUR 1234\\b"}, ""),
        ("mentions", {"regex": "for eur", "case_sensitive": True}, "It said"),
        ("never_mentions", {"regex": "k-\\d+"}, ""),
        ("never_mentions", {"regex": "k-\\d+", "where": "said"}, "It said 'k-123'."),
        ("never_mentions", {"any_of": ["cheapest"], "where": "said"}, ""),
        ("never_mentions", {"any_of": ["x", "EUR 1234"]}, "It said 'EUR 1234'."),
        ("claims_only_done", {}, ""),
        ("claims_only_done", {"claims": {"pay": ["booked"]}}, "It said 'Booked BA117 for EUR 1,234.00.'; of pay no call succeeded, but search, book."),
    ],
)  # fmt: skip
def test_a_behaviour_says_what_it_saw(kind, fields, why):
    """Nothing if the outcome is as wanted, and else a sentence with the value."""
    found = verdict(kind, **fields)

    assert (not why, kind) == (found.passed, found.behaviour.split()[0])
    assert found.why.startswith(why)
    assert why or not found.why


def test_what_nobody_counted_is_within_nothing():
    """A price that is unknown, and tokens of a model that tells none."""
    unknown = Outcome("Hi", steps=2)

    assert (
        "Nobody told the usd, so they are within no limit." == verdict("within", unknown, usd=1).why
    )
    assert "Nobody told the tokens" in verdict("within", unknown, tokens=9).why
    assert verdict("within", Outcome(""), tokens=9).passed


def test_a_run_that_ends_with_an_error_may_be_wanted():
    """By a part of its text."""
    outcome = Outcome("", ended="error", error="BudgetExceeded: no room for this call")

    assert verdict("ends", outcome, ended="error", error="BudgetExceeded").passed
    assert "It ended error: BudgetExceeded: no room for this call." == verdict("ends", outcome).why
    assert not verdict("ends", outcome, ended="error", error="ValueError").passed


@pytest.mark.parametrize(
    "payload",
    [
        {"action_requests": [{"name": "book", "args": {}}], "review_configs": []},
        [{"action_request": {"action": "book", "args": {}}, "config": {}}],
        {"tool": "book"},
    ],
)
def test_the_tool_of_a_question_is_found_in_any_of_its_shapes(payload):
    """LangChain's, Agent Inbox's, and one's own."""
    assert verdict("asks", Outcome("", interrupts=(payload,)), tool="book").passed
    assert not verdict("asks", Outcome("", interrupts=(payload,)), tool="boo").passed
    assert "It asked nobody." == verdict("asks", Outcome("")).why


# --------------------------------------------------------------------------------- trajectory
A, B, C = (ToolUse("t", {"n": n, "deep": {"x": 1, "y": 2}}) for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("mode", "seen", "passed"),
    [
        ("exact", [A, B], True), ("exact", [B, A], False), ("exact", [A, B, B], False),
        ("unordered", [B, A], True), ("unordered", [A, A], False), ("unordered", [A], False),
        ("superset", [C, B, A], True), ("superset", [A, C], False),
        ("subset", [B], True), ("subset", [], True), ("subset", [B, B], False), ("subset", [C], False),
    ],
)  # fmt: skip
def test_a_trajectory_is_compared_in_four_ways(mode, seen, passed):
    """As agentevals does: exact, unordered, superset, subset; each call counts once."""
    assert passed == Trajectory(mode=mode, calls=(A, B)).check(Outcome("", tuple(seen))).passed


def test_arguments_of_a_trajectory_may_be_a_part_or_ignored():
    """The same, at least the reference's, or none."""
    reference = (ToolUse("t", {"deep": {"x": 1}}),)
    passed = {
        args: [
            Trajectory(args=args, calls=reference).check(Outcome("", (use,))).passed
            for use in (reference[0], A, ToolUse("t", {"deep": 1}), ToolUse("u"))
        ]
        for args in ("same", "holds", "ignore")
    }

    assert {
        "same": [True, False, False, False],
        "holds": [True, True, False, False],
        "ignore": [True, True, True, False],
    } == passed


def test_a_trajectory_without_reference_does_not_pass():
    """It is filled in when a case is read; by itself it says so."""
    assert "There is no reference" in Trajectory().check(RUN).why


@given(st.lists(st.sets(st.integers(0, 5)), max_size=5), st.integers(0, 6))
def test_as_many_as_possible_are_paired(wanted, n):
    """Against trying all ways."""

    def most(i: int, left: frozenset) -> int:
        if i == len(wanted):
            return 0
        return max(most(i + 1, left), *(1 + most(i + 1, left - {j}) for j in wanted[i] & left), 0)

    assert most(0, frozenset(range(n))) == pairs(wanted, range(n), lambda one, fit: one in fit)


def test_a_thousand_equal_calls_are_compared():
    """A loop must be a verdict, and no error."""
    loop = tuple([A] * 1_000)

    assert Trajectory(mode="unordered", calls=loop).check(Outcome("", loop)).passed


# -------------------------------------------------------------------------------------- texts
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It costs EUR 1,234.00.", "1234"), ("It costs 1.234,00 €", "1234"),
        ("It costs 1 234 €", "1234"), ("It costs 1\u202f234,50 €", "1234.5"),
        ("It costs 1'234.50", "1,234.5"), ("12,50 euro", "12.5"), ("1234", "1,234.00"),
        ("USD 1,234,567.89", "1234567.89"), ("It is 12.", "12"), ("(12)", "12"), ("12%", "12"),
        ("BA‑117", "BA-117"), ("ＢＡ117", "ba117"), ("BA\u200b117", "BA117"), ("don’t", "don't"),
        ("New\n  York", "new york"), ("**BA117**", "BA117"), ("STRASSE", "straße"),
        ("東京までの便", "東京"), ("by e-mail.", "e-mail"), ("gate 12 100 euro", "100"),
        ("It was −5", "-5"), ("a+b", "a+b"),
    ],
)  # fmt: skip
def test_a_text_says_it_in_other_spellings(text, wanted):
    """Numbers, spaces, dashes, widths and capitals are spelled in many ways."""
    assert finds(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("EUR 412.00", "12"), ("EUR 412.00", "41"), ("1.12", "12"), ("12.50", "12"),
        ("1,234", "234"), ("BA1170", "BA117"), ("ABA117", "BA117"), ("Romeo", "Rome"),
        ("1.234.567", "1.234"), ("version 1.2.3", "1.2"), ("nothing", "12"), ("aab", "a+b"),
    ],
)  # fmt: skip
def test_a_text_does_not_say_what_is_only_in_a_part_of_a_word(text, wanted):
    """The entity, as whole words and whole numbers."""
    assert not finds(text, wanted)


@given(st.integers(0, 10**9), st.integers(0, 99))
def test_a_number_is_found_in_each_of_its_spellings(whole, cents):
    """English, German and Swiss, with and without groups."""
    plain = f"{whole}.{cents:02}"
    grouped = f"{whole:,}.{cents:02}"
    german = grouped.translate(str.maketrans(",.", ".,"))
    spellings = [plain, grouped, german, grouped.replace(",", "'"), grouped.replace(",", "\u00a0")]

    assert [True] * 5 == [finds(f"for {text} euro", plain) for text in spellings]
    assert [False] * 5 == [
        finds(f"for {text} euro", f"{whole + 1}.{cents:02}") for text in spellings
    ]


@given(TEXT)
def test_one_spelling_is_its_own(text):
    """Nothing more changes the second time."""
    once = normal(text)

    assert normal(once) == once


# ----------------------------------------------------------------------------------- patterns
@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*)*b", "(a?){20}b", "(?P<x>\\d+,?)+", "([a-z]+ )*", ".*x.*y", "[^a]*b[^c]+", "(?x)a b",
     "(", "a" * 1_001, "[", "*", "(?<=a+)b", "\\", "(?P<1>a)", "\\w*\\w*\\w*\\w*!", "\\d*\\d*\\d*\\d*x",
     ".{0,80}" * 5 + "x", "a?" * 28 + "a" * 28 + "$", "(?:a|ab|abc)*x", "(a|b|ab)(a|b|ab)?" * 12 + "x",
     "(?:x.*)?y.*z", "(.*)\\1x", "(?=.*a.*b)", "(?i)k*\u212a*x", "(?a)\\W*\u00e9*x", "[\u0430-\u044f]*\u0431*x"],
)  # fmt: skip
def test_a_pattern_that_could_take_for_ever_is_refused(pattern):
    """When it is read, not when a model has said something long."""
    with pytest.raises(ValueError):
        checked(pattern)
    with pytest.raises(ValidationError):
        Mentions(regex=pattern)


@pytest.mark.parametrize(
    "pattern",
    ["BA\\d+", "(?i)rome|paris", "^R-\\d{4,8}$", "total:\\s*(\\d+)", "Rome.{0,80}BA117", "[a(+]+b",
     "(?:,\\d{3})+", "\\(a+\\)+", "(?=.*x)y", "(a|b)?c", "(?P<n>ab)+", "[]a|]+", "(?<!a)b", ".*x.{0,9}y",
     "(?:a|b)+", "((a|b)c)*", "a+b+c+d+e+", "\\s*\\w+\\s*=\\s*\\w+", "\\b\\d+(?:\\.\\d+)?\\s*(EUR|USD|%)",
     "(\\d{1,3}\\.){3}\\d{1,3}", "\\w+@\\w+\\.\\w+", "a++b", "(?>a+)b", "(a)?(?(1)b|c)"],
)  # fmt: skip
def test_a_pattern_that_is_fast_is_taken(pattern):
    """Sets, escapes and groups that say one thing are no trouble."""
    assert pattern == checked(pattern)


@given(st.text("a.*+?|(){}[]^\\1,:=<>P", max_size=12))
@example("(a|a)*")
def test_a_pattern_is_refused_with_a_sentence_or_searched_in_time(pattern):
    """Whatever is written."""
    try:
        taken = checked(pattern)
    except ValueError as error:
        taken, told = "", str(error)
    else:
        told = "taken"

    search(taken, ("a" * 2_000 + "!")[: most_searched(taken)])
    assert told


def test_a_text_that_is_too_long_to_be_searched_does_not_pass():
    """Neither what it must say nor what it must not is known."""
    long = Outcome("x" * (most_searched(".*y") + 1) + " BA117")

    assert "too long to be searched" in verdict("mentions", long, regex=".*y").why
    assert "too long to be searched" in verdict("never_mentions", long, regex="z.*y").why
    assert verdict("mentions", long, regex="BA\\d+").passed
    assert "too long" in verdict("never_mentions", Outcome("x" * 100_001), any_of="y").why


HOSTILE = """
from lg_production.evaluation.patterns import checked, most_searched, search
for pattern in {patterns!r}:
    longest = most_searched(checked(pattern))
    for text in "a", "a1", "[1":
        search(pattern, (text * longest)[:longest], ignore_case=True)
"""


def test_the_longest_text_of_every_pattern_that_is_taken_is_searched():
    """In a process of its own: what the engine has begun, nobody can stop."""
    patterns = [".*x.{0,9}y", "\\w+\\s+\\w+x", "(a|b)*x", "a{0,80}[a-c]{0,80}x", "\\w?\\w*\\s!",
                ".{2,4}(a|b){0,9}(a|b)+!", "a+b+c+d+e+", "\\[\\d+\\](?=[\\s\\S]{0,2000}\\[\\d+\\] T)"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE.format(patterns=patterns)], timeout=250, check=False
    )

    assert 0 == done.returncode


def test_every_pattern_of_the_golden_data_is_taken():
    """And a text of 5,000 characters can be searched with each."""
    found = [
        pattern
        for file in (Path(__file__).parents[2] / "evals" / "golden").rglob("*.jsonl")
        for line in file.read_text().splitlines()
        for behaviour in json.loads(line).get("behaviours", ())
        for pattern in (behaviour.get("regex"), *behaviour.get("matches", {}).values())
        if pattern
    ]

    assert [] == [one for one in found if most_searched(checked(one)) < 5_000]
    assert len(found) > 20
    assert 2_000 == LENGTHS[-1]


def test_a_use_that_holds_whatever_is_called_is_refused():
    """At least no call, and no most: that asks for nothing."""
    with pytest.raises(ValidationError, match="give at_most as well"):
        Uses(tool="book", at_least=0)

    assert 3 == Uses(tool="book", at_least=0, at_most=3).at_most


# --------------------------------------------------------------------------------- all of them
@given(BEHAVIOURS, OUTCOMES)
def test_every_outcome_gets_a_verdict(behaviour, outcome):
    """Never an error; and the same again for the same."""
    one = READ.validate_python(behaviour)
    found = one.check(outcome)

    assert found == READ.validate_python(one.model_dump(mode="json")).check(
        Outcome.read(outcome.stored())
    )
    assert found.passed == (not found.why)
    assert found.behaviour.startswith(behaviour["kind"])
    assert len(found.why) < 600


def test_every_kind_is_there():
    """The union, the table and the list of classes are the same."""
    assert {*KINDS} == {*READ.json_schema()["discriminator"]["mapping"]}
    for kind, one in KINDS.items():
        assert (
            f"`{kind}`" in __import__("lg_production.evaluation.behaviours", fromlist=["x"]).__doc__
        )
        assert one.model_fields["kind"].default == kind


def test_a_behaviour_keeps_its_kind_when_defaults_are_left_out():
    """Else nobody could read it again."""
    assert {"kind": "ends"} == Ends().model_dump(exclude_defaults=True)


def test_a_behaviour_is_frozen():
    """It is shared by threads."""
    with pytest.raises(ValidationError):
        Ends().ended = "error"


@given(JSON, JSON)
def test_the_same_value_is_the_same_json(one, other):
    """1 is 1.0, and not True."""
    assert same(one, one)
    assert same(one, other) == same(other, one)
    if re.sub(r"\s", "", repr(one)) == re.sub(r"\s", "", repr(other)):
        assert same(one, other)


@given(USES)
def test_a_value_is_found_by_its_path(use):
    """And what is not there is missing, not None."""
    assert all(use.args[name] is value_at(use.args, name) for name in use.args)
    assert MISSING is value_at(use.args, "no.such.path")
    assert MISSING is value_at({"a": [1]}, "a.1")
    assert 1 == value_at({"a": [1]}, "a.0")


@pytest.mark.parametrize("text", ["1." + "0" * 90_000 + "1", "1" * 90_000, "1,0" * 30_000])
def test_a_long_number_is_read_once(text):
    """No answer can stop an evaluation; a pattern that looks at it again and again would."""
    assert not finds(text, "12.5")


@pytest.mark.parametrize(
    ("said", "wanted", "found"),
    [("1.50", "1.5", True), ("2.0", "2", True), ("2.", "2", True), ("1.05", "1.5", False)],
)
def test_noughts_at_the_end_of_a_number_say_nothing(said, wanted, found):
    """12.50 is 12.5."""
    assert found == finds(f"it is {said} euros", wanted)
