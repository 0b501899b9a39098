"""A model that never stops is stopped, on every surface, by a ladder that nothing resets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, hook_config
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, Send, interrupt
from pydantic import Field

from lg_production import Checkpointer
from lg_production.core.events import Event
from lg_production.core.models import ModelCall, wrapped_model
from lg_production.core.wrappers import tool_node
from lg_production.cost.loop_guard import LoopAnswer, LoopBreaker, LoopGuard, read_answer
from lg_production.cost.loop_history import LOOP
from lg_production.cost.loops import LoopPolicy
from lg_production.cost.partial import PARTIAL
from lg_production.errors import LoopDetected
from tests.graphs_for_tests import ASK, call, thread

Script = Callable[[int], list[dict[str, Any]]]
POLICY = LoopPolicy(polling=frozenset({"status"}), max_polls=5, no_progress=6)
ASKING = LoopPolicy(ladder=("tell", "interrupt", "stop"))
APPROVE, REJECT = {"type": "approve"}, {"type": "reject"}


class Model(BaseChatModel):
    """Makes the calls of a script, for ever; without tools, or where it has none, it answers."""

    script: Any
    seen: list[list[Any]] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[t.name for t in tools])

    @property
    def _llm_type(self) -> str:
        return "script"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any):
        calls = self.script(len(self.seen)) if kwargs.get("tools") else []
        self.seen.append(list(messages))
        said = AIMessage("let me see" if calls else "all I found is the Ritz", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=said)])


class World:
    """Tools that count how often they ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

        @tool
        def look(query: str) -> str:
            """Look it up."""
            self.ran.append(query)
            return "" if query.startswith("idea") else f"Ritz ({query})"

        @tool
        def time() -> str:
            """The time."""
            self.ran.append("time")
            return f"12:{len(self.ran):02}"

        @tool
        def status(job: int) -> str:
            """How a job is doing."""
            self.ran.append("status")
            return f"{len(self.ran)} %"

        @tool
        def book(stars: int) -> str:
            """Book."""
            self.ran.append("book")
            raise ValueError(f"cannot book {stars}")

        @tool
        def transfer_to_a() -> str:
            """Hand over to a."""
            self.ran.append("a")
            return "Successfully transferred to a"

        @tool
        def transfer_to_b() -> str:
            """Hand over to b."""
            self.ran.append("b")
            return "Successfully transferred to b"

        @tool
        def confirm() -> str:
            """Ask a person."""
            return interrupt("really?")

        self.tools = [look, time, status, book, transfer_to_a, transfer_to_b, confirm]


# The model calls and the tool calls of each loop, with the standard ladder.
LOOPS: dict[str, tuple[Script, int, int]] = {
    "same_result": (lambda n: [call("look", query="hotels")], 6, 4),
    "same_call": (lambda n: [call("time")], 9, 7),
    "cycle": (lambda n: [call("look", query="ab"[n % 2])], 7, 5),
    "near_duplicate": (lambda n: [call("look", query=f"idea{' ' * (n + 1)}")], 6, 4),
    "repeated_error": (lambda n: [call("book", stars=n)], 6, 5),
    "ping_pong": (lambda n: [call(f"transfer_to_{'ab'[n % 2]}")], 9, 7),
    "polling": (lambda n: [call("status", job=7)], 9, 7),
    "no_progress": (lambda n: [call("look", query=f"idea{n}")], 13, 12),
}
SAME = LOOPS["same_result"][0]
BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def raw(
    model: Model,
    world: World,
    guard: LoopGuard,
    *wrappers: Any,
    answer: bool = False,
    asynchronous: bool = False,
    send: bool = False,
) -> StateGraph:
    """Guard, model and tools in a loop."""
    bound = wrapped_model(model, *([LoopAnswer()] if answer else [])).bind_tools(world.tools)

    def node(state: MessagesState) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    async def anode(state: MessagesState) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def each(state: MessagesState) -> Any:
        calls = state["messages"][-1].tool_calls
        return [Send("tools", [c]) for c in calls] or "__end__"

    builder = StateGraph(MessagesState)
    builder.add_node("guard", guard)
    builder.add_node("model", anode if asynchronous else node)
    builder.add_node("tools", tool_node(world.tools, *wrappers, handle_tool_errors=True))
    builder.add_edge(START, "guard")
    builder.add_conditional_edges("model", each if send else tools_condition, ["tools", "__end__"])
    builder.add_edge("tools", "guard")
    return builder


class Guarded(AgentMiddleware):
    """What lg_production.middleware does: delegates."""

    def __init__(self, guard: LoopGuard, breaker: LoopBreaker, answer: LoopAnswer | None) -> None:
        super().__init__()
        self.guard, self.breaker, self.answer = guard, breaker, answer

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> Any:
        return self.guard.before_model(state, runtime)

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        try:
            return self.breaker.wrap_tool_call(request, handler)
        except ValueError as error:
            return failed(request, error)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        try:
            return await self.breaker.awrap_tool_call(request, handler)
        except ValueError as error:
            return failed(request, error)

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.answer.wrap_model_call(request, handler) if self.answer else handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        if self.answer:
            return await self.answer.awrap_model_call(request, handler)
        return await handler(request)


def failed(request: Any, error: Exception) -> ToolMessage:
    call_id, name = request.tool_call["id"], request.tool_call["name"]
    return ToolMessage(repr(error), name=name, tool_call_id=call_id, status="error")


def surface(
    database: Any, name: str, model: Model, world: World, policy: LoopPolicy, **more: Any
) -> Any:
    """A compiled graph whose guard, breaker and (asked for) answer share a policy."""
    answer, events = more.pop("answer", False), more.pop("events", [])
    guard = LoopGuard(policy, observers=[events.append], then=more.pop("then", "model"))
    breaker = LoopBreaker(policy, observers=[events.append])
    saver = Checkpointer(database)
    if name == "create_agent":
        middleware = Guarded(guard, breaker, LoopAnswer() if answer else None)
        more.pop("asynchronous", None)
        return create_agent(model, world.tools, middleware=[middleware], checkpointer=saver, **more)
    paused = {k: more.pop(k) for k in ("interrupt_before",) if k in more}
    builder = raw(model, world, guard, breaker, answer=answer, send=name == "Send", **more)
    return builder.compile(checkpointer=saver, **paused)


def invoke(graph: Any, asked: Any, config: Any, *, asynchronous: bool = False) -> Any:
    config = {**config, "recursion_limit": 200}
    if asynchronous:
        return asyncio.run(graph.ainvoke(asked, config))
    return graph.invoke(asked, config)


def rungs(events: list[Event]) -> list[Any]:
    return [e.attributes["rung"] for e in events if e.name == "loop.detected"]


def valid(messages: list[Any]) -> bool:
    """Whether every answer with calls is followed by exactly its results, at once."""
    for n, message in enumerate(messages):
        calls = [c["id"] for c in getattr(message, "tool_calls", ())]
        after = [getattr(m, "tool_call_id", None) for m in messages[n + 1 : n + 1 + len(calls)]]
        if sorted(calls) != sorted(map(str, after)):
            return False
    return True


SURFACES = pytest.mark.parametrize("name", ["ToolNode", "Send", "create_agent"])

# ------------------------------------------------------------------- loops are stopped


@SURFACES
@BOTH
def test_a_model_that_loops_for_ever_is_stopped(database, name, asynchronous):
    """So many model calls and no more, of each kind; the last words are a partial result."""
    actual: dict[str, Any] = {}
    for kind, (script, *_) in LOOPS.items():
        model, world, events = Model(script=script), World(), []
        graph = surface(
            database, name, model, world, POLICY, events=events, asynchronous=asynchronous
        )
        state = invoke(graph, ASK, thread(), asynchronous=asynchronous)
        last = state["messages"][-1]
        actual[kind] = (
            len(model.seen),
            len(world.ran),
            rungs(events),
            {e.attributes["kind"] for e in events},
            last.additional_kwargs[PARTIAL],
            "Last said: let me see" in last.text,
            all(valid(seen) for seen in [*model.seen, state["messages"]]),
        )

    ladder, reason = ["tell", "block", "answer", "stop"], {"reason": "LoopDetected"}
    expected = {
        kind: (model_calls, tool_calls, ladder, {kind}, reason, True, True)
        for kind, (_, model_calls, tool_calls) in LOOPS.items()
    }

    assert expected == actual


@BOTH
@SURFACES
def test_a_model_without_tools_answers_for_itself(database, name, asynchronous):
    """With LoopAnswer the sixth call has no tools, and the run ends with the model's words."""
    model, world, events = Model(script=SAME), World(), []
    graph = surface(
        database, name, model, world, POLICY,
        events=events, answer=True, asynchronous=asynchronous,
    )  # fmt: skip

    state = invoke(graph, ASK, thread(), asynchronous=asynchronous)

    assert (6, 4) == (len(model.seen), len(world.ran))
    assert ["tell", "block", "answer"] == rungs(events)
    assert ("all I found is the Ritz", {}) == (
        state["messages"][-1].content,
        state["messages"][-1].additional_kwargs,
    )


def test_a_partial_result_names_what_was_found_once(database):
    """Neither four times nor what was refused."""
    model, world = Model(script=SAME), World()

    state = invoke(surface(database, "ToolNode", model, world, POLICY), ASK, thread())

    assert (
        "This is a partial result: the work was ended before it was done.\n"
        "Last said: let me see\n"
        "Found so far:\n"
        "- look: Ritz (hotels)\n\n"
        "Stopped here: the agent went in circles. It made the same call 6 times and got the same "
        "result each time. (Tools: look.)"
    ) == state["messages"][-1].content


def test_the_model_hears_what_repeats_and_what_to_do(database):
    """One message for each rung, of role user, after the results."""
    model, world = Model(script=SAME), World()

    invoke(surface(database, "ToolNode", model, world, POLICY), ASK, thread())
    heard = [
        (m.type, m.text.split(" ", 2)[:2], m.text.split(". ")[-1])
        for m in model.seen[-1]
        if LOOP in m.additional_kwargs
    ]
    otherwise = "use what you have, or answer and say what is missing."
    different = f"Use what you have, try something that is really different, {otherwise[19:]}"

    assert [
        ("human", ["You", "made"], different),
        ("human", ["You", "made"], "These calls are refused from now on."),
        ("tool", ["This", "call"], f"Do not try again; {otherwise}"),
        ("human", ["You", "made"], "Say what is done and what is not."),
    ] == heard


def test_events_hold_no_payload(database):
    """Kind, rung, numbers and names of tools."""
    events: list[Event] = []
    model, world = Model(script=SAME), World()

    invoke(surface(database, "ToolNode", model, world, POLICY, events=events), ASK, thread())

    assert (
        Event(
            "loop.detected", {"kind": "same_result", "rung": "tell", "repeats": 3, "tools": "look"}
        )
        == events[0]
    )
    assert Event("loop.refused", {"kind": "same_result", "tool": "look"}) in events
    assert "hotels" not in repr(events)


def test_an_error_instead_of_a_partial_result():
    """For those who would rather know."""
    guard = LoopGuard(LoopPolicy(ladder=("stop",)), then_error=True)
    graph = raw(Model(script=SAME), World(), guard).compile()

    with pytest.raises(LoopDetected, match=r"\(same_result: look\)"):
        graph.invoke(ASK)


def test_ones_own_partial_result():
    """`partial` is given the state."""
    guard = LoopGuard(
        LoopPolicy(ladder=("stop",)), partial=lambda state: f"{len(state['messages'])} messages"
    )
    graph = raw(Model(script=SAME), World(), guard).compile()

    last = graph.invoke(ASK)["messages"][-1]

    assert "7 messages\n\nStopped here:" in last.content


def test_a_guard_without_a_breaker_still_ends_the_run():
    """`block` is then only said; the call is made once more."""
    model, world = Model(script=SAME), World()

    raw(model, world, LoopGuard()).compile().invoke(ASK)

    assert (6, 6) == (len(model.seen), len(world.ran))


def test_a_breaker_without_a_guard_refuses_at_once():
    """A tool that must not run in circles, in a graph that has no guard."""
    model = Model(script=lambda n: [call("look", query="x")] if n < 7 else [])
    world = World()
    builder = StateGraph(MessagesState)
    bound = model.bind_tools(world.tools)
    builder.add_node("model", lambda s: {"messages": [bound.invoke(s["messages"])]})
    builder.add_node("tools", tool_node(world.tools, LoopBreaker(unguarded=True)))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")

    state = builder.compile().invoke(ASK)

    assert 3 == len(world.ran)
    assert ["success"] * 3 + ["error"] * 4 == [
        m.status for m in state["messages"] if isinstance(m, ToolMessage)
    ]


def test_calls_that_are_not_of_the_loop_are_made(database):
    """Blocked is the call, not the tool, and not its siblings."""

    def script(n: int) -> list[Any]:
        if n < 4:
            return [call("look", query="x")]
        return [call("look", query="x"), call("look", query="y")] if n == 4 else []

    model, world = Model(script=script), World()
    state = invoke(surface(database, "ToolNode", model, world, POLICY), ASK, thread())
    results = [m for m in state["messages"] if isinstance(m, ToolMessage)]

    assert ["x"] * 4 + ["y"] == world.ran
    assert ["error", "success"] == [m.status for m in results[-2:]]


def test_nearly_the_same_call_is_blocked_too(database):
    """Another space more does not make it another call."""
    script, model_calls, _ = LOOPS["near_duplicate"]
    model, world = Model(script=script), World()

    invoke(surface(database, "ToolNode", model, world, POLICY), ASK, thread())

    assert (model_calls, 4) == (len(model.seen), len(set(world.ran)))


def test_a_model_that_listens_is_left_alone(database):
    """Told once, it does something else, and the run ends as it likes."""

    def script(n: int) -> list[Any]:
        return [] if n == 9 else [call("look", query="x" if n < 3 else f"{n}")]

    model, world, events = Model(script=script), World(), []
    graph = surface(database, "ToolNode", model, world, POLICY, events=events)

    state = invoke(graph, ASK, thread())

    assert ["tell"] == rungs(events)
    assert "all I found is the Ritz" == state["messages"][-1].content


# ------------------------------------------------------------------- nothing resets it


def test_a_resume_after_every_step_resets_nothing(database):
    """Another process at each step: graph, guard and breaker are new, the history is not."""
    actual = {}
    for kind, (script, model_calls, _) in LOOPS.items():
        model, world, events, config = Model(script=script), World(), [], thread()
        asked: Any = ASK
        for _ in range(model_calls + 1):
            graph = surface(
                database, "ToolNode", model, world, POLICY,
                events=events, interrupt_before=["tools"],
            )  # fmt: skip
            state = invoke(graph, asked, config)
            asked = None
        ended = PARTIAL in state["messages"][-1].additional_kwargs
        actual[kind] = (len(model.seen), len(world.ran), rungs(events), ended)

    ladder = ["tell", "block", "answer", "stop"]

    assert {k: (asks, runs, ladder, True) for k, (_, asks, runs) in LOOPS.items()} == actual


@SURFACES
def test_questions_of_the_tools_reset_nothing(database, name):
    """Each call asks a person, who says the same each time."""
    model, world, events, config = Model(script=lambda n: [call("confirm")]), World(), [], thread()
    graph = surface(database, name, model, world, POLICY, events=events)

    state, resumes = invoke(graph, ASK, config), 0
    while "__interrupt__" in state:
        state, resumes = invoke(graph, Command(resume="yes"), config), resumes + 1

    assert (6, 4) == (len(model.seen), resumes)
    assert ["tell", "block", "answer", "stop"] == rungs(events)


# ------------------------------------------------------------------------- a person


def until_asked(database: Any, name: str, **more: Any) -> tuple[Any, Any, Model, list[Event]]:
    model, events, config = Model(script=SAME), [], thread()
    graph = surface(database, name, model, World(), ASKING, events=events, **more)
    state = invoke(graph, ASK, config, asynchronous=more.get("asynchronous", False))
    (pause,) = state["__interrupt__"]

    assert {
        "name": "continue_loop",
        "args": {"kind": "same_result", "repeats": 4, "tools": ["look"]},
        "description": "The agent made the same call 4 times and got the same result each time. "
        "(Tools: look.) approve: let it go on; respond: tell it what to do; reject: end the run "
        "with what there is.",
    } == pause.value["action_requests"][0]
    assert [["approve", "respond", "reject"]] == [
        c["allowed_decisions"] for c in pause.value["review_configs"]
    ]
    return graph, config, model, events


@BOTH
@SURFACES
def test_a_person_lets_it_go_on_and_the_ladder_goes_on_too(database, name, asynchronous):
    """Approved once: three more rounds, then the next rung. Each rung is told once."""
    graph, config, model, events = until_asked(database, name, asynchronous=asynchronous)

    answer = Command(resume={"decisions": [APPROVE]})
    state = invoke(graph, answer, config, asynchronous=asynchronous)

    assert 4 + 3 == len(model.seen)
    assert ["tell", "interrupt", "stop"] == rungs(events)
    assert PARTIAL in state["messages"][-1].additional_kwargs
    assert all(valid(seen) for seen in model.seen)


@SURFACES
def test_a_person_tells_it_what_to_do(database, name):
    """Their words reach the model as a message of the user."""
    graph, config, model, _ = until_asked(database, name)

    hint = {"type": "respond", "message": "look for hostels instead"}
    invoke(graph, Command(resume={"decisions": [hint]}), config)

    assert isinstance(model.seen[4][-1], HumanMessage)
    assert "look for hostels instead" == model.seen[4][-1].content


@pytest.mark.parametrize("name", ["ToolNode", "create_agent"])
@pytest.mark.parametrize(
    "answer",
    [
        {"decisions": [REJECT]},
        {"decisions": [{"type": "edit"}]},
        {"decisions": [APPROVE, APPROVE]},
        {"decisions": [{"type": "respond", "message": " "}]},
        {"decisions": "approve"},
        {"decisions": [None]},
        "approve",
    ],
)
def test_everything_else_that_a_person_says_ends_the_run(database, name, answer):
    """A loop goes on only where somebody said so."""
    graph, config, model, events = until_asked(database, name)

    state = invoke(graph, Command(resume=answer), config)

    assert 4 == len(model.seen)
    assert ["tell", "interrupt"] == rungs(events)
    assert {"reason": "LoopDetected"} == state["messages"][-1].additional_kwargs[PARTIAL]


def test_an_answer_is_read_as_langchain_writes_it():
    """The decision, and its words."""
    respond = {"type": "respond", "message": "stop it"}

    assert ("approve", "") == read_answer({"decisions": [APPROVE]})
    assert ("respond", "stop it") == read_answer({"decisions": [respond]})
    assert ("reject", "") == read_answer(None)


# ------------------------------------------------------------------------- small things


def test_tools_are_taken_from_a_model_only_to_answer():
    """Whatever was bound around them stays."""
    world = World()
    model = Model(script=SAME)
    bound = model.bind_tools(world.tools).bind(stop=["."])
    seen = []

    def handler(request: Any) -> Any:
        seen.append((bool(request.model.invoke("go").tool_calls), request.model.kwargs["stop"]))
        return AIMessage("")

    mark = {
        "rung": "answer", "level": 2, "kind": "cycle", "since": 1, "repeats": 2, "calls": [],
    }  # fmt: skip
    told = HumanMessage("Answer now.", additional_kwargs={LOOP: mark})
    for messages in ([HumanMessage("go")], [HumanMessage("go"), told]):
        LoopAnswer().wrap_model_call(ModelCall(bound, messages), handler)

    assert [(True, ["."]), (False, ["."])] == seen


def test_messages_may_have_another_name():
    """As in ToolNode."""

    guard = LoopGuard(LoopPolicy(ladder=("tell",)), messages_key="talk", then="next")
    asked = AIMessage("", tool_calls=[call("look", "c", query="x")])
    result = ToolMessage("Ritz", tool_call_id="c")

    command = guard({"talk": [HumanMessage("go"), *[asked, result] * 3]}, None)  # type: ignore[arg-type]

    assert "next" == command.goto
    assert ["talk"] == list(command.update)


def test_a_plain_tool_node_takes_the_breaker():
    """As `wrap_tool_call`, and its async twin."""
    world, breaker = World(), LoopBreaker(unguarded=True)
    node = ToolNode(
        world.tools,
        wrap_tool_call=breaker.wrap_tool_call,
        awrap_tool_call=breaker.awrap_tool_call,
    )
    builder = StateGraph(MessagesState)
    builder.add_node("tools", node)
    builder.add_edge(START, "tools")
    graph = builder.compile()
    asks = [AIMessage("", tool_calls=[call("look", f"c{n}", query="x")]) for n in range(4)]
    told = [ToolMessage("Ritz (x)", tool_call_id=f"c{n}") for n in range(3)]
    pairs = [message for pair in zip(asks, told, strict=False) for message in pair]
    history = [HumanMessage("go"), *pairs, asks[-1]]

    results = [
        graph.invoke({"messages": history}),
        asyncio.run(graph.ainvoke({"messages": history})),
    ]

    assert ["error"] * 2 == [state["messages"][-1].status for state in results]
    assert [] == world.ran
