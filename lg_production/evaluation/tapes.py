"""A tape: what was recorded, what is asked for, and what is missing. Any thread may use it."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from ..errors import CassetteMiss
from .differing import differences
from .recordings import Recording, read, write
from .redaction import Redact, redact

Mode: TypeAlias = Literal["replay", "record", "auto"]


class Tape:
    """Recordings in a file, and the requests of one run that are held against them."""

    def __init__(self, file: Path | str, mode: Mode = "replay", *, redact: Redact = redact) -> None:
        if mode not in ("replay", "record", "auto"):
            raise ValueError(f"a cassette replays, records or does both (auto); mode is {mode!r}")
        self.file, self.mode, self.redact = Path(file), mode, redact
        self.missed: CassetteMiss | None = None
        self._lock = threading.Lock()
        self._changed = mode == "record"
        self._asked: Counter[str] = Counter()
        self._known: defaultdict[str, list[Recording]] = defaultdict(list)
        self.recordings: list[Recording] = []
        if mode != "record" and (mode == "replay" or self.file.exists()):
            for one in self._read():  # what an older rule has left in is compared by this one
                self._add(Recording(one.kind, one.name, redact(one.request), one.answer))

    def ask(self, kind: str, name: str, request: Any) -> Recording:
        """The recording that answers this request; one without an answer if it is to be made.

        A request that was asked n times before gets the n-th of its recordings. In replay it
        raises `CassetteMiss`, naming the first field that differs from the recording that is
        most like it.
        """
        asked = Recording(kind, name, self.redact(request))
        with self._lock:
            turn, same = self._asked[asked.key], self._known[asked.key]
            if turn < len(same):
                same[turn].used = True
            elif self.mode == "replay":
                raise self._miss(asked, turn)
            else:
                asked.used = True
                self._add(asked)
            self._asked[asked.key] += 1
            return same[turn]

    def keep(self, recording: Recording, answer: Any) -> None:
        """Note what the real thing answered."""
        told = self.redact(answer)
        with self._lock:
            recording.answer, self._changed = told, True

    def drop(self, recording: Recording) -> None:
        """Forget a request that had no answer, as if it had not been asked."""
        with self._lock:
            self._known[recording.key].remove(recording)
            self.recordings.remove(recording)
            self._asked[recording.key] -= 1

    def before(self, recording: Recording) -> list[Recording]:
        """The recordings of the same request before this one."""
        with self._lock:
            same = self._known[recording.key]
            return same[: same.index(recording)]

    def unused(self) -> list[Recording]:
        """What was recorded, and has not been asked for."""
        return [one for one in self.recordings if not one.used]

    def save(self) -> None:
        """Write what is new, whole or not at all."""
        with self._lock:
            if self._changed:
                write(self.file, [one for one in self.recordings if one.answer is not None])
                self._changed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.save()
        if self.missed and kind is None:
            raise self.missed

    # --------------------------------------------------------------------------------- within

    def _read(self) -> list[Recording]:
        try:
            return read(self.file)
        except FileNotFoundError:
            raise CassetteMiss(f"(there is no {self.file})", field="file") from None

    def _add(self, recording: Recording) -> None:
        self.recordings.append(recording)
        self._known[recording.key].append(recording)

    def _miss(self, asked: Recording, turn: int) -> CassetteMiss:
        self.missed = self.missed or self._missing(asked, turn)
        return self._missing(asked, turn)

    def _missing(self, asked: Recording, turn: int) -> CassetteMiss:
        who = f"{asked.kind} {asked.name}"
        if turn:
            return CassetteMiss(f"({who} is asked this for the {turn + 1}. time, and was {turn} "
                                "times)", field="occurrence")  # fmt: skip
        alike = [one for one in self.recordings if (one.kind, one.name) == (asked.kind, asked.name)]
        if not alike:
            names = sorted({f"{one.kind} {one.name}" for one in self.recordings})
            told = f"({who} is not recorded, only {', '.join(names) or 'nothing'})"
            return CassetteMiss(told, field="name")
        ways = [list(differences(one.request, asked.request)) for one in alike]
        first = min(ways, key=len)[0]
        return CassetteMiss(f"({who}: {first})", field=first.place)
