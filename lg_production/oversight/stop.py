"""StopButton: checked before every model and tool call, on every surface."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, cast

from langchain_core.runnables import ensure_config
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command

from ..core.database import Database
from ..core.events import Event, Observer
from ..core.models import ModelWrapper
from ..core.steps import Emit, Steps, drive
from ..core.wrappers import ToolWrapper
from ..errors import DatabaseUnavailable, Stopped
from . import stops
from .ledger import clean
from .stops import Stop

# LangGraph publishes the runtime, and in it the control of the run, only under this key.
RUNTIME = "__pregel_runtime"
SECOND = timedelta(seconds=1)


class StopButton(ToolWrapper, ModelWrapper):
    """Nothing is called any more once a person has pressed it, until a person lifts it.

    Around tools: `tool_node(tools, button, …)`, the outermost; around a model:
    `wrapped_model(model, button, …)`; a node before the model, with `then`, or the
    `before_model` of `create_agent`. A stop of `all`, `tenant:…`, `agent:…`, `thread:…` or
    `tool:…` raises `Stopped` before the next call and asks LangGraph to drain the run
    (`RunControl`). To LangGraph that is a pause and no failure: no retry tries it again, no tool
    node makes a message of it, no error handler runs; invoked with None once the stop is lifted,
    the thread goes on with the very call. What is under way when the button is pressed is not cut
    off: pass the timeouts of your tools for that.

    `agent` and `tenant` name what this button stands before; a run's `tenant_id` comes first.
    The stops are read once for all calls within `max_age`, at most a second: that is how late a
    stop of another process may come. If they cannot be read, nothing goes on
    (`unreadable="stop"`): then nobody could stop it. `unreadable="go_on"` holds to the stops that
    were last read. Emits `stop.held` for a call that was stopped, and `stop.unreadable`.
    """

    database: Database

    def __init__(
        self,
        database: Database,
        *,
        then: str = "",
        agent: str = "",
        tenant: str = "default",
        max_age: timedelta = SECOND,
        unreadable: Literal["stop", "go_on"] = "stop",
        observers: Sequence[Observer] = (),
    ) -> None:
        if not timedelta(0) <= max_age <= SECOND:
            raise ValueError("max_age is from 0 to 1 second: a stop must not come late")
        self.database, self.observers, self.then = database, observers, then
        self.agent, self.tenant = agent, tenant
        self.max_age, self.unreadable = max_age.total_seconds(), unreadable
        self._read: tuple[float, tuple[Stop, ...]] = (float("-inf"), ())

    # --------------------------------------------------------------------- the surfaces

    def steps(self, request: Any, handler: Any) -> Steps[Any]:
        """Go on to the model or the tool, unless it is stopped."""
        if isinstance(request, ToolCallRequest):
            config = request.runtime.config or ensure_config()
            yield from self.check(config, f"tool:{request.tool_call['name']}")
        else:
            yield from self.check(cast("Mapping[str, Any]", ensure_config()))
        return (yield from handler(request))

    def __call__(self, state: Any, runtime: Runtime[Any]) -> Command[Any]:
        """Go on to `then`, unless it is stopped. LangGraph runs this node."""
        self.before_model(state, runtime)
        return Command(goto=self.then) if self.then else Command()

    def before_model(self, state: Any, runtime: Runtime[Any]) -> None:  # noqa: ARG002 - LangChain's
        """The same for `create_agent`."""
        config = cast("Mapping[str, Any]", ensure_config())
        drive(self.check(config), self.database, self.observers)

    # ---------------------------------------------------------------------- the button

    def press(self, scope: str = "all", *, by: str, reason: str) -> Stop:
        """Stop `all`, or `thread:…`, `agent:…`, `tenant:…`, `tool:…`. Twice is once."""
        stop = drive(stops.press(scope, by=by, reason=reason), self.database)
        self.forget()
        return stop

    def lift(self, scope: str = "all", *, by: str) -> bool:
        """Let it go on. Whether it was stopped; what another stop stops stays so."""
        lifted = self.database.execute(stops.lift(scope, by=by))
        self.forget()
        return bool(lifted)

    def standing(self) -> tuple[Stop, ...]:
        """All that is stopped now."""
        return self.database.execute(stops.standing())

    def forget(self) -> None:
        """Read the stops anew before the next call."""
        self._read = (float("-inf"), self._read[1])

    # --------------------------------------------------------------------------- as steps

    def check(self, config: Mapping[str, Any], *more: str) -> Steps[None]:
        """Raise `Stopped` if anything stands that stops this run, or `more` scopes of its call."""
        scopes = {*self.scopes(config), *map(clean, more)}
        for stop in (yield from self._standing()):
            if stop.scope in scopes:
                yield Emit(Event("stop.held", {"scope": stop.scope, "stop": stop.id}))
                drain(config, stop.scope)
                raise Stopped(f"({stop.scope}, stop {stop.id} by {stop.stopped_by})")

    def scopes(self, config: Mapping[str, Any]) -> set[str]:
        """What would stop this run."""
        told = {**(config.get("metadata") or {}), **(config.get("configurable") or {})}
        named = {
            "thread": told.get("thread_id"),
            "agent": self.agent,
            "tenant": told.get("tenant_id") or self.tenant,
        }
        return {"all", *(clean(f"{kind}:{name}") for kind, name in named.items() if name)}

    def _standing(self) -> Steps[tuple[Stop, ...]]:
        """The stops, as they were at most `max_age` ago."""
        read_at, found = self._read
        now = time.monotonic()
        if now - read_at < self.max_age:
            return found
        try:
            found = yield from stops.standing()
        except DatabaseUnavailable as error:
            yield Emit(Event("stop.unreadable", {"then": self.unreadable}))
            if self.unreadable == "stop":
                raise Stopped("(nobody can say whether: the stops cannot be read)") from error
        self._read = (now, found)
        return found


def drain(config: Mapping[str, Any], reason: str) -> None:
    """Ask the run to end at its next step, where LangGraph was given a `RunControl`."""
    runtime = (config.get("configurable") or {}).get(RUNTIME)
    control = getattr(runtime, "control", None)
    if control is not None:
        control.request_drain(f"stopped: {reason}")
