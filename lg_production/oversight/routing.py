"""Decide about tool calls once: the protocol that the router and the wrapper share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from langgraph.errors import GraphBubbleUp

from ..core.events import Event
from ..core.keys import canonical, digest
from ..core.steps import Emit, Statement, Steps, off_loop
from ..errors import NotDurable
from . import ledger
from .combined import Combined
from .decay import Recommendation
from .policy import Facts, ReviewPolicy
from .records import Recorded, Routed, Verdict, review_key
from .sampling import Sampler, draw
from .scorers import Call, Score, Scorer
from .watching import Watcher

Provenance: TypeAlias = Callable[[Any, Call], Mapping[str, str]]
NO_SCORE = Score(None, "none")
MOST_LOOKS = 16

SECRET = Statement(
    "SELECT value FROM lg_production.secrets WHERE name = 'native_key'",
    {},
    lambda rows: digest("sampling", str(rows[0][0])),
    repeatable=True,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Where tool calls come from: the thread, the model's answer, and who started the run."""

    thread_id: str
    message_id: str | None
    state: Any
    requester: str = ""


def from_state(state: Any, call: Call) -> Mapping[str, str]:
    """The channel of each argument, where the state has `provenance[tool_call_id]`."""
    told = state.get("provenance") if isinstance(state, Mapping) else None
    found = told.get(call["id"]) if isinstance(told, Mapping) else None
    return found if isinstance(found, Mapping) else {}


class Routing:
    """What the verdict about a call is made of. `ConfidenceRouter` says what the arguments are."""

    def __init__(
        self,
        policy: ReviewPolicy,
        *,
        scorers: Sequence[Scorer] = (),
        tenant: str = "default",
        agent: str = "",
        provenance: Provenance = from_state,
        sampler: Sampler | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.watcher = watcher
        self.policy, self.tenant, self.agent = policy, tenant, agent
        self.provenance, self.sampler = provenance, sampler
        self.scorer = scorers[0] if len(scorers) == 1 else Combined(*scorers) if scorers else None

    def route(self, asked: Asked, calls: Sequence[Call]) -> Steps[list[Recorded]]:
        """The verdicts about these calls, as the ledger has them: the first ones hold.

        A call that has other arguments than its verdict was about gets a new one. Raises
        `NotDurable` where nothing identifies a call after a crash.
        """
        named = {self.key(asked, call): call for call in calls}
        if len(named) < len(calls):
            raise NotDurable("Two tool calls of one message have the same id.")
        for _ in range(MOST_LOOKS):
            found = {row.key: row for row in (yield from ledger.look(list(named)))}
            missing = {key: call for key, call in named.items() if key not in found}
            if missing:
                found |= yield from self._freeze(asked, missing)
            stale = [row for row in found.values() if not is_about(row, named[row.key])]
            for row in stale:
                yield from self._restate(asked, row, named[row.key])
            if not stale:
                return [found[key] for key in named]
        raise NotDurable("Workers route one tool call with different arguments at the same time.")

    def key(self, asked: Asked, call: Call) -> bytes:
        """The key of a call's row."""
        if not asked.message_id or not call.get("id"):
            raise NotDurable(
                f"The call of {call['name']!r} has no id, or its message has none, so a verdict "
                "about it could not be found again. Keep messages in the state."
            )
        return review_key(self.tenant, asked.thread_id, asked.message_id, str(call["id"]))

    def _freeze(self, asked: Asked, calls: Mapping[bytes, Call]) -> Steps[dict[bytes, Recorded]]:
        rows = []
        for key, call in calls.items():
            rows.append((yield from self.decide(asked, key, call)))
        kept = yield from ledger.freeze(rows)
        for row in kept:
            yield Emit(routed(row))
        return {row.key: row for row in kept}

    def _restate(self, asked: Asked, row: Recorded, call: Call) -> Steps[None]:
        again = yield from self.decide(asked, row.key, call)
        kept = yield from ledger.restate(row, again)
        if kept is not None:
            yield Emit(routed(kept))

    def decide(self, asked: Asked, key: bytes, call: Call) -> Steps[Routed]:
        """A verdict, not yet recorded: stakes, then as much confidence as they leave a say."""
        name, args, state = call["name"], call["args"], asked.state
        if self.watcher is not None:
            yield from self.watcher.look()
        channels = dict((yield from off_loop(lambda: self.provenance(state, call))))
        told = channels.values()
        facts = yield from off_loop(lambda: self.policy.facts(name, args, set(told)))
        score = NO_SCORE
        if self.policy.needs_confidence(facts):
            score = yield from self._score(asked.state, call)
            facts = yield from self._sampled(key, replace(facts, confidence=score.value))
        return Routed(
            key=key,
            tenant=self.tenant,
            thread_id=asked.thread_id,
            tool=name,
            tool_call_id=str(call["id"]),
            arguments=args,
            verdict=(yield from self._verdict(key, facts)),
            policy_hash=self.policy.hash,
            agent=self.agent,
            confidence=score.value,
            scores=scores_of(score),
            alternatives=score.alternatives,
            provenance=channels,
            evidence=self._evidence(facts),
            requester=asked.requester,
        )

    def _verdict(self, key: bytes, facts: Facts) -> Steps[Verdict]:
        """The policy's verdict; two people instead of one where the watcher asks for a second."""
        verdict, share = self.policy.decide(facts), self._asked(facts).second_person
        if verdict.verdict not in ("sample", "review") or not share:
            return verdict
        if share < 1 and draw((yield from SECRET), b"second" + key) >= share:
            return verdict
        reasons = (*verdict.reasons, "second_person")
        quorum = self.policy.quorum
        return replace(verdict, verdict="two_person", reasons=reasons, quorum=quorum)

    def _asked(self, facts: Facts) -> Recommendation:
        return self.watcher.of(facts.tool) if self.watcher else Recommendation()

    def _score(self, state: Any, call: Call) -> Steps[Score]:
        """How sure the agent is. A scorer that fails tells nothing, and never stops the run."""
        scorer = self.scorer
        if scorer is None:
            return NO_SCORE
        try:
            return (yield from off_loop(lambda: scorer(state, call)))
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - no score, so a person looks at it
            kind = type(error).__name__
            yield Emit(Event("review.unscored", {"tool": call["name"], "error": kind}))
            return Score(None, "failed", {"error": kind})

    def _sampled(self, key: bytes, facts: Facts) -> Steps[Facts]:
        """The same with this case's draw, for calls that confidence may let pass."""
        sampler, rate = self.sampler, self.policy.sample_rate
        if facts.confidence is None:
            return facts
        if sampler is None:
            secret = yield from SECRET
            if not rate:  # the draw is kept all the same: labels need it once there is a rate
                return replace(facts, draw=draw(secret, key), rate=0.0)
            sampler = Sampler(secret, rate, near_rate=rate)
        threshold = self.policy.threshold_for(facts)
        drawn = sampler.decide(key, facts.tool, facts.confidence, threshold)
        rate = min(1.0, drawn.probability * self._asked(facts).review_rate)
        return replace(facts, draw=drawn.draw, rate=rate, stratum=drawn.stratum)

    def _evidence(self, facts: Facts) -> dict[str, Any]:
        stakes = self.policy.tools.get(facts.tool)
        found = {
            "risk": stakes.tier if stakes else None,
            "irreversible": stakes.irreversible if stakes else None,
            "amount": None if facts.amount is None else str(facts.amount),
            "recipient_known": facts.recipient_known if stakes and stakes.recipient else None,
        }
        return {name: value for name, value in found.items() if value is not None}


def is_about(row: Recorded, call: Call) -> bool:
    """Whether what was decided, or proposed since, is this call."""
    now = canonical(call["args"])
    return row.tool == call["name"] and now in (canonical(row.arguments), canonical(row.proposed))


def scores_of(score: Score) -> dict[str, Any]:
    """Every score by its source, and what it was made of."""
    if score.source == NO_SCORE.source:
        return {}
    own = {**score.evidence, "value": score.value, "calibrated": score.calibrated}
    found = {score.source: own}
    for part in score.parts:
        for source, told in scores_of(part).items():
            name = next(n for n in numbered(source) if n not in found)
            found[name] = told
    return found


def numbered(source: str) -> list[str]:
    """Names for scores of one source."""
    return [source, *(f"{source}_{n}" for n in range(2, 100))]


def routed(row: Recorded) -> Event:
    """`review.routed`: which verdict holds about a call of which tool, and why."""
    return Event(
        "review.routed",
        {
            "tool": row.tool,
            "verdict": row.verdict,
            "reasons": ",".join(row.reasons),
            "confidence": row.confidence,
            "review": row.key.hex(),
        },
    )
