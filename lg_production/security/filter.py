"""InjectionFilter: suspected text is labelled, cleaned or kept back before a model reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from ..core.answers import Answer, Unreadable, read_answer
from ..core.events import Event, Observer
from ..core.identity import messages_of
from ..core.steps import Emit, Steps, drive, off_loop
from ..core.wrappers import Handler, ToolResult, ToolWrapper
from ..errors import InjectionBlocked
from .channels import Channel, channel_of, is_own, parts_of, replaceable
from .detectors import Detector, Finding, Layered
from .filtering import (
    Action,
    FilterPolicy,
    Verdict,
    channel_found,
    is_waiting,
    kept_text,
    labelled,
    note_of,
    released,
    treated,
)  # fmt: skip
from .held import has_run
from .questions import answered
from .results import each

SHOWN = 20_000
DECISIONS = ("approve", "edit", "reject")
NAME = "read_suspected_text"


class InjectionFilter(ToolWrapper):
    """Text that reads like an attack is kept from the model, as far as the policy says.

    As a node in front of the model it looks at what has come since the model's last answer, and
    goes on to `then`. What a person must decide about it first writes down, and then asks about in
    a task of its own: the verdict is in the checkpoint before anything pauses. An answer is
    `{"decisions": [decision, …]}`, one for each action asked about and in their order; `approve`
    releases the text, `edit` (`edited_action.args.text`) replaces it, `reject` keeps it back. An
    answer that cannot be read is asked for again.

        graph.add_node("filter", InjectionFilter(policy, then="model"))

    As a tool wrapper it looks at what a tool answers. Asking there would run the tool again, so
    `interrupt` only keeps the text back, and the node in front of the model asks about it. In
    `create_agent` (`as_middleware`) it is both, and two nodes: `before_model` writes the verdict
    down, and `before_model_asks` asks about what is written down, so that a detector that says
    something else on the resume cannot turn a yes to one text into a yes to another.

    Labels live in a message's `additional_kwargs["lg_production"]["injection"]`: action, score,
    reasons; `suspicion(messages)` is the highest score, for a router. A score never permits
    anything: `ProvenanceGate` holds what the model was told, whether it was found out or not.
    Emits `injection.found` and `injection.unscored`; never a word of the text.
    """

    def __init__(
        self,
        policy: FilterPolicy | None = None,
        *,
        then: str = "model",
        detector: Detector | None = None,
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.policy, self.then = policy or FilterPolicy(), then
        self.detector = detector or Layered()
        self.messages_key, self.observers = messages_key, observers

    def before(self, then: str) -> InjectionFilter:
        """The same filter in front of another node."""
        same = copy(self)
        same.then = then
        return same

    # ---------------------------------------------------------------------- around a tool

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Call the tool, and treat what it answers."""
        return (yield from each(request, handler, self._treated, self.messages_key))

    def _treated(self, message: BaseMessage) -> Steps[BaseMessage]:
        return treated(message, (yield from self.judge(message)))

    # -------------------------------------------------------------------------- as a node

    def __call__(self, state: Any, runtime: Runtime[Any]) -> Command[Any]:  # noqa: ARG002
        """Treat what is new, and ask about what waits for a person. LangGraph runs this node."""
        if isinstance(state, Mapping) and "injection_held" in state:
            return Command(goto=self.then, update=self._ask(state["injection_held"]))
        changed, waiting = drive(self._look(state), self.database, self.observers)
        here = get_config()["metadata"]["langgraph_node"]
        goto: Any = Send(here, {"injection_held": waiting}) if waiting else self.then
        return Command(goto=goto, update={self.messages_key: changed} if changed else None)

    def before_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """Treat what is new, and write down what a person must decide about."""
        changed, _ = drive(self._look(state), self.database, self.observers)
        return {self.messages_key: changed} if changed else None

    def before_model_asks(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """Ask about what is written down as waiting. Judges nothing: a resume finds the same."""
        waiting = [m for m in fresh(messages_of(state, self.messages_key)) if is_waiting(m)]
        return self._ask(waiting) if waiting else None

    def _look(self, state: Any) -> Steps[tuple[list[BaseMessage], list[BaseMessage]]]:
        """Messages that change, and those of them that wait for a person."""
        changed, waiting = [], []
        for message in fresh(messages_of(state, self.messages_key)):
            if is_waiting(message):
                waiting.append(message)
                continue
            found = yield from self.judge(message)
            new = treated(message, found)
            if new is message:
                continue
            changed.append(replaceable(new))
            waiting += [new] if found.action == "interrupt" else []
        return changed, waiting

    def _ask(self, waiting: Sequence[BaseMessage]) -> dict[str, list[BaseMessage]]:
        asked = answered(partial(question, waiting), lambda said: decisions(said, waiting))
        told = drive(asked, self.database)
        return {self.messages_key: [settled(m, d) for m, d in zip(waiting, told, strict=True)]}

    # -------------------------------------------------------------------------- a verdict

    def judge(self, message: BaseMessage) -> Steps[Verdict]:
        """What is found in a message, and what is done about it: of its parts, the strictest.

        A document that the user has attached is judged as one. What a guard says in the place of a
        tool is ours, and read as it is. Raises `InjectionBlocked` where the policy says so. A
        detector that fails finds nothing, and the policy's `on_failure` is done.
        """
        worst, by_text = Verdict(channel_of(message), Finding(0.0), "allow"), {}
        if isinstance(message, ToolMessage) and not has_run(message):
            return worst
        for channel, text in parts_of(message):
            found = yield from self._judged(text, channel)
            if found.action != "allow":
                by_text[text] = found.finding
            worst = max(worst, found, key=lambda one: one.strictness)
        if worst.action != "allow":
            yield Emit(found_in(worst.channel, worst.finding, worst.action))
        if worst.action == "block":
            why = ", ".join(worst.finding.reasons) or "unscored"
            raise InjectionBlocked(f"({worst.channel}, {why})")
        return replace(worst, by_text=by_text)

    def _judged(self, text: str, channel: Channel) -> Steps[Verdict]:
        try:
            found = yield from off_loop(partial(self.detector, text, channel))
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - the policy says what then
            attributes = {"channel": channel, "error": type(error).__name__}
            yield Emit(Event("injection.unscored", attributes))
            return Verdict(channel, Finding(0.0), self.policy.on_failure)
        return Verdict(channel, found, self.policy.decide(channel, found.score))


def fresh(messages: Sequence[Any]) -> list[BaseMessage]:
    """The messages that the model has not answered yet, less what the developer wrote.

    What another agent says is no answer of this one.
    """
    new: list[BaseMessage] = []
    for message in reversed(messages):
        if isinstance(message, AIMessage) and is_own(message):
            break
        if isinstance(message, BaseMessage) and not isinstance(message, SystemMessage):
            new.append(message)
    return new[::-1]


def question(waiting: Sequence[BaseMessage], problem: str = "") -> dict[str, Any]:
    """A HITLRequest: each text that was kept back, where it came from, and why it was."""
    asked = []
    again = f" The last answer did not count: {problem}." if problem else ""
    for message in waiting:
        note = note_of(message)
        args = {
            "channel": channel_found(message),
            "score": note.get("score"),
            "reasons": note.get("reasons"),
            "digest": note.get("digest"),
            "text": shortened(kept_text(message)),
        }
        why = "This text reads like an attack on the assistant. May the assistant read it?"
        asked.append({"name": NAME, "args": args, "description": why + again})
    config = {"action_name": NAME, "allowed_decisions": list(DECISIONS)}
    return {"action_requests": asked, "review_configs": [config]}


def shortened(text: str) -> str:
    """A text as long as a question may be; what is not shown is said."""
    more = len(text) - SHOWN
    if more <= 0:
        return text
    return f"{text[:SHOWN]}\n[{more} more characters: withheld_in(messages) has them all]"


def decisions(answer: Any, waiting: Sequence[BaseMessage]) -> list[Answer] | Unreadable:
    """One decision for each text, or what is wrong with the answer."""
    given = answer.get("decisions", answer) if isinstance(answer, Mapping) else answer
    told = given if isinstance(given, list) else [given]
    if len(told) != len(waiting):
        return Unreadable(f"{len(told)} decisions for {len(waiting)} texts")
    found = []
    for message, entry in zip(waiting, told, strict=True):
        read = read_answer([entry], NAME, {"digest": str(note_of(message).get("digest"))})
        if isinstance(read, Unreadable):
            return read
        text = (read.arguments or {}).get("text")
        if read.action == "respond" or (read.action == "edit" and not isinstance(text, str)):
            return Unreadable(f"it is one of {', '.join(DECISIONS)}, and an edit has args.text")
        found.append(read)
    return found


def settled(message: BaseMessage, decision: Answer) -> BaseMessage:
    """A message as a person decided."""
    note = {**note_of(message), "decision": decision.action}
    if decision.action == "approve":
        return released(message, {**note, "action": "mark"})
    if decision.action == "edit":
        return released(message, {**note, "action": "mark"}, (decision.arguments or {})["text"])
    return labelled(message, {**note, "action": "quarantine"})


def found_in(channel: Channel, finding: Finding, action: Action) -> Event:
    """`injection.found`: where, how sure, what was done about it, and the names of the reasons."""
    return Event(
        "injection.found",
        {
            "channel": channel,
            "score": round(finding.score, 4),
            "action": action,
            "reasons": ",".join(finding.reasons),
        },
    )
