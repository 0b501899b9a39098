"""What is looked at before a run begins, because afterwards it would be paid for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .cases import Suite
from .comparing import compare
from .outcome import Outcome
from .results import Report, Trial


def ready(before: Report | None, suite: Suite, files: Iterable[Path | None]) -> None:
    """Raise what would be raised when a run has ended, by a comparison or by a file."""
    if before is not None:
        comparable(before, suite)
    for file in files:
        if file is not None:
            writable(file)


def writable(file: Path) -> None:
    """Raise OSError if there is no place for this file. Folders above it are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder, and no file can be written there")
    if not os.access(file.parent, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise PermissionError(f"{file} cannot be written")


def comparable(before: Report, suite: Suite) -> None:
    """Raise `RunsDiffer` if a whole run of this suite could not be compared with an earlier one."""
    cases = tuple(case.stored() for case in suite.cases)
    trials = tuple(Trial(case.id, 0, Outcome(""), ()) for case in suite.cases)
    later = Report(suite.name, suite.version, suite.hash, "", cases, trials)
    compare(before.redacted(), later.redacted())  # what was written has no secrets, what runs may
