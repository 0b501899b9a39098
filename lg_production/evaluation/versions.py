"""Versions of golden data: folders v1, v2, …; each adds to the ones before it, or overrides.

A line {"id": "x", "removed": true} takes a case out. What a suite is, is told by a hash of its
cases, in which neither their order nor the spelling of the JSON counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ..core.keys import canonical, digest
from ..errors import CaseInvalid, SuiteEmpty
from .lines import Line, named, read_lines

Split: TypeAlias = Literal["happy", "edge", "adversarial"]
SPLITS: tuple[Split, ...] = get_args(Split)

VERSION = re.compile(r"v([1-9]\d{0,5})")


def versions(folder: Path) -> list[str]:
    """The versions in a suite's folder, oldest first. Raises `CaseInvalid` for a name like v1.1."""
    folders = [one.name for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
    for name in folders:
        if re.match(r"[vV]\d", name) and not VERSION.fullmatch(name):
            raise CaseInvalid("a version is called v1, v2, …", file=str(folder / name))
    return sorted(filter(VERSION.fullmatch, folders), key=number)


def number(version: str) -> int:
    """The number of a version: 2 for v2."""
    return int(version[1:])


def place(folder: Path, version: str | None) -> tuple[Path, str]:
    """A suite's folder and the version meant: the newest if none is, or if the folder is one.

    Raises `SuiteEmpty` where there is none.
    """
    if VERSION.fullmatch(folder.name) and versions(folder.parent) and version is None:
        return folder.parent, folder.name
    there = versions(folder)
    chosen = version or (there[-1] if there else "v1")
    if chosen not in there:
        having = f"it has {', '.join(there)}" if there else "it has no v1"
        raise SuiteEmpty(f"There is no {chosen} in {folder}: {having}.")
    return folder, chosen


def merged(folder: Path, version: str) -> dict[str, tuple[Split, Line]]:
    """The lines of a version and those before it, by id; a later version overrides.

    Raises `CaseInvalid` for an id that is none, that a version has twice, or that is removed
    and was not there; and for a file that is called otherwise than a split.
    """
    lines: dict[str, tuple[Split, Line]] = {}
    for one in versions(folder):
        if number(one) > number(version):
            break
        found = _version(folder / one)
        for key, (_, line) in found.items():
            if _removed(line) and key not in lines:
                raise line.invalid("there is no earlier case of this id to remove", "removed")
        kept = {key: value for key, value in found.items() if not _removed(value[1])}
        lines = {key: value for key, value in lines.items() if key not in found} | kept
    return lines


def content_hash(cases: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256, in hex, of cases as JSON, sorted by id."""
    ordered = sorted(cases, key=lambda case: str(case["id"]))
    return digest("suite", *(canonical(case) for case in ordered)).hex()


def _version(folder: Path) -> dict[str, tuple[Split, Line]]:
    found: dict[str, tuple[Split, Line]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        if file.stem not in SPLITS:
            raise CaseInvalid(f"a file is called {'.jsonl, '.join(SPLITS)}.jsonl", file=str(file))
        for line in read_lines(file):
            key = _id(line)
            if key in found:
                first = found[key][1]
                where = f"line {first.number} of {first.file.name}"
                raise line.invalid(f"{key!r} is the id of {where}, too", "id")
            found[key] = file.stem, line
    return found


def _id(line: Line) -> str:
    key = line.data.get("id")
    if not isinstance(key, str):
        raise line.invalid("missing" if key is None else f"not a string but {named(key)}", "id")
    return key


def _removed(line: Line) -> bool:
    if "removed" not in line.data:
        return False
    if line.data["removed"] is not True:
        raise line.invalid("removed is true, or not there", "removed")
    if others := sorted(line.data.keys() - {"id", "removed", "split", "note"}):
        raise line.invalid("what is removed has nothing else than an id", others[0])
    return True
