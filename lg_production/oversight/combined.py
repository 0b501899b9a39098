"""Scores that are checks, scores that are calibrated, and several that become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from pydantic import ValidationError

from .scorers import Call, Score, Scorer

Check: TypeAlias = Callable[[Any, Call], bool | str | None]
"""True or None: nothing is wrong. False, or a word for what is."""


class Validators:
    """1 if every check finds nothing wrong, else 0, and then no other score can make it better.

    A check is `(state, call) -> bool | str | None`: a rule, a look-up, a second model.
    """

    def __init__(self, *checks: Check) -> None:
        if not checks:
            raise ValueError("no checks would find nothing wrong with anything")
        self.checks = checks

    def __call__(self, state: Any, call: Call) -> Score:
        """Make every check."""
        found = [(check, check(state, call)) for check in self.checks]
        failed = [
            wrong if isinstance(wrong, str) else getattr(check, "__name__", "check")
            for check, wrong in found
            if wrong is not None and wrong is not True
        ]
        evidence = {"checks": len(found), "failed": failed}
        return Score(0.0 if failed else 1.0, "validators", evidence, veto=True)


def fits_schema(*tools: BaseTool) -> Check:
    """A check that the call is of one of these tools, and its arguments fit it."""
    named = {tool.name: tool for tool in tools}

    def schema(state: Any, call: Call) -> str | None:  # noqa: ARG001 - a check's signature
        tool = named.get(call["name"])
        if tool is None:
            return "unknown_tool"
        known: Any = tool.tool_call_schema
        if isinstance(known, dict):
            return None if all(n in call["args"] for n in known.get("required", ())) else "schema"
        try:
            known.model_validate(dict(call["args"]))
        except ValidationError:
            return "schema"
        return None

    return schema


class Combined:
    """Several scores as one: their mean by `weights`, or what a `calibrator` makes of them.

    The calibrator takes the values in the order of the scorers, as `Logistic` does, and gives
    the probability that the call is right. A score with a veto, of `Validators`, is no part of
    either: it is what the whole is at most. Once one is 0, the scorers behind it are not asked:
    put the cheap ones first. Where one of the others cannot tell, neither can the whole.
    """

    def __init__(
        self,
        *scorers: Scorer,
        weights: Sequence[float] | None = None,
        calibrator: Callable[[Sequence[float]], float] | None = None,
    ) -> None:
        if not scorers:
            raise ValueError("there is nothing to combine")
        if weights is not None and calibrator is not None:
            raise ValueError("a calibrator has weights of its own: give one or the other")
        if weights is not None and (len(weights) != len(scorers) or min(weights) <= 0):
            raise ValueError("weights are above 0, one for each scorer")
        self.scorers, self.calibrator = scorers, calibrator
        self.weights = tuple(weights or [1.0] * len(scorers))

    def __call__(self, state: Any, call: Call) -> Score:
        """Ask them in their order."""
        parts: list[Score] = []
        for scorer in self.scorers:
            parts.append(scorer(state, call))
            if parts[-1].veto and parts[-1].value == 0:
                break
        most = min((p.value for p in parts if p.veto and p.value is not None), default=None)
        value = most if most == 0 else self._value(parts, most)
        alternatives = [other for part in parts for other in part.alternatives]
        known = self.calibrator is not None and value is not None
        return Score(value, "combined", {}, alternatives, calibrated=known, parts=tuple(parts))

    def _value(self, parts: Sequence[Score], most: float | None) -> float | None:
        if any(part.value is None for part in parts):
            return None
        told = [(w, p.value or 0.0) for w, p in zip(self.weights, parts, strict=True) if not p.veto]
        if not told:
            return most
        if self.calibrator is not None:
            value = self.calibrator([v for _, v in told])
        else:
            value = math.fsum(w * v for w, v in told) / math.fsum(w for w, _ in told)
        return value if most is None else min(value, most)


@dataclass(frozen=True)
class Calibrated:
    """One scorer whose value means what it says: `calibrator` (`Isotonic`, `Temperature`) made it.

    A score that is None stays None.
    """

    scorer: Scorer
    calibrator: Callable[[float], float]

    def __call__(self, state: Any, call: Call) -> Score:
        """Ask, and correct the answer."""
        raw = self.scorer(state, call)
        if raw.value is None:
            return raw
        return replace(
            raw,
            value=self.calibrator(raw.value),
            source="calibrated",
            calibrated=True,
            parts=(raw,),
        )
