"""Canaries: cases that are known to be bad, among the real ones, to see whether people still look.

A canary is a row of the ledger and nothing else: no graph waits for it, so nothing goes on when
it is approved, and a call that came under its key would be refused all the same. Whoever decides
about one is told afterwards; whoever approves it has missed it.
"""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from ..core.events import Event
from ..core.keys import digest
from ..core.steps import Emit, Steps
from . import ledger, queries
from .asking import blind
from .decay import Recommendation
from .records import Recorded, Routed, Verdict
from .routing import SECRET
from .sampling import draw
from .watching import Watcher

UUID_LIKE = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Canary:
    """A call that nobody should approve, as the agent might have asked for it.

    `arguments` must be wrong in a way that an attentive reviewer sees: ten times the price, a
    destination that is not in the request. `evidence` replaces what is shown besides, by name;
    `alternatives` are other calls that the agent seems to have considered.
    """

    tool: str
    arguments: Mapping[str, Any]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    alternatives: Sequence[Mapping[str, Any]] = ()


def seed_steps(
    canaries: Sequence[Canary],
    rate: float = 0.05,
    *,
    tenant: str | None = None,
    watcher: Watcher | None = None,
) -> Steps[list[Recorded]]:
    """Put a canary beside a share of `rate` of the cases that wait now; those that are new.

    Run it as often as you like, from as many workers: a keyed hash of a case says whether it
    gets one and which, so each case is asked once, and neither the agent nor a reviewer can tell
    beforehand. A canary has the tool, agent, deadline and assignee of its neighbour, so it comes
    to the same reviewers, and the confidence of some case of the tool; a case that was escalated
    gets none. Where there is an alarm of haste, `watcher` multiplies the rate. Emits
    `review.canary`. `ValueError` for a rate that is none.
    """
    if not 0 <= rate <= 1:
        raise ValueError("rate is a share, from 0 to 1")
    if watcher is not None:
        yield from watcher.look()
    secret = digest("canaries", (yield from SECRET).hex())
    planted = []
    rows = yield from queries.listed(None, None, tenant, 10_000)
    real: defaultdict[tuple[str, str], list[Recorded]] = defaultdict(list)
    for row in rows:
        if not row.canary:
            real[row.tenant, row.tool].append(row)
    for row in rows:
        fitting = [canary for canary in canaries if canary.tool == row.tool]
        asked = watcher.of(row.tool) if watcher else Recommendation()
        drawn = draw(secret, row.key)
        if row.canary or row.level or not fitting or drawn >= rate * asked.review_rate:
            continue
        noise, alike = digest(secret.hex(), row.key.hex()), real[row.tenant, row.tool]
        like = alike[int.from_bytes(noise[4:8]) % len(alike)]
        chosen = fitting[int.from_bytes(noise[:4]) % len(fitting)]
        planted.append((row, beside(row, chosen, secret, like)))
    return (yield from _plant(planted))


def _plant(planted: Sequence[tuple[Recorded, Routed]]) -> Steps[list[Recorded]]:
    found = yield from ledger.look([canary.key for _, canary in planted])
    known = {row.key for row in found}
    new = [canary for _, canary in planted if canary.key not in known]
    half = [row for row in found if row.state == "routed"]  # whoever planted it died
    kept = []
    for row in [*half, *(yield from ledger.freeze(new))]:
        opened = yield from ledger.opened(row.key)
        if opened is not None:
            yield from Emit(Event("review.canary", {"tool": row.tool, "review": row.key.hex()}))
            kept.append(opened)
    return kept


def beside(row: Recorded, canary: Canary, secret: bytes, like: Recorded) -> Routed:
    """A canary that looks like its neighbour but for what is asked; `like` gives its confidence."""
    if "amount" in row.evidence and "amount" not in canary.evidence:
        raise ValueError(
            f"a canary for {row.tool} needs its amount: evidence={{'amount': '90000'}}"
        )
    key = digest(secret.hex(), "canary", row.key.hex())
    left = None
    if row.expires_at is not None and row.opened_at is not None:
        left = max(row.expires_at - row.opened_at, timedelta(seconds=1))
    return Routed(
        key=key,
        tenant=row.tenant,
        thread_id=shaped(row.thread_id, digest(key.hex(), "thread")),
        tool=row.tool,
        tool_call_id=shaped(row.tool_call_id, digest(key.hex(), "call")),
        arguments=dict(canary.arguments),
        verdict=Verdict(blind(row), row.reasons, quorum=row.quorum, expires=left),
        policy_hash=row.policy_hash,
        agent=row.agent,
        confidence=like.confidence,
        scores=like.scores,
        alternatives=canary.alternatives,
        provenance={name: row.provenance.get(name, "user") for name in canary.arguments}
        if row.provenance
        else {},
        evidence={**row.evidence, **canary.evidence},
        requester=row.requester,
        assigned_to=row.assigned_to,
        canary=True,
    )


def shaped(text: str, noise: bytes) -> str:
    """Text of the same shape: other digits for digits and other letters for letters."""
    if UUID_LIKE.fullmatch(text):
        return str(UUID(bytes=noise[:16], version=int(text[14])))
    head = text[: text.index("_") + 1] if "_" in text else ""
    tail = text[len(head) :]
    letters = "abcdef" if set(tail.lower()) <= set("0123456789abcdef-") else string.ascii_lowercase
    return head + "".join(
        _other(sign, noise[at % len(noise)] + at, letters) for at, sign in enumerate(tail)
    )


def _other(sign: str, noise: int, letters: str) -> str:
    if sign.isdigit():
        return string.digits[noise % 10]
    if not sign.isalpha():
        return sign
    letter = letters[noise % len(letters)]
    return letter.upper() if sign.isupper() else letter
