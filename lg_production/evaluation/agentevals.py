"""Trajectory match of the package agentevals: an outcome held against a reference trajectory.

Needs the extra `evals`. It asks no model. `Trajectory` among the behaviours needs nothing, and
compares calls alone; this also compares the turns in which they were made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, messages_from_dict

from ..errors import ExtraMissing
from .calls import counted
from .cases import Case
from .expectation import Verdict, listed
from .outcome import Outcome, ToolUse

try:
    from agentevals.trajectory.match import create_trajectory_match_evaluator
except ImportError as error:
    raise ExtraMissing("Install it: pip install 'lg_production[evals]'") from error

Args: TypeAlias = Literal["exact", "ignore", "subset", "superset"]
Matcher: TypeAlias = Args | Sequence[str] | Callable[[dict[str, Any], dict[str, Any]], bool]
"""How arguments of one tool are compared: a way, the names that must agree, or a function."""


@dataclass(frozen=True)
class TrajectoryMatch:
    """What agentevals says of a run and a reference.

    `mode` "strict": the same messages by role, with the same calls; "unordered": the same calls
    in any order; "subset": none but the reference's; "superset": all of the reference's. `args`
    is how arguments are compared, `tools` how those of one tool are. "unordered" holds either
    side against the other, so there arguments that are a subset must be a superset, too.
    """

    mode: Literal["strict", "unordered", "subset", "superset"] = "strict"
    args: Args = "exact"
    tools: Mapping[str, Matcher] | None = None

    def check(self, case: Case, outcome: Outcome) -> Verdict:
        """Compare with the trajectory of the case. Raises ValueError if it has none."""
        if case.trajectory is None:
            raise ValueError(f"case {case.id} has no trajectory")
        return self.compare(outcome, case.trajectory)

    def compare(
        self, outcome: Outcome, reference: Sequence[ToolUse] | Sequence[BaseMessage]
    ) -> Verdict:
        """Compare with calls, one after the other, or with the messages of a whole run."""
        calls = [one for one in reference if isinstance(one, ToolUse)]
        wanted = [one for one in reference if isinstance(one, BaseMessage)]
        made = counted(outcome, "made")
        seen = messages_from_dict(list(outcome.messages)) if wanted else _messages(made)
        told = self._evaluator()(outputs=seen, reference_outputs=wanted or _messages(calls))
        short = f"agentevals {self.mode} {listed(_names(calls, wanted))}"
        if told["score"] is True:
            return Verdict(short, passed=True)
        why = f"It called {listed(_names(made, []))}, which is no {self.mode} match."
        return Verdict(short, passed=False, why=why)

    def _evaluator(self) -> Any:
        matchers = {
            name: list(how) if isinstance(how, list | tuple) else how
            for name, how in (self.tools or {}).items()
        }
        return create_trajectory_match_evaluator(
            trajectory_match_mode=self.mode, tool_args_match_mode=self.args,
            tool_args_match_overrides=matchers or None,
        )  # fmt: skip


def _messages(calls: Iterable[ToolUse]) -> list[BaseMessage]:
    """Calls as messages: each is asked for, and answered."""
    found: list[BaseMessage] = []
    for n, use in enumerate(calls):
        key = f"call-{n}"
        asked = {"name": use.name, "args": dict(use.args), "id": key, "type": "tool_call"}
        found += [AIMessage("", tool_calls=[asked]), ToolMessage(use.result, tool_call_id=key)]
    return found


def _names(calls: Iterable[ToolUse], messages: Iterable[BaseMessage]) -> list[str]:
    asked = [call["name"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls]
    return [use.name for use in calls] + asked
