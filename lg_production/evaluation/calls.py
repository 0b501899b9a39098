"""Calls that a behaviour asks about: which of an outcome count, and which fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from .expectation import shown
from .outcome import Outcome, ToolUse
from .patterns import search

Counts: TypeAlias = Literal["done", "made", "asked"]
"""`done`: calls that succeeded; `made`: also those that failed; `asked`: also those not run."""

MISSING = object()
TOLD: Mapping[Counts, frozenset[str]] = {
    "done": frozenset({"success"}),
    "made": frozenset({"success", "error"}),
    "asked": frozenset({"success", "error", "not_run"}),
}


def counted(outcome: Outcome, counts: Counts) -> list[ToolUse]:
    """The calls of an outcome that count."""
    return [use for use in outcome.tools if use.status in TOLD[counts]]


def same(seen: Any, wanted: Any) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, and not True."""
    if isinstance(seen, bool) or isinstance(wanted, bool):
        return seen is wanted
    if isinstance(wanted, Mapping):
        return isinstance(seen, Mapping) and seen.keys() == wanted.keys() and holds(seen, wanted)
    if isinstance(wanted, list | tuple):
        listed = isinstance(seen, list | tuple) and len(seen) == len(wanted)
        return listed and all(map(same, seen, wanted))
    return bool(seen == wanted)


def holds(seen: Any, wanted: Any) -> bool:
    """Whether all that is wanted is in what was seen: a mapping may hold more, at any level."""
    if not isinstance(wanted, Mapping):
        return same(seen, wanted)
    return isinstance(seen, Mapping) and all(
        name in seen and holds(seen[name], value) for name, value in wanted.items()
    )


def value_at(values: Any, path: str) -> Any:
    """The value under a dotted path, also through lists by index; `MISSING` if there is none."""
    if isinstance(values, Mapping) and path in values:
        return values[path]
    head, _, rest = path.partition(".")
    if isinstance(values, Mapping) and head in values:
        inner = values[head]
    elif isinstance(values, list | tuple) and head.isdecimal() and int(head) < len(values):
        inner = values[int(head)]
    else:
        return MISSING
    return value_at(inner, rest) if rest else inner


def fits(use: ToolUse, tool: str, args: Mapping[str, Any], matches: Mapping[str, str]) -> bool:
    """Whether a call is of this tool, with these arguments among its own."""
    return (
        use.name == tool
        and holds(use.args, args)
        and all(_matches(value_at(use.args, path), shape) for path, shape in matches.items())
    )


def _matches(value: Any, pattern: str) -> bool:
    if value is MISSING:
        return False
    return search(pattern, value if isinstance(value, str) else str(value)) is not None


def pairs(wanted: Sequence[Any], seen: Sequence[Any], fit: Callable[[Any, Any], bool]) -> int:
    """How many of the wanted can each be paired with one of the seen that fits it, at most.

    Augmenting paths, breadth first (Kuhn 1955).
    """
    taken: dict[int, int] = {}
    held: dict[int, int] = {}
    for i in range(len(wanted)):
        order = sorted(range(len(seen)), key=taken.__contains__)
        reached: dict[int, int] = {}
        end = _free(i, order, taken, reached, lambda j, k: fit(seen[j], wanted[k]))
        while end is not None:
            k = reached[end]
            before, taken[end], held[k] = held.get(k), k, end
            end = before
    return len(held)


def _free(
    start: int,
    order: Sequence[int],
    taken: Mapping[int, int],
    reached: dict[int, int],
    fit: Callable[[int, int], bool],
) -> int | None:
    """The end of a path to one that is free; `reached` is by whom each on it was reached."""
    queue = [start]
    for k in queue:
        for j in order:
            if j not in reached and fit(j, k):
                reached[j] = k
                if j not in taken:
                    return j
                queue.append(taken[j])
    return None


def spelled(use: ToolUse) -> str:
    """A call as code, cut: `book_flight(flight='BA117')`."""
    return call(use.name, use.args)


def call(tool: str, args: Mapping[str, Any], matches: Mapping[str, str] | None = None) -> str:
    """A tool and what is said of its arguments, as code."""
    exact = [f"{name}={value!r}" for name, value in args.items()]
    inexact = [f"{name}~/{shape}/" for name, shape in (matches or {}).items()]
    return shown(f"{tool}({', '.join(exact + inexact)})")
