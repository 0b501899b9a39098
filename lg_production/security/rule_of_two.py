"""The Rule of Two: untrusted input, sensitive data, and change; never all three unattended.

From Meta's "Agents Rule of Two". What a tool brings with it is declared, on the tool or here.
`lint` looks at a set of tools before it runs; `Session` at what a thread has done so far, which
it reads from the messages, so that neither a resume nor a crash forgets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from langchain_core.messages import ToolMessage

from .channels import channel_of, label_of, provenance_of
from .held import has_run

Leg: TypeAlias = Literal["untrusted", "sensitive", "changes"]
LEGS: tuple[Leg, ...] = get_args(Leg)
ALL: frozenset[Leg] = frozenset(LEGS)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a set of tools: the tools that bring each leg."""

    tools: Mapping[Leg, tuple[str, ...]]
    undeclared: tuple[str, ...] = ()

    def __str__(self) -> str:
        legs = "; ".join(f"{leg}: {', '.join(names)}" for leg, names in self.tools.items())
        said = f"one agent has all three legs of the Rule of Two ({legs})" if self.tools else ""
        missing = ", ".join(self.undeclared)
        return "; ".join(filter(None, [said, missing and f"not declared: {missing}"]))


@dataclass(frozen=True)
class RuleOfTwo:
    """Which legs each tool brings.

    `tools` maps a tool's name to its legs; a tool that is not named says it itself, by its
    `tags` or the list `metadata["rule_of_two"]`. MCP's `readOnlyHint` and `openWorldHint` are
    read too. What says nothing counts as all three, unless `undeclared` says otherwise.
    """

    tools: Mapping[str, frozenset[Leg]]
    undeclared: frozenset[Leg] = ALL

    @classmethod
    def of(cls, tools: Iterable[Any], **declared: Iterable[Leg]) -> RuleOfTwo:
        """The rule for these tools, with what they say and what is declared here."""
        said = {tool.name: told_by(tool) for tool in tools}
        known = {name: legs for name, legs in said.items() if legs is not None}
        return cls({**known, **{name: frozenset(legs) for name, legs in declared.items()}})

    def legs(self, tool: str) -> frozenset[Leg]:
        """What a tool brings."""
        return self.tools.get(tool, self.undeclared)

    def lint(self, tools: Iterable[str]) -> Finding | None:
        """What is wrong with giving one agent all these tools; None if nothing is."""
        names = sorted(set(tools))
        undeclared = tuple(name for name in names if name not in self.tools)
        by = {leg: tuple(n for n in names if leg in self.legs(n)) for leg in LEGS}
        if all(by.values()):
            return Finding(by, undeclared)
        return Finding({}, undeclared) if undeclared else None

    def stands(self, messages: Sequence[Any]) -> frozenset[Leg]:
        """The legs that a thread stands on: those of every tool that has answered.

        A summary stands on those of the tools that it sums up; any other text that is labelled as
        not the user's is untrusted input.
        """
        answered = {m.name or "" for m in messages if has_run(m)}
        told = [m for m in messages if not isinstance(m, ToolMessage) and label_of(m)]
        told = [m for m in told if channel_of(m) != "user"]
        answered |= {name for m in told for name in provenance_of(m).origin.split(", ")} & set(
            self.tools
        )
        legs = frozenset(leg for name in answered for leg in self.legs(name))
        return legs | ({"untrusted"} if told else set())

    def third(self, tool: str, messages: Sequence[Any]) -> frozenset[Leg]:
        """The legs that this call would add to make three; empty if it does not."""
        stands, adds = self.stands(messages), self.legs(tool)
        if stands | adds != ALL:
            return frozenset()
        return adds - stands or (adds & {"changes"})


def told_by(tool: Any) -> frozenset[Leg] | None:
    """What a tool says about itself; None if nothing."""
    metadata = getattr(tool, "metadata", None) or {}
    said = {*(getattr(tool, "tags", None) or ()), *(metadata.get("rule_of_two") or ())}
    legs = frozenset(leg for leg in LEGS if leg in said)
    read_only, open_world = metadata.get("readOnlyHint"), metadata.get("openWorldHint")
    if not legs and read_only is None and "rule_of_two" not in metadata:
        return None
    hinted: set[Leg] = set()
    if read_only is False:
        hinted.add("changes")
    if open_world:
        hinted.add("untrusted")
    return legs | hinted
