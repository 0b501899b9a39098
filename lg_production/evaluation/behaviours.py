"""Behaviours: what a case wants of its outcome, declared as data, and checked without a model.

| kind | it wants |
|---|---|
| `uses_only` | calls of `tools` and no others |
| `uses` | a call of `tool` with `args`, `matches`, `at_least` and `at_most` so often |
| `never_uses` | no call of `tool` with `args`, `matches` |
| `in_order` | `tools` in this order, others between them or not |
| `trajectory` | the `calls` of a reference: exact, unordered, subset or superset |
| `mentions`, `never_mentions` | `any_of` the texts, or `regex`, in the answer; or not |
| `intent` | one of `allowed`, in the `state` or behind a `label` in the answer |
| `claims_only_done` | no "I have booked it" without a call that did |
| `within` | at most so many `steps`, `tokens`, `usd`, `seconds`, `tool_calls` |
| `asks` | that a person was asked, about `tool`; or `never` |
| `ends` | that the run `ended` "done", "interrupted" or with an "error" |
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from .answer_behaviours import ClaimsOnlyDone, Intent, Mentions, NeverMentions
from .expectation import Expectation, Verdict
from .run_behaviours import Asks, Ends, Within
from .tool_behaviours import InOrder, NeverUses, Trajectory, Uses, UsesOnly

__all__ = [
    "KINDS",
    "Asks",
    "Behaviour",
    "ClaimsOnlyDone",
    "Ends",
    "Expectation",
    "InOrder",
    "Intent",
    "Mentions",
    "NeverMentions",
    "NeverUses",
    "Trajectory",
    "Uses",
    "UsesOnly",
    "Verdict",
    "Within",
]

Behaviour: TypeAlias = Annotated[
    UsesOnly
    | Uses
    | NeverUses
    | InOrder
    | Trajectory
    | Mentions
    | NeverMentions
    | Intent
    | ClaimsOnlyDone
    | Within
    | Asks
    | Ends,
    Field(discriminator="kind"),
]

KINDS: dict[str, type[Expectation]] = {
    one.model_fields["kind"].default: one
    for one in (
        UsesOnly, Uses, NeverUses, InOrder, Trajectory, Mentions, NeverMentions, Intent,
        ClaimsOnlyDone, Within, Asks, Ends,
    )
}  # fmt: skip
"""The class of each kind."""
