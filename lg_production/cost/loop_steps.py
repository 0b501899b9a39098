"""What counts as a loop, and the steps of which one is made.

The unit is the *step*: all calls of one answer of the model. The calls that a step makes beside
each other are never a loop; what steps do after each other may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .loop_history import Kind, Turn

Times = Annotated[int, Field(ge=2, le=1000, strict=True)]
MOST_CALLS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """A loop: its kind, the message at which it began, and how often it has gone round.

    `calls` are the hashes of its calls, by which they can be refused. No arguments, no results.
    """

    kind: Kind
    since: int
    repeats: int
    tools: tuple[str, ...]
    calls: tuple[str, ...]


class Thresholds(BaseModel):
    """What counts as a loop. A threshold of None is off.

    Steps, each the calls of one answer, are a loop when

    - `same_result`: so many in a row make the same calls and get the same results;
    - `cycle`: 2 to `longest_cycle` steps come round so many times, results included;
    - `same_call`: so many of the last `window` make the same call, whatever it returns;
    - `near_duplicate`: so many of the last `window` make nearly the same call (every argument
      equal but for case, space and the writing of numbers, or by `similarity` of its words),
      get the same or nothing, and no step between them brings anything new;
    - `repeated_error`: so many get the same error of a tool, but for numbers and what it echoes,
      and nothing new worked in between;
    - `ping_pong`: work is handed so many times to an agent that had it before, and nobody finds
      or says anything new;
    - `no_progress`: so many in a row bring no new result, not even a new error, and no agent says
      anything new; again after every half as many.

    `polling` names tools that are asked again on purpose: each call of theirs may be made
    `max_polls` times. `acting` names tools that say "ok" to everything: a call of theirs that
    was not made before counts as a new result. `handoffs` begin the names of tools without
    arguments that hand over to an agent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    same_result: Times | None = 3
    cycle: Times | None = 2
    longest_cycle: Annotated[int, Field(ge=2, le=50, strict=True)] = 6
    same_call: Times | None = 6
    window: Times = 10
    near_duplicate: Times | None = 3
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.9
    repeated_error: Times | None = 3
    ping_pong: Times | None = 4
    no_progress: Times | None = 15
    polling: frozenset[str] = frozenset()
    max_polls: Times = 50
    acting: frozenset[str] = frozenset()
    handoffs: tuple[Annotated[str, Field(min_length=1)], ...] = (
        "transfer_to_",
        "transfer_back_to_",
    )

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        for name in ("same_call", "near_duplicate"):
            if (getattr(self, name) or 0) > self.window:
                raise ValueError(f"{name} is never found in a window of {self.window}: widen it")
        return self


# ------------------------------------------------------------------------------- steps


@dataclass(frozen=True, slots=True)
class Step:
    """The calls of one answer that have a result, by what they are.

    `progress`: something worked and its result is new. `worked`: something worked, and the call
    or its result is new. `news`: a result is new, be it an error. `said`: a new text.
    `floor`: who has the work now.
    """

    index: int
    turns: tuple[Turn, ...]
    polls: tuple[Turn, ...]
    handoffs: tuple[Turn, ...]
    refused: tuple[Turn, ...]
    author: str
    floor: str
    progress: bool
    worked: bool
    news: bool
    said: bool

    @property
    def signature(self) -> frozenset[tuple[str, str | None]]:
        """The calls and their results."""
        return frozenset((turn.call, turn.result) for turn in self.turns)


def steps(policy: Thresholds, history: Sequence[Turn]) -> Iterator[Step]:
    """The history, one answer after the other; what is new is new to all before it."""
    calls: set[str] = set()
    results: set[tuple[str, str | None]] = set()
    shapes: set[tuple[str, str | None]] = set()
    for index, group in groupby(history, key=lambda turn: turn.index):
        siblings = [turn for turn in group if turn.result is not None]
        done = [turn for turn in siblings if not turn.refused]
        sorts: dict[str, list[Turn]] = {"work": [], "poll": [], "handoff": [], "said": []}
        for turn in done:
            sorts[sort_of(policy, turn)].append(turn)
        used = sorts["work"] + sorts["poll"]
        useful = [turn for turn in used if turn.error is None and not turn.empty]
        fresh = [turn for turn in useful if turn.call not in calls]
        new = any((turn.tool, turn.result) not in results for turn in useful)
        if siblings:
            author = plain(siblings[0].agent)
            yield Step(
                index=index,
                turns=tuple(sorts["work"]),
                polls=tuple(sorts["poll"]),
                handoffs=tuple(sorts["handoff"]),
                refused=tuple(turn for turn in siblings if turn.refused),
                author=author,
                floor=receiver(policy, sorts["handoff"]) or author,
                progress=new or any(turn.tool in policy.acting for turn in fresh),
                worked=new or bool(fresh),
                news=any(not t.empty and heard(t) not in shapes for t in used),
                said=any((turn.tool, turn.result) not in results for turn in sorts["said"]),
            )
        calls.update(turn.call for turn in done)
        results.update((turn.tool, turn.result) for turn in done)
        shapes.update(map(heard, done))


def heard(turn: Turn) -> tuple[str, str | None]:
    """A result by what it says: every other error says something, an echo does not."""
    return turn.tool, turn.result if turn.error else turn.shape


def sort_of(policy: Thresholds, turn: Turn) -> str:
    """What a turn is."""
    if not turn.tool:
        return "said"
    if turn.tool.startswith(policy.handoffs) and not turn.words:
        return "handoff"
    return "poll" if turn.tool in policy.polling else "work"


def receiver(policy: Thresholds, handed: Sequence[Turn]) -> str:
    """To whom the last handoff goes; "" without one."""
    if not handed:
        return ""
    name = handed[-1].tool
    return plain(name[max(len(p) for p in policy.handoffs if name.startswith(p)) :])


def plain(name: str) -> str:
    """An agent's name as it stands in the name of a tool."""
    return name.casefold().replace(" ", "_").replace("-", "_")


def jaccard(words: frozenset[str], others: frozenset[str]) -> float:
    """How much of all words both have."""
    return len(words & others) / (len(words | others) or 1)


def found(
    kind: Kind, step: Step, repeats: int, turns: Iterable[Turn], since: int | None = None
) -> Finding:
    """What these turns are, up to this step."""
    turns = tuple(turns)[-MOST_CALLS:]
    tools = tuple(sorted({turn.tool for turn in turns}))
    calls = tuple(dict.fromkeys(turn.call for turn in turns))
    return Finding(kind, step.index if since is None else since, repeats, tools, calls)


def alike(turn: Turn, other: Turn, similarity: float) -> bool:
    """Whether two calls are nearly the same, whatever they returned."""
    if (turn.agent, turn.tool, len(turn.words)) != (other.agent, other.tool, len(other.words)):
        return False
    return all(
        name == name2 and (words == words2 or jaccard(words, words2) >= similarity)
        for (name, words), (name2, words2) in zip(turn.words, other.words, strict=True)
    )
