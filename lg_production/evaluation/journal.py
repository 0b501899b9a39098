"""The journal of a run: a line for each finished trial. A crash loses only what was running.

JSON Lines. The first says what is run, and a run goes on only if all of it is the same. Each line
is on the disk before the next trial begins; a last line that a crash has cut off is cut off.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from ..errors import RunsDiffer
from .results import FORMAT, Trial

try:
    import fcntl
except ImportError:  # Windows: there two runs could write one journal
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")


class Journal:
    """A journal in a file, held by this process alone. Close it, or use it in `with`.

    `header` says what is run, as JSON; `trials` are those that an earlier process noted. Raises
    `RunsDiffer`, and leaves the file as it is, if it is of another run, damaged, in use, or none.
    """

    def __init__(self, file: Path | str, header: Mapping[str, Any]) -> None:
        self.file, self.lock = Path(file), threading.Lock()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.opened: IO[bytes] = self.file.open("a+b")
        try:
            self._hold()
            self.trials = self._begin({"format": FORMAT, **header})
        except BaseException:
            self.opened.close()
            raise

    def _hold(self) -> None:
        try:
            if fcntl is not None:
                fcntl.flock(self.opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunsDiffer(f"(another process is writing {self.file})") from None

    def _begin(self, header: Mapping[str, Any]) -> list[Trial]:
        self.opened.seek(0)
        *lines, torn = self.opened.read().split(b"\n")
        if not lines:
            if not _line(header).startswith(torn):
                raise RunsDiffer(f"({self.file} is no journal of a run)")
            self.opened.truncate(0)
            self._write(header)
            return []
        trials = self._read(lines, json.loads(_line(header)))
        self.opened.truncate(sum(len(line) + 1 for line in lines))
        return trials

    def _read(self, lines: Sequence[bytes], header: Mapping[str, Any]) -> list[Trial]:
        self._compare(self._as(dict[str, Any], 1, lines[0]), header)
        return [self._as(Trial.read, n, line) for n, line in enumerate(lines[1:], 2)]

    def _as(self, kind: Callable[[Any], T], number: int, line: bytes) -> T:
        try:
            return kind(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RunsDiffer(f"({self.file}:{number} is damaged, or no journal)") from None

    def _compare(self, known: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        """Refuse to go on with something else."""
        differing = [name for name in {**known, **header} if known.get(name) != header.get(name)]
        if differing:
            told = "; ".join(f"{n}: {known.get(n)!r}, now {header.get(n)!r}" for n in differing)
            raise RunsDiffer(f"({self.file} is of another run: {told}. Begin anew, or elsewhere)")

    def add(self, trial: Trial) -> None:
        """Note a trial that has ended; it is on the disk afterwards. Any thread may.

        Its secrets are left out, as they are in a report.
        """
        told = trial.redacted().stored()
        with self.lock:
            self._write(told)

    def _write(self, data: Mapping[str, Any]) -> None:
        self.opened.write(_line(data))
        self.opened.flush()
        os.fsync(self.opened.fileno())

    def close(self) -> None:
        """Let another process have it."""
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"
