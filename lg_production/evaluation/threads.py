"""What a thread's checkpoints tell about the run that its first input began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.constants import START
from langgraph.types import StateSnapshot

from ..errors import CaseInvalid

NULL_TASK = "00000000-0000-0000-0000-000000000000"
"""Under this task LangGraph keeps a resume until it knows whose it is."""


@dataclass(frozen=True)
class Step:
    """A checkpoint: what it holds, and what came of the tasks that began there.

    `given` is the input, if it is one of an input; `waiting` and `error` are of its tasks.
    """

    id: str
    parent: str | None
    source: str
    values: Mapping[str, Any]
    given: Any = None
    interrupts: tuple[Any, ...] = ()
    waiting: bool = False
    error: str = ""


class FirstRun(NamedTuple):
    """The first run of a thread: its input, the answers that people gave, and its end.

    `given` is None where the first checkpoints are gone. `inner` are messages of subgraphs.
    """

    given: Any
    values: Mapping[str, Any]
    answers: list[Any]
    interrupts: list[Any]
    inner: list[Any]
    waiting: bool
    error: str


def first_run(source: Any, thread_id: str) -> FirstRun:
    """What the checkpoints of a thread tell, by a compiled graph or a checkpointer.

    Only what led to the newest checkpoint counts, and not what was abandoned by going back.
    Answers and messages of subgraphs need the checkpointer: of a graph that is not ours to look
    into, such as a remote one, they are not seen. Raises `CaseInvalid` if there is no checkpoint,
    and for a checkpointer alone whose checkpoints hold only what has changed (`DeltaChannel`).
    """
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    saver: Any = source if hasattr(source, "get_tuple") else getattr(source, "checkpointer", None)
    tuples = [*saver.list(config)] if hasattr(saver, "list") else []
    if hasattr(source, "get_state_history"):
        steps = [_of_snapshot(one) for one in source.get_state_history(config)]
    else:
        steps = [_of_tuple(one) for one in tuples if not _namespace(one)]
    lineage = _lineage(steps)
    if not lineage:
        raise CaseInvalid("the thread has no checkpoint", file=f"thread {thread_id}")
    begun = [lineage[0], *takewhile(lambda step: step.source != "input", lineage[1:])]
    begun = [step for step, after in zip_longest(begun, begun[1:]) if not _redone(after)]
    seen = {step.id for step in begun}
    ours = [one for one in tuples if (_parent(one) if _namespace(one) else _id(one.config)) in seen]
    run = _told(begun, ours[::-1], lineage[0].given)
    if isinstance(run.given, Mapping) and "messages" in run.given and "messages" not in run.values:
        problem = "its checkpoints hold no messages: give the graph, not its checkpointer"
        raise CaseInvalid(problem, file=f"thread {thread_id}")
    return run


def _told(begun: Sequence[Step], tuples: Sequence[CheckpointTuple], given: Any) -> FirstRun:
    last, inner = begun[-1], {_namespace(one): one for one in tuples if _namespace(one)}
    messages = [one.checkpoint["channel_values"].get("messages") for one in inner.values()]
    return FirstRun(
        given=given,
        values=last.values,
        answers=[answer for one in sorted(tuples, key=_made) for answer in _answers(one)],
        interrupts=[value for step in begun for value in step.interrupts],
        inner=[message for some in messages if isinstance(some, list) for message in some],
        waiting=last.waiting,
        error=last.error,
    )


def _redone(after: Step | None) -> bool:
    """Whether what was done at a checkpoint was done again, or otherwise, after it."""
    return after is not None and after.source in ("fork", "update")


def _answers(found: CheckpointTuple) -> list[Any]:
    """What people answered the tasks of a checkpoint: a list for each task."""
    writes = found.pending_writes or []
    told = [value for task, channel, value in writes if channel == RESUME and task != NULL_TASK]
    return [answer for one in told if isinstance(one, list | tuple) for answer in one]


def _lineage(newest_first: Sequence[Step]) -> list[Step]:
    """From the oldest checkpoint there is to the newest."""
    by_id, found = {step.id: step for step in newest_first}, []
    step = newest_first[0] if newest_first else None
    while step:
        found.append(step)
        step = by_id.pop(step.parent, None) if step.parent else None
    return found[::-1]


def _of_snapshot(snapshot: StateSnapshot) -> Step:
    tasks = snapshot.tasks
    starts = [task.result for task in tasks if task.name == START]
    values = snapshot.values if isinstance(snapshot.values, Mapping) else {}
    return Step(
        id=_id(snapshot.config) or "",
        parent=_id(snapshot.parent_config),
        source=(snapshot.metadata or {}).get("source", ""),
        values=values,
        given=starts[0] if starts else None,
        interrupts=tuple(one.value for task in tasks for one in task.interrupts),
        waiting=any(task.interrupts and task.result is None for task in tasks),
        error=next((str(task.error) for task in tasks if task.error), ""),
    )


def _of_tuple(found: CheckpointTuple) -> Step:
    values = found.checkpoint["channel_values"]
    writes = found.pending_writes or []
    settled = {task for task, channel, _ in writes if channel not in (INTERRUPT, RESUME)}
    asked = [(t, one.value) for t, channel, told in writes if channel == INTERRUPT for one in told]
    return Step(
        id=_id(found.config) or "",
        parent=_id(found.parent_config),
        source=found.metadata.get("source", ""),
        values={name: v for name, v in values.items() if not name.startswith(("branch:", "__"))},
        given=values.get(START),
        interrupts=tuple(value for _, value in asked),
        waiting=any(task not in settled for task, _ in asked),
        error=next((str(told) for _, channel, told in writes if channel == ERROR), ""),
    )


def _namespace(found: CheckpointTuple) -> str:
    return str(found.config["configurable"].get("checkpoint_ns", ""))


def _parent(found: CheckpointTuple) -> str | None:
    """The checkpoint of the graph itself in which a subgraph's was made."""
    return (found.metadata.get("parents") or {}).get("")


def _made(found: CheckpointTuple) -> str:
    return found.checkpoint["ts"]


def _id(config: RunnableConfig | None) -> str | None:
    return (config or {}).get("configurable", {}).get("checkpoint_id")
