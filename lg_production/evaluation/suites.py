"""Where suites are, and what they are run on: `evals/golden/<name>/suite.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import CaseInvalid, SuiteEmpty
from .versions import VERSION, versions

GOLDEN = Path("evals") / "golden"


@dataclass(frozen=True, slots=True)
class Place:
    """A suite's folder; `graph` is its target, `module:attribute`, if `suite.json` names one."""

    folder: Path
    graph: str = ""
    description: str = ""

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name


def place_of(name: str) -> Place:
    """The suite in this folder, or of this name under `evals/golden`; also one version's folder.

    Raises `SuiteEmpty` if there is none, and `CaseInvalid` for a `suite.json` that is none.
    """
    for folder in (Path(name), GOLDEN / name):
        if folder.is_dir() and (versions(folder) or VERSION.fullmatch(folder.name)):
            return _place(folder)
    known = ", ".join(place.name for place in places()) or "none"
    raise SuiteEmpty(f"(there is no suite {name!r} here; under {GOLDEN}: {known})")


def places(root: Path = GOLDEN) -> list[Place]:
    """The suites under a folder."""
    found = sorted(root.iterdir()) if root.is_dir() else []
    return [_place(folder) for folder in found if folder.is_dir() and versions(folder)]


def _place(folder: Path) -> Place:
    file = (folder.parent if VERSION.fullmatch(folder.name) else folder) / "suite.json"
    if not file.exists():
        return Place(folder)
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return Place(folder, str(told.get("graph", "")), str(told.get("description", "")))
    except (ValueError, AttributeError):
        raise CaseInvalid("it is no JSON object", file=str(file)) from None
