"""Put effects in doubt to a person, and act on nothing but the answer to that question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from langchain_core.messages import ToolMessage

from ..core.interrupts import ask
from ..core.steps import Steps
from .codec import Codec
from .decisions import ACTIONS, MEANING, Decision, asked, read_decisions, resolve
from .ledger import Effect

Doubts = Mapping[bytes, tuple[str, Mapping[str, Any]]]
"""For each key, the tool's name and arguments: what a person is shown."""


def settle_doubts(
    effects: Sequence[Effect], shown: Doubts, task_id: str, *, decided_by: str
) -> Steps[None]:
    """Ask about effects in doubt, all in one interrupt, and record what is decided.

    Pauses the graph unless a decision about them, asked for in this task, was just recorded.
    """
    open_ = [e for e in effects if is_open(e, task_id)]
    problem = ""
    if open_:
        slot = max(e.asked_slot or 0 for e in open_)
        asked_now = [e for e in open_ if e.asked_slot == slot]
        answer = yield from _ask(asked_now, shown, task_id, slot)
        read = read_decisions(answer, 1 + max(e.asked_place or 0 for e in asked_now))
        if isinstance(read, list):
            for effect in asked_now:
                yield from _record(effect, read[effect.asked_place or 0], shown, decided_by)
            return
        problem = read.problem
    if doubtful := [e for e in effects if e.state == "in_doubt"]:
        yield from _ask(doubtful, shown, task_id, None, problem)


def is_open(effect: Effect, task_id: str) -> bool:
    """Asked about in this task, and not carried out since: a second doubt is a new question."""
    asked_here = effect.asked_task == task_id and effect.asked_slot is not None
    return effect.state == "in_doubt" and asked_here


def _ask(
    effects: Sequence[Effect], shown: Doubts, task_id: str, slot: int | None, problem: str = ""
) -> Steps[Any]:
    payload = request(effects, shown, problem)
    return (yield from ask(payload, slot, lambda place: asked(effects, task_id, place)))


def request(effects: Sequence[Effect], shown: Doubts, problem: str = "") -> dict[str, Any]:
    """LangChain's HITLRequest, one action for each effect, with what is known of it besides."""
    actions = []
    for effect in effects:
        name, arguments = shown[effect.key]
        actions.append({
            "name": name,
            "args": dict(arguments),
            "description": _describe(effect, name, problem),
            "idempotency_key": effect.key.hex(),
            "native_key": effect.native_key,
            "version": effect.version,
            "attempt": effect.attempt,
        })  # fmt: skip
    names = dict.fromkeys(action["name"] for action in actions)
    return {
        "action_requests": actions,
        "review_configs": [
            {"action_name": name, "allowed_decisions": list(ACTIONS)} for name in names
        ],
    }


def _describe(effect: Effect, name: str, problem: str) -> str:
    age = timedelta(seconds=round(effect.age.total_seconds()))
    choices = "; ".join(f"{action}: {meaning}" for action, meaning in MEANING.items())
    why = f" ({effect.error})" if effect.error else ""
    told = f" The last answer was not understood: {problem}." if problem else ""
    return (
        f"Nobody knows whether {name} happened: it was begun {age} ago and its outcome was "
        f"lost{why}. Look it up at the provider. {choices}.{told}"
    )


def _record(effect: Effect, decision: Decision, shown: Doubts, decided_by: str) -> Steps[None]:
    name, _ = shown[effect.key]
    yield from resolve(
        effect,
        decision,
        outcome=outcome_of(effect, decision, name),
        decided_by=decided_by,
        reason=decision.message or MEANING[decision.action],
        by_resume=True,
    )


def outcome_of(effect: Effect, decision: Decision, name: str) -> tuple[str, bytes] | None:
    """What the decision makes the tool's outcome: none for approve, it will run."""
    if decision.action == "approve":
        return None
    message = ToolMessage(
        decision.message
        if decision.action == "respond"
        else f"{name} was not carried out: a person decided so. {decision.message}".strip(),
        name=name,
        tool_call_id=effect.tool_call_id or "",
        status="success" if decision.action == "respond" else "error",
    )
    return Codec().dump(message)
