"""A report as a page: whole, harmless, and by itself."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lg_production.evaluation.comparing import compare
from lg_production.evaluation.expectation import Verdict
from lg_production.evaluation.html import html
from lg_production.evaluation.outcome import Outcome
from lg_production.evaluation.results import Report, Trial
from lg_production.evaluation.running import Runner
from tests.evaluation.agent_for_tests import builder, case, suite
from tests.evaluation.report_for_tests import HOSTILE, report, trial

VOID = {"meta", "input", "br"}
LEAVE_OPEN = {"th", "td"}


class Read(HTMLParser):
    """Reads a page as a browser does: its elements, its text, and what was not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.open[-1] != tag and self.open[-1] in LEAVE_OPEN:
            self.open.pop()

        assert tag == self.open.pop()

    def handle_data(self, data):
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def hostile():
    """A page in which every text is hostile."""
    said = {
        "type": HOSTILE,
        "data": {"content": [HOSTILE, {"text": HOSTILE}, {"image": HOSTILE}], "name": HOSTILE,
                 "tool_calls": [{"name": HOSTILE, "args": {HOSTILE: HOSTILE}}]},
    }  # fmt: skip
    outcome = Outcome(HOSTILE, messages=(said,), interrupts=(HOSTILE, {HOSTILE: HOSTILE * 9}),
                      error=HOSTILE, state={HOSTILE: HOSTILE})  # fmt: skip
    grade = {"score": None, "reason": HOSTILE}
    bad = Trial("a", 0, outcome, (Verdict(HOSTILE, False, HOSTILE),), (grade,))
    cases = ({"id": "a", "split": "happy", "note": HOSTILE},)
    pin = {"provider": HOSTILE, "model": HOSTILE, "version": HOSTILE, "prompt_hash": HOSTILE}
    old = Report(HOSTILE, "v1", "h", "t", cases, (trial("a", 0, True),))
    new = Report(HOSTILE, HOSTILE, "h", HOSTILE, cases, (bad,), {HOSTILE: HOSTILE}, (pin,),
                 HOSTILE, 1.0, {HOSTILE: HOSTILE}, HOSTILE, HOSTILE)  # fmt: skip
    return html(new, compare(old, new), objections=[HOSTILE])


def test_a_page_runs_nothing_that_a_model_wrote(hostile):
    """It is text, in content and in attributes."""
    read = Read(hostile)
    names = {name for _, attributes in read.found for name in attributes}

    assert {"script", "img"}.isdisjoint(tag for tag, _ in read.found)
    assert not [name for name in names if name.startswith("on")]
    assert "<script>alert(1)</script>" in read.text


def test_a_reader_sees_all_that_is_there(hostile):
    """What would turn the line around, or is no letter, is spelled out."""
    hostile.encode()

    assert {"\u202e", "\x00", "\ud800"}.isdisjoint(hostile)
    assert "\\u202e" in hostile


def test_a_page_needs_nothing_else(hostile):
    """No address but places in itself; its policy would load nothing."""
    read = Read(hostile)
    policies = [m["content"] for m in read.named("meta") if "http-equiv" in m]

    assert ["default-src 'none'; style-src 'unsafe-inline'"] == policies
    assert {"href", "src", "url("}.isdisjoint(
        name for tag, attributes in read.found if tag != "a" for name in attributes
    )
    assert all(link["href"].startswith("#") for link in read.named("a"))
    assert "url(" not in hostile
    assert "@import" not in hostile
    assert "//" not in hostile


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("passes", [[], [1], [0], [1, 0, 1] * 70])
def test_a_page_is_whole(passes, repeat):
    """Every element is closed, every link leads somewhere, and nothing is twice."""
    found = report(passes, repeat=repeat)
    read = Read(html(found, compare(found, found) if passes else None, objections=[]))
    ids = [attributes["id"] for _, attributes in read.found if "id" in attributes]

    assert [] == read.open
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in read.named("a")} <= set(ids)
    assert len(passes) == len([d for d in read.named("details") if "case" in d["class"]])


def test_the_first_trial_that_failed_is_shown_and_the_others_are_marked():
    """With what was said, and what was asked of a person."""
    cases = suite(case("dear", "dear trip", answers=["no"]), case("good", "trip"))
    page = Read(html(Runner(builder, cases, repeat=2).run()))

    assert "✗✗ uses book" in page.text
    assert "Trial 1 of 2: ended done" in page.text
    assert "Nothing was booked." in page.text
    assert '{"action": "book"}' in page.text
    assert 'book({"what": "trip"})' in page.text


def test_what_changed_is_told():
    """The verdict, the difference in points, and the cases."""
    old, new = report([1] * 30), report([0] * 15 + [1] * 15)
    page = Read(html(new, compare(old, new), objections=["it is worse"])).text

    assert "WorseThe pass rate changed by -50.0 points" in page
    assert "15 worse15 as before0 better" in page
    assert "The gate is not passed.it is worse" in page


def test_the_words_of_claims_are_named_beside_the_data():
    """And told where they are not those of the run before."""
    old, new = (replace(report([1, 1]), words=words) for words in ("a" * 64, "b" * 64))
    page = Read(html(new, compare(old, new))).text

    assert f"Data hWords of claims {'b' * 64}Target t" in page
    assert f"the list was {'a' * 12}, and now is {'b' * 12}" in page
    assert "the list was" not in html(new, compare(new, new))
    assert "Words of claims unknown" in html(report([1]))


def test_a_run_that_is_not_complete_says_so():
    """Whatever a gate would say."""
    assert "its budget was used up" in html(report([1, 0], stopped="budget"))
    assert "has no price" in html(report([1, 0], stopped="price"))
    assert "The gate is passed" in html(report([1]), objections=[])
    assert "The gate" not in html(report([1]))


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ai", "data": None}, {"type": "ai", "data": 5}, {"type": "ai"}, {}, 5, None, "x",
        {"data": {"content": None, "tool_calls": [5, None, {}, {"name": None}, {"args": object()}]}},
        {"type": None, "data": {"content": [None, 5, {"text": 7}], "name": 7, "tool_calls": 5}},
        {"type": "ai", "data": {"content": {"a": {1, 2}}, "tool_calls": {"name": "x"}}},
        {"type": "ai", "data": {"content": "x", "tool_calls": [{"args": {("a", "b"): 1}}]}},
    ],
)  # fmt: skip
def test_a_message_that_is_none_is_shown_as_it_is(message):
    """A finished run is not lost for it."""
    odd = replace(report([1]).trials[0], outcome=Outcome("x", messages=(message,)))
    read = Read(html(replace(report([1]), trials=(odd,))))

    assert [] == read.open
    assert 1 == len([item for item in read.named("ol") if item["class"] == "talk"])
