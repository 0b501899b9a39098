"""What people decide about effects in doubt: compare-and-set, committed before it is acted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

from ..core.answers import INBOX, Unreadable
from ..core.steps import Statement
from .ledger import Effect

Action: TypeAlias = Literal["approve", "respond", "reject"]
ACTIONS: tuple[Action, ...] = ("approve", "respond", "reject")
INTO = {"approve": "ready", "respond": "succeeded", "reject": "failed_final"}
MEANING = {
    "approve": "run it again",
    "respond": "it happened, with this result",
    "reject": "it did not happen, and it shall not be run",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's answer. `message` is the result for respond, the reason for reject."""

    action: Action
    message: str = ""


def read_decisions(answer: Any, count: int) -> list[Decision] | Unreadable:
    """The decisions in a resume value: LangChain's, Agent Inbox's, or a bare decision."""
    if isinstance(answer, dict) and "decisions" in answer:
        answer = answer["decisions"]
    entries = answer if isinstance(answer, list) else [answer]
    if len(entries) < count:
        return Unreadable(f"{len(entries)} decisions for {count} questions")
    decisions = [_read_one(entry) for entry in entries]
    problems = [d for d in decisions if isinstance(d, Unreadable)]
    return problems[0] if problems else [d for d in decisions if isinstance(d, Decision)]


def _read_one(entry: Any) -> Decision | Unreadable:
    kind = entry.get("type") if isinstance(entry, dict) else None
    action = INBOX.get(str(kind), str(kind))
    if action not in ACTIONS:
        return Unreadable(f"{kind!r} is not one of {', '.join(ACTIONS)}")
    message = entry.get("message", entry.get("args"))
    if action == "respond" and not (isinstance(message, str) and message):
        return Unreadable("respond needs a message: what the tool would have returned")
    return Decision(action, message if isinstance(message, str) else "")


# The owner is taken away: from now on a zombie's settle finds nothing to settle.
RESOLVE = """
WITH resolved AS (
  UPDATE lg_production.effects e
  SET state = %(state)s, version = e.version + 1, owner = NULL, updated_at = now(),
      doubt_since = NULL, outcome_type = %(outcome_type)s, outcome = %(outcome)s,
      error = %(error)s,
      asked_task = CASE WHEN %(by_resume)s THEN e.asked_task END
  WHERE e.key = %(key)s AND e.version = %(version)s AND (e.state = 'in_doubt'
    OR e.state = 'failed_final' AND %(action)s = 'approve')
  RETURNING e.key
)
INSERT INTO lg_production.effect_decisions
  (decision_id, key, version, action, decided_by, reason)
SELECT %(decision_id)s, r.key, %(version)s, %(action)s, %(decided_by)s, %(reason)s
FROM resolved r RETURNING decision_id
"""


def resolve(
    effect: Effect,
    decision: Decision,
    *,
    outcome: tuple[str, bytes] | None,
    decided_by: str,
    reason: str,
    by_resume: bool = False,
) -> Statement[UUID | None]:
    """Record the decision and act on it in one statement; None if another came first.

    The effect must still be in doubt at the version that the person saw. One that failed
    for good may be approved too: what made it fail (a token, a limit) may be mended.
    """
    kind, data = outcome or (None, None)
    params = {
        "key": effect.key,
        "version": effect.version,
        "state": INTO[decision.action],
        "outcome_type": kind,
        "outcome": data,
        "error": decision.message if decision.action == "reject" else None,
        "by_resume": by_resume,
        "decision_id": uuid4(),
        "action": decision.action,
        "decided_by": decided_by,
        "reason": reason,
    }
    return Statement(RESOLVE, params, lambda rows: rows[0][0] if rows else None, repeatable=True)


ASKED = """
UPDATE lg_production.effects e
SET asked_task = %(task)s, asked_slot = %(slot)s, asked_place = a.n - 1
FROM unnest(%(keys)s::bytea[]) WITH ORDINALITY AS a (key, n)
WHERE e.key = a.key AND e.state = 'in_doubt'
"""


def asked(effects: Sequence[Effect], task_id: str, slot: int) -> Statement[None]:
    """Remember which question, in which task, these effects were put in, and at which place."""
    params = {"keys": [e.key for e in effects], "task": task_id, "slot": slot}
    return Statement(ASKED, params, lambda _: None, repeatable=True)


EDIT = """
INSERT INTO lg_production.effect_decisions
  (decision_id, key, version, action, fingerprint, decided_by, reason)
VALUES (%(decision_id)s, %(key)s, %(version)s, 'edit', %(fingerprint)s, %(by)s, %(reason)s)
ON CONFLICT (decision_id) DO NOTHING
"""


def record_edit(
    key: bytes, version: int, fingerprint: bytes, *, decision_id: UUID, by: str, reason: str
) -> Statement[None]:
    """A reviewer changed the arguments of this call: with them it is a new action."""
    params = {
        "decision_id": decision_id,
        "key": key,
        "version": version,
        "fingerprint": fingerprint,
        "by": by,
        "reason": reason,
    }
    return Statement(EDIT, params, lambda _: None, repeatable=True)


FIND_EDIT = """
SELECT decision_id FROM lg_production.effect_decisions
WHERE key = %(key)s AND action = 'edit' AND fingerprint = %(fingerprint)s
ORDER BY decided_at LIMIT 1
"""


def find_edit(key: bytes, fingerprint: bytes) -> Statement[UUID | None]:
    """The decision that explains why this key now comes with these arguments, if there is one."""
    params = {"key": key, "fingerprint": fingerprint}
    return Statement(FIND_EDIT, params, lambda rows: rows[0][0] if rows else None, repeatable=True)
