"""Untrusted input, sensitive data, change: never all three unattended."""

from __future__ import annotations

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool

from lg_production.security.channels import recalled, summary
from lg_production.security.gate import GatePolicy
from lg_production.security.rule_of_two import ALL, RuleOfTwo

RULE = RuleOfTwo({
    "read_mail": frozenset({"untrusted"}), "read_ledger": frozenset({"sensitive"}),
    "send": frozenset({"changes"}), "clock": frozenset(),
})  # fmt: skip


def ran(*names: str):
    return [ToolMessage("…", name=name, tool_call_id=name) for name in names]


def test_a_set_of_tools_with_all_three_is_found():
    """And what was not declared is named: it counts as all three."""
    finding = RULE.lint(["read_mail", "read_ledger", "send"])

    assert finding is not None
    assert ("read_mail",) == finding.tools["untrusted"]
    assert RULE.lint(["read_mail", "send", "clock"]) is None
    assert ("mystery",) == RULE.lint(["mystery"]).undeclared


def test_the_third_leg_is_found_at_run_time():
    """By what has answered in this thread, in any order."""
    assert frozenset() == RULE.third("send", ran("read_mail"))
    assert frozenset({"changes"}) == RULE.third("send", ran("read_mail", "read_ledger"))
    assert frozenset({"sensitive"}) == RULE.third("read_ledger", ran("read_mail", "send"))
    assert frozenset() == RULE.third("clock", ran("read_mail", "read_ledger"))


def test_every_change_is_held_once_all_three_are_there():
    """A person who let one pass has not let the next."""
    done = ran("read_mail", "read_ledger", "send")

    assert frozenset({"changes"}) == RULE.third("send", done)


def test_a_tool_says_itself_what_it_brings():
    """By its tags, or by MCP's hints."""

    def run() -> str:
        return ""

    tagged = StructuredTool.from_function(run, name="a", description="a", tags=["sensitive"])
    silent = StructuredTool.from_function(run, name="b", description="b")
    rule = RuleOfTwo.of([tagged, silent], c=["changes"])

    assert frozenset({"sensitive"}) == rule.legs("a")
    assert ALL == rule.legs("b")
    assert frozenset({"changes"}) == rule.legs("c")


def test_what_is_summed_up_still_counts():
    """A summary stands on the legs of its tools, any other labelled text on untrusted input."""
    read = ToolMessage("…", name="read_ledger", tool_call_id="1")
    told = summary(HumanMessage("…"), [read])

    assert frozenset({"sensitive", "untrusted"}) == RULE.stands([told])
    assert frozenset({"untrusted"}) == RULE.stands([recalled("…")])
    assert frozenset({"changes"}) == RULE.third("send", [told])
    assert frozenset() == RULE.stands([HumanMessage("…")])


def test_the_third_leg_is_held_by_the_gate():
    """Although every value is the user's and he asked for it."""
    policy = GatePolicy(rule_of_two=RULE)
    messages = [HumanMessage("send it to Ann"), *ran("read_mail", "read_ledger")]
    held = policy.decide("send", {"to": "Ann"}, messages)

    assert held is not None
    assert ("rule_of_two",) == held.reasons
    assert policy.decide("send", {"to": "Ann"}, messages[:2]) is None
