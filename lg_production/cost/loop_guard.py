"""What is done about an agent that goes in circles: a node, a tool wrapper, a model wrapper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableBinding
from langgraph.graph import END
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from ..core.events import Event, Observer, notify
from ..core.identity import messages_of
from ..core.interrupts import place
from ..core.models import Handler as ModelHandler
from ..core.models import ModelWrapper
from ..core.steps import Emit, Steps
from ..core.wrappers import Handler, ToolResult, ToolWrapper, in_place_of
from ..errors import LoopDetected
from .loop_history import LOOP, Kind, Turn, fingerprint, last_mark, words_of
from .loops import Due, LoopPolicy
from .partial import ending, so_far

WHAT: Mapping[Kind, str] = {
    "same_result": "You made the same call {n} times and got the same result each time.",
    "same_call": "You made the same call {n} times within a few steps.",
    "cycle": "You went through the same steps {n} times, with the same results.",
    "near_duplicate": "You made nearly the same call {n} times, and it brought nothing new.",
    "repeated_error": "This failed {n} times in the same way.",
    "ping_pong": "The work was handed back {n} times, and nothing new came of it.",
    "polling": "You asked for this {n} times.",
    "no_progress": "The last {n} steps brought nothing new.",
}
SO = (
    "Doing it again will not help. Use what you have, try something that is really different, or "
    "answer and say what is missing."
)
BLOCKED = "These calls are refused from now on."
ANSWER = (
    "Answer now with what you have, without calling any tool: tools are switched off. Say what is "
    "done and what is not."
)


class LoopGuard:
    """A node before the model: it sees a loop in the messages, and climbs the policy's ladder.

    A rung is a message in the history, and the history says which rung is next: a crash or a
    resume changes nothing. `tell`, `block` and `answer` are told the model as a message of
    role user, after all results; `LoopBreaker` around the tools makes `block` and `answer`
    binding. `interrupt` asks a person, in LangChain's HITLRequest: approve lets it go on,
    respond is told the model, reject and anything else stops. `stop` ends the run with a
    partial result, which `partial(state)` writes, or raises `LoopDetected` with
    `then_error=True`.

    With the standard ladder a model that repeats one call for ever is asked 6 times: at the
    third call it is told, the fourth is made, the fifth is refused, and after the sixth, at
    which it was to answer, the run ends. Emits `loop.detected` for each rung.

    `then` is the model's node. In `create_agent` it is a middleware's `before_model`. What
    trims or summarises the history takes the evidence away too.
    """

    def __init__(
        self,
        policy: LoopPolicy | None = None,
        *,
        then: str = "model",
        messages_key: str = "messages",
        partial: Callable[[Any], str] | None = None,
        then_error: bool = False,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.policy, self.then = policy or LoopPolicy(), then
        self.messages_key, self.observers = messages_key, tuple(observers)
        self.partial, self.then_error = partial or self._so_far, then_error

    def __call__(self, state: Any, runtime: Runtime[Any]) -> Command[Any]:  # noqa: ARG002
        """Go on to the model, or end. LangGraph runs this node."""
        ends, messages = self._step(state)
        update = {self.messages_key: messages} if messages else None
        return Command(goto=END if ends else self.then, update=update)

    def before_model(
        self,
        state: Any,
        runtime: Runtime[Any],  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """The same for `create_agent`, which must be told that this can jump to the end."""
        ends, messages = self._step(state)
        jump = {"jump_to": "end"} if ends else {}
        return {self.messages_key: messages, **jump} if messages else None

    before_model.__can_jump_to__ = ["end"]  # type: ignore[attr-defined]  # noqa: RUF012

    def _step(self, state: Any) -> tuple[bool, list[Any]]:
        """Whether the run ends here, and what is added to its messages."""
        due = self.policy.due(messages_of(state, self.messages_key))
        if due is None:
            return False, []
        if due.rung == "interrupt":
            return self._ask(state, due)
        notify(self.observers, detected(due))
        return self._stop(state, due) if due.rung == "stop" else (False, [told(due)])

    def _ask(self, state: Any, due: Due) -> tuple[bool, list[Any]]:
        here = place()
        if not here.answers and not here.pending:  # else it was told when it was asked
            notify(self.observers, detected(due))
        decision, text = read_answer(interrupt(request(due)))
        if decision == "reject":
            return self._stop(state, due)
        said = text or "A person looked at this and lets you go on."
        return False, [HumanMessage(said, additional_kwargs={LOOP: mark(due, decision)})]

    def _stop(self, state: Any, due: Due) -> tuple[bool, list[Any]]:
        reason = what(due).replace("You ", "It ", 1)
        if self.then_error:
            raise LoopDetected(f"({due.finding.kind}: {', '.join(due.finding.tools)})")
        stopped_by, marks = f"the agent went in circles. {reason}", {LOOP: mark(due)}
        return True, [ending(self.partial(state), stopped_by, "LoopDetected", **marks)]

    def _so_far(self, state: Any) -> str:
        return so_far(messages_of(state, self.messages_key))


class LoopBreaker(ToolWrapper):
    """Refuses the calls of a loop once `LoopGuard` said so, and every call after `answer`.

    A refused call is answered by an error that the model can read, and not made. Takes the
    guard's policy. `unguarded=True` is for graphs without a guard: then a call that goes on
    with a loop is refused at once. Stands outside of review, idempotency and limits. Emits
    `loop.refused`.
    """

    def __init__(
        self,
        policy: LoopPolicy | None = None,
        *,
        unguarded: bool = False,
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.policy, self.unguarded = policy or LoopPolicy(), unguarded
        self.messages_key, self.observers = messages_key, tuple(observers)

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Make the call, or say why not."""
        messages = messages_of(request.state, self.messages_key)
        kind = self._refuses(messages, asked(messages, request))
        if kind is None:
            return (yield from handler(request))
        call = request.tool_call
        yield from Emit(Event("loop.refused", {"kind": kind, "tool": call["name"]}))
        return in_place_of(
            call,
            "This call was not made: it would go on with a loop. Do not try again; use what you "
            "have, or answer and say what is missing.",
            notes={LOOP: {"refused": kind}},
        )

    def _refuses(self, messages: Sequence[Any], call: Turn) -> Kind | None:
        kind = self.policy.refuses(messages, call)
        return self.policy.goes_on(messages, call) if kind is None and self.unguarded else kind


class LoopAnswer(ModelWrapper):
    """Takes the tools from a model that is to answer, so that it cannot but answer.

    `LoopBreaker` alone makes `answer` binding too, at the price of a call. Leave this out
    where a provider refuses a history of tool calls without tools (Bedrock; some of
    Anthropic's models).
    """

    def steps(self, request: Any, handler: ModelHandler) -> Steps[Any]:
        """Call the model, with its tools or without."""
        last = last_mark(request.messages)
        if last is not None and last.rung == "answer":
            without = {"tool_choice": None} if hasattr(request, "tool_choice") else {}
            request = request.override(model=bare(request.model), tools=[], **without)
        return (yield from handler(request))


# ---------------------------------------------------------------------------- messages


def told(due: Due) -> HumanMessage:
    """What the model hears."""
    told = {"tell": SO, "block": f"{SO} {BLOCKED}", "answer": ANSWER}[due.rung]
    return HumanMessage(f"{what(due)} {told}", additional_kwargs={LOOP: mark(due)})


def what(due: Due) -> str:
    """What goes in circles, in a sentence or two."""
    tools = ", ".join(due.finding.tools)
    often = due.finding.repeats
    said = WHAT[due.finding.kind].format(n=often) if often > 1 else "You went on with a loop."
    return f"{said} (Tools: {tools}.)" if tools else said


def mark(due: Due, decision: str | None = None) -> dict[str, Any]:
    """What the history remembers of it."""
    marked = {
        "rung": due.rung,
        "level": due.level,
        "kind": due.finding.kind,
        "since": due.finding.since,
        "repeats": due.finding.repeats,
        "tools": list(due.finding.tools),
        "calls": list(due.finding.calls),
    }
    return {**marked, "decision": decision} if decision else marked


def detected(due: Due) -> Event:
    """`loop.detected`: what kind, what is done about it, how often, with which tools."""
    return Event(
        "loop.detected",
        {
            "kind": due.finding.kind,
            "rung": due.rung,
            "repeats": due.finding.repeats,
            "tools": ",".join(due.finding.tools),
        },
    )


def request(due: Due) -> dict[str, Any]:
    """What a person is asked: one action, to go on."""
    action = {
        "name": "continue_loop",
        "args": {
            "kind": due.finding.kind,
            "repeats": due.finding.repeats,
            "tools": list(due.finding.tools),
        },
        "description": f"{what(due).replace('You ', 'The agent ', 1)} approve: let it go on; "
        "respond: tell it what to do; reject: end the run with what there is.",
    }
    allowed = {
        "action_name": "continue_loop",
        "allowed_decisions": ["approve", "respond", "reject"],
    }
    return {"action_requests": [action], "review_configs": [allowed]}


def read_answer(answer: Any) -> tuple[str, str]:
    """A person's decision and words; what is no answer to this is "reject"."""
    decided = answer.get("decisions") if isinstance(answer, Mapping) else None
    if not isinstance(decided, list) or len(decided) != 1 or not isinstance(decided[0], Mapping):
        return "reject", ""
    kind, text = decided[0].get("type"), decided[0].get("message")
    if kind == "approve":
        return "approve", ""
    if kind == "respond" and isinstance(text, str) and text.strip():
        return "respond", text
    return "reject", ""


def asked(messages: Sequence[Any], request: ToolCallRequest) -> Turn:
    """The call that a wrapper is to make, as a turn of the history."""
    authors = [m.name or "" for m in messages if isinstance(m, AIMessage)]
    agent, call = authors[-1] if authors else "", request.tool_call
    hashed = fingerprint(agent, call["name"], call["args"])
    return Turn(agent, call["name"], hashed, words_of(call["args"]), len(messages))


def bare(model: Any) -> Any:
    """The model without the tools that were bound to it."""
    if not isinstance(model, RunnableBinding):
        return model
    kwargs = {k: v for k, v in model.kwargs.items() if k not in ("tools", "tool_choice")}
    inner = cast("Runnable[Any, Any]", bare(model.bound))
    return model.model_copy(update={"bound": inner, "kwargs": kwargs})
