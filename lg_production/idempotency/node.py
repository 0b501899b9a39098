"""IdempotentToolNode: ToolNode, and every effect once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.errors import GraphInterrupt
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import Runtime

from ..core.database import Database
from ..core.identity import identify, shares_task
from ..core.interrupts import pass_over, place
from ..core.steps import Call, Steps, adrive, drive
from ..core.wrappers import WrappedToolNode
from .acquire import CannotAsk
from .current import InjectedConnection, injected_kinds
from .ledger import Wanted
from .operation import Ahead, ahead_of
from .policy import EffectPolicy, declared
from .questions import is_open
from .siblings import Siblings
from .tool import Idempotent, decided_by, is_valid

POOL_SIZE = min(32, (os.cpu_count() or 1) + 4)
"""The calls that ToolNode, sync, starts at once: a ThreadPoolExecutor's default size."""
ROWLESS = ("read_only", "transactional")
OPTIONS = ("lease", "wait", "barrier", "barrier_timeout", "observers")


@dataclass(slots=True)
class NodeRun:
    """One run of a node with several calls: what has ended, and how."""

    only: set[str] | None = None
    done: dict[str, Any] = field(default_factory=dict)
    interrupted: dict[str, GraphInterrupt] = field(default_factory=dict)
    in_doubt: dict[str, tuple[bytes, str, Mapping[str, Any]]] = field(default_factory=dict)

    def passes(self, call_id: str) -> bool:
        """Whether this call has ended, or is not among those whose turn it is."""
        return call_id in self.done or (self.only is not None and call_id not in self.only)


class Unfinished(Exception):
    """Not every call of the node has a result yet."""


_run: ContextVar[NodeRun | None] = ContextVar("lg_production_node_run", default=None)
NO_RESULT = ToolMessage("", tool_call_id="")


class IdempotentToolNode(WrappedToolNode):
    """A drop-in for `langgraph.prebuilt.ToolNode`: no difference but idempotency.

    `policies` are by tool name; see `EffectPolicy`. `tenant` separates customers who share
    a database. Further arguments are ToolNode's (name, tags, handle_tool_errors,
    messages_key, wrap_tool_call, awrap_tool_call) and `Idempotent`'s (lease, wait, barrier,
    barrier_timeout, observers).

    Raises `ValueError` for a policy that names no tool or does not fit its tool. In a run
    it may raise `NotDurable`, `IdempotencyConflict`, `IdempotencyInProgress` and
    `OutcomeUnknown`, past `handle_tool_errors`: these are not for the model to fix.
    """

    def __init__(
        self,
        tools: Sequence[BaseTool | Callable[..., Any]],
        database: Database,
        *,
        policies: Mapping[str, EffectPolicy] | None = None,
        tenant: str = "default",
        **tool_node_arguments: Any,
    ) -> None:
        options = {k: tool_node_arguments.pop(k) for k in OPTIONS if k in tool_node_arguments}
        messages_key = tool_node_arguments.get("messages_key", "messages")
        self.idempotent = Idempotent(
            database, policies=policies, tenant=tenant, messages_key=messages_key, **options
        )
        super().__init__(tools, self.idempotent, **tool_node_arguments)
        check_policies(self.idempotent.policies, self.tools_by_name)

    # Several calls of one node share one task, and so one list of answers. Each answer must
    # find the call that asked, so one question is open at a time, and a run that was given
    # answers goes in the order in which they were asked for: first the calls without a row,
    # which ask again every time; then the doubts we asked about; then the calls that
    # interrupted, one by one; and then all the others, at once, as in every other run.

    def _func(self, input: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Any:  # noqa: A002
        at_once = config.get("max_concurrency") or POOL_SIZE
        steps = self._node(input, config, runtime, at_once)
        return drive(steps, self.idempotent.database, self.idempotent.observers)

    async def _afunc(self, input: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Any:  # noqa: A002
        steps = self._node(input, config, runtime)
        return await adrive(steps, self.idempotent.database, self.idempotent.observers)

    def _node(
        self,
        input: Any,  # noqa: A002 - ToolNode's name
        config: RunnableConfig,
        runtime: Runtime[Any],
        at_once: int | None = None,
    ) -> Steps[Any]:
        func, afunc = super()._func, super()._afunc
        everything: Call[Any] = Call(
            lambda: func(input, config, runtime), lambda: afunc(input, config, runtime)
        )
        calls = self._calls(input, config, runtime)
        ids = {r.tool_call["id"] for r in calls}
        several = 1 < len(ids) == len(calls) and any(self._has_row(r) for r in calls)
        run, ahead = NodeRun(), dict[str, Ahead]()
        # Set in any case: this node may run inside a tool of another.
        token, shared = _run.set(run if several else None), shares_task.set(len(calls) > 1)
        ahead_token = ahead_of.set(ahead if several else None)
        try:
            if not several:
                return (yield from everything)
            siblings = yield from self._siblings(calls, ahead)
            try:
                return (yield from self._all(run, everything, siblings, at_once))
            except GeneratorExit:
                raise
            except BaseException:
                yield from siblings.release()
                raise
        finally:
            ahead_of.reset(ahead_token)
            _run.reset(token)
            shares_task.reset(shared)

    def _all(
        self, run: NodeRun, everything: Call[Any], siblings: Siblings, at_once: int | None
    ) -> Steps[Any]:
        yield from self._in_the_order_asked(run, everything, siblings, at_once)
        while (ended := (yield from self._pass(run, everything, siblings))) is None:
            found = [run.in_doubt[call] for call in siblings.order if call in run.in_doubt]
            doubts = {key: (name, given) for key, name, given in found}
            yield from siblings.ask(doubts)
            run.in_doubt.clear()
        return ended

    def _in_the_order_asked(
        self, run: NodeRun, everything: Call[Any], siblings: Siblings, at_once: int | None
    ) -> Steps[None]:
        here = yield from Call(place)
        # A resumed run goes step by step, and behind a user's wrapper a call may be refused:
        # there each call makes its own claim when its turn comes.
        alone = bool(here.answers or here.pending or self._wrap_tool_call or self._awrap_tool_call)
        effects = yield from siblings.look() if alone else siblings.claim(at_once)
        paused = [e for e in effects if e.state == "ready" and e.paused_task == siblings.task_id]
        doubts = {e.key: siblings.shown[e.key] for e in effects if is_open(e, siblings.task_id)}
        if not (paused or doubts or here.answers or here.pending):
            return
        yield from siblings.release()
        yield from self._pass(run, everything, siblings, only=siblings.rowless)
        if doubts:
            yield from siblings.ask(doubts)
        if paused:
            yield from pass_over(paused[0].paused_slot)
        for effect in paused:
            only = {siblings.call_of[effect.key]}
            yield from self._pass(run, everything, siblings, only=only)
        yield from pass_over()

    def _pass(
        self,
        run: NodeRun,
        everything: Call[Any],
        siblings: Siblings,
        only: set[str] | None = None,
    ) -> Steps[Any]:
        """Run the calls that have not ended, or some of them; None if not all have by then."""
        run.only = only
        try:
            return (yield from everything)
        except Unfinished:
            if run.interrupted:
                asking = siblings.first(run.interrupted)
                yield from siblings.only_paused(asking)
                raise run.interrupted[asking] from None
            return None

    def _run_one(self, call: Any, input_type: Any, tool_runtime: Any) -> Any:
        run = _run.get()
        if run is None:
            return super()._run_one(call, input_type, tool_runtime)
        if run.passes(call["id"]):
            return run.done.get(call["id"], NO_RESULT)
        try:
            run.done[call["id"]] = super()._run_one(call, input_type, tool_runtime)
        except GraphInterrupt as error:
            run.interrupted[call["id"]] = error
        return self._ended(run, call["id"])

    async def _arun_one(self, call: Any, input_type: Any, tool_runtime: Any) -> Any:
        run = _run.get()
        if run is None:
            return await super()._arun_one(call, input_type, tool_runtime)
        if run.passes(call["id"]):
            return run.done.get(call["id"], NO_RESULT)
        try:
            run.done[call["id"]] = await super()._arun_one(call, input_type, tool_runtime)
        except GraphInterrupt as error:
            run.interrupted[call["id"]] = error
        return self._ended(run, call["id"])

    def _ended(self, run: NodeRun, call_id: str) -> Any:
        if call_id in run.in_doubt:
            run.done.pop(call_id, None)
        return run.done.get(call_id, NO_RESULT)

    def _execute_tool_sync(self, request: ToolCallRequest, input_type: Any, config: Any) -> Any:
        try:
            return super()._execute_tool_sync(request, input_type, config)
        except CannotAsk as error:
            return _doubt(request, error)

    async def _execute_tool_async(
        self, request: ToolCallRequest, input_type: Any, config: Any
    ) -> Any:
        try:
            return await super()._execute_tool_async(request, input_type, config)
        except CannotAsk as error:
            return _doubt(request, error)

    def _combine_tool_outputs(self, outputs: Any, input_type: Any) -> Any:
        if any(output is NO_RESULT for output in outputs):
            raise Unfinished
        return super()._combine_tool_outputs(outputs, input_type)

    def _calls(
        self,
        input: Any,  # noqa: A002 - ToolNode's name
        config: RunnableConfig,
        runtime: Runtime[Any],
    ) -> list[ToolCallRequest]:
        """The calls of the latest model answer, if they share this task."""
        calls, _ = self._parse_input(input)
        if len(calls) < 2:
            return []
        state: Any = self._extract_state(input, config)

        def request(call: Any) -> ToolCallRequest:
            tool_runtime = ToolRuntime(
                state=state,
                tool_call_id=call["id"],
                config=config,
                context=runtime.context,
                store=runtime.store,
                stream_writer=runtime.stream_writer,
                execution_info=runtime.execution_info,
                server_info=runtime.server_info,
            )
            tool = self.tools_by_name.get(call["name"])
            return ToolCallRequest(tool_call=call, tool=tool, state=state, runtime=tool_runtime)

        return [request(call) for call in calls]

    def _has_row(self, request: ToolCallRequest) -> bool:
        if request.tool is None:
            return False
        policy = declared(request.tool, self.idempotent.policies)
        if policy.business is not None and not is_valid(request.tool, request.tool_call["args"]):
            return False  # the tool will say so, and cannot run
        return policy.recovery not in ROWLESS

    def _siblings(self, calls: list[ToolCallRequest], ahead: dict[str, Ahead]) -> Steps[Siblings]:
        """What the ledger calls these calls."""
        secret = yield from self.idempotent.secret()
        with_rows = [r for r in calls if self._has_row(r)]
        identities = [identify(r, self._messages_key) for r in with_rows]
        rows: list[Wanted] = []
        call_of: dict[bytes, str] = {}
        shown: dict[bytes, tuple[str, Mapping[str, Any]]] = {}
        for request, identity in zip(with_rows, identities, strict=True):
            name, arguments = request.tool_call["name"], request.tool_call["args"]
            policy = declared(cast("BaseTool", request.tool), self.idempotent.policies)
            wanted = self.idempotent.wanted(name, arguments, policy, identity, secret)
            rows.append(wanted)
            call_of[wanted.key] = request.tool_call["id"] or ""
            shown[wanted.key] = (name, arguments)
        order = [r.tool_call["id"] or "" for r in calls]
        by = decided_by(calls[0])
        task_id = identities[0].task.task_id
        return Siblings(task_id, order, rows, call_of, shown, by, ahead)


def _doubt(request: ToolCallRequest, error: CannotAsk) -> ToolMessage:
    """The call ended in doubt. Alone in its task it would have asked, so it is one of several."""
    run, call = _run.get(), request.tool_call
    if run is None:
        raise error
    run.in_doubt[call["id"] or ""] = (error.key, call["name"], call["args"])
    return ToolMessage("in doubt", name=call["name"], tool_call_id=call["id"] or "")


def check_policies(policies: Mapping[str, EffectPolicy], tools: Mapping[str, BaseTool]) -> None:
    """Refuse, before anything runs, policies that cannot mean what they say."""
    for name, policy in policies.items():
        if name not in tools:
            raise ValueError(f"policies names {name!r}, but the tools are {sorted(tools)}")
        injected = injected_kinds(tools[name]).values()
        if (policy.recovery == "transactional") != (InjectedConnection in injected):
            raise ValueError(
                f"{name!r}: recovery='transactional' and an argument "
                "Annotated[Connection, InjectedConnection()] go together"
            )
        if policy.recovery == "transactional" and not _has_sync(tools[name]):
            raise ValueError(
                f"{name!r}: a transactional tool must be a sync function; under ainvoke "
                "LangChain runs it in a thread"
            )


def _has_sync(tool: BaseTool) -> bool:
    return getattr(tool, "func", tool) is not None
