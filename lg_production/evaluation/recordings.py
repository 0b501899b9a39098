"""Recordings and the file they are kept in: JSON Lines, the first of which is the format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.messages import messages_from_dict

from ..core.keys import canonical, digest
from ..errors import CassetteMiss
from .errors_kept import rebuilt as rebuilt_error
from .lines import BOM
from .values_kept import rebuilt

FORMAT = {"cassette": 1}
DAMAGED = (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, RecursionError)
"""What reading raises if a file is no cassette, or not a whole one."""


@dataclass(eq=False, slots=True)
class Recording:
    """A request and its answer, both JSON; no answer: it is not known yet.

    `kind` is model or tool, `name` which. `key` is what the request is known by.
    """

    kind: str
    name: str
    request: Any
    answer: Any = None
    used: bool = field(default=False, repr=False)
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.key = digest(self.kind, self.name, canonical(self.request)).hex()

    def line(self) -> dict[str, Any]:
        """This as it stands in a file."""
        return {
            "kind": self.kind, "name": self.name, "request": self.request, "answer": self.answer,
        }  # fmt: skip


def read(file: Path) -> list[Recording]:
    """The recordings of a file, in their order. Raises `CassetteMiss` if it is no cassette.

    A byte order mark means nothing. Each answer is looked at: one that cannot be given is a damage
    that is told with its line, before anything is asked.
    """
    number = 1
    try:
        text = file.read_bytes().removeprefix(BOM).decode("utf-8")
        lines = enumerate(text.split("\n"), 1)  # U+2028 ends no line
        told = [(n, line) for n, line in lines if line.strip()]
        if json.loads(told[0][1]) != FORMAT:
            raise CassetteMiss(f"({file} is of another format than {FORMAT})", field="format")
        found = []
        for number, line in told[1:]:  # noqa: B007 - told in the error
            found.append(_whole(json.loads(line)))
    except DAMAGED:
        raise CassetteMiss(f"({file}:{number} is no line of a cassette)", field="format") from None
    return found


def _whole(told: dict[str, Any]) -> Recording:
    """A recording that can be replayed. Raises one of `DAMAGED`."""
    found = Recording(told.pop("kind"), told.pop("name"), told.pop("request"), told.pop("answer"))
    ((way, answer),) = found.answer.items()
    if told or found.kind not in ("model", "tool") or not isinstance(found.name, str):
        raise ValueError("kind, name, request and answer")
    if way == "error":
        rebuilt_error({**answer, "text": str(answer["text"])})
    elif way == "said":
        messages_from_dict([answer]) if found.kind == "model" else rebuilt(answer)
    elif way != "asked":
        raise ValueError(way)
    return found


def write(file: Path, recordings: Iterable[Recording]) -> None:
    """Put recordings into a file: all of them, or nothing is changed."""
    lines = [FORMAT, *(one.line() for one in recordings)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with unfinished.open("x", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
