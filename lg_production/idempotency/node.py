"""IdempotentToolNode: ToolNode, and every effect once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import Runtime

from ..core.database import Database
from ..core.identity import identify
from ..core.steps import Steps, adrive, drive
from ..core.wrappers import WrappedToolNode
from . import ledger
from .acquire import CannotAsk, decide
from .current import InjectedConnection, injected_kinds
from .ledger import Effect
from .policy import EffectPolicy, declared
from .questions import settle_doubts
from .tool import Idempotent, decided_by

ROWLESS = ("read_only", "transactional")
OPTIONS = ("lease", "wait", "barrier", "barrier_timeout", "observers")


class InDoubt(ToolMessage):
    """Stands for the result of a call whose outcome nobody knows, until a person is asked."""


class StillInDoubt(Exception):
    """Some calls of the node ended in doubt: ask about them."""


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

    # Several calls of one node share one task, and LangGraph numbers a task's interrupts.
    # Only the node knows all its calls, so it asks about all their doubts in one question:
    # before it runs the calls, and after, about those that have just become doubtful.

    def _func(self, input: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Any:  # noqa: A002
        calls = self._siblings(input, config, runtime)
        consumed = self._drive(self._questions(calls, ("ask",), 0))
        while True:
            try:
                return super()._func(input, config, runtime)
            except StillInDoubt:
                consumed = self._drive(self._questions(calls, ("ask", "probe"), consumed))

    async def _afunc(self, input: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Any:  # noqa: A002
        calls = self._siblings(input, config, runtime)
        consumed = await self._adrive(self._questions(calls, ("ask",), 0))
        while True:
            try:
                return await super()._afunc(input, config, runtime)
            except StillInDoubt:
                consumed = await self._adrive(self._questions(calls, ("ask", "probe"), consumed))

    def _drive(self, steps: Steps[int]) -> int:
        return drive(steps, self.idempotent.database, self.idempotent.observers)

    async def _adrive(self, steps: Steps[int]) -> int:
        return await adrive(steps, self.idempotent.database, self.idempotent.observers)

    def _execute_tool_sync(self, request: ToolCallRequest, input_type: Any, config: Any) -> Any:
        try:
            return super()._execute_tool_sync(request, input_type, config)
        except CannotAsk:
            return InDoubt(content="in doubt", tool_call_id=request.tool_call["id"] or "")

    async def _execute_tool_async(
        self, request: ToolCallRequest, input_type: Any, config: Any
    ) -> Any:
        try:
            return await super()._execute_tool_async(request, input_type, config)
        except CannotAsk:
            return InDoubt(content="in doubt", tool_call_id=request.tool_call["id"] or "")

    def _combine_tool_outputs(self, outputs: Any, input_type: Any) -> Any:
        if any(isinstance(output, InDoubt) for output in outputs):
            raise StillInDoubt
        return super()._combine_tool_outputs(outputs, input_type)

    def _siblings(
        self,
        input: Any,  # noqa: A002 - ToolNode's name
        config: RunnableConfig,
        runtime: Runtime[Any],
    ) -> list[ToolCallRequest]:
        """The calls that share this task and have rows; none unless there are several."""
        calls, _ = self._parse_input(input)
        if len(calls) < 2:
            return []
        state: Any = self._extract_state(input, config)
        requests = [
            ToolCallRequest(
                tool_call=call,
                tool=self.tools_by_name.get(call["name"]),
                state=state,
                runtime=ToolRuntime(
                    state=state,
                    tool_call_id=call["id"],
                    config=config,
                    context=runtime.context,
                    store=runtime.store,
                    stream_writer=runtime.stream_writer,
                    execution_info=runtime.execution_info,
                    server_info=runtime.server_info,
                ),
            )
            for call in calls
        ]
        return [r for r in requests if r.tool and self._policy(r).recovery not in ROWLESS]

    def _policy(self, request: ToolCallRequest) -> EffectPolicy:
        assert request.tool is not None  # noqa: S101 - _siblings has looked
        return declared(request.tool, self.idempotent.policies)

    def _questions(
        self, calls: list[ToolCallRequest], steps: tuple[str, ...], consumed: int
    ) -> Steps[int]:
        """Settle, by one question to a person, what only a person can settle."""
        if not calls:
            return consumed
        secret = yield from self.idempotent.secret()
        identities = [identify(r, self._messages_key) for r in calls]
        policies: dict[bytes, EffectPolicy] = {}
        shown: dict[bytes, tuple[str, Mapping[str, Any]]] = {}
        for request, identity in zip(calls, identities, strict=True):
            name, arguments = request.tool_call["name"], request.tool_call["args"]
            policy = self._policy(request)
            wanted = self.idempotent.wanted(name, arguments, policy, identity, secret)
            policies[wanted.key], shown[wanted.key] = policy, (name, arguments)
        effects = yield from ledger.look(list(policies))
        lost = [e for e in effects if e.state == "claimed" and _asks(e, policies, steps)]
        for effect in lost:
            yield from ledger.doubt(effect)
        if lost:
            effects = yield from ledger.look(list(policies))
        theirs = [e for e in effects if e.state != "in_doubt" or _asks(e, policies, steps)]
        by = decided_by(calls[0])
        task = identities[0].task.task_id
        return (yield from settle_doubts(theirs, shown, task, decided_by=by, consumed=consumed))


def _asks(effect: Effect, policies: Mapping[bytes, EffectPolicy], steps: tuple[str, ...]) -> bool:
    return decide(effect, policies[effect.key]) in steps


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
