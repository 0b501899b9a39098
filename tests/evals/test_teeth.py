"""The golden data have teeth: agents that are broken on purpose fail where they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from evals.suites import booking, inbox, research, stage
from graphs import booking as booking_graph
from lg_production.evaluation.cases import load_suite
from lg_production.evaluation.running import Runner
from tests.evals import broken_booking, broken_inbox, broken_research

BROKEN: dict[str, tuple[Any, Any]] = {
    "booking": (booking, broken_booking),
    "inbox": (inbox, broken_inbox),
    "research": (research, broken_research),
}
Breaking = Callable[[pytest.MonkeyPatch], Any]


def target(name: str, sabotage: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The suite's target, with this done to its graph."""
    suite, broken = BROKEN[name]
    if sabotage in broken.GRAPHS:
        return partial(suite.target, build=sabotage)
    if name == "booking":
        monkeypatch.setattr(booking_graph, "chat_model", lambda _: sabotage())
        return suite.target
    return partial(suite.target, build=broken.with_model(sabotage))


def failing(name: str, sabotage: Any, monkeypatch: pytest.MonkeyPatch, *ids: str) -> set[str]:
    """The cases, of these or of all, that catch it."""
    whole = load_suite(stage.GOLDEN / name)
    kept = [c for c in whole.cases if "known-failure" not in c.tags and (not ids or c.id in ids)]
    report = Runner(target(name, sabotage, monkeypatch), replace(whole, cases=tuple(kept))).run()
    return {trial.case for trial in report.trials if not trial.passed}


CAUGHT: dict[tuple[str, Any], str] = {
    ("booking", broken_booking.books_twice): "named-flight yes-a-second-time note-wants-two",
    ("booking", broken_booking.forgets_keys): "hangs-after-booking cut-off-after-booking "
    "again-and-again one-of-three-hangs yes-a-second-time-while-it-hangs",
    ("booking", broken_booking.gives_back_the_first): "another-seat-is-cancelled "
    "cancel-in-small-letters",
    ("booking", broken_booking.asks_nobody): "a-cent-above traveller-claims-certainty "
    "note-says-approved note-lies-about-the-price forged-system-message forged-history",
    ("booking", broken_booking.hears_no_answer): "found-and-rejected cancel-everything an-old-key "
    "an-answer-to-another-question agent-inbox-ignores an-edit-with-a-key",
    ("booking", broken_booking.Boastful): "named-flight no-such-city unavailable",
    ("booking", broken_booking.Spendthrift): "cheapest-is-told under-is-under a-cent-decides",
    ("booking", broken_booking.Gullible): "note-wants-the-jet note-wants-a-cancellation "
    "note-forges-a-turn note-wants-two name-is-an-order",
    ("booking", broken_booking.Trusting): "note-is-sure",
    ("booking", broken_booking.Forgetful): "another-city-in-the-second-turn "
    "cancelled-in-the-second-turn",
    ("booking", broken_booking.Curt): "cheapest-is-told dear-and-approved no-city",
    ("booking", broken_booking.Overeager): "nothing-said no-city no-such-city all-are-too-dear",
    ("booking", broken_booking.Stubborn): "found-and-rejected dear-and-rejected",
    ("inbox", broken_inbox.has_no_guard): "asked-politely in-a-file to-a-look-alike shouted "
    "a-poisoned-note wants-to-be-remembered",
    ("inbox", broken_inbox.has_no_gate): "in-the-name-of-dana to-somebody-known two-attackers",
    ("inbox", broken_inbox.has_no_output_filter): "an-image-in-the-summary "
    "a-bare-link-in-the-summary an-html-image-in-the-summary",
    ("inbox", broken_inbox.has_no_limits): "more-than-ten server-hangs a-model-that-never-stops",
    ("inbox", broken_inbox.obeys_anything): "in-hidden-html another-reply-to in-base64 in-german "
    "wants-letters-moved a-forged-tool-result",
    ("inbox", broken_inbox.Boastful): "reply server-refuses nothing-to-file",
    ("inbox", broken_inbox.Idle): "draft file-the-invoices reminders a-colleague",
    ("inbox", broken_inbox.Hasty): "summary forty-letters broken-letters",
    ("inbox", broken_inbox.Misled): "somebody-calls-himself-dana two-replies",
    ("inbox", broken_inbox.Mixed): "two-replies reply-in-the-second-turn",
    ("inbox", broken_inbox.Tidy): "nothing-said nothing-to-file out-of-the-mailbox",
    ("inbox", broken_inbox.Talkative): "no-address nobody-in-the-book german-summary",
    ("inbox", broken_inbox.Curt): "summary kept-back-and-told no-such-folder",
    ("research", broken_research.has_no_budget): "no-budget a-small-budget one-search "
    "never-stops-within-the-usual",
    ("research", broken_research.notes_anything): "why-fundy magic",
    ("research", broken_research.reads_any_file): "a-path",
    ("research", broken_research.Uncited): "fresnel-lens longitude-act",
    ("research", broken_research.Inventive): "a-false-premise magic",
    ("research", broken_research.Narrow): "two-questions he-is-somebody",
    ("research", broken_research.Knowing): "fresnel-lens not-in-the-library",
    ("research", broken_research.Careless): "why-fundy stuffed-with-words",
    ("research", broken_research.Gullible): "an-order-aside a-forged-turn a-forged-call "
    "the-research-is-over",
    ("research", broken_research.Forgetful): "second-question",
    ("research", broken_research.Restless): "longitude-act a-fair-budget",
}
"""What is broken, and cases that must catch it."""
QUICK = (
    broken_booking.books_twice, broken_booking.asks_nobody, broken_booking.hears_no_answer,
    broken_booking.Gullible, broken_inbox.has_no_guard, broken_inbox.has_no_output_filter,
    broken_inbox.Boastful, broken_research.has_no_budget, broken_research.Uncited,
)  # fmt: skip
"""What every run of the tests breaks, and looks at the first two cases that must catch it."""


def named(broken: tuple[str, Any]) -> str:
    return f"{broken[0]}-{broken[1].__name__}"


@pytest.mark.parametrize("broken", [k for k in CAUGHT if k[1] in QUICK], ids=named)
def test_an_agent_that_is_broken_fails_where_it_should(broken, monkeypatch):
    """Two cases for each of the worst."""
    name, sabotage = broken
    expected = CAUGHT[broken].split()[:2]

    assert set(expected) == failing(name, sabotage, monkeypatch, *expected)


@pytest.mark.exhaustive
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("name", BROKEN)
def test_every_case_catches_a_broken_agent(name, monkeypatch):
    """And every broken agent is caught by those that were written for it."""
    broken = BROKEN[name][1]
    caught: dict[str, set[str]] = {}
    for sabotage in (*broken.GRAPHS, *broken.MODELS):
        with monkeypatch.context() as patched:
            caught[sabotage.__name__] = failing(name, sabotage, patched)
    wanted = {s.__name__: set(ids.split()) for (n, s), ids in CAUGHT.items() if n == name}
    cases = {c.id for c in load_suite(stage.GOLDEN / name).cases if "known-failure" not in c.tags}

    assert {} == {s: ids - caught[s] for s, ids in wanted.items() if ids - caught[s]}
    assert set() == cases - set().union(*caught.values())
