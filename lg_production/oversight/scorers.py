"""How sure the agent is of a call: scorers, and how several become one.

A scorer is a callable `(state, call) -> Score`. It says None where it cannot tell; nothing
here makes a number up.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from ..core.identity import messages_of
from ..core.keys import canonical
from .logprobs import spelling, tokens_of

Call: TypeAlias = Mapping[str, Any]
"""A tool call of LangChain's: name, args, id."""
History: TypeAlias = Callable[[Any, Call], Sequence[AnyMessage]]


@dataclass(frozen=True, slots=True)
class Score:
    """How sure, from 0 to 1; None if nobody can say.

    `source` names the scorer. `evidence` says what the value is made of, in numbers and codes.
    `alternatives` are other calls that were considered, as `{"name", "args", "share"}`.
    `calibrated`: of the cases with this value, that share is right. `veto`: no other score can
    make it better. `parts` are the scores that it was made of.
    """

    value: float | None
    source: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    alternatives: Sequence[Mapping[str, Any]] = ()
    calibrated: bool = False
    veto: bool = False
    parts: tuple[Score, ...] = ()

    def __post_init__(self) -> None:
        if self.value is not None and not 0 <= self.value <= 1:
            raise ValueError(f"a score is from 0 to 1, or None: {self.source} gave {self.value}")


class Scorer(Protocol):
    """Anything that can say how sure the agent is of a call."""

    def __call__(self, state: Any, call: Call, /) -> Score: ...  # noqa: D102


# -------------------------------------------------------------------------- what led to it


def before(state: Any, call: Call, messages_key: str = "messages") -> list[AnyMessage]:
    """The messages that the model was shown before it asked for this call."""
    messages = list(messages_of(state, messages_key))
    at = asking(messages, call)
    return messages if at is None else messages[:at]


def asking(messages: Sequence[Any], call: Call) -> int | None:
    """Where the message is that asks for this call."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, AIMessage) and any(
            asked["id"] == call["id"] for asked in message.tool_calls
        ):
            return at
    return None


# ------------------------------------------------------------------------------- verbalised

QUESTION = (
    "You are about to call the tool {name} with the arguments {args}. How likely is it that this "
    "call is exactly what is wanted, in every argument? Do not call any tool. End with a line of "
    "the form `confidence: N`, N a whole number from 0 to 100."
)
SAID = re.compile(
    r"^\W*confidence[\s:=*_]*(-?\d+(?:\.\d+)?)\s*(%?)\W*$", re.IGNORECASE | re.MULTILINE
)
ONLY = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(%?)\s*")


@dataclass(frozen=True)
class Verbalised:
    """What the model says of itself when it is asked. Models are too sure: never take it raw.

    `model` is asked for a number from 0 to 100 after `history(state, call)`, all that the agent
    saw by default. Without a model the number is read from the message that asks for the call,
    whose prompt must then ask for a line `confidence: N`. A number beyond the ends is moved to
    them, a decimal below 1 without % is taken as a share, and no number, or several, as no score.
    """

    model: Any = None
    history: History = before
    question: str = QUESTION
    messages_key: str = "messages"

    def __call__(self, state: Any, call: Call) -> Score:
        """Ask, and read the answer."""
        said = said_number(self._text(state, call))
        if said is None:
            return Score(None, "verbalised", {"problem": "no_number"})
        return Score(min(max(said, 0.0), 1.0), "verbalised", {"said": said})

    def _text(self, state: Any, call: Call) -> str:
        if self.model is None:
            messages = messages_of(state, self.messages_key)
            at = asking(messages, call)
            return "" if at is None else str(messages[at].text)
        asked = self.question.format(name=call["name"], args=canonical(call["args"]))
        answer = self.model.invoke([*self.history(state, call), HumanMessage(asked)])
        return str(answer.text)


def said_number(text: str) -> float | None:
    """The share that a text names, not clamped; None unless it names exactly one."""
    only = ONLY.fullmatch(text)
    found = [only.groups()] if only else SAID.findall(text)
    if len(found) != 1:
        return None
    (digits, percent), number = found[0], float(found[0][0])
    return number if "." in digits and not percent and 0 <= number < 1 else number / 100


# ------------------------------------------------------------------------- log-probabilities


@dataclass(frozen=True)
class LogProbability:
    """How likely the model found the tokens of its call, as the provider says.

    Reads `response_metadata["logprobs"]["content"]` of the message that asks, in OpenAI's shape,
    and of these the tokens that spell the tool's name and arguments. `mean` is the geometric
    mean of their probabilities, `min` the least. Many providers say nothing of tool calls: None.
    """

    of: Literal["mean", "min"] = "mean"
    messages_key: str = "messages"

    def __call__(self, state: Any, call: Call) -> Score:
        """Read them."""
        messages = messages_of(state, self.messages_key)
        at = asking(messages, call)
        tokens = None if at is None else tokens_of(messages[at].response_metadata)
        if tokens is None:
            return Score(None, "logprob", {"problem": "no_logprobs"})
        logs = [token.logprob for token in spelling(tokens, call["name"], call["args"])]
        if not logs:
            return Score(None, "logprob", {"problem": "call_not_found"})
        ends = {"mean": math.fsum(logs) / len(logs), "min": min(logs)}
        return Score(math.exp(ends[self.of]), "logprob", {"tokens": len(logs), **ends})


# ------------------------------------------------------------------------- self-consistency


NO_CALL = ""


def same_call(call: Call) -> str:
    """A call in one spelling."""
    return canonical([call["name"], stripped(call["args"])])


def stripped(value: Any) -> Any:
    """A value without the spaces that say nothing."""
    match value:
        case str():
            return " ".join(value.split())
        case Mapping():
            return {key: stripped(item) for key, item in value.items()}
        case list() | tuple():
            return [stripped(item) for item in value]
    return value


@dataclass(frozen=True)
class SelfConsistency:
    """The share of `k` samples that make the same call; what else they call are alternatives.

    `model` is the agent's, with the same tools bound and a temperature above 0: at 0 it agrees
    with itself for nothing. Wrap it, `wrapped_model(model, Budgeted(budget))`, and its k calls
    are counted. It is shown `history(state, call)`: all that the agent saw, by default, less a
    system prompt that is not in the state. `same(call)` is what two equal calls share: by default
    the tool and the arguments, but for spaces around words and how a number is written.
    """

    model: Any
    k: int = 5
    history: History = before
    same: Callable[[Call], str] = same_call

    def __post_init__(self) -> None:
        if self.k < 2:
            raise ValueError("k must be at least 2: a sample alone agrees with itself")

    def __call__(self, state: Any, call: Call) -> Score:
        """Draw the samples, one after the other, and compare."""
        shown, wanted = list(self.history(state, call)), self.same(call)
        found: dict[str, Call] = {}
        counts: Counter[str] = Counter()
        for _ in range(self.k):
            asked = {self.same(c): c for c in self.model.invoke(shown).tool_calls}
            counts.update(asked.keys() or [NO_CALL])
            found |= asked
        others = [n for n in counts.most_common() if n[0] in found and n[0] != wanted]
        return Score(
            counts[wanted] / self.k,
            "self_consistency",
            {"samples": self.k, "agreed": counts[wanted], "no_call": counts[NO_CALL]},
            [alternative(found[name], times / self.k) for name, times in others],
        )


def alternative(call: Call, share: float) -> dict[str, Any]:
    """A call that was considered, as it is recorded."""
    return {"name": call["name"], "args": dict(call["args"]), "share": share}
