"""Ask a person for more budget, and give what was asked for, to whom it was asked for, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.config import get_config
from langgraph.types import interrupt

from ..core.database import Database
from ..core.identity import Task
from . import decisions
from .calls import key_of
from .decisions import Place
from .ledger import Refusal
from .policy import MOST

# LangGraph publishes a task's checkpointer only under this key, and a pending question here.
CHECKPOINTER, INTERRUPT = "__pregel_checkpointer", "__interrupt__"
NAME = "extend_budget"


def ask(
    database: Database, task: Task, tenant: str, refusals: Sequence[Refusal], asked_before: int
) -> bool:
    """Interrupt, and do what the answer says; False if the person does not give more.

    `asked_before` counts the questions of this run of the task. An answer that makes no sense
    changes nothing, and the caller asks again. A crash behind the answer, and a second resume,
    find the decision made.
    """
    question = request(refusals)
    answer = interrupt(question)
    # The world may have changed since it was asked: the answer is to what the person was shown.
    given = read_answer(answer, question_of(task) or question)
    if given is None:
        return not is_rejected(answer)
    for number, (place, amount) in enumerate(given):
        key = key_of(
            "extend", task.thread_id, task.parent_ns, task.task_id, str(asked_before), str(number)
        )
        database.execute(decisions.decide(
            Place(tenant, *place), "extend", amount, key=key, decided_by=decided_by(),
            reason="asked by the run",
        ))  # fmt: skip
    return True


def request(refusals: Sequence[Refusal]) -> dict[str, Any]:
    """LangChain's HITLRequest, an action for each exhausted budget: add what the call needs."""
    actions = [
        {
            "name": NAME,
            "args": {
                "scope": refusal.scope,
                "period": refusal.period,
                "quantity": refusal.quantity,
                "add": suggestion(refusal),
            },
            "description": f"{refusal}. approve: add {suggestion(refusal):,}; edit: add another "
            "amount; reject: end the run with what there is.",
        }
        for refusal in refusals
    ]
    allowed = {"action_name": NAME, "allowed_decisions": ["approve", "edit", "reject"]}
    return {"action_requests": actions, "review_configs": [allowed]}


def suggestion(refusal: Refusal) -> int:
    """Half of the limit again, and at least what is asked for now."""
    missing = refusal.used + refusal.reserved + refusal.asked - refusal.limit
    return min(max(missing, refusal.limit // 2), MOST)


def read_answer(
    answer: Any, question: Mapping[str, Any]
) -> list[tuple[tuple[str, str, str], int]] | None:
    """What a person gives to each budget of the question; None if that is not what they say."""
    decided = answer.get("decisions") if isinstance(answer, Mapping) else None
    actions = question["action_requests"]
    if not isinstance(decided, list) or len(decided) != len(actions):
        return None
    given = []
    for decision, action in zip(decided, actions, strict=True):
        args = action["args"]
        amount = amount_of(decision, args["add"])
        if amount is None:
            return None
        given.append(((args["scope"], args["period"], args["quantity"]), amount))
    return given


def amount_of(decision: Any, asked: int) -> int | None:
    """The amount that one decision gives; None where it gives none that can be counted."""
    kind = decision.get("type") if isinstance(decision, Mapping) else None
    if kind == "approve":
        return asked
    edited = decision.get("edited_action") if kind == "edit" else None
    args = edited.get("args") if isinstance(edited, Mapping) else None
    amount = args.get("add") if isinstance(args, Mapping) else None
    sane = isinstance(amount, int) and not isinstance(amount, bool) and 0 < amount <= MOST
    return amount if sane else None


def is_rejected(answer: Any) -> bool:
    """Whether any decision of an answer says reject; anything else that is unclear is not."""
    decided = answer.get("decisions") if isinstance(answer, Mapping) else None
    listed = decided if isinstance(decided, list) else []
    return any(isinstance(d, Mapping) and d.get("type") == "reject" for d in listed)


def question_of(task: Task) -> Mapping[str, Any] | None:
    """The question that this task asked last, as its checkpoint keeps it; None if it does not."""
    saver = get_config()["configurable"].get(CHECKPOINTER)
    place = {
        "thread_id": task.thread_id,
        "checkpoint_ns": task.parent_ns,
        "checkpoint_id": task.checkpoint_id,
    }
    found = saver.get_tuple({"configurable": place}) if saver else None
    for task_id, channel, value in reversed((found and found.pending_writes) or []):
        if task_id == task.task_id and channel == INTERRUPT and value:
            asked = value[-1].value
            return asked if isinstance(asked, Mapping) and "action_requests" in asked else None
    return None


def decided_by() -> str:
    """Who resumes this run: the server's authenticated user, if there is one."""
    user = get_config().get("configurable", {}).get("langgraph_auth_user")
    return str(getattr(user, "identity", None) or "resume")
