"""Cases and suites: what an agent is asked, and how it should behave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

from langchain_core.messages import convert_to_messages
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from ..errors import CaseInvalid, SuiteEmpty
from .behaviours import KINDS, Behaviour, Trajectory, Verdict
from .lines import Line, dotted, flaw, named
from .outcome import Outcome, ToolUse
from .versions import SPLITS, Split, content_hash, merged, place

__all__ = ["Case", "Split", "Suite", "case_of", "load_suite"]

HIDDEN = re.compile(
    "[\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
"""What a reader of a file would not see, or see in another place."""


def _plain(value: Any) -> Any:
    if found := flaw(value):
        raise ValueError(": ".join(filter(None, found)))
    return value


def _asked(value: Any) -> Any:
    return {"messages": [{"role": "user", "content": value}]} if isinstance(value, str) else value


def _invocable(value: dict[str, Any]) -> dict[str, Any]:
    messages = value.get("messages", [])
    for i, message in enumerate(messages if isinstance(messages, list) else []):
        try:
            convert_to_messages([message])
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
            raise ValueError(f"messages.{i} is no message: it needs a role and content") from None
    return value


Plain = Annotated[Any, AfterValidator(_plain)]


class Case(BaseModel):
    """One thing to ask of an agent, and the behaviours it must show.

    `input` is what the graph is invoked with; a text is short for a user's message. `context` is
    the run's. `answers` are resume values for its interrupts, in order: a run with one interrupt
    more ends interrupted. `script` is a name by which a target may choose its world. `expected`
    is a reference answer, for judges; `trajectory` one of calls, for `trajectory` behaviours
    that have none of their own. `note`: why this case exists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$", max_length=100)]
    split: Split
    input: Annotated[
        dict[str, Any],
        BeforeValidator(_asked),
        AfterValidator(_plain),
        AfterValidator(_invocable),
    ]
    context: Annotated[dict[str, Any], AfterValidator(_plain)] = Field(default_factory=dict)
    answers: tuple[Plain, ...] = ()
    script: str = ""
    behaviours: Annotated[tuple[Behaviour, ...], Field(min_length=1)]
    expected: str | None = None
    trajectory: tuple[ToolUse, ...] | None = None
    tags: tuple[str, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _with_reference(self) -> Self:
        """Give the case's trajectory to the behaviours that compare with one and have none."""
        lacking = [isinstance(b, Trajectory) and b.calls is None for b in self.behaviours]
        if any(lacking):
            if self.trajectory is None:
                raise ValueError("a trajectory behaviour needs calls, or the case a trajectory")
            given = {"calls": self.trajectory}
            pairs = zip(self.behaviours, lacking, strict=True)
            whole = tuple(b.model_copy(update=given) if lacks else b for b, lacks in pairs)
            self.__dict__["behaviours"] = whole
        return self

    def check(self, outcome: Outcome) -> tuple[Verdict, ...]:
        """A verdict for each behaviour, in order."""
        return tuple(behaviour.check(outcome) for behaviour in self.behaviours)

    def stored(self) -> dict[str, Any]:
        """This as JSON, without what is as by default."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def line(self) -> str:
        """This as a line of its split's file, without the end of the line."""
        data = {key: value for key, value in self.stored().items() if key != "split"}
        match data["input"]:
            case {"messages": [{"role": "user", "content": str(text), **more}], **others}:
                data["input"] = data["input"] if more or others else text
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
        return HIDDEN.sub(lambda match: json.dumps(match[0])[1:-1], text)

    @property
    def hash(self) -> str:
        """SHA-256 of its content, in hex."""
        return content_hash([self.stored()])


@dataclass(frozen=True)
class Suite:
    """Cases of one version of golden data. `hash` is of their content, whatever its spelling.

    Raises `CaseInvalid` where two cases have one id.
    """

    name: str
    version: str
    cases: tuple[Case, ...]
    hash: str = field(init=False, default="")

    def __post_init__(self) -> None:
        ids = [case.id for case in self.cases]
        if twice := sorted({one for one in ids if ids.count(one) > 1}):
            raise CaseInvalid(f"two cases are called {twice[0]!r}", file=self.name, field="id")
        object.__setattr__(self, "hash", content_hash(case.stored() for case in self.cases))

    def only(
        self, *, split: Split | None = None, tags: Iterable[str] = (), ids: Iterable[str] = ()
    ) -> Suite:
        """The cases of this split, with at least one of the tags, and with one of the ids.

        What is not given does not count. Raises `SuiteEmpty` if none is left, or for an id that
        no case has.
        """
        tags, ids = {*tags}, {*ids}
        if unknown := sorted(ids - {case.id for case in self.cases}):
            raise SuiteEmpty(f"{self.name} has no case {', '.join(unknown)}.")
        kept = tuple(
            case
            for case in self.cases
            if (split in (None, case.split))
            and (not tags or tags & {*case.tags})
            and (not ids or case.id in ids)
        )
        if not kept:
            raise SuiteEmpty(f"No case of {self.name} {self.version} is of that split and tag.")
        return Suite(self.name, self.version, kept)


def load_suite(folder: Path | str, version: str | None = None) -> Suite:
    """The suite in a folder with v1, v2, …: this version of it, the newest by default.

    The folder of a version is that version. Cases are sorted by split and id. Raises
    `CaseInvalid`, naming file, line and field, and `SuiteEmpty` where there is nothing.
    """
    root, chosen = place(Path(folder), version)
    found = merged(root, chosen)
    cases = [_read(line, split) for split, line in found.values()]
    if not cases:
        raise SuiteEmpty(f"{root / chosen} holds no case.")
    return Suite(root.resolve().name, chosen, tuple(sorted(cases, key=_place)))


def case_of(data: Any, *, file: str = "", line: int = 0) -> Case:
    """JSON as a case. Raises `CaseInvalid`, naming the field, and the place if it is given."""
    if found := flaw(data):
        raise CaseInvalid(found[1], file=file, line=line, field=found[0])
    try:
        return Case.model_validate(data)
    except ValidationError as wrong:
        first, *others = [error for error in wrong.errors() if not _echo(error)]
        more = f" (and {len(others)} more)" if others else ""
        problem, name = _problem(first) + more, _field(first)
        raise CaseInvalid(problem, file=file, line=line, field=name) from None


def _read(line: Line, split: Split) -> Case:
    told = line.data.get("split", split)
    if told != split:
        raise line.invalid(f"{told!r} in a file of {split!r}", "split")
    return case_of({**line.data, "split": split}, file=str(line.file), line=line.number)


def _place(case: Case) -> tuple[int, str]:
    return SPLITS.index(case.split), case.id


def _field(error: ErrorDetails) -> str:
    """The dotted path of what is wrong: pydantic puts the kind of a behaviour into it."""
    path = list(error["loc"])
    if path[:1] == ["behaviours"] and len(path) > 2 and path[2] in KINDS:
        del path[2]
    ends = {"union_tag_invalid": ["kind"], "union_tag_not_found": ["kind"]}
    return dotted(*path, *ends.get(error["type"], []))


def _echo(error: ErrorDetails) -> bool:
    """Whether a list is called too short only because what is in it is wrong."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _problem(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing" | "union_tag_not_found":
            return "missing"
        case "union_tag_invalid":
            told = str(error.get("ctx", {}).get("tag"))
            return f"there is no {told!r}{_meant(told, KINDS)}; kinds are {', '.join(KINDS)}"
        case "extra_forbidden":
            return f"there is no such field{_meant(str(error['loc'][-1]), _fields(error))}"
        case "value_error":
            return str(error["ctx"]["error"])
    problem = error["msg"][:1].lower() + error["msg"][1:]
    given = error["input"]
    return f"{problem}, not {named(given)}" if error["type"].endswith("_type") else problem


def _fields(error: ErrorDetails) -> Iterable[str]:
    kind = error["loc"][2] if len(error["loc"]) == 4 else None
    model: Mapping[str, Any] = (KINDS[str(kind)] if kind in KINDS else Case).model_fields
    return model


def _meant(told: str, names: Iterable[str]) -> str:
    near = get_close_matches(told, list(names), 1)
    return f": is it {near[0]!r}?" if near else ""
