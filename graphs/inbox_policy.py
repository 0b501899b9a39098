"""What the agent of the inbox may do, by itself and at all: the one place where that is said."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from graphs.inbox_sending import owners_words, stands_in
from graphs.inbox_tools import OUTPUTS
from graphs.mail import Mail
from graphs.maildir import INBOX
from lg_production import (
    BudgetPolicy,
    Database,
    EffectPolicy,
    Idempotent,
    Limit,
    Limits,
    Observer,
    ToolWrapper,
)
from lg_production.security import EgressPolicy, GatePolicy, OutputPolicy, Plan, Step
from lg_production.security.detectors import SUSPICIOUS, Layered
from lg_production.security.policy import Guards, SecurityPolicy

READS = ("list_mails", "search_mails", "read_mail", "find_contact")
OWN = "harbour.example"
PINS = Path(__file__).with_name("inbox_pins.json")
"""What every tool said about itself when somebody looked at it."""

# The server suppresses a second letter with the same Message-ID, for days: then the key is safe to
# send again. One that does not needs `probe` (look into its Sent folder) or `surface` (ask). The
# same letter, word for word, is sent once a day in a thread, however often the model asks for it.
POLICIES = {
    **dict.fromkeys(READS, EffectPolicy(recovery="read_only")),
    **dict.fromkeys(
        ("draft_reply", "file_mail", "remember"), EffectPolicy(recovery="at_least_once")
    ),
    "send_mail": EffectPolicy(
        recovery="native_key", native_ttl=timedelta(days=3), window=timedelta(days=1)
    ),
}
LIMITS = BudgetPolicy(
    limits=(
        Limit(scope="thread", tool="send_mail", tool_calls=10),
        Limit(scope="thread", per="day", tool_calls=300),
    )
)


def egress_policy(mail: Mail) -> EgressPolicy:
    """Letters go to the owner's own house and to people in his address book; others are asked."""
    own = frozenset({OWN, f"*.{OWN}"})
    known = frozenset({f"@{OWN}", *mail.contacts.values()})
    return EgressPolicy(hosts=own, emails=known, identifiers=frozenset({"mail_id"}))


def security(mail: Mail, tools: Sequence[BaseTool]) -> SecurityPolicy:
    """All layers. The gate trusts the fields of the reading tools, which hold what is certain.

    One agent that reads strangers' letters and its owner's invoices, and sends mail, has all three
    legs of the Rule of Two. To hold every letter would be no help to anybody: here the plan, the
    gate and the address book say which of them a person must see.
    """
    egress = egress_policy(mail)
    return SecurityPolicy(
        tools=frozenset(tool.name for tool in tools),
        gate=GatePolicy(reads=frozenset(READS), fields_from=frozenset(READS)),
        egress=egress,
        output=OutputPolicy(egress=egress),
        pins=json.loads(PINS.read_text(encoding="utf-8")),
        schemas=OUTPUTS,
    )


def plan_of(mail: Mail, tools: Sequence[str], said: Sequence[BaseMessage]) -> Plan:
    """The tools that the last wish needs. One that names folders is for these, and no others.

    The owner's own words are let through beside them, so that a folder that there is not is
    refused by the tool, which says so, and nobody is asked about it.
    """
    wish = owners_words(said[-1:])
    folders = [one for one in mail.box.folders() if stands_in(one.casefold(), wish.casefold())]
    words = re.findall(r"\w+", wish)
    names_one = set(folders) - {INBOX}  # where all mail lies, until somebody files it
    named = {"folder": tuple(dict.fromkeys([*folders, *words]))} if names_one else {}
    steps = (
        Step(tool=tool, arguments=named if tool == "file_mail" else {})
        for tool in dict.fromkeys((*READS, *tools))
    )
    return Plan(steps=tuple(steps))


def stacked(
    database: Database, guards: Guards, observers: Sequence[Observer] = ()
) -> tuple[ToolWrapper, ...]:
    """Around the tools, the first outermost: all that guards, how often, and once each.

    `Limits` stands inside: what a person refuses uses nothing up, or ten demands of a stranger
    would leave the owner without a letter of his own.
    """
    return (
        *guards.tools,
        Limits(database, LIMITS, observers=observers),
        Idempotent(database, policies=POLICIES, observers=observers),
    )


def suspicious(text: str) -> bool:
    """Whether a line of a listing reads like an attack."""
    return Layered()(text, "tool_output").score >= SUSPICIOUS
