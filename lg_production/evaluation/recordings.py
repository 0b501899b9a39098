"""Recordings and the file they are kept in: JSON Lines, the first of which is the format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..core.keys import canonical, digest
from ..errors import CassetteMiss

FORMAT = {"cassette": 1}


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
    """The recordings of a file, in their order. Raises `CassetteMiss` if it is no cassette."""
    lines = enumerate(file.read_text(encoding="utf-8").split("\n"), 1)  # U+2028 ends no line
    told, number = [(n, line) for n, line in lines if line.strip()], 1
    try:
        if json.loads(told[0][1]) != FORMAT:
            raise CassetteMiss(f"({file} is of another format than {FORMAT})", field="format")
        found = []
        for number, line in told[1:]:  # noqa: B007 - told in the error
            found.append(Recording(**json.loads(line)))
    except (ValueError, TypeError, IndexError):
        raise CassetteMiss(f"({file}:{number} is no line of a cassette)", field="format") from None
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
