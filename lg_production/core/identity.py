"""Who asks: thread, message, call, task and checkpoint, read from a LangGraph runtime.

Only `thread_id`, `message_id` and `tool_call_id` survive crash, retry, resume, time travel
and fork, so only they may stand in a key. The rest is evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import ExecutionInfo

from ..errors import NotDurable

# LangGraph publishes the durability only under this key of the configuration.
DURABILITY = "__pregel_durability"
PUSH = "__pregel_push"

shares_task: ContextVar[bool] = ContextVar("lg_production_shares_task", default=False)
"""Set by a node that runs several calls: a task that `Send` made is not always one call."""

decision: ContextVar[str | None] = ContextVar("lg_production_decision", default=None)
"""Set around a tool call by what let it pass: the key of that decision, for evidence."""


@dataclass(frozen=True, slots=True)
class Task:
    """The LangGraph task in which something runs."""

    thread_id: str
    task_id: str
    checkpoint_id: str
    checkpoint_ns: str
    run_id: str | None
    node_attempt: int
    durability: str | None

    @property
    def parent_ns(self) -> str:
        """The namespace whose checkpoint asked for this task: `checkpoint_ns` less the task."""
        return self.checkpoint_ns.rpartition("|")[0]

    def evidence(self) -> dict[str, str | int | None]:
        """What is stored beside an effect and never in its key."""
        return {
            "task_id": self.task_id,
            "checkpoint_id": self.checkpoint_id,
            "checkpoint_ns": self.checkpoint_ns,
            "run_id": self.run_id,
            "node_attempt": self.node_attempt,
        }


@dataclass(frozen=True, slots=True)
class ToolCallIdentity:
    """One tool call of one model answer in one thread."""

    task: Task
    message_id: str | None
    tool_call_id: str | None
    siblings: int
    """Tool calls that run in the same task, this one included."""


def task_of(info: ExecutionInfo | None, config: Mapping[str, Any] | None) -> Task:
    """The task described by a runtime's `execution_info` and configuration.

    Raises `NotDurable` outside of a graph and in a graph without checkpointer or thread.
    """
    if info is None or info.thread_id is None:
        raise NotDurable(
            "There is no thread: compile the graph with a checkpointer and pass a thread_id; or, "
            "if this is a tool that changes nothing, declare it EffectPolicy(recovery='read_only')."
        )
    configurable = (config or {}).get("configurable", {})
    return Task(
        thread_id=str(info.thread_id),
        task_id=info.task_id,
        checkpoint_id=info.checkpoint_id,
        checkpoint_ns=info.checkpoint_ns,
        run_id=str(info.run_id) if info.run_id else None,
        node_attempt=info.node_attempt,
        durability=configurable.get(DURABILITY),
    )


def identify(request: ToolCallRequest, messages_key: str = "messages") -> ToolCallIdentity:
    """The identity of a tool call. Raises `NotDurable` where there is no thread."""
    runtime = request.runtime
    task = task_of(runtime.execution_info, runtime.config)
    call_id = request.tool_call.get("id")
    message = _asking(messages_of(request.state, messages_key), call_id)
    pushed = PUSH in ((runtime.config or {}).get("metadata", {}).get("langgraph_path") or ())
    shared = message is not None and (shares_task.get() or not pushed)
    siblings = len(message.tool_calls) if message is not None and shared else 1
    return ToolCallIdentity(task, message.id if message else None, call_id, siblings)


def thread_of(request: ToolCallRequest) -> str:
    """The id of the thread of a tool call; empty where there is none."""
    info = getattr(request.runtime, "execution_info", None)
    return str(info.thread_id or "") if info else ""


def messages_of(state: Any, key: str) -> Sequence[Any]:
    """The messages of a graph state in any of the shapes that ToolNode takes."""
    if isinstance(state, list):
        return state
    if isinstance(state, Mapping):
        return state.get(key) or ()
    return getattr(state, key, None) or ()


def _asking(messages: Sequence[Any], call_id: str | None) -> AIMessage | None:
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(c["id"] == call_id for c in message.tool_calls):
            return message
    return None
