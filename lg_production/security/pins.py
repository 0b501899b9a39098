"""Tools are pinned: one whose name, description, arguments or hints have changed is held.

A server that offers tools can change what it says about them after they were approved (a "rug
pull"), and what it says is read by the model. A pin is a hash of all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.prebuilt.tool_node import ToolCallRequest

from ..core.events import Event, Observer
from ..core.keys import canonical, digest
from ..core.models import ModelWrapper
from ..core.steps import Emit, Steps
from ..core.wrappers import ToolWrapper, in_place_of
from .allow import offer
from .held import Held
from .questions import OnHeld, settle

HINTS = ("title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
"""Model Context Protocol 2025-06-18, `ToolAnnotations`."""
Reason = Literal["tool_changed", "tool_unknown"]


def pin_of(tool: Any) -> str:
    """SHA-256 of what is said about a tool: name, description, arguments, hints; 64 digits.

    The hints are MCP's annotations, where its server gives any.
    """
    schema = tool.tool_call_schema
    spelled = schema if isinstance(schema, Mapping) else schema.model_json_schema()
    said = getattr(tool, "metadata", None) or {}
    hints = {name: said[name] for name in HINTS if said.get(name) is not None}
    extras = getattr(tool, "extras", None)
    more = [canonical(one) for one in (hints, extras) if one]
    return digest("tool", tool.name, tool.description, canonical(spelled), *more).hex()


def pins_of(tools: Iterable[Any]) -> dict[str, str]:
    """The pins of some tools by their names: JSON, to be kept under version control."""
    return {tool.name: pin_of(tool) for tool in tools}


@dataclass(frozen=True, slots=True)
class Change:
    """A tool that is not as it was pinned."""

    tool: str
    reason: Reason


def changes(tools: Iterable[Any], pinned: Mapping[str, str]) -> tuple[Change, ...]:
    """The tools that are not as they were pinned, for a look before anything starts."""
    found = ((tool.name, changed(tool, pinned)) for tool in tools)
    return tuple(Change(name, reason) for name, reason in found if reason is not None)


def changed(tool: Any, pinned: Mapping[str, str]) -> Reason | None:
    """Why a tool is held; None if it is as it was pinned."""
    if tool.name not in pinned:
        return "tool_unknown"
    return None if pin_of(tool) == pinned[tool.name] else "tool_changed"


class Pins(ToolWrapper, ModelWrapper):
    """Holds every call of a tool that is not as it was pinned.

    `pinned` are `pins_of(tools)` as they were when somebody looked at them. Around tools, such a
    call is put to a person (`interrupt`) or refused (`block`). Around a model, such a tool is not
    offered at all, so that its new description is not read; a model with `bind_tools` has read
    it before: look at `changes(tools, pinned)` first. A person's yes is for one call: to accept
    the tool, pin it anew. A tool that is not to be seen here, since a wrapper further in has it,
    is refused. Emits `pins.held`, `pins.decided`, `pins.refused` and `pins.withdrawn`.
    """

    def __init__(
        self,
        pinned: Mapping[str, str],
        *,
        on_held: OnHeld = "interrupt",
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.pinned, self.on_held = dict(pinned), on_held
        self.messages_key, self.observers = messages_key, observers

    def steps(self, request: Any, handler: Any) -> Steps[Any]:
        """Let the call pass if its tool is as it was; offer the model no other."""
        if not isinstance(request, ToolCallRequest):
            return (yield from offer(request, handler, self._is_kept, "pins.withdrawn"))
        call = request.tool_call
        if request.tool is None:  # nobody's, or one that is found further in, unseen
            yield Emit(Event("pins.refused", {"tool": call["name"][:64]}))
            return in_place_of(call, f"{call['name'][:64]} was not carried out. It is not pinned.")
        reason = changed(request.tool, self.pinned)
        if reason is None:
            return (yield from handler(request))
        held = Held("pins", call["name"], call["args"], (reason,), WHY[reason])
        return (
            yield from settle(
                held, request, handler, on_held=self.on_held, messages_key=self.messages_key
            )
        )

    def _is_kept(self, tool: Any) -> bool:
        """Whether a tool is as it was; a dict is what a provider runs itself, and none of ours."""
        return isinstance(tool, dict) or changed(tool, self.pinned) is None


WHY: Mapping[Reason, str] = {
    "tool_changed": "what the tool says about itself has changed since it was pinned",
    "tool_unknown": "the tool was never pinned",
}
