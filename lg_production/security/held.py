"""A call that is held: what a person is shown of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolMessage

from ..core.answers import ACTIONS
from ..core.keys import canonical, digest
from .channels import label_of

MOST_LEVELS = 100
"""LangGraph's serializer refuses what is nested some 250 deep."""


@dataclass(frozen=True, slots=True)
class HeldValue:
    """A value that is not anchored, where it stands in the call, and where else it was seen."""

    argument: str
    kind: str
    value: str
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A call that may not be made without a person: which guard holds it, and why.

    `reasons` are the guard's codes, `why` the same in words.
    """

    guard: str
    tool: str
    arguments: Mapping[str, Any]
    reasons: tuple[str, ...]
    why: str
    values: tuple[HeldValue, ...] = ()

    @property
    def provenance(self) -> dict[str, tuple[str, ...]]:
        """Where each held value was seen, by its place in the call."""
        return {value.argument: value.seen for value in self.values}

    @property
    def digest(self) -> str:
        """What names this question: the guard, the tool and its arguments."""
        return digest("held", self.guard, self.tool, canonical(self.arguments)).hex()

    @property
    def can_be_shown(self) -> bool:
        """Whether a person can be shown this: deeper arguments do not fit into a checkpoint."""
        layer: list[Any] = [self.arguments]
        for _ in range(MOST_LEVELS):
            layer = [item for value in layer for item in inside(value)]
            if not layer:
                return True
        return False

    def request(self, problem: str = "") -> dict[str, Any]:
        """LangChain's HITLRequest with one action, and what a person should know besides."""
        action = {
            "name": self.tool,
            "args": dict(self.arguments),
            "description": self.describe(problem),
            "reasons": list(self.reasons),
            "provenance": [
                {"argument": v.argument, "kind": v.kind, "value": v.value, "seen": list(v.seen)}
                for v in self.values
            ],
            "digest": self.digest,
        }
        config = {"action_name": self.tool, "allowed_decisions": list(ACTIONS)}
        return {"action_requests": [action], "review_configs": [config]}

    def describe(self, problem: str = "") -> str:
        """The question in words."""
        text = f"{self.tool} was held: {self.why}."
        for value in self.values:
            seen = f", seen in {'; '.join(value.seen)}" if value.seen else ""
            text += f" {value.argument} ({value.kind}): {value.value!r}{seen}."
        return text + (f" The last answer did not count: {problem}." if problem else "")


def inside(value: Any) -> Iterable[Any]:
    """What a map or a list holds; nothing else holds anything."""
    match value:
        case Mapping():
            return value.values()
        case list() | tuple() | set() | frozenset():
            return value
    return ()


def values_of(values: Sequence[HeldValue]) -> str:
    """The kinds of some values, each once, for an event."""
    return ",".join(dict.fromkeys(value.kind for value in values))


def has_run(message: Any) -> bool:
    """Whether a tool may have run to give this message: a guard's own refusal says it did not."""
    return isinstance(message, ToolMessage) and not label_of(message).get("held")
