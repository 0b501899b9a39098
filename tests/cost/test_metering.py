"""Every model call is held before it is made and counted after it: on every surface, once."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel

from lg_production.core.events import Event
from lg_production.core.models import ModelCall, ModelWrapper, wrapped_model
from lg_production.cost.answers import is_unbilled
from lg_production.cost.budget import Budget, Exhausted
from lg_production.cost.calls import StreamCut
from lg_production.cost.metering import BudgetCallback, Budgeted, capped
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.cost.prices import Price, PriceBook
from lg_production.errors import BudgetExceeded, PriceUnknown
from tests.cost.models_for_tests import Model, books, model, rows, streaming

AT_ONCE = timedelta(0)
ASK = [HumanMessage("hello", id="q1")]


def tokens(messages: Any, tools: Any) -> int:
    """A counter that is exact, so that the sums of a test are."""
    return 20


class Meter:
    """A budget, its callback, and what was told."""

    def __init__(self, database: Any, *limits: Limit, prices: Any = None, **options: Any) -> None:
        self.events: list[Event] = []
        limits = limits or (Limit(scope="thread", total_tokens=1000, model_calls=10),)
        policy = BudgetPolicy(limits=limits, **{"wait": AT_ONCE, "max_tokens": 100, **options})
        self.budget = Budget(database, policy, observers=[self.events.append])
        self.options = {"counter": tokens, "prices": prices}
        self.callback = BudgetCallback(self.budget, **self.options)
        self.wrapper = Budgeted(self.budget, **self.options)

    @property
    def config(self) -> Any:
        return {
            "configurable": {"thread_id": "t"},
            "metadata": {"thread_id": "t"},
            "callbacks": [self.callback],
        }

    def told(self, name: str) -> list[dict[str, Any]]:
        return [dict(event.attributes) for event in self.events if event.name == name]


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


def graph_of(asked: Any) -> Any:
    """A graph of one node that calls the model, sync and async."""

    def call(state: State) -> Any:
        return {"messages": [asked.invoke(state["messages"])]}

    async def acall(state: State) -> Any:
        return {"messages": [await asked.ainvoke(state["messages"])]}

    builder = StateGraph(State)
    builder.add_node("model", RunnableLambda(call, acall))
    builder.add_edge(START, "model")
    return builder.compile()


def run(graph: Any, config: Any, *, on_a_loop: bool) -> Any:
    if on_a_loop:
        return asyncio.run(graph.ainvoke({"messages": ASK}, config))
    return graph.invoke({"messages": ASK}, config)


BOTH = pytest.mark.parametrize("on_a_loop", [False, True], ids=["sync", "async"])
ONCE = {"total_tokens": (15, 0), "model_calls": (1, 0)}


# ----------------------------------------------------------------------------- surfaces


@BOTH
def test_a_graph_is_counted_without_being_edited(database, on_a_loop):
    """The callback holds the worst case, and settles what the message says; nothing stays held."""
    meter = Meter(database)

    run(graph_of(model()), meter.config, on_a_loop=on_a_loop)

    assert ONCE == books(database)
    assert [("settled", "model", "q1", "gpt-4o-mini")] == rows(
        database, "state", "node", "message_id", "served"
    )


@BOTH
def test_a_wrapped_model_counts_its_calls(database, on_a_loop):
    """In a node of one's own: wrapped_model(model, Budgeted(budget))."""
    meter = Meter(database)
    graph = graph_of(wrapped_model(model(), meter.wrapper))

    run(graph, {"configurable": {"thread_id": "t"}}, on_a_loop=on_a_loop)

    assert ONCE == books(database)


class Middleware(AgentMiddleware):
    """What middleware.py does: it delegates."""

    def __init__(self, wrapper: Any) -> None:
        super().__init__()
        self.wrapper = wrapper

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.wrapper.wrap_model_call(request, handler)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await self.wrapper.awrap_model_call(request, handler)


@BOTH
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_create_agent_is_counted_by_its_model_wrapper(database, on_a_loop, streams):
    """The context that the wrapper sets reaches the model inside, streamed or not."""
    meter = Meter(database)
    inner = streaming("an ", "answer") if streams else model()
    agent = create_agent(inner, [], middleware=[Middleware(meter.wrapper)])
    config: Any = {"configurable": {"thread_id": "t"}}

    async def astream() -> None:
        async for _ in agent.astream({"messages": ASK}, config, stream_mode="messages"):
            pass

    if on_a_loop:
        asyncio.run(astream())
    else:
        list(agent.stream({"messages": ASK}, config, stream_mode="messages"))

    assert ONCE == books(database)
    assert [{"max_tokens": 100}] == [{"max_tokens": kw.get("max_tokens")} for kw in inner.seen]


@BOTH
def test_a_call_that_callback_and_wrappers_see_is_counted_once(database, on_a_loop):
    """Graph callback, and two wrappers one in another: one policy, one reservation."""
    meter = Meter(database)
    asked = wrapped_model(model(), meter.wrapper, Budgeted(meter.budget, **meter.options))

    run(graph_of(asked), meter.config, on_a_loop=on_a_loop)

    assert ONCE == books(database)
    assert 1 == len(rows(database, "state"))


def test_callbacks_of_different_policies_each_count(database):
    """Sharing a key would let the second limit be passed without a word."""
    first, second = Meter(database), Meter(database, Limit(scope="user", model_calls=1))
    config = {
        "metadata": {"thread_id": "t", "user_id": "ada"},
        "callbacks": [first.callback, second.callback],
    }

    model().invoke("hi", config)

    with pytest.raises(BudgetExceeded):
        model().invoke("hi", config)
    assert 2 == [q for q, _ in rows(database, "state", "node")].count("settled")


def test_the_context_of_a_wrapper_ends_with_its_call(database):
    """A call beside it is not counted, whatever threads and tasks there are."""
    meter = Meter(database)

    async def both() -> None:
        inside = wrapped_model(model(waits=0.01), meter.wrapper).ainvoke("hi", meter_config)
        await asyncio.gather(inside, model(waits=0.01).ainvoke("beside"))
        await model().ainvoke("after")

    meter_config: Any = {"configurable": {"thread_id": "t"}}
    asyncio.run(both())

    assert ONCE == books(database)


def test_a_completion_model_is_counted(database):
    """on_llm_start: it tells no usage, so it took all that was held."""
    meter = Meter(database)

    FakeListLLM(responses=["a"]).invoke("hi", meter.config)
    asyncio.run(FakeListLLM(responses=["a"]).ainvoke("hi", meter.config))

    assert {"total_tokens": (240, 0), "model_calls": (2, 0)} == books(database)


def test_a_run_without_an_id_for_a_limited_scope_is_refused(database):
    """It would not be limited."""
    asked = model()

    with pytest.raises(ValueError, match="thread_id"):
        asked.invoke("hi", {"callbacks": [Meter(database).callback]})
    assert 0 == asked.calls


# ------------------------------------------------------------------------------- limits


@BOTH
def test_a_call_without_room_is_not_made(database, on_a_loop):
    """Its caller gets BudgetExceeded, also from a coroutine, and nothing is held."""
    meter = Meter(database, Limit(scope="thread", total_tokens=119))
    asked = model()

    with pytest.raises(Exhausted):
        run(graph_of(asked), meter.config, on_a_loop=on_a_loop)

    assert 0 == asked.calls
    assert {"total_tokens": (0, 0)} == books(database)


@BOTH
def test_a_model_without_a_price_is_not_called(database, on_a_loop):
    """Where money is limited; elsewhere nobody asks for a price."""
    meter, asked = Meter(database, Limit(scope="thread", usd=1)), model(model="nobody-knows-me")

    with pytest.raises(PriceUnknown):
        run(graph_of(asked), meter.config, on_a_loop=on_a_loop)

    assert 0 == asked.calls


def test_money_is_settled_with_the_version_of_its_prices(database):
    """Cache and reasoning are priced apart; the row says by which table."""
    prices = PriceBook({"gpt-4o-mini": Price(input=1, output=10)})
    meter = Meter(database, Limit(scope="thread", usd=1), prices=prices)

    model(took=(10, 5)).invoke("hi", meter.config)

    assert {"micro_usd": (60, 0)} == books(database)
    ((spent, version),) = rows(database, "spent", "price_version")
    assert (60, prices.version) == (spent["micro_usd"], version)


def test_forty_calls_on_a_budget_for_one_take_turns(database):
    """Waiting for room does not keep out the ends of the calls that give it.

    LangChain runs a plain method in a few threads: forty that wait there would fill them.
    """
    wait = timedelta(minutes=2)
    meter = Meter(database, Limit(scope="thread", total_tokens=120), wait=wait)
    asked = model(waits=0.001, took=(0, 0))

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(asked.ainvoke("hi", meter.config) for _ in range(40)))

    answers = asyncio.run(all_at_once())

    assert (40, 40) == (len(answers), asked.calls)
    assert {"total_tokens": (0, 0)} == books(database)


def test_the_asker_decides_the_form_of_a_callback(database):
    """Only a coroutine of LangChain gets a coroutine function; all others a plain one."""
    callback = Meter(database).callback

    async def ours() -> bool:
        return asyncio.iscoroutinefunction(callback.on_llm_end)

    assert not asyncio.run(ours())
    assert callback.on_llm_end(LLMResult(generations=[]), run_id=uuid4()) is None


def test_a_sync_call_inside_of_a_coroutine_is_refused_too(database):
    """LangChain swallows what a coroutine raises there, so a plain function must be given."""
    meter, asked = Meter(database, Limit(scope="thread", total_tokens=1)), model()

    async def node() -> Any:
        return asked.invoke("hi", meter.config)

    with pytest.raises(Exhausted):
        asyncio.run(node())
    assert 0 == asked.calls


def test_threads_never_overspend(database):
    """Twenty at once, room for five at their worst; what is used never passes the limit."""
    meter = Meter(database, Limit(scope="thread", total_tokens=600))
    gate = threading.Barrier(20)

    def one(_: int) -> bool:
        gate.wait()
        try:
            model(took=None).invoke("hi", meter.config)
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        made = sum(pool.map(one, range(20)))

    assert (5, {"total_tokens": (600, 0)}) == (made, books(database))


# -------------------------------------------------------------------------- what it took


def test_an_answer_without_usage_took_all_that_was_held(database):
    """A provider that says nothing is believed the worst."""
    model(took=None).invoke("hi", Meter(database).config)

    assert {"total_tokens": (120, 0), "model_calls": (1, 0)} == books(database)


def test_what_nobody_measured_is_not_recorded_as_spent(database):
    """An answer without usage, a call that failed and a stream that was cut count all the same."""
    meter = Meter(database, stream="cut")

    model(took=None).invoke("hi", meter.config)
    with pytest.raises(TimeoutError):
        model(fails=[TimeoutError()]).invoke("hi", meter.config)
    stream(streaming(*["x"] * 200), meter, on_a_loop=False)
    model().invoke("hi", meter.config)

    spent, served = zip(*rows(database, "spent", "served"), strict=True)
    assert (None, None, None) == spent[:3]
    assert 15 == spent[3]["total_tokens"]
    assert ("gpt-4o-mini", None, None, "gpt-4o-mini") == served
    assert {"total_tokens": (120 + 120 + 121 + 15, 0), "model_calls": (4, 0)} == books(database)


def test_n_answers_are_held_n_times(database):
    """n=3 may take three times the output."""
    model(took=None, max_tokens=50).invoke("hi", Meter(database).config, n=3)

    assert (170, 0) == books(database)["total_tokens"]


def test_a_batch_holds_each_of_its_prompts(database):
    """generate() with three prompts is three calls."""
    model().generate(
        [ASK, ASK, ASK], callbacks=[Meter(database).callback], metadata={"thread_id": "t"}
    )

    assert {"total_tokens": (45, 0), "model_calls": (3, 0)} == books(database)


def test_what_a_provider_bills_beyond_what_was_held_is_recorded_and_told(database):
    """An estimate that was too low is no secret, and the next call finds the budget as it is."""
    meter = Meter(database, Limit(scope="thread", total_tokens=200))

    model(took=(20, 400)).invoke("hi", meter.config)

    assert {"total_tokens": (420, 0)} == books(database)
    (told,) = meter.told("budget.overspent")
    assert ("total_tokens", 120, 420) == (told["quantity"], told["held"], told["took"])
    with pytest.raises(BudgetExceeded):
        model().invoke("hi", meter.config)


def test_attempts_are_counted_each(database):
    """A retry and a fallback are real calls: the failed one took what it may have taken."""
    meter = Meter(database)
    retried = model(fails=[TimeoutError()]).with_retry(
        stop_after_attempt=2, wait_exponential_jitter=False
    )
    fallen = model(fails=[TimeoutError()]).with_fallbacks([model()])

    retried.invoke("hi", meter.config)
    fallen.invoke("hi", meter.config)

    assert {"total_tokens": (2 * 120 + 2 * 15, 0), "model_calls": (4, 0)} == books(database)


class Refused(Exception):
    """As providers raise it."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


class ConnectError(Exception):
    """As httpx names it."""


def wrapped_error(cause: Exception) -> Exception:
    """As OpenAI and Anthropic raise it: whatever happened below."""
    error = RuntimeError("Connection error.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "unbilled"),
    [
        (Refused(400), True),
        (Refused(429), True),
        (Refused(408), False),
        (Refused(500), False),
        (ConnectError(), True),
        (wrapped_error(ConnectError()), True),
        (wrapped_error(TimeoutError()), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (ValueError(), False),
    ],
)
def test_a_failed_call_is_free_only_if_it_certainly_cost_nothing(database, error, unbilled):
    """A 4xx was refused, and a connection that never was carried nothing; all else may be billed."""
    meter = Meter(database, Limit(scope="thread", total_tokens=1000))

    with pytest.raises(type(error)):
        model(fails=[error]).invoke("hi", meter.config)

    assert unbilled is is_unbilled(error)
    assert {"total_tokens": (0 if unbilled else 120, 0)} == books(database)


@BOTH
@pytest.mark.parametrize(("policy", "used"), [("free", 15), ("count", 30)])
def test_answers_of_a_cache_are_free_or_counted_by_policy(database, on_a_loop, policy, used):
    """LangChain marks them with total_cost 0."""
    meter = Meter(database, Limit(scope="thread", total_tokens=1000), cached=policy)
    asked = model(cache=InMemoryCache())

    for _ in range(2):
        run(graph_of(asked), meter.config, on_a_loop=on_a_loop)

    assert (1, {"total_tokens": (used, 0)}) == (asked.calls, books(database))


def test_a_run_id_that_is_used_twice_is_two_calls(database):
    """A key that was closed belongs to the call before; this one is made, so it counts."""
    meter, same = Meter(database), uuid4()

    for _ in range(3):
        model().invoke("hi", {**meter.config, "run_id": same})

    assert {"total_tokens": (45, 0), "model_calls": (3, 0)} == books(database)


def test_a_run_id_that_is_used_for_another_call_is_another_call(database):
    """What it can take is another amount, so it is not the one that has been."""
    meter, same = Meter(database), uuid4()

    for bound in (10, 20):
        model().invoke("hi", {**meter.config, "run_id": same}, max_tokens=bound)

    assert {"total_tokens": (30, 0), "model_calls": (2, 0)} == books(database)


def test_an_answer_of_a_cache_needs_room_too(database):
    """LangChain tells only afterwards that it was free."""
    meter = Meter(database, Limit(scope="thread", model_calls=1))
    asked = model(cache=InMemoryCache())

    asked.invoke("hi", meter.config)

    with pytest.raises(BudgetExceeded):
        asked.invoke("hi", meter.config)


def test_tools_and_the_form_of_an_answer_are_in_the_estimate(database):
    """They are sent with every call."""
    seen: list[Any] = []
    meter = Meter(database)
    meter.callback.counter = lambda messages, tools: seen.append(list(tools)) or 20

    schema, form = {"type": "function", "function": {"name": "f"}}, {"type": "json_schema"}
    model().bind_tools([schema]).invoke("hi", meter.config, response_format=form)

    assert [[schema, form]] == seen


# ------------------------------------------------------------------------------ streams


def stream(asked: Model, meter: Meter, config: Any = None, *, on_a_loop: bool) -> list[str]:
    got: list[str] = []
    config = config or meter.config

    async def astream() -> None:
        async for chunk in asked.astream("hi", config):
            got.append(chunk.text)

    try:
        if on_a_loop:
            asyncio.run(astream())
        else:
            for chunk in asked.stream("hi", config):
                got.append(chunk.text)
    except BudgetExceeded:
        got.append("cut")
    return got


@BOTH
def test_a_stream_that_passes_what_is_held_is_given_more(database, on_a_loop):
    """It holds more as it goes, and takes in the end what it took."""
    meter = Meter(database, Limit(scope="thread", total_tokens=1000, model_calls=1))
    asked = streaming(*["x"] * 250, took=(20, 250))

    got = stream(asked, meter, on_a_loop=on_a_loop)

    assert "cut" not in got
    assert {"total_tokens": (270, 0), "model_calls": (1, 0)} == books(database)
    assert {"settled", "released"} == {state for (state,) in rows(database, "state")}
    assert [] == meter.told("budget.overspent")


@BOTH
def test_a_stream_is_cut_where_the_budget_ends(database, on_a_loop):
    """Room for 20 in and 164 out: the chunk that passes it is the last."""
    meter = Meter(database, Limit(scope="thread", total_tokens=184))

    got = stream(streaming(*["x"] * 250), meter, on_a_loop=on_a_loop)

    assert (164, "cut") == (len(got) - 1, got[-1])
    assert {"total_tokens": (20 + 165, 0)} == books(database)


@BOTH
def test_a_stream_has_what_is_left_before_it_is_cut(database, on_a_loop):
    """50 held, 50 left, and 64 would be asked for: it goes on to 100, and only 101 is cut."""
    meter = Meter(database, Limit(scope="thread", output_tokens=100), max_tokens=50)

    whole = stream(streaming(*["x"] * 100, took=(20, 100)), meter, on_a_loop=on_a_loop)

    assert (100, "x") == (len([text for text in whole if text]), whole[-2])
    assert {"output_tokens": (100, 0)} == books(database)


@BOTH
def test_a_stream_that_two_callbacks_see_is_not_cut_by_the_other(database, on_a_loop):
    """Both ask for what is left; the second finds that it is held already, for the same call."""
    meter = Meter(database, Limit(scope="thread", output_tokens=200), max_tokens=50)
    second = BudgetCallback(meter.budget, **meter.options)
    config = {**meter.config, "callbacks": [meter.callback, second]}

    got = stream(streaming(*["x"] * 180, took=(20, 180)), meter, config, on_a_loop=on_a_loop)

    assert "cut" not in got
    assert {"output_tokens": (180, 0)} == books(database)


def test_a_stream_limited_by_money_has_what_is_left(database):
    """Money is counted by the share of an extension that there is room for."""
    prices = PriceBook({"gpt-4o-mini": Price(input=0, output=10)})
    meter = Meter(database, Limit(scope="thread", micro_usd=1000), max_tokens=50, prices=prices)

    got = stream(streaming(*["x"] * 250), meter, on_a_loop=False)

    assert (100, "cut") == (len(got) - 1, got[-1])


@pytest.mark.parametrize("policy", ["extend", "cut"])
def test_a_stream_that_was_cut_is_not_said_not_to_have_been_made(database, policy):
    """It was made, and is billed."""
    meter = Meter(database, Limit(scope="thread", output_tokens=100), stream=policy)

    with pytest.raises(StreamCut, match="its stream was cut; what came before is billed") as cut:
        list(streaming(*["x"] * 101).stream("hi", meter.config))

    assert "not made" not in str(cut.value)
    assert ("thread:t" if policy == "extend" else "100 tokens were held") in str(cut.value)
    assert {"output_tokens": (101, 0)} == books(database)


@BOTH
def test_a_stream_is_cut_at_once_by_policy(database, on_a_loop):
    """stream='cut' gives nothing beyond what was held."""
    meter = Meter(database, Limit(scope="thread", total_tokens=1000), stream="cut")

    got = stream(streaming(*["x"] * 250), meter, on_a_loop=on_a_loop)

    assert (100, "cut") == (len(got) - 1, got[-1])
    assert {"total_tokens": (20 + 101, 0)} == books(database)


def test_a_stream_with_a_bound_of_its_own_is_cut_by_the_provider(database):
    """A long chunk is not many tokens there: only more chunks than tokens prove it wrong."""
    meter = Meter(database, Limit(scope="thread", total_tokens=70), stream="cut")

    got = stream(streaming(*[" " * 80] * 20, took=(20, 40), max_tokens=50), meter, on_a_loop=False)

    assert "cut" not in got
    assert {"total_tokens": (60, 0)} == books(database)


@BOTH
def test_a_stream_that_is_abandoned_counts_all_that_was_held(database, on_a_loop):
    """LangChain tells of a generator that was closed: nobody knows what the provider made."""
    meter = Meter(database)
    asked = streaming(*["x"] * 50)

    async def aleave() -> None:
        chunks = asked.astream("hi", meter.config)
        await anext(chunks)
        await chunks.aclose()

    if on_a_loop:
        asyncio.run(aleave())
    else:
        chunks = asked.stream("hi", meter.config)
        next(chunks)
        del chunks
        gc.collect()

    assert {"total_tokens": (120, 0), "model_calls": (1, 0)} == books(database)


def test_a_call_that_was_cancelled_counts_after_its_lease(database):
    """LangChain tells nothing of it; the next call finds that its lease is over."""
    meter = Meter(database, lease=timedelta(microseconds=1))

    async def cancel() -> None:
        task = asyncio.ensure_future(model(waits=60).ainvoke("hi", meter.config))
        while not meter.callback._calls:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    before = books(database)
    model().invoke("hi", meter.config)

    assert {"total_tokens": (0, 120), "model_calls": (0, 1)} == before
    assert {"total_tokens": (135, 0), "model_calls": (2, 0)} == books(database)


def test_a_wrapped_call_that_was_cancelled_counts_at_once(database):
    """The wrapper sees it."""
    meter = Meter(database)
    asked = wrapped_model(model(waits=60), meter.wrapper)

    async def cancel() -> None:
        task = asyncio.ensure_future(asked.ainvoke("hi", {"configurable": {"thread_id": "t"}}))
        while not await asyncio.to_thread(rows, database, "state"):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())

    assert {"total_tokens": (120, 0), "model_calls": (1, 0)} == books(database)


# ------------------------------------------------------------------- structured answers


class Form(BaseModel):
    """What to fill in."""

    words: str


class Strict(Model):
    """A model whose answer has the form: its provider's own JSON, or a tool call."""

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **_: Any) -> Any:
        filled = [{"name": "Form", "args": {"words": "filled in"}, "id": "c"}]
        self.tool_calls.extend([filled] * 9)
        return super().with_structured_output(schema, include_raw=include_raw)


def strict() -> Strict:
    return Strict(seen=[], fails=[], tool_calls=[])


def ask(asked: Any, *, on_a_loop: bool) -> Any:
    config: Any = {"configurable": {"thread_id": "t"}}
    return asyncio.run(asked.ainvoke("hi", config)) if on_a_loop else asked.invoke("hi", config)


@BOTH
def test_a_wrapped_model_has_structured_output(database, on_a_loop):
    """The wrappers stay around the call, which is capped and counted; the parser comes behind."""
    meter, inner = Meter(database), strict()
    asked = wrapped_model(inner, meter.wrapper)

    plain = ask(asked.with_structured_output(Form), on_a_loop=on_a_loop)
    raw = ask(asked.with_structured_output(Form, include_raw=True), on_a_loop=on_a_loop)

    assert (Form(words="filled in"), Form(words="filled in")) == (plain, raw["parsed"])
    assert ("an answer", None) == (raw["raw"].text, raw["parsing_error"])
    assert [100, 100] == [kwargs["max_tokens"] for kwargs in inner.seen]
    assert {"total_tokens": (30, 0), "model_calls": (2, 0)} == books(database)


@BOTH
@pytest.mark.parametrize("include_raw", [False, True])
def test_a_structured_model_may_be_wrapped(database, on_a_loop, include_raw):
    """Its answer is no message, and goes through the wrappers as it is."""
    meter, inner = Meter(database), strict()
    structured = inner.with_structured_output(Form, include_raw=include_raw)

    got = ask(wrapped_model(structured, meter.wrapper), on_a_loop=on_a_loop)

    assert Form(words="filled in") == (got["parsed"] if include_raw else got)
    assert ONCE == books(database)


class Careless(ModelWrapper):
    """Returns no message."""

    database: Any = None

    def steps(self, request: Any, handler: Any) -> Any:
        yield from handler(request)
        return "no message"


@BOTH
def test_a_wrapper_that_returns_no_message_of_a_chat_model_is_told(on_a_loop):
    """A model that answers with messages has wrappers that do."""
    with pytest.raises(TypeError, match="returned str"):
        ask(wrapped_model(model(), Careless()), on_a_loop=on_a_loop)


# -------------------------------------------------------------------------------- a cap


@BOTH
def test_what_is_held_is_put_on_the_call(database, on_a_loop):
    """A grant is a cap, where the call names none and the model knows how."""
    meter = Meter(database)
    free, bounded, bound = model(), model(max_tokens=7), model()

    for asked in (free, bounded, bound.bind(max_tokens=9)):
        graph = graph_of(wrapped_model(asked, meter.wrapper))
        run(graph, {"configurable": {"thread_id": "t"}}, on_a_loop=on_a_loop)

    assert [100, None, 9] == [m.seen[0].get("max_tokens") for m in (free, bounded, bound)]


def test_a_cap_can_be_left_out(database):
    """Then a longer answer is billed, and told."""
    meter, asked = Meter(database), model(took=(20, 300))
    free = wrapped_model(asked, Budgeted(meter.budget, cap=False, **meter.options))

    free.invoke("hi", {"configurable": {"thread_id": "t"}})

    assert [{}] == asked.seen
    assert ["total_tokens"] == [told["quantity"] for told in meter.told("budget.overspent")]


def test_a_model_that_may_know_no_bound_is_left_alone(database):
    """An unknown setting would be an error at the provider: fallbacks may be of any class."""
    meter, asked, boundless = Meter(database), model(), FakeListChatModel(responses=["a"])
    config: Any = {"configurable": {"thread_id": "t"}}

    wrapped_model(asked.with_fallbacks([boundless]), meter.wrapper).invoke("hi", config)

    assert [{}] == asked.seen
    assert {} == capped(ModelCall(boundless, ASK), 100).model_settings


def test_the_usage_beside_a_message_is_read_too(database):
    """Older integrations tell it in llm_output."""
    meter, run_id = Meter(database), uuid4()
    answer = LLMResult(
        generations=[[ChatGeneration(message=AIMessage("x"))]],
        llm_output={"token_usage": {"prompt_tokens": 4, "completion_tokens": 2}, "model_name": "m"},
    )

    meter.callback.on_chat_model_start(None, [ASK], run_id=run_id, metadata={"thread_id": "t"})
    meter.callback.on_llm_end(answer, run_id=run_id)

    assert (6, 0) == books(database)["total_tokens"]
    assert [("m",)] == rows(database, "served")
