"""ProvenanceGate: a tool call passes on what the user wrote, never on what the model was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeAlias, cast

from langgraph.prebuilt.tool_node import ToolCallRequest
from pydantic import BaseModel, ConfigDict

from ..core.events import Observer
from ..core.identity import messages_of, thread_of
from ..core.keys import canonical, digest
from ..core.steps import Steps, off_loop
from ..core.wrappers import Handler, ToolResult, ToolWrapper
from ..errors import PlanRefused
from . import words
from .anchoring import Ground, approved_in, spelled
from .channels import texts
from .held import Held, HeldValue
from .plan import Plan, opened, since
from .questions import OnHeld, settle
from .results import attributed, noting
from .rule_of_two import RuleOfTwo
from .sinks import Sink, sinks

# LangGraph publishes how a task reads the state only under this key of the configuration.
READ = "__pregel_read"
MOST_CHECKED = 1_000
"""Values of one call that are looked up in the thread. Who has more to say is asked about it."""
MOST_VALUES = 20
"""Values that a person is shown of one call; the arguments he sees whole."""

Reason: TypeAlias = Literal[
    "value_not_anchored", "too_many_values", "action_not_asked_for", "tool_not_planned",
    "arguments_not_planned", "called_often_enough", "plan_refused", "plan_missing", "rule_of_two",
]  # fmt: skip
WHY: Mapping[str, str] = {
    "value_not_anchored": "it uses a value that is neither in the user's words nor a fitting "
    "field of an earlier result",
    "too_many_values": "it has more values than can be looked up",
    "action_not_asked_for": "nothing in the user's words asks for such an action",
    "tool_not_planned": "the sealed plan does not have this tool",
    "arguments_not_planned": "the sealed plan has other arguments for this tool",
    "called_often_enough": "the sealed plan has this tool less often",
    "plan_refused": "the plan was made or changed after something untrusted had been read",
    "plan_missing": "there is no sealed plan",
    "rule_of_two": "the thread has untrusted input and sensitive data, and this would change or "
    "send something",
}


class GatePolicy(BaseModel):
    """What a call needs to pass.

    `reads` and `writes` name tools that change nothing, or something, whatever they are called;
    of any other the name decides (`words.is_read`). `fields_from`: the tools whose fields anchor
    a value, None for all. `labels_from`: the tools that may say of what they give whose words it
    is; of any other it is the tool's (`attributed`). `plan`: `required` holds every call while the
    state has no sealed one. `asked_for`: without a plan, a tool that changes something needs a
    word of the user's that asks for it. `remember`: a value that a person has approved, and an
    action that nobody had asked for, need no second approval in this thread.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    fields_from: frozenset[str] | None = None
    plan: Literal["optional", "required"] = "optional"
    asked_for: bool = True
    labels_from: frozenset[str] = frozenset()
    remember: bool = True
    rule_of_two: RuleOfTwo | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of this and of the frozen lists; 64 digits."""
        rule = self.rule_of_two
        tools = {n: sorted(legs) for n, legs in rule.tools.items()} if rule else None
        own = self.model_dump(mode="json", exclude={"rule_of_two"})
        own = {k: sorted(v) if isinstance(v, list) else v for k, v in own.items()}
        return digest("gate", words.HASH, canonical([own, tools])).hex()

    def is_read(self, tool: str) -> bool:
        """Whether a tool changes nothing."""
        return tool in self.reads or (tool not in self.writes and words.is_read(tool))

    def decide(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        messages: Sequence[Any],
        stored: Any = None,
        *,
        key: bytes = b"",
        thread: str = "",
    ) -> Held | None:
        """Why a person must look at this call, from the messages and nothing else; None: it may go.

        `stored` is the state's sealed plan, `key` the one it was sealed with, `thread` the id of
        the thread. Takes time in proportion to the arguments and the messages, and arguments of any
        depth.
        """
        plan, reasons = None, list[Reason]()
        if stored:
            plan, reasons = self._plan(tool, arguments, messages, stored, key, thread)
        elif self.plan == "required":
            reasons = ["plan_missing"]
        ground = Ground(texts(messages), approved=approved_in(messages), trusted=self.fields_from)
        values = sinks(tool, arguments, reads=self.is_read(tool))
        if len(values) > MOST_CHECKED:
            reasons.append("too_many_values")
        checked = self._unanchored(tool, arguments, values[:MOST_CHECKED], ground, plan)
        found = list(islice(checked, MOST_VALUES))
        if found:
            reasons.append("value_not_anchored")
        if not (stored or self.is_read(tool) or not self.asked_for or ground.asks_for(tool)):
            reasons.append("action_not_asked_for")
        if self.rule_of_two and self.rule_of_two.third(tool, messages):
            reasons.append("rule_of_two")
        if not reasons:
            return None
        why = "; ".join(WHY[reason] for reason in reasons)
        shown = tuple(shown_of(sink, ground) for sink in found)
        return Held("gate", tool, arguments, tuple(reasons), why, shown)

    def _plan(
        self, tool: str, arguments: Mapping[str, Any], messages: Sequence[Any], stored: Any,
        key: bytes, thread: str,
    ) -> tuple[Plan | None, list[Reason]]:  # fmt: skip
        try:
            plan = opened(stored, messages, key=key, thread=thread)
        except PlanRefused:
            return None, ["plan_refused"]
        objection = plan.objection(tool, arguments, since(stored, messages))
        return plan, [cast("Reason", objection)] if objection else []

    def _unanchored(
        self, tool: str, arguments: Mapping[str, Any], values: Sequence[Sink], ground: Ground,
        plan: Plan | None,
    ) -> Iterator[Sink]:  # fmt: skip
        """The sink values that nothing anchors: neither the thread, nor the plan."""
        fixed = plan.fixed(tool, arguments) if plan else frozenset()
        for sink in values:
            if sink.top in fixed or ground.anchor(sink):
                continue
            sources = plan.sources(tool, sink.top, arguments) if plan else ()
            if not (sources and ground.is_only(sink, sources)):
                yield sink


def shown_of(sink: Sink, ground: Ground) -> HeldValue:
    """A value as it is shown to a person, with where it was seen."""
    seen = tuple(map(str, ground.sightings(sink))) or ("nothing that was read",)
    return HeldValue(sink.argument, sink.kind, sink.value, seen)


def granted_by(held: Held) -> list[tuple[str, str]]:
    """What a person who approves this call has approved: its values, and such an action."""
    values = [(value.kind, spelled(value.kind, value.value)) for value in held.values]
    asks = "action_not_asked_for" in held.reasons
    return [*values, *([("action", held.tool)] if asks else [])]


class ProvenanceGate(ToolWrapper):
    """Holds every tool call to `GatePolicy`, from the messages alone: no model is asked.

    What is held is put to a person by `interrupt()`, with what was tried, why it was held and
    where each value was seen; or, with `on_held="block"`, refused, with nothing in the refusal
    that the model could argue with. What a person approves runs as it was shown, what he edits
    as he wrote it; an answer that makes no sense is asked for again. Observers are told
    `gate.held` and `gate.decided`.

    The decision is made anew from the same messages when the graph goes on, so it needs no
    ledger. Several calls in one ToolNode share a task, and there an answer could be taken for
    the answer to another: what is held among several is not made, and the model is told to make
    that call by itself, when it will be asked about. `create_agent`, and `Send` for each call,
    give each a task of its own.

    What a tool gives back is noted as that tool's, whatever it says about itself. `Validated` and
    `InjectionFilter` note more, and stand outside.

    `plan_key` is where the state has a sealed plan, `seal_key` what it was sealed with. Stands
    outside of `Review`, which may ask about the same call for reasons of its own.
    """

    def __init__(
        self,
        policy: GatePolicy | None = None,
        *,
        on_held: OnHeld = "interrupt",
        plan_key: str = "plan",
        seal_key: bytes = b"",
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.policy, self.on_held = policy or GatePolicy(), on_held
        self.plan_key, self.seal_key = plan_key, seal_key
        self.messages_key, self.observers = messages_key, observers

    def steps(self, request: ToolCallRequest, handler: Handler) -> Steps[ToolResult]:
        """Let the call pass, or settle what is to be done about it."""
        call, messages, plan = request.tool_call, self.messages(request), self.plan(request)
        thread = thread_of(request)
        held = yield from off_loop(
            lambda: self.policy.decide(
                call["name"], call["args"], messages, plan, key=self.seal_key, thread=thread
            )
        )
        given = partial(self.attributed, call, before=messages)
        if held is None:
            return given((yield from handler(request)))
        pairs = granted_by(held) if self.policy.remember else []
        return (
            yield from settle(
                held, request, handler, on_held=self.on_held, messages_key=self.messages_key,
                given=given,
                approved=partial(noting, pairs, messages_key=self.messages_key, before=messages),
            )
        )  # fmt: skip

    def attributed(
        self, call: Mapping[str, Any], result: ToolResult, *, before: Sequence[Any] = ()
    ) -> ToolResult:
        """The result as the tool's, unless the policy lets this tool say whose it is."""
        if call["name"] in self.policy.labels_from:
            return result
        return attributed(call, result, self.messages_key, before=before)

    # ----------------------------------------------------------------------- what it sees

    def messages(self, request: ToolCallRequest) -> Sequence[Any]:
        """The thread's messages: of a task that was sent only a call, the state's."""
        messages = messages_of(request.state, self.messages_key)
        if any(one.type == "human" for one in messages):
            return messages
        return self._read(request, self.messages_key) or messages

    def plan(self, request: ToolCallRequest) -> Any:
        """The state's sealed plan, if it has one."""
        state = request.state
        if isinstance(state, Mapping) and self.plan_key in state:
            return state[self.plan_key]
        found = getattr(state, self.plan_key, None)
        return self._read(request, self.plan_key) if found is None else found

    def _read(self, request: ToolCallRequest, channel: str) -> Any:
        config = getattr(request.runtime, "config", None) or {}
        read = config.get("configurable", {}).get(READ)
        try:
            return read(channel) if read else None
        except KeyError:  # the graph has no such channel
            return None
