"""Where two values of JSON differ, and how that is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from ..core.keys import canonical

SHOWN = 80
"""Characters of a value that are shown."""
LED = 20
"""Characters that are shown before the first that differs."""
NOTHING = object()


class Difference(NamedTuple):
    """A place such as `messages[2].content`, and what stood and stands there, or `NOTHING`."""

    place: str
    before: Any
    now: Any

    def __str__(self) -> str:
        before, now = _spelled(self.before), _spelled(self.now)
        alike = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False))
        )
        start = max(0, alike - LED) if max(len(before), len(now)) > SHOWN else 0
        return f"{self.place} was {_cut(before, start)}, and is {_cut(now, start)}"


def differences(before: Any, now: Any, place: str = "") -> Iterator[Difference]:
    """Every place where two values differ, in the order of what is now; 1 is 1.0."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*now, *before]):
            inner = f"{place}.{name}" if place else str(name)
            yield from differences(before.get(name, NOTHING), now.get(name, NOTHING), inner)
    elif isinstance(before, list) and isinstance(now, list):
        for n in range(max(len(before), len(now))):
            old, new = (side[n] if n < len(side) else NOTHING for side in (before, now))
            yield from differences(old, new, f"{place}[{n}]")
    elif NOTHING in (before, now) or canonical(before) != canonical(now):
        yield Difference(place or "request", before, now)


def _spelled(value: Any) -> str:
    return "nothing" if value is NOTHING else json.dumps(value, ensure_ascii=False)


def _cut(text: str, start: int) -> str:
    piece = text[start : start + SHOWN]
    return f"{'…' if start else ''}{piece}{'…' if start + SHOWN < len(text) else ''}"
