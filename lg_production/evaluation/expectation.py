"""What every behaviour is: a frozen model with a kind, that passes a verdict on an outcome."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    StrictBool,
    model_serializer,
)

from .outcome import Outcome

MOST_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an outcome is as a behaviour wants it.

    `behaviour` is its kind and a short spelling; `why` is a sentence that names the value seen,
    and empty if it passed.
    """

    behaviour: str
    passed: StrictBool
    why: str = ""


class Expectation(BaseModel):
    """A behaviour. Subclasses write `objection` and `short`, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def check(self, outcome: Outcome) -> Verdict:
        """The verdict on an outcome. It never raises, and needs no model."""
        try:
            why = self.objection(outcome)
        except ValueError as wrong:  # a text that is too long to be searched
            why = f"{wrong}."
        return Verdict(self.spelled, not why, why)

    @property
    def spelled(self) -> str:
        """The kind and the rest of it, for a line of a report."""
        kind: str = getattr(self, "kind", "")
        return f"{kind} {self.short()}".strip()

    @abstractmethod
    def objection(self, outcome: Outcome) -> str:
        """What is wrong with the outcome, as a sentence; empty if nothing."""

    @abstractmethod
    def short(self) -> str:
        """What it expects, in a few words."""

    @model_serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The kind is a default, and would be lost where defaults are left out.
        return {"kind": getattr(self, "kind", ""), **handler(self)}


def shown(value: Any) -> str:
    """A value within a sentence: cut, and on one line."""
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def listed(words: Iterable[str]) -> str:
    """Words as a list in a sentence; "nothing" if there are none."""
    return shown(", ".join(words)) or "nothing"
