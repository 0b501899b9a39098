"""Behaviours about tools: which are called, how often, with what, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .calls import Counts, call, counted, fits, holds, pairs, same, spelled
from .expectation import Expectation, listed
from .outcome import Outcome, ToolUse
from .patterns import Pattern

Count = Annotated[int, Field(ge=0, strict=True)]
Name = Annotated[str, Field(min_length=1)]


def several(value: Any) -> Any:
    """One text as a tuple of one."""
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[Name, ...], BeforeValidator(several)]


class UsesOnly(Expectation):
    """Every call is of one of these tools. An empty list: no tool is called."""

    kind: Literal["uses_only"] = "uses_only"
    tools: Names
    counts: Counts = "made"

    def short(self) -> str:
        """The tools."""
        return listed(self.tools)

    def objection(self, outcome: Outcome) -> str:
        """The first call of another tool."""
        others = [use for use in counted(outcome, self.counts) if use.name not in self.tools]
        if not others:
            return ""
        return f"It called {spelled(others[0])}, which is not among {listed(self.tools)}."


class Uses(Expectation):
    """A tool is called with these arguments, `at_least` and `at_most` so often.

    `args` must be among the call's own, and mappings in them may hold more; `matches` are
    regular expressions for arguments, by dotted path. By default only calls that succeeded count.
    """

    kind: Literal["uses"] = "uses"
    tool: Name
    args: dict[str, Any] = Field(default_factory=dict)
    matches: dict[str, Pattern] = Field(default_factory=dict)
    at_least: Count = 1
    at_most: Count | None = None
    counts: Counts = "done"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most {self.at_most} is below at_least {self.at_least}")
        if self.at_most is None and self.at_least == 0:
            raise ValueError("at_least 0 holds whatever is called: give at_most as well")
        return self

    def short(self) -> str:
        """The call and how often."""
        most = "" if self.at_most is None else f" at most {self.at_most}"
        least = "" if self.at_least == 1 else f" at least {self.at_least}"
        return f"{call(self.tool, self.args, self.matches)}{least}{most}"

    def objection(self, outcome: Outcome) -> str:
        """How often it was called, and what was called instead."""
        seen = counted(outcome, self.counts)
        n = sum(fits(use, self.tool, self.args, self.matches) for use in seen)
        if n >= self.at_least and (self.at_most is None or n <= self.at_most):
            return ""
        nearest = [use for use in outcome.tools if use.name == self.tool] or seen
        told = listed(f"{spelled(use)} {use.status}" for use in nearest)
        return f"It was {self.counts} {times(n)}; of the calls there were {told}."


class NeverUses(Expectation):
    """A tool is never called with these arguments.

    By default failed calls count, and calls that a guard held back do not: `counts` "asked"
    forbids even to ask.
    """

    kind: Literal["never_uses"] = "never_uses"
    tool: Name
    args: dict[str, Any] = Field(default_factory=dict)
    matches: dict[str, Pattern] = Field(default_factory=dict)
    counts: Counts = "made"

    def short(self) -> str:
        """The call."""
        return call(self.tool, self.args, self.matches)

    def objection(self, outcome: Outcome) -> str:
        """The first such call."""
        for use in counted(outcome, self.counts):
            if fits(use, self.tool, self.args, self.matches):
                return f"It called {spelled(use)} ({use.status})."
        return ""


class InOrder(Expectation):
    """These tools are called in this order; others may be called between them."""

    kind: Literal["in_order"] = "in_order"
    tools: Annotated[Names, Field(min_length=1)]
    counts: Counts = "done"

    def short(self) -> str:
        """The tools."""
        return listed([" > ".join(self.tools)])

    def objection(self, outcome: Outcome) -> str:
        """How far it got."""
        names = [use.name for use in counted(outcome, self.counts)]
        rest = iter(names)
        for tool in self.tools:
            if tool not in rest:
                return f"After what was wanted before it, {tool} is missing in {listed(names)}."
        return ""


class Trajectory(Expectation):
    """The calls are those of a reference: of this behaviour, or of its case.

    `mode`: "exact" the same in the same order, "unordered" in any, "superset" at least these,
    "subset" none but these. `args`: whether arguments are the "same", at least the reference's
    ("holds"), or looked at at all ("ignore").
    """

    kind: Literal["trajectory"] = "trajectory"
    mode: Literal["exact", "unordered", "subset", "superset"] = "exact"
    args: Literal["same", "holds", "ignore"] = "same"
    calls: tuple[ToolUse, ...] | None = None
    counts: Counts = "made"

    def short(self) -> str:
        """How it is compared, and with what."""
        return f"{self.mode} {listed(use.name for use in self.calls or ())}"

    def objection(self, outcome: Outcome) -> str:
        """What was called, and what should have been."""
        wanted, seen = self.calls or (), counted(outcome, self.counts)
        if self.calls is None:
            return "There is no reference trajectory: give calls, or the case a trajectory."
        if self._agree(wanted, seen):
            return ""
        return f"It called {_told(seen)}; the reference is {_told(wanted)}."

    def _agree(self, wanted: tuple[ToolUse, ...], seen: list[ToolUse]) -> bool:
        if self.mode in ("exact", "unordered") and len(wanted) != len(seen):
            return False
        if self.mode == "exact":
            return all(map(self._fit, seen, wanted))
        fewest = len(seen) if self.mode == "subset" else len(wanted)
        return pairs(wanted, seen, self._fit) == fewest

    def _fit(self, seen: ToolUse, wanted: ToolUse) -> bool:
        compare = {"same": same, "holds": holds, "ignore": lambda *_: True}[self.args]
        return seen.name == wanted.name and compare(seen.args, wanted.args)


def times(n: int) -> str:
    """A count in words."""
    return {0: "not once", 1: "once", 2: "twice"}.get(n, f"{n} times")


def _told(uses: Iterable[ToolUse]) -> str:
    return listed(map(spelled, uses))
