"""OutputFilter: what the model and the tools give out is cleaned before anybody renders it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.graph import END
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import BaseModel, ConfigDict, Field

from ..core.events import Event, Observer
from ..core.identity import messages_of
from ..core.models import ModelWrapper
from ..core.steps import Emit, Steps, drive
from ..core.wrappers import ToolWrapper, in_place_of
from ..errors import OutputRejected
from .channels import blocks_of, provenance_of, replaceable, rewritten
from .egress import EgressPolicy
from .leaks import Canary, leaked, redacted, secrets_in
from .results import each
from .sanitise import sanitised
from .sinks import leaves

WITHHELD = "[Withheld: this text held something that must not leave.]"


class OutputPolicy(BaseModel):
    """What may be given out.

    `egress` says which links may stay; with none, no link does. `markup`: live HTML is broken;
    False for text that nobody renders as HTML. `tool_links`: links in what tools answer are
    cleaned, too; by default they stay, for the model to follow through `Egress`. `secrets`: what
    is done about a token or a password: `redact`, `withhold` the whole text, raise `error`, or
    `keep`. `leak`: the same about a canary, with whose words the prompt is out, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    egress: EgressPolicy = Field(default_factory=EgressPolicy)
    markup: bool = True
    tool_links: bool = False
    secrets: Literal["redact", "withhold", "error", "keep"] = "redact"
    canaries: tuple[Canary, ...] = ()
    leak: Literal["withhold", "error"] = "withhold"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text as it may be given out, and why it changed: kinds and counts, never words."""

    text: str
    removed: Mapping[str, int]
    rejected: tuple[str, ...] = ()
    """Why the whole text must not leave; then `text` only says so."""


def cleaned(text: str, policy: OutputPolicy, *, links: bool = True) -> Cleaned:
    """The text as this policy lets it out. Secrets are looked for before and after cleaning:

    invisible letters within would hide one, and cleaning could make one whole.
    """
    guises = leaked(text, policy.canaries)
    if guises:
        return Cleaned(WITHHELD, {"canary": 1}, tuple(f"canary_{guise}" for guise in guises))
    note: Counter[str] = Counter()
    clean = sanitised(text, policy.egress, links=False, markup=False)
    text = clean.text
    note.update(clean.removed)
    if policy.secrets in ("withhold", "error"):
        kinds = tuple(dict.fromkeys(leak.kind for leak in secrets_in(text)))
        if kinds:
            return Cleaned(WITHHELD, {"secret": len(kinds)}, kinds)
    if policy.secrets == "redact":
        text, leaks = redacted(text)
        note.update(secret=len(leaks))
    rest = sanitised(text, policy.egress, links=links, markup=policy.markup and links)
    note.update(rest.removed)
    return Cleaned(rest.text, {kind: n for kind, n in note.items() if n})


class OutputFilter(ToolWrapper, ModelWrapper):
    """Cleans what is given out, as `OutputPolicy` says.

    Around a model: `wrapped_model(model, OutputFilter(…))`; a node behind the model, which cleans
    its last answer and goes on to `then`; the `after_model` of `create_agent`; around tools, for
    what they answer. Around tools it also refuses a call with a canary in its arguments. What is
    streamed token by token has left before it is whole: stream what comes behind this instead.
    Emits `output.cleaned` and `output.withheld`, with kinds and counts.
    """

    def __init__(
        self,
        policy: OutputPolicy | None = None,
        *,
        then: str = END,
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.policy, self.then = policy or OutputPolicy(), then
        self.messages_key, self.observers = messages_key, observers

    # --------------------------------------------------------------------- the surfaces

    def steps(self, request: Any, handler: Any) -> Steps[Any]:
        """Call the tool or the model, and clean what it gives."""
        if isinstance(request, ToolCallRequest):
            return (yield from self._tool(request, handler))
        return (yield from self._response((yield from handler(request))))

    def __call__(self, state: Any, runtime: Runtime[Any]) -> Command[Any]:
        """Clean the last answer of the model, and go on. LangGraph runs this node."""
        return Command(goto=self.then, update=self.after_model(state, runtime))

    def after_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """The same for `create_agent`. Raises `NotDurable` for a message without an id."""
        messages = messages_of(state, self.messages_key)
        if not messages or not isinstance(messages[-1], AIMessage):
            return None
        last = messages[-1]
        new = drive(self.clean(last), self.database, self.observers)
        if new is last:
            return None
        return {self.messages_key: [replaceable(new)]}

    # -------------------------------------------------------------------------- as steps

    def clean(self, message: BaseMessage, *, links: bool = True) -> Steps[BaseMessage]:
        """The message as it may be given out; the same object if nothing changed."""
        note: Counter[str] = Counter()
        rejected: list[str] = []

        def one(text: str) -> str:
            result = cleaned(text, self.policy, links=links)
            note.update(result.removed)
            rejected.extend(result.rejected)
            return result.text

        whole = "".join(text for _, text in blocks_of(message))
        rejected += [f"canary_{guise}" for guise in leaked(whole, self.policy.canaries)]
        new = rewritten(message, lambda _: WITHHELD) if rejected else rewritten(message, one)
        if rejected:
            yield from self._reject(provenance_of(message).origin or message.type, rejected)
        elif new is not message:
            yield Emit(Event("output.cleaned", {"source": message.type, **note}))
        return new

    def _reject(self, source: str, reasons: Sequence[str]) -> Steps[None]:
        reasons = tuple(dict.fromkeys(reasons))
        told = {"source": source, "reasons": ",".join(reasons)}
        yield Emit(Event("output.withheld", told))
        canary = any(reason.startswith("canary_") for reason in reasons)
        if (self.policy.leak if canary else self.policy.secrets) == "error":
            raise OutputRejected(f"({', '.join(reasons)})", source=source, reasons=reasons)

    def _tool(self, request: ToolCallRequest, handler: Any) -> Steps[Any]:
        call = request.tool_call
        if self.policy.canaries:
            words = "\n".join(text for _, _, text in leaves(call["args"]))
            guises = leaked(words, self.policy.canaries)
            if guises:
                yield from self._reject(call["name"], [f"canary_{guise}" for guise in guises])
                return in_place_of(call, f"{call['name']} was not carried out.")
        return (yield from each(request, handler, self._answer, self.messages_key))

    def _answer(self, message: ToolMessage) -> Steps[BaseMessage]:
        return (yield from self.clean(message, links=self.policy.tool_links))

    def _response(self, response: Any) -> Steps[Any]:
        """A model's answer in any of langchain's shapes."""
        if isinstance(response, AIMessage):
            return (yield from self.clean(response))
        inner = getattr(response, "model_response", None)
        if inner is not None:
            return replace(response, model_response=(yield from self._response(inner)))
        messages = getattr(response, "result", None)
        if isinstance(messages, list):
            new = []
            for one in messages:
                new += [(yield from self.clean(one)) if isinstance(one, AIMessage) else one]
            return replace(response, result=new)
        return response
