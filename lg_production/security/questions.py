"""What a guard around a tool does with a call that it may not pass: ask a person, or refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

from langchain_core.messages import ToolMessage
from langgraph.errors import GraphInterrupt
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import interrupt

from ..core.answers import Answer, Unreadable, read_answer
from ..core.events import Event
from ..core.identity import identify, thread_of
from ..core.interrupts import place, was_for_another
from ..core.steps import Call, Emit, Steps
from ..core.wrappers import Handler, ToolResult, in_place_of
from .held import Held, values_of

T = TypeVar("T")
OnHeld: TypeAlias = Literal["interrupt", "block"]

NOBODY = "It needs a person's decision, and none can be had."
TOO_DEEP = "Its arguments are too deep to be shown to a person. Call it with simpler ones."
ALONE = "It needs a person's decision: call it by itself, alone."


def settle(
    held: Held,
    request: ToolCallRequest,
    handler: Handler,
    *,
    on_held: OnHeld,
    messages_key: str,
    given: Callable[[ToolResult], ToolResult] = lambda result: result,
    approved: Callable[[ToolResult], ToolResult] = lambda result: result,
) -> Steps[ToolResult]:
    """Ask a person about a call and do as he says, or refuse it.

    Several calls in one ToolNode share a task, where an answer could be taken for the answer to
    another: there the model is told to make the call by itself. `given` is what becomes of what
    the tool gives back, `approved` of that of a call that runs as it was shown. Emits
    `<guard>.held` and `<guard>.decided`.
    """
    refusal = _refusal(held, request, on_held, messages_key)
    if refusal:
        yield from Emit(told(held, request, "held", "alone" if refusal == ALONE else "block"))
        return refused(held, request, refusal)
    answer = yield from _ask(held, request)
    yield from Emit(told(held, request, "decided", answer.action))
    match answer.action:
        case "approve":
            return approved(given((yield from handler(request))))
        case "edit":
            call: Any = {**request.tool_call, "args": dict(answer.arguments or {})}
            return given((yield from handler(request.override(tool_call=call))))
        case "respond":
            return in_place_of(request.tool_call, answer.message, "success")
    return refused(held, request, f"A person decided so. {answer.message}".strip())


def _refusal(held: Held, request: ToolCallRequest, on_held: OnHeld, messages_key: str) -> str:
    """Why nobody is asked about this call; empty if somebody is."""
    if on_held == "block":
        return NOBODY
    if not held.can_be_shown:
        return TOO_DEEP
    return ALONE if identify(request, messages_key).siblings > 1 else ""


def _ask(held: Held, request: ToolCallRequest) -> Steps[Answer]:
    """The answer about this call; tells the observers when it pauses for one."""
    names = {"digest": held.digest}
    try:
        return (yield from answered(held.request, lambda said: read_answer(said, held.tool, names)))
    except GraphInterrupt:
        yield from Emit(told(held, request, "held", "interrupt"))
        raise


def answered(
    question: Callable[[str], dict[str, Any]], read: Callable[[Any], T | Unreadable]
) -> Steps[T]:
    """Pause until there is an answer that can be read, and that was meant for this question.

    `question` makes it, with what was wrong with the last answer.
    """
    problem = ""
    while True:
        asked = question(problem)
        said = yield from Call(lambda q=asked: interrupt(q))  # type: ignore[misc]
        if (yield from Call(_is_for_another)):
            problem = "it was sent to an earlier question"
            continue
        found = read(said)
        if not isinstance(found, Unreadable):
            return found
        problem = found.problem


def _is_for_another() -> bool:
    """Whether the answer to a later question of this task was sent to its first."""
    return place().calls > 1 and was_for_another()


def refused(held: Held, request: ToolCallRequest, why: str) -> ToolMessage:
    """What the model is told: neither the value nor the rule."""
    return in_place_of(request.tool_call, f"{held.tool} was not carried out. {why}")


def told(held: Held, request: ToolCallRequest, what: str, action: str) -> Event:
    """An event about a held call: where, which tool, why, what kinds of value, what was done."""
    return Event(
        f"{held.guard}.{what}",
        {
            "thread_id": thread_of(request),
            "tool": held.tool,
            "reasons": ",".join(held.reasons),
            "kinds": values_of(held.values),
            "values": len(held.values),
            "action": action,
        },
    )
