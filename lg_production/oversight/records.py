"""What is known of one tool call that was routed: as it is routed, and as the ledger has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from ..core.answers import Action
from ..core.keys import canonical, digest

Route: TypeAlias = Literal["auto", "sample", "review", "two_person", "deny"]
State: TypeAlias = Literal["routed", "open", "decided", "expired"]
ASKED: frozenset[str] = frozenset({"sample", "review", "two_person"})
"""The verdicts that wait for a person. A sampled case looks like any other to its reviewer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy decides about one tool call.

    `stratum`, `probability` and `draw` belong to the label that a person's decision will be: how
    likely such a case was to be looked at, and the number that was drawn. `quorum` people must
    agree; `expires` from when it is asked.
    """

    verdict: Route
    reasons: tuple[str, ...] = ()
    quorum: int = 1
    stratum: str = ""
    probability: float = 1.0
    draw: float | None = None
    expires: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """A tool call with the verdict about it, before the ledger has it.

    `evidence` is what a reviewer is shown besides (risk tier, amount, excerpts); `scores` by
    scorer; `provenance` says of each argument where it came from; `alternatives` are the other
    calls that were considered. `requester` may not approve it.
    """

    key: bytes
    tenant: str
    thread_id: str
    tool: str
    tool_call_id: str
    arguments: Mapping[str, Any]
    verdict: Verdict
    policy_hash: str
    agent: str = ""
    confidence: float | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    alternatives: Sequence[Any] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    requester: str = ""
    assigned_to: str = ""
    canary: bool = False

    @property
    def digest(self) -> bytes:
        """The hash of exactly what a person will be shown."""
        return shown_digest(self, self.arguments)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of the ledger, as one statement saw it. The first verdict about a call holds.

    `round` counts the proposals: an edit is a new one, and so are arguments that changed on
    their way. `voters` agreed in this round. `overdue`: open, and its deadline has passed.
    """

    key: bytes
    tenant: str
    thread_id: str
    agent: str
    tool: str
    tool_call_id: str
    arguments: Mapping[str, Any]
    digest: bytes
    policy_hash: str
    verdict: Route
    reasons: tuple[str, ...]
    confidence: float | None
    scores: Mapping[str, Any]
    alternatives: Sequence[Any]
    provenance: Mapping[str, Any]
    evidence: Mapping[str, Any]
    stratum: str
    probability: float
    canary: bool
    state: State
    version: int
    round: int
    quorum: int
    outcome: Action | None
    edited: Mapping[str, Any] | None
    message: str
    requester: str
    voters: tuple[str, ...]
    assigned_to: str
    claimed_by: str | None
    claim_until: datetime | None
    level: int
    asked_task: str | None
    asked_slot: int | None
    asked_version: int | None
    opened_at: datetime | None
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: tuple[str, ...]
    overdue: bool

    def __post_init__(self) -> None:
        for name in ("reasons", "voters", "decided_by"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def waits(self) -> bool:
        """Whether a person has yet to decide."""
        return self.verdict in ASKED and self.state in ("routed", "open")

    @property
    def runs(self) -> bool:
        """Whether this call may be carried out now. A canary never may."""
        approved = self.state == "decided" and self.outcome in ("approve", "edit")
        return not self.canary and (approved or self.verdict == "auto")

    @property
    def proposed(self) -> Mapping[str, Any]:
        """The arguments that a person is shown now, and that run once they are approved."""
        return self.arguments if self.edited is None else self.edited


def review_key(tenant: str, thread_id: str, message_id: str, tool_call_id: str) -> bytes:
    """The key of a review: only what survives crash, retry, resume, time travel and fork."""
    return digest("review", tenant, thread_id, message_id, tool_call_id)


def shown_digest(row: Routed | Recorded, proposed: Mapping[str, Any]) -> bytes:
    """The hash of what a person is shown when this is proposed: what looks alike has the same."""
    confidence = None if row.confidence is None else float(row.confidence)
    parts = (proposed, confidence, row.evidence, row.provenance, list(row.alternatives))
    return digest(row.tool, row.policy_hash, *map(canonical, parts))
