"""agentevals' trajectory match on outcomes and cases."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from lg_production.evaluation.cases import case_of
from lg_production.evaluation.outcome import ToolUse, outcome_of

pytest.importorskip("agentevals")

from lg_production.evaluation.agentevals import TrajectoryMatch
from lg_production.evaluation.behaviours import Trajectory

ROME, BARI = ToolUse("find", {"to": "Rome"}), ToolUse("find", {"to": "Bari"})
BOOK = ToolUse("book", {"flight": "AZ1", "seat": "7A"})


def messages(*turns: tuple[ToolUse, ...]) -> list[BaseMessage]:
    """A run with these calls, turn by turn."""
    found: list[BaseMessage] = [HumanMessage("to Rome")]
    for n, turn in enumerate(turns):
        calls: Any = [
            {"name": use.name, "args": dict(use.args), "id": f"{n}.{m}"}
            for m, use in enumerate(turn)
        ]
        found.append(AIMessage("", tool_calls=calls))
        found += [ToolMessage("ok", tool_call_id=call["id"]) for call in calls]
    return [*found, AIMessage("done")]


def passes(match: Any, seen: Any, reference: Any) -> bool:
    return match.compare(outcome_of({"messages": messages(*seen)}), reference).passed


@pytest.mark.parametrize(
    ("seen", "modes"),
    [
        ([ROME, BOOK], {"strict", "unordered", "subset", "superset"}),
        ([BOOK, ROME], {"unordered", "subset", "superset"}),
        ([ROME], {"subset"}),
        ([ROME, BARI, BOOK], {"superset"}),
        ([ROME, BARI], set()),
        ([], {"subset"}),
    ],
)
def test_a_run_is_compared_with_calls(seen, modes):
    """In each of its ways, and as our own behaviour does."""
    reference = (ROME, BOOK)
    turns = [(use,) for use in seen]
    ways = ("strict", "unordered", "subset", "superset")
    ours = {way: Trajectory(mode=way.replace("strict", "exact"), calls=reference) for way in ways}
    outcome = outcome_of({"messages": messages(*turns)})

    assert modes == {way for way in ways if passes(TrajectoryMatch(way), turns, reference)}
    assert modes == {way for way in ways if ours[way].check(outcome).passed}


@pytest.mark.parametrize(
    ("match", "passed"),
    [
        (TrajectoryMatch("strict"), False),
        (TrajectoryMatch("strict", args="ignore"), True),
        (TrajectoryMatch("strict", args="superset"), True),
        (TrajectoryMatch("strict", args="subset"), False),
        (TrajectoryMatch("strict", tools={"book": ["flight"]}), True),
        (TrajectoryMatch("strict", tools={"book": ("seat",)}), False),
        (TrajectoryMatch("strict", tools={"book": lambda seen, _: "seat" in seen}), True),
        (TrajectoryMatch("strict", tools={"book": "ignore"}), True),
    ],
)
def test_arguments_are_compared_as_asked(match, passed):
    """For all tools, or for one."""
    assert passed == passes(match, [(ROME,), (BOOK,)], [ROME, ToolUse("book", {"flight": "AZ1"})])


def test_unordered_holds_either_side_against_the_other():
    """A trait of agentevals: there, more arguments than the reference's are no superset."""
    fewer = [ROME, ToolUse("book", {"flight": "AZ1"})]

    assert not passes(TrajectoryMatch("unordered", args="superset"), [(ROME,), (BOOK,)], fewer)


def test_a_run_is_compared_with_a_whole_run():
    """Then turns count: two calls at once are not one after the other."""
    match = TrajectoryMatch("strict")

    assert passes(match, [(ROME, BARI)], messages((ROME, BARI)))
    assert passes(match, [(ROME, BARI)], messages((BARI, ROME)))
    assert not passes(match, [(ROME, BARI)], messages((ROME,), (BARI,)))


def test_a_case_brings_its_trajectory():
    """The verdict names what was called, and what was wanted."""
    given = {"id": "a", "split": "happy", "input": "x", "behaviours": [{"kind": "ends"}]}
    calls = [{"name": "find", "args": {"to": "Rome"}}]
    case = case_of({**given, "trajectory": calls})
    good = TrajectoryMatch().check(case, outcome_of({"messages": messages((ROME,))}))
    bad = TrajectoryMatch().check(case, outcome_of({"messages": messages((BARI,), (BOOK,))}))

    assert ("agentevals strict find", True, "") == (good.behaviour, good.passed, good.why)
    assert (False, "It called find, book, which is no strict match.") == (bad.passed, bad.why)
    with pytest.raises(ValueError, match="case a has no trajectory"):
        TrajectoryMatch().check(case_of(given), outcome_of({"messages": []}))


def test_calls_that_a_guard_held_back_do_not_count():
    """They were asked for, and not made."""
    held = {"lg_production": {"held": True}}
    run = messages((ROME,), (BOOK,))
    run[4] = ToolMessage("no", tool_call_id="1.0", additional_kwargs=held)

    assert TrajectoryMatch().compare(outcome_of({"messages": run}), [ROME]).passed


def test_without_the_extra_it_says_which_to_install():
    """And nothing else of the evaluation needs it."""
    code = """
import sys
sys.modules["agentevals"] = None
import lg_production.evaluation.cases, lg_production.evaluation.cassettes
import lg_production.evaluation.pytest_plugin, lg_production.evaluation.scripted
from lg_production.errors import ExtraMissing
try:
    import lg_production.evaluation.agentevals
except ExtraMissing as missing:
    print(missing)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "pip install 'lg_production[evals]'" in told.stdout
