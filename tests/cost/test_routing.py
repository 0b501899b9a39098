"""Rules that choose a model, and a model that keeps what it began."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ExtendedModelResponse, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import ensure_config
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.errors import GraphInterrupt
from langgraph.graph import MessagesState
from langgraph.prebuilt import ToolNode
from pydantic import Field, ValidationError

from lg_production import Checkpointer
from lg_production.core.models import ModelCall, wrapped_model
from lg_production.core.steps import Call, Emit
from lg_production.cost.loop_history import LOOP
from lg_production.cost.routing import (
    ROUTE,
    Choice,
    Facts,
    ModelRouter,
    RoutingPolicy,
    Rule,
)
from tests.graphs_for_tests import ASK, agent, call, thread


class Model(BaseChatModel):
    """Says its name. It asks for as many tool calls, one after another, as it was told to."""

    model_name: str
    dialect: str = "a"
    searches: int = 0
    tells: dict[str, Any] = Field(default_factory=dict)
    seen: list[dict[str, Any]] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        written = [{self.dialect: convert_to_openai_tool(t)["function"]["name"]} for t in tools]
        return self.bind(tools=written, **kwargs)

    @property
    def _llm_type(self) -> str:
        return "told"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any):
        self.seen.append(kwargs)
        results = sum(isinstance(m, ToolMessage) for m in messages)
        calls = [call("search", query=str(results))] if results < self.searches else []
        said = AIMessage(self.model_name, tool_calls=calls, response_metadata=dict(self.tells))
        return ChatResult(generations=[ChatGeneration(message=said)])


@tool
def search(query: str) -> str:
    """Search the web."""
    return f"found {query}"


def models(**changes: Any) -> dict[str, Model]:
    return {
        "strong": Model(model_name="big-1", dialect="s", searches=2, **changes),
        "cheap": Model(model_name="small-1", dialect="c", searches=2, **changes),
    }


FRUGAL = RoutingPolicy(rules=(Rule(model="cheap", remaining_below=0.2),), default="strong")
TO_CHEAP = RoutingPolicy(default="cheap")
ASKED = [HumanMessage("go")]


class Left:
    """A budget that shrinks: what is left at each question, the last for ever."""

    def __init__(self, *shares: Any) -> None:
        self.shares = list(shares)

    def __call__(self) -> float | None:
        share = self.shares.pop(0) if len(self.shares) > 1 else self.shares[0]
        if isinstance(share, Exception):
            raise share
        return share


def run(model: Any, messages: Any, *, asynchronous: bool = False, **config: Any) -> AIMessage:
    if asynchronous:
        return asyncio.run(model.ainvoke(messages, config))
    return model.invoke(messages, config)


def route(message: Any) -> tuple[str, str, str | None, int | None]:
    stamp = message.response_metadata[ROUTE]
    return stamp["requested"], stamp["served"], stamp["model"], stamp["rule"]


# ------------------------------------------------------------------------------ the table


@pytest.mark.parametrize(
    ("conditions", "yes", "no"),
    [
        ({}, Facts(), None),
        ({"remaining_below": 0.2}, Facts(remaining=0.19), Facts(remaining=0.2)),
        ({"remaining_below": 0.2}, Facts(remaining=-1), Facts(remaining=None)),
        ({"remaining_at_least": 0.2}, Facts(remaining=0.2), Facts(remaining=0.19)),
        ({"remaining_at_least": 0}, Facts(remaining=0), Facts(remaining=None)),
        ({"task_class": "chat"}, Facts(task_class="chat"), Facts(task_class="chatter")),
        ({"task_class": {"chat", "sum"}}, Facts(task_class="sum"), Facts(task_class=None)),
        ({"risk": "low"}, Facts(risk="low"), Facts(risk=None)),
        ({"context_up_to": 10}, Facts(context_tokens=10), Facts(context_tokens=11)),
        ({"context_over": 10}, Facts(context_tokens=11), Facts(context_tokens=10)),
        (
            {"capabilities": {"tools", "json"}},
            Facts(capabilities=frozenset({"json"})),
            Facts(capabilities=frozenset({"json", "vision"})),
        ),
        ({"capabilities": ()}, Facts(), Facts(capabilities=frozenset({"tools"}))),
        (
            {"risk": "low", "remaining_below": 0.5},
            Facts(risk="low", remaining=0.1),
            Facts(risk="low", remaining=0.9),
        ),
    ],
)
def test_a_rule_applies_if_all_it_says_holds(conditions, yes, no):
    """Bounds are as their names say, and what is unknown fits no condition on it."""
    policy = RoutingPolicy(rules=[{"model": "rule", **conditions}], default="default")

    assert ("rule", 0) == (policy.decide(yes).model, policy.decide(yes).rule_index)
    if no is not None:
        assert Choice("default", None, "no rule applies") == policy.decide(no)


def test_the_first_rule_that_applies_wins_and_says_why():
    """Order is priority."""
    policy = RoutingPolicy(
        rules=(
            Rule(model="eyes", capabilities={"vision"}, context_over=100),
            Rule(model="cheap", remaining_below=0.2, task_class={"sum", "chat"}),
            Rule(model="mid", remaining_below=0.5),
        ),
        default="strong",
    )
    poor = Facts(remaining=0.1, task_class="chat", capabilities=frozenset({"tools"}))
    why = "rule 1: remaining_below=0.2, task_class=['chat', 'sum']"

    assert Choice("cheap", 1, why) == policy.decide(poor)
    assert "mid" == policy.decide(Facts(remaining=0.1, task_class="code")).model
    assert "strong" == policy.decide(Facts(remaining=0.9)).model
    assert policy == RoutingPolicy.model_validate_json(policy.model_dump_json())


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([{"model": "a", "remaining": 0.2}], "Extra inputs"),
        ([{"model": ""}], "at least 1 character"),
        ([{"model": "a", "remaining_below": 20}], "less than or equal to 1"),
        ([{"model": "a", "remaining_below": 0}], "greater than 0"),
        ([{"model": "a", "remaining_at_least": 0.5, "remaining_below": 0.5}], "no budget"),
        ([{"model": "a", "context_over": 9, "context_up_to": 9}], "no context"),
        ([{"model": "a", "task_class": []}], "never applies"),
        ([{"model": "a"}, {"model": "b", "risk": "low"}], r"rule 1 \(risk=low\) is never reached"),
        ([{"model": "a"}, {"model": "b"}], r"rule 0 \(always\)"),
        (
            [{"model": "a", "remaining_below": 0.5}, {"model": "b", "remaining_below": 0.2}],
            r"rule 1 \(remaining_below=0.2\) is never reached",
        ),
        (
            [
                {"model": "a", "capabilities": ["tools", "json"]},
                {"model": "b", "capabilities": ["json"], "context_over": 9},
            ],
            "never reached",
        ),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(rules, why):
    """Unknown fields, ranges without inside, and rules that nothing reaches."""
    with pytest.raises(ValidationError, match=why):
        RoutingPolicy(rules=rules, default="z")


SHARES = st.sampled_from([0.1, 0.5, 0.9])
SOME = st.frozensets(st.sampled_from("xyz"), min_size=1)
RULES = st.builds(
    dict,
    model=st.just("m"),
    remaining_below=st.none() | SHARES,
    remaining_at_least=st.none() | SHARES,
    task_class=st.none() | SOME,
    context_up_to=st.none() | st.integers(0, 4),
    context_over=st.none() | st.integers(0, 4),
    capabilities=st.none() | SOME,
)
FACTS = st.builds(
    Facts,
    remaining=st.none() | st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]),
    task_class=st.none() | st.sampled_from("xyz"),
    context_tokens=st.integers(0, 6),
    capabilities=st.frozensets(st.sampled_from("xyz")),
)


@given(st.lists(RULES, max_size=4), FACTS)
def test_only_rules_that_never_win_are_refused(rules, facts):
    """The rule that is called unreachable would not have been chosen, whatever the facts."""
    try:
        whole = [Rule(**rule) for rule in rules]
    except ValidationError:
        return
    first = next((n for n, rule in enumerate(whole) if rule.applies(facts)), None)
    lost = {j for j, b in enumerate(whole) for a in whole[:j] if a.covers(b)}

    assert first not in lost
    if lost:
        with pytest.raises(ValidationError):
            RoutingPolicy(rules=whole, default="d")
    else:
        assert first == RoutingPolicy(rules=whole, default="d").decide(facts).rule_index


# ----------------------------------------------------------------------------- the router


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("left", "expected"),
    [(0.1, ("small-1", "small-1", "cheap", 0)), (0.9, ("big-1", "big-1", "strong", None))],
)
def test_a_call_goes_where_the_budget_says(asynchronous, left, expected):
    """The answer carries the route, and one event tells of it."""
    table, events = models(), []
    router = ModelRouter(table, FRUGAL, remaining=lambda: left, observers=[events.append])
    model = wrapped_model(table["strong"], router)

    answer = run(model, "go", asynchronous=asynchronous, configurable={"thread_id": "t1"})

    requested, served, name, rule = expected
    assert (requested, expected) == (answer.content, route(answer))
    assert [
        (
            "model.routed",
            {
                "requested": requested,
                "served": served,
                "model": name,
                "rule": rule,
                "continued": False,
                "thread_id": "t1",
            },
        )
    ] == [(e.name, e.attributes) for e in events]


@pytest.mark.parametrize("key", ["model_name", "model"])
def test_the_provider_says_what_was_served(key):
    """Asked for an alias, a provider answers with a dated model: both are kept."""
    table = models(tells={key: "small-1-2026-02-30"})
    router = ModelRouter(table, TO_CHEAP)

    answer = run(wrapped_model(table["strong"], router), "go")

    assert ("small-1", "small-1-2026-02-30", "cheap", None) == route(answer)
    assert "small-1-2026-02-30" == answer.response_metadata[key]


def test_the_answer_is_stamped_on_a_copy():
    """A model may keep its message, a cache certainly does."""
    kept = AIMessage("hello", id="m1", response_metadata={"a": 1})
    steps = ModelRouter(models(), TO_CHEAP).steps(
        ModelCall(models()["strong"], ASKED), lambda request: Call(lambda: kept)
    )
    next(steps)
    assert isinstance(steps.send(kept), Emit)
    with pytest.raises(StopIteration) as stop:
        steps.send(None)

    assert {"a": 1} == kept.response_metadata
    assert ("hello", "m1") == (stop.value.value.content, stop.value.value.id)
    assert {"a", ROUTE} == set(stop.value.value.response_metadata)


@pytest.mark.parametrize("extended", [False, True])
def test_each_of_langchains_shapes_is_stamped(extended):
    """A ModelResponse, alone or with a command; what stands beside the answer stays."""
    answer, beside = AIMessage("a"), ToolMessage("t", tool_call_id="1")
    response: Any = ModelResponse(result=[answer, beside], structured_response={"x": 1})
    inner = response
    response = ExtendedModelResponse(model_response=response) if extended else response
    router = ModelRouter(models(), TO_CHEAP)

    result = router.wrap_model_call(ModelCall(None, ASKED), lambda request: response)

    told = result.model_response if extended else result
    assert (type(response), {"x": 1}) == (type(result), told.structured_response)
    assert ("small-1", "small-1", "cheap", None) == route(told.result[0])
    assert (beside, answer) == (told.result[1], inner.result[0])
    assert {} == answer.response_metadata


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("left", "error"),
    [
        (ConnectionError("secret.host"), "ConnectionError"),
        (float("nan"), "NotFinite"),
        ("half", "TypeError"),
    ],
)
def test_a_budget_that_cannot_be_read_is_unknown(asynchronous, left, error):
    """No rule on it applies, the call is made, and the failure is told by its type."""
    table, events = models(), []
    router = ModelRouter(table, FRUGAL, remaining=Left(left), observers=[events.append])

    answer = run(wrapped_model(table["cheap"], router), "go", asynchronous=asynchronous)

    assert "big-1" == answer.content
    assert [("model.remaining_unknown", {"error": error})] == [
        (e.name, e.attributes) for e in events[:-1]
    ]


def test_an_interrupt_passes():
    """GraphBubbleUp is not a failure, wherever it is raised."""
    router = ModelRouter(models(), FRUGAL, remaining=Left(GraphInterrupt()))

    with pytest.raises(GraphInterrupt):
        run(wrapped_model(models()["strong"], router), "go")


def test_a_failing_model_is_the_callers_affair():
    """Nothing is told of an answer that was not given."""

    def refuse(request: Any) -> Any:
        raise TimeoutError

    events: list[Any] = []
    router = ModelRouter(models(), TO_CHEAP, observers=[events.append])

    with pytest.raises(TimeoutError):
        router.wrap_model_call(ModelCall(None, ASKED), refuse)
    assert [] == events


IMAGE = HumanMessage([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": "x"}])


@dataclass(frozen=True, slots=True)
class Structured(ModelCall):
    """As langchain's request, which may ask for JSON."""

    response_format: Any = dict


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (ModelCall(None, ASKED), set()),
        (ModelCall(None, [IMAGE, *ASKED]), {"vision"}),
        (ModelCall(None, ASKED, tools=[search]), {"tools"}),
        (ModelCall(models()["strong"].bind_tools([search]), [IMAGE]), {"tools", "vision"}),
        (Structured(None, ASKED), {"json"}),
    ],
)
def test_what_a_call_needs_is_seen(request_, needed):
    """A rule whose model lacks any of it is passed over; one whose model has it all applies."""
    table = {name: model.bind_tools([search]) for name, model in models().items()}

    def chosen(offered: set[str]) -> str:
        rules = (Rule(model="cheap", capabilities=offered),)
        router = ModelRouter(table, RoutingPolicy(rules=rules, default="strong"))
        answer = router.wrap_model_call(request_, lambda _: AIMessage(""))
        return answer.response_metadata[ROUTE]["model"]

    assert "cheap" == chosen(needed)
    assert ["strong"] * len(needed) == [chosen(needed - {lacking}) for lacking in needed]


def test_a_budget_may_be_read_with_a_blocking_call():
    """On an event loop it is asked in another thread, with the run's context."""
    asked_in = []

    def remaining() -> float:
        thread_id = ensure_config()["configurable"]["thread_id"]
        asked_in.append((threading.current_thread() is threading.main_thread(), thread_id))
        return 0.1

    table = models()
    model = wrapped_model(table["strong"], ModelRouter(table, FRUGAL, remaining=remaining))
    for asynchronous in (False, True):
        run(model, "go", asynchronous=asynchronous, configurable={"thread_id": "t1"})

    assert [(True, "t1"), (False, "t1")] == asked_in


def test_the_callers_facts_have_the_last_word():
    """Task class and risk are known to the caller alone; the rest may be told better."""
    rules = (
        Rule(model="cheap", task_class="sum", risk="low", context_over=99, capabilities={"json"}),
    )
    table = models()

    def facts(request: Any) -> dict[str, Any]:
        assert "go" == request.messages[0].content
        return {"task_class": "sum", "risk": "low", "context_tokens": 100, "capabilities": "json"}

    router = ModelRouter(table, RoutingPolicy(rules=rules, default="strong"), facts=facts)

    assert "small-1" == run(wrapped_model(table["strong"], router), "go").content


def test_the_size_of_the_context_is_counted_with_the_system_message():
    """In create_agent it stands apart from the messages."""
    counted = []
    rules = (Rule(model="cheap", context_up_to=1),)
    router = ModelRouter(
        models(),
        RoutingPolicy(rules=rules, default="strong"),
        counter=lambda messages: counted.append([m.content for m in messages]) or len(messages),
    )
    create_agent(
        models()["cheap"], [], system_prompt="Be brief", middleware=[Routed(router)]
    ).invoke(ASK)
    answer = run(wrapped_model(models()["strong"], router), "go")

    assert [["Be brief", "go"], ["go"]] == counted
    assert "cheap" == route(answer)[2]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"models": {"cheap": None}}, "not given: strong"),
        ({"models": {}}, "not given: cheap, strong"),
        ({"remaining": asyncio.sleep}, "plain functions"),
    ],
)
def test_a_router_that_cannot_work_is_refused(options, why):
    """At construction, not when the budget runs low."""
    with pytest.raises(ValueError, match=why):
        ModelRouter(**{"models": models(), "policy": FRUGAL} | options)


def test_unknown_facts_are_refused():
    """A misspelt fact would never match."""
    router = ModelRouter(models(), FRUGAL, facts=lambda _: {"taskclass": "sum"})

    with pytest.raises(ValueError, match="taskclass"):
        run(wrapped_model(models()["strong"], router), "go")


# --------------------------------------------------------------------------------- tools


def test_tools_are_bound_in_the_chosen_models_own_format():
    """Providers write tools differently, so each model of the table binds them itself."""
    table = models()
    router = ModelRouter(table, FRUGAL, remaining=Left(0.9, 0.1)).bind_tools([search], strict=True)
    model = wrapped_model(table["strong"], router).bind_tools([search])

    run(model, "go")
    run(model, "go")

    assert [{"tools": [{"s": "search"}]}] == table["strong"].seen
    assert [{"tools": [{"c": "search"}], "strict": True}] == table["cheap"].seen


def test_tools_bound_to_one_model_only_are_not_forgotten_silently():
    """A model that was never shown the tools would answer without them."""
    table = models()
    router = ModelRouter(table, FRUGAL, remaining=Left(0.9, 0.1))
    model = wrapped_model(table["strong"], router).bind_tools([search])

    assert "big-1" == run(model, "go").content
    with pytest.raises(ValueError, match=r"router\.bind_tools\(tools\)"):
        run(model, "go")
    assert [] == table["cheap"].seen


def test_binding_leaves_the_router_as_it_was():
    """A router may serve several nodes, each with its tools."""
    table = models()
    router = ModelRouter(table, TO_CHEAP)
    bound = router.bind_tools([search]).bind_tools([search])

    run(wrapped_model(table["strong"], router), "go")
    run(wrapped_model(table["strong"], bound), "go")

    assert [{}, {"tools": [{"c": "search"}]}] == table["cheap"].seen


# --------------------------------------------------- never in the middle of a tool sequence


class Routed(AgentMiddleware):
    """What lg_production.middleware does: delegates."""

    def __init__(self, router: ModelRouter) -> None:
        super().__init__()
        self.router = router

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.router.wrap_model_call(request, handler)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await self.router.awrap_model_call(request, handler)


def in_a_node(table: Any, router: ModelRouter, saver: Any, *, asynchronous: bool) -> Any:
    model = wrapped_model(table["strong"], router.bind_tools([search])).bind_tools([search])

    def node(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    async def anode(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = agent(anode if asynchronous else node, ToolNode([search]))
    return graph.compile(checkpointer=saver, interrupt_before=["tools"])


def in_create_agent(table: Any, router: ModelRouter, saver: Any, *, asynchronous: bool) -> Any:
    return create_agent(
        table["strong"],
        [search],
        middleware=[Routed(router)],
        checkpointer=saver,
        interrupt_before=["tools"],
    )


def invoke(graph: Any, asked: Any, config: Any, *, asynchronous: bool) -> Any:
    if asynchronous:
        return asyncio.run(graph.ainvoke(asked, config))
    return graph.invoke(asked, config)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("surface", [in_a_node, in_create_agent])
def test_a_tool_sequence_ends_with_the_model_that_began_it(database, surface, asynchronous):
    """The budget runs low between call and result, and the process is another one by then."""
    saver, config, events = Checkpointer(database), thread(), []
    left = Left(0.9, 0.1)

    def fresh() -> Any:  # nothing is remembered but what the checkpoints hold
        table = models()
        router = ModelRouter(table, FRUGAL, remaining=left, observers=[events.append])
        return surface(table, router, saver, asynchronous=asynchronous)

    for asked in (ASK, None, None):
        state = invoke(fresh(), asked, config, asynchronous=asynchronous)
    began = [route(m) for m in state["messages"] if isinstance(m, AIMessage)]
    state = invoke(fresh(), {"messages": [("user", "and now?")]}, config, asynchronous=asynchronous)

    assert [("big-1", "big-1", "strong", None)] * 3 == began
    assert ("small-1", "small-1", "cheap", 0) == route(state["messages"][-1])
    assert [False, True, True, False] == [e.attributes["continued"] for e in events]
    assert {config["configurable"]["thread_id"]} == {e.attributes["thread_id"] for e in events}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("surface", [in_a_node, in_create_agent])
def test_a_cheap_model_finishes_what_it_began(database, surface, asynchronous):
    """The other way round: more budget does not change the model either; its tools stay bound."""
    saver, config, table = Checkpointer(database), thread(), models()
    router = ModelRouter(table, FRUGAL, remaining=Left(0.1, 0.9))
    graph = surface(table, router, saver, asynchronous=asynchronous)

    for asked in (ASK, None, None):
        state = invoke(graph, asked, config, asynchronous=asynchronous)

    assert [("small-1", "small-1", "cheap", 0)] * 3 == [
        route(m) for m in state["messages"] if isinstance(m, AIMessage)
    ]
    assert ([], [[{"c": "search"}]] * 3) == (
        table["strong"].seen,
        [seen["tools"] for seen in table["cheap"].seen],
    )


ANSWERED = ToolMessage("found", tool_call_id="c1")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {ROUTE: {"model": "retired", "rule": 0}},
        {ROUTE: {"model": ["cheap"], "rule": 0}},
        {ROUTE: "cheap"},
        {ROUTE: {"model": None}},
    ],
)
def test_without_a_stamp_the_requests_own_model_continues(metadata):
    """An answer from before the router, or by a model that the table no longer has."""
    own = Model(model_name="own-1")
    asked = AIMessage("", tool_calls=[call("search", "c1")], response_metadata=metadata)
    router = ModelRouter(models(), TO_CHEAP, remaining=pytest.fail)

    answer = run(wrapped_model(own, router), [*ASKED, asked, ANSWERED])

    assert ("own-1", "own-1", None, None) == route(answer)


def test_a_sequence_without_its_question_stays_with_the_requests_own_model():
    """The history was trimmed to the tool's result."""
    answer = run(
        wrapped_model(Model(model_name="own-1"), ModelRouter(models(), TO_CHEAP)), [ANSWERED]
    )

    assert "own-1" == answer.content


def test_a_new_question_is_routed_anew():
    """After a person or the system speaks, the sequence is over."""
    stamp = {ROUTE: {"model": "strong", "rule": None}}
    asked = AIMessage("", tool_calls=[call("search", "c1")], response_metadata=stamp)
    table = models()
    model = wrapped_model(table["strong"], ModelRouter(table, TO_CHEAP))

    assert "big-1" == run(model, [*ASKED, asked, ANSWERED]).content
    for last in (HumanMessage("and?"), SystemMessage("Be brief.")):
        assert "small-1" == run(model, [*ASKED, asked, ANSWERED, last]).content


def test_parallel_results_belong_to_one_answer():
    """Several results in a row, the latest answer's stamp counts."""
    old = AIMessage("", response_metadata={ROUTE: {"model": "cheap", "rule": 0}})
    calls = [call("search", "c1"), call("search", "c2")]
    stamp = {ROUTE: {"model": "strong", "rule": 3}}
    asked = AIMessage("", tool_calls=calls, response_metadata=stamp)
    table = models()
    second = ToolMessage("found", tool_call_id="c2")

    answer = run(
        wrapped_model(table["cheap"], ModelRouter(table, TO_CHEAP)),
        [*ASKED, old, *ASKED, asked, ANSWERED, second],
    )

    assert ("big-1", "big-1", "strong", 3) == route(answer)


SAID = HumanMessage("You go in circles.", additional_kwargs={LOOP: {"rung": "tell"}})
REFUSED = ToolMessage("no", tool_call_id="c1", additional_kwargs={LOOP: {"refused": "repeat"}})


@pytest.mark.parametrize("results", [[ANSWERED, SAID], [ANSWERED, SAID, SAID], [REFUSED]])
def test_what_a_guard_says_behind_results_is_no_new_question(results):
    """A LoopGuard speaks between the tools' results and the model, which is still in the middle."""
    stamp = {ROUTE: {"model": "strong", "rule": 3}}
    asked = AIMessage("", tool_calls=[call("search", "c1")], response_metadata=stamp)
    table = models()
    model = wrapped_model(table["cheap"], ModelRouter(table, TO_CHEAP))

    assert ("big-1", "big-1", "strong", 3) == route(run(model, [*ASKED, asked, *results]))
    assert "small-1" == run(model, [*ASKED, asked, *results, HumanMessage("and?")]).content


def test_a_form_bound_to_one_model_only_is_not_forgotten_silently():
    """A model that was never told the form would answer in prose."""
    table = models()
    asked = wrapped_model(table["strong"].bind(response_format={"type": "json_schema"}),
                          ModelRouter(table, TO_CHEAP).bind_tools([search]))  # fmt: skip

    with pytest.raises(ValueError, match="with_structured_output"):
        run(asked, "go")
    assert [] == table["cheap"].seen


def test_models_with_a_form_of_their_own_are_routed():
    """Each is structured by itself; the answer is no message, and has no stamp."""
    events, table = [], {n: m | (lambda a: {"said": a.content}) for n, m in models().items()}
    router = ModelRouter(table, TO_CHEAP, observers=[events.append])

    assert {"said": "small-1"} == run(wrapped_model(table["strong"], router), "go")
    assert ["cheap"] == [e.attributes["model"] for e in events]
