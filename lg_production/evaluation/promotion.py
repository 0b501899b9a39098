"""Promotion: a thread of production becomes a case, without the secrets in it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages

from ..errors import CaseInvalid
from .behaviours import (
    Asks,
    Behaviour,
    ClaimsOnlyDone,
    Ends,
    NeverUses,
    Uses,
    UsesOnly,
    Within,
)
from .cases import Case, case_of
from .jsonable import as_json
from .outcome import Outcome, outcome_of
from .redaction import Redact, redact
from .run_behaviours import named
from .threads import FirstRun, first_run
from .versions import VERSION, Split, merged, versions

try:
    import fcntl
except ImportError:  # Windows: two that promote at a time may lose one of the cases
    fcntl = None  # type: ignore[assignment]

ROLES = {"human": "user", "ai": "assistant"}
SLACK = 2
"""A derived limit is so many times what the run took."""


def promote(
    graph_or_saver: Any,
    thread_id: str,
    *,
    case_id: str,
    split: Split,
    behaviours: Sequence[Behaviour | Mapping[str, Any]] | None = None,
    redact: Redact = redact,
    note: str = "",
) -> Case:
    """The first run of a thread as a case: input, people's answers, trajectory, behaviours.

    `graph_or_saver` is a compiled graph with its checkpointer, or the checkpointer. Without
    `behaviours`, they are `derived` from what happened; where that was wrong, say yourself what
    would be right. `redact` sees input, answers, trajectory and derived behaviours at once:
    `Redaction(emails=True, names=[…])` also hides people, and keeps equal things equal. The
    run's context is in no checkpoint: add it, if the graph needs one. Raises `CaseInvalid` for
    a thread that has no checkpoint, or none with a user's input.
    """
    run = first_run(graph_or_saver, thread_id)
    given = _input(run, thread_id)
    outcome = _outcome(run, len(given.get("messages", ())))
    own = [b if isinstance(b, Mapping) else b.model_dump(mode="json") for b in behaviours or ()]
    found = {
        "input": given,
        "answers": as_json(run.answers),
        "trajectory": [
            {"name": use.name, "args": as_json(use.args)}
            for use in outcome.tools
            if use.status != "not_run"
        ],
        "behaviours": [] if own else [one.model_dump(mode="json") for one in derived(outcome)],
    }
    told = {**redact(found), **({"behaviours": own} if own else {})}
    described = {"id": case_id, "split": split, "tags": ["production"], "note": note or _note(run)}
    return case_of({**described, **told}, file=f"thread {thread_id}")


def derived(outcome: Outcome) -> tuple[Behaviour, ...]:
    """Behaviours that an outcome shows, and that another run of the same should show, too.

    How it ended, which tools it used and whom it asked; that calls which a person or a guard
    held back are not made; that nothing is claimed that was not done; twice its steps. None is
    derived that the outcome itself does not pass. Of a run that raised, only that it should not:
    until it is mended, the case fails.
    """
    if outcome.ended == "error":
        return (Ends(ended="done"), ClaimsOnlyDone())
    uses = [use for use in outcome.tools if use.name]  # a model may call "", which is no tool
    made = dict.fromkeys(use.name for use in uses if use.status != "not_run")
    done = dict.fromkeys(use.name for use in uses if use.status == "success")
    tools = {use.name for use in uses}
    asked = dict.fromkeys(_about(value, tools) for value in outcome.interrupts)
    found: list[Behaviour] = [
        Ends(ended=outcome.ended),
        UsesOnly(tools=tuple(made)),
        *(Uses(tool=tool) for tool in done),
        *(_held_back(outcome) if outcome.ended == "done" else ()),
        *(Asks(tool=tool) for tool in asked),
        ClaimsOnlyDone(),
        Within(steps=SLACK * outcome.steps + SLACK),
    ]
    return tuple(one for one in found if one.check(outcome).passed)


def append(case: Case, folder: Path | str, version: str | None = None) -> Path:
    """Write a case into its split's file of a version, the newest by default; the file.

    The file is replaced as a whole, so that a crash leaves the old one. Raises `CaseInvalid`,
    and writes nothing, for an id that the version or an earlier one has, and where what is
    there cannot be read.
    """
    root = Path(folder)
    if version is None and VERSION.fullmatch(root.name):
        root, version = root.parent, root.name
    version = version or (versions(root) or ["v1"])[-1]
    if not VERSION.fullmatch(version):
        raise CaseInvalid("a version is called v1, v2, …", file=str(root / version))
    (root / version).mkdir(parents=True, exist_ok=True)
    file = root / version / f"{case.split}.jsonl"
    with _alone(root / version):
        if case.id in (there := merged(root, version)):
            line = there[case.id][1]
            raise line.invalid(f"there is a case {case.id!r} already", "id")
        old = file.read_bytes() if file.exists() else b""
        end = b"" if old.endswith(b"\n") or not old else b"\n"
        _replace(file, old + end + case.line().encode() + b"\n")
    return file


def _input(run: FirstRun, thread_id: str) -> dict[str, Any]:
    given, place = run.given, f"thread {thread_id}"
    if given is None:  # the first checkpoints are gone, or were never written
        given = {"messages": _before_the_answer(run.values.get("messages"))}
        if not given["messages"]:
            raise CaseInvalid(
                "no input of a user is left", file=f"thread {thread_id}", field="input"
            )
    if isinstance(given, str):
        given = {"messages": [("user", given)]}
    if not isinstance(given, Mapping):
        raise CaseInvalid("its input is no mapping", file=place, field="input")
    kept = {str(key): as_json(value) for key, value in given.items() if key != "messages"}
    if "messages" not in given:
        return kept
    return {"messages": [_asked(message) for message in _listed(given["messages"])], **kept}


def _before_the_answer(messages: Any) -> list[BaseMessage]:
    """The messages before the first of the agent."""
    told = messages if isinstance(messages, list) else []
    agents = [i for i, one in enumerate(told) if isinstance(one, AIMessage | ToolMessage)]
    return told[: agents[0]] if agents else told


def _listed(told: Any) -> list[BaseMessage]:
    several = isinstance(told, list) and not (told and isinstance(told[0], str))
    try:
        return convert_to_messages(told if several else [told])
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as wrong:
        raise CaseInvalid(f"its messages cannot be read: {wrong}", field="input") from None


def _asked(message: BaseMessage) -> dict[str, Any]:
    """A message as an input spells it, without what was given to it later, such as an id."""
    role = ROLES.get(message.type, message.type)
    told: dict[str, Any] = {"role": role, "content": as_json(message.content)}
    if message.name:
        told["name"] = message.name
    if isinstance(message, AIMessage) and message.tool_calls:
        told["tool_calls"] = as_json(message.tool_calls)
    if isinstance(message, ToolMessage):
        told["tool_call_id"] = message.tool_call_id
    return told


def _outcome(run: FirstRun, given: int) -> Outcome:
    return outcome_of(
        run.values,
        interrupts=run.interrupts,
        ended="error" if run.error else "interrupted" if run.waiting else "done",
        error=run.error or None,
        given=given,
        seen=run.inner,
    )


def _held_back(outcome: Outcome) -> Iterator[NeverUses]:
    for use in outcome.tools:
        if use.status == "not_run" and use.name:
            yield NeverUses(tool=use.name, args=dict(use.args))


def _about(value: Any, tools: set[str]) -> str | None:
    return next((name for name in named(value) if name in tools), None)


def _note(run: FirstRun) -> str:
    unseen = len(run.interrupts) > len(run.answers) + run.waiting
    return "From production." + (" The answers of people could not be seen." if unseen else "")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Have the folder for oneself, until the end of the block."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(file: Path, data: bytes) -> None:
    target = file.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
