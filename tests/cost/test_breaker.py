"""A tool or a model that fails too often is not called, on every surface and in every worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError
from datetime import timedelta
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call, wrap_tool_call
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import ToolException, tool
from langgraph.errors import GraphInterrupt
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt
from pydantic import BaseModel, ValidationError

from lg_production import Checkpointer, tool_node
from lg_production.core.database import Database
from lg_production.core.events import Event
from lg_production.core.models import wrapped_model
from lg_production.cost.breaker import Breaker, BreakerPolicy, ModelBreaker
from lg_production.cost.circuits import circuits
from lg_production.errors import BudgetExceeded, CircuitOpen, DatabaseUnavailable

from ..graphs_for_tests import ASK, agent, call, says, thread
from .circuits_for_tests import EXACT, Down, Line, shift

AT_ONCE = BreakerPolicy(minimum_calls=1, failure_rate=0.01, initial_interval=1, lag=EXACT)


def states(database: Database) -> dict[str, str]:
    return {c.dependency: c.state for c in database.execute(circuits())}


# ----------------------------------------------------------------------- what is a failure


def http(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://a")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(status))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def invalid() -> ValidationError:
    class Model(BaseModel):
        number: int

    with pytest.raises(ValidationError) as raised:
        Model(number="x")
    return raised.value


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (http(500), "failure"), (http(503), "failure"), (http(429), "nothing"),
        (http(408), "nothing"), (http(400), "success"), (http(401), "success"),
        (http(404), "success"), (http(422), "success"), (Down(), "failure"),
        (ConnectionRefusedError(), "failure"), (TimeoutError(), "failure"),
        (httpx.ReadTimeout(""), "failure"), (invalid(), "nothing"),
        (ToolException("no"), "failure"), (caused(ToolException(""), http(404)), "success"),
        (caused(RuntimeError(), http(502)), "failure"), (GraphInterrupt(()), "nothing"),
        (asyncio.CancelledError(), "nothing"), (CancelledError(), "nothing"),
        (KeyboardInterrupt(), "nothing"), (BudgetExceeded(), "nothing"),
        (CircuitOpen(retry_after=1), "nothing"), (DatabaseUnavailable(), "nothing"),
    ],
)  # fmt: skip
def test_what_an_error_counts_as(error: BaseException, outcome: str) -> None:
    """A 4xx is an answer; validation, interrupts, cancellations and our own errors say nothing."""
    assert outcome == BreakerPolicy().decide(error)


@pytest.mark.parametrize("error", [TimeoutError(), http(504), httpx.ConnectTimeout("")])
def test_time_outs_need_not_count(error: Exception) -> None:
    """A tool that may be slow is not broken for that."""
    assert "nothing" == BreakerPolicy(count_timeouts=False).decide(error)


@pytest.mark.parametrize("status", [408, 429])
def test_throttling_may_count(status: int) -> None:
    """Whoever pays for every refused call may want to pause."""
    error = http(status)

    outcomes = [BreakerPolicy(count_throttling=c).decide(error) for c in (False, True)]
    assert ["nothing", "failure"] == outcomes


def test_the_policy_may_say_what_counts() -> None:
    """But an interrupt is never a failure, whatever it says."""
    policy = BreakerPolicy(counts=lambda error: isinstance(error, KeyError))
    everything = BreakerPolicy(counts=lambda _: True)

    errors = (KeyError(), Down(), http(404))
    assert ["failure", "nothing", "success"] == [policy.decide(error) for error in errors]
    assert "nothing" == everything.decide(GraphInterrupt(()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failure_rate", 0), ("failure_rate", 1.1), ("minimum_calls", 0), ("probes", 0),
        ("window", timedelta(0)), ("backoff_factor", 0.5), ("max_interval", 1.0), ("colour", "red"),
        ("lag", timedelta(seconds=-1)), ("lease", timedelta(0)), ("initial_interval", 0),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_meant_is_refused(field: str, value: Any) -> None:
    """At construction."""
    with pytest.raises(ValidationError, match=field):
        BreakerPolicy(**{field: value})


# ----------------------------------------------------------------------------- the surfaces


class Search:
    """A tool that can be down, in both of its forms."""

    def __init__(self) -> None:
        self.error: BaseException | None = Down()
        self.calls = 0

        def search(query: str) -> str:
            """Search."""
            return self.ask(query)

        async def asearch(query: str) -> str:
            await asyncio.sleep(0)
            return self.ask(query)

        self.tool = tool(search)
        self.tool.coroutine = asearch

    def ask(self, query: str) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return f"found {query}"


def plain(search: Search, breaker: Breaker) -> Any:
    return agent(says(call("search", query="x")), tool_node([search.tool], breaker))


def with_send(search: Search, breaker: Breaker) -> Any:
    return agent(says(call("search", query="x")), tool_node([search.tool], breaker), send=True)


def by_function(search: Search, breaker: Breaker) -> Any:
    tools = ToolNode(
        [search.tool],
        wrap_tool_call=breaker.wrap_tool_call,
        awrap_tool_call=breaker.awrap_tool_call,
    )
    return agent(says(call("search", query="x")), tools)


class Scripted(BaseChatModel):
    """Asks for one search, then is done; can be down."""

    error: Any = None
    calls: list[str] = []
    searches: bool = False

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "acme", "ls_model_name": "small"}

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, *_: Any, **kwargs: Any) -> ChatResult:
        self.calls.append("called")
        if self.error is not None:
            raise self.error
        asks = self.searches and not isinstance(messages[-1], ToolMessage)
        message = AIMessage("" if asks else "done", tool_calls=[call("search", query="x")] * asks)
        return ChatResult(generations=[ChatGeneration(message=message)])


def run(graph: Any, is_async: bool, config: Any = None) -> Any:
    config = config or thread()
    return asyncio.run(graph.ainvoke(ASK, config)) if is_async else graph.invoke(ASK, config)


def heard(result: Any) -> list[tuple[str, str]]:
    """What the model was told by its tools."""
    return [(m.status, m.text) for m in result["messages"] if isinstance(m, ToolMessage)]


NOT_NOW = (
    "The tool search is not available: it failed too often. This call was not made. Do not "
    "call it again within 1 s; go on without it, or say what is missing."
)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("surface", [plain, with_send, by_function])
def test_the_model_hears_that_a_tool_is_not_available(
    database: Database, surface: Callable[..., Any], is_async: bool
) -> None:
    """The failure itself is the tool's; the calls after it are not made; then it works again."""
    search, seen = Search(), list[Event]()
    graph = surface(search, Breaker(database, AT_ONCE, observers=[seen.append])).compile()

    with pytest.raises(Down):
        run(graph, is_async)
    search.error = None
    refused = run(graph, is_async)
    calls = search.calls
    shift(database, "default", 1)
    probed = run(graph, is_async)

    assert [("error", NOT_NOW)] == heard(refused)
    assert [("success", "found x")] == heard(probed)
    assert (1, 2) == (calls, search.calls)
    assert {"tool:search": "closed"} == states(database)
    names = [e.name.removeprefix("circuit.") for e in seen]
    assert ["opened", "refused", "half_open", "closed"] == names


@pytest.mark.parametrize("is_async", [False, True])
def test_inside_of_create_agent(database: Database, is_async: bool) -> None:
    """The same, with langchain's middleware around tools and model."""
    search, model = Search(), Scripted(searches=True)
    tools, models = Breaker(database, AT_ONCE), ModelBreaker(database, AT_ONCE)
    graph = create_agent(model, [search.tool], middleware=middleware(tools, models, is_async))

    with pytest.raises(Down):
        run(graph, is_async)
    refused = run(graph, is_async)
    model.error = Down()
    with pytest.raises(Down):
        run(graph, is_async)
    with pytest.raises(CircuitOpen):
        run(graph, is_async)

    assert [("error", NOT_NOW)] == heard(refused)
    assert {"tool:search": "open", "model:acme/small": "open"} == states(database)
    assert 1 == search.calls


def middleware(tools: Breaker, models: ModelBreaker, is_async: bool) -> list[Any]:
    if not is_async:
        return [wrap_tool_call(tools.wrap_tool_call), wrap_model_call(models.wrap_model_call)]

    async def around_tool(request: Any, handler: Any) -> Any:
        return await tools.awrap_tool_call(request, handler)

    async def around_model(request: Any, handler: Any) -> Any:
        return await models.awrap_model_call(request, handler)

    return [wrap_tool_call(around_tool), wrap_model_call(around_model)]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_model_that_fails_is_not_called(database: Database, is_async: bool) -> None:
    """Its circuit has provider and name; whoever routes can ask for nothing when it is back."""
    model = Scripted(error=http(503))
    breaker = ModelBreaker(database, AT_ONCE)
    ours = wrapped_model(model, breaker)

    def invoke() -> Any:
        return asyncio.run(ours.ainvoke("hi")) if is_async else ours.invoke("hi")

    with pytest.raises(httpx.HTTPStatusError):
        invoke()
    with pytest.raises(CircuitOpen, match="model:acme/small is open") as refused:
        invoke()
    asked = breaker.retry_after(model)
    shift(database, "default", 1)
    model.error = None

    assert 0 < asked <= refused.value.retry_after <= 1
    assert 0 == breaker.retry_after(model)
    assert "done" == invoke().text
    assert 2 == len(model.calls)
    assert {"model:acme/small": "closed"} == states(database)


def test_an_operator_may_want_the_error(database: Database) -> None:
    """`then="error"` raises what says when to come back."""
    search = Search()
    graph = plain(search, Breaker(database, AT_ONCE, then="error")).compile()
    with pytest.raises(Down):
        run(graph, is_async=False)

    with pytest.raises(CircuitOpen, match="Try again in") as refused:
        run(graph, is_async=False)

    assert 0 < refused.value.retry_after <= 1
    assert refused.value.retryable


@pytest.mark.parametrize(("counts", "state"), [(True, "open"), (False, "closed")])
def test_an_error_message_counts_if_the_policy_says_so(
    database: Database, counts: bool, state: str
) -> None:
    """What a tool says to the model is not always an outage."""
    policy = AT_ONCE.model_copy(update={"count_error_messages": counts})
    breaker, search = Breaker(database, policy), Search()
    tools = ToolNode([search.tool], handle_tool_errors=True, wrap_tool_call=breaker.wrap_tool_call)
    graph = agent(says(call("search", query="x")), tools).compile()

    run(graph, is_async=False)
    run(graph, is_async=False)

    assert state == states(database).get("tool:search", "closed")
    assert search.calls == (1 if counts else 2)


def test_a_tool_that_interrupts_gives_its_probe_back(database: Database) -> None:
    """A question to a person is no outcome: the answer's call is the next probe."""

    @tool
    def search(query: str) -> str:
        """Ask, then search."""
        return f"{interrupt('sure?')} {query}"

    line = Line(database, "default", **AT_ONCE.model_dump())
    line.circuit = line.circuit._replace(dependency="tool:search")
    line.call("fail")
    line.passes(1)
    nodes = tool_node([search], Breaker(database, AT_ONCE))
    graph: Any = agent(says(call("search", query="x")), nodes).compile(
        checkpointer=Checkpointer(database)
    )
    config = thread()
    graph.invoke(ASK, config)
    between = states(database)

    result = graph.invoke(Command(resume="yes"), config)

    assert {"tool:search": "half_open"} == between
    assert [("success", "yes x")] == heard(result)
    assert {"tool:search": "closed"} == states(database)


def test_tools_may_have_policies_of_their_own_and_tenants_do(database: Database) -> None:
    """`policies` by name; the tenant is the run's `tenant_id`."""
    search = Search()
    patient = AT_ONCE.model_copy(update={"minimum_calls": 2})
    graph = plain(search, Breaker(database, AT_ONCE, policies={"search": patient})).compile()

    for tenant in ("a", "a", "b"):
        with pytest.raises(Down):
            run(graph, False, thread(tenant_id=tenant))

    found = [(c.tenant, c.state, c.failures) for c in database.execute(circuits())]
    assert [("a", "open", 2), ("b", "closed", 1)] == found
    assert ["b"] == [c.tenant for c in database.execute(circuits("b"))]
