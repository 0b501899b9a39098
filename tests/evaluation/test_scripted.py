"""A scripted model says the same on every surface, after a crash, and in parallel."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel

from lg_production import Checkpointer, Database
from lg_production.errors import ScriptExhausted
from lg_production.evaluation.crashes import CrashHarness, crash_point
from lg_production.evaluation.scripted import ScriptedChatModel
from tests.graphs_for_tests import thread

FIND, BOOK = {"name": "find", "args": {"to": "Rome"}}, {"name": "book", "args": {"flight": "AZ1"}}
SCRIPT = [
    ["Let me look. ", FIND],
    [BOOK, {"name": "find", "args": {"to": "Bari"}}],
    "Booked AZ1, for Rome.",
]
GIVEN = {"messages": [HumanMessage("to Rome", id="h")]}
ASKED = GIVEN["messages"]


@tool
def find(to: str) -> str:
    """Find flights."""
    crash_point(f"find {to}")
    return f"flights to {to}"


@tool
def book(flight: str) -> str:
    """Book a flight."""
    crash_point(f"book {flight}")
    return f"booked {flight}"


@tool
def ask(question: str) -> str:
    """Ask the user."""
    return str(interrupt(question))


def graph(
    model: Any, tools: Any = (find, book), saver: Any = None, *, send: bool = False, **node: Any
) -> Any:
    """A model and tools in a loop; with `send`, a task for each call."""
    bound = model.bind_tools(list(tools))

    def each(state: MessagesState) -> Any:
        crash_point(f"model {len(state['messages'])}")
        if not send:
            return tools_condition(state)
        return [Send("tools", [c]) for c in state["messages"][-1].tool_calls] or "__end__"

    def think(state: MessagesState) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    async def athink(state: MessagesState) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", RunnableLambda(think, athink), **node)
    builder.add_node("tools", ToolNode(list(tools)))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", each, ["tools", "__end__"])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


def said(state: Any) -> list[Any]:
    """All that a run says: words, calls and their ids, usage, and what is told beside."""
    return [
        (m.type, m.text, m.id if isinstance(m, AIMessage) else None,
         [(c["name"], c["args"], c["id"]) for c in getattr(m, "tool_calls", ())],
         getattr(m, "tool_call_id", None), getattr(m, "usage_metadata", None),
         {k: v for k, v in m.response_metadata.items() if k != "model_provider"})
        for m in state["messages"]
    ]  # fmt: skip


# ------------------------------------------------------------------------------- every surface


def last(chunks: Any) -> Any:
    """The state that a stream of values ends with."""
    return [*chunks][-1]


async def alast(chunks: Any) -> Any:
    return [chunk async for chunk in chunks][-1]


def by_tokens(app: Any) -> Any:
    """Streamed word by word; the state is the checkpointer's."""
    config = thread()
    words = [chunk.text for chunk, _ in app.stream(GIVEN, config, stream_mode="messages")]
    assert {"Let ", "Rome."} <= {*words}
    return app.get_state(config).values


async def by_events(app: Any) -> Any:
    """Under `astream_events`, which makes the model stream."""
    config = thread()
    kinds = [e["event"] async for e in app.astream_events(GIVEN, config, version="v2")]
    assert kinds.count("on_chat_model_stream") > 9
    return (await app.aget_state(config)).values


async def by_protocol(app: Any) -> Any:
    """Under version 3 of it."""
    config = thread()
    stream = await app.astream_events(GIVEN, config, version="v3")
    async for _ in stream:
        pass
    return (await app.aget_state(config)).values


RUNS: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda app: app.invoke(GIVEN, thread()),
    "ainvoke": lambda app: asyncio.run(app.ainvoke(GIVEN, thread())),
    "stream": lambda app: last(app.stream(GIVEN, thread(), stream_mode="values")),
    "astream": lambda app: asyncio.run(alast(app.astream(GIVEN, thread(), stream_mode="values"))),
    "messages": by_tokens,
    "events": lambda app: asyncio.run(by_events(app)),
}
GRAPHS: dict[str, Callable[[Any], Any]] = {
    "ToolNode": lambda model: graph(model, saver=InMemorySaver()),
    "Send": lambda model: graph(model, saver=InMemorySaver(), send=True),
    "create_agent": lambda model: create_agent(model, [find, book], checkpointer=InMemorySaver()),
    "prompted": lambda model: create_agent(
        model, [find, book], system_prompt="It is noon.", checkpointer=InMemorySaver()
    ),
}
USUAL = [
    ("human", "to Rome"),
    ("ai", "Let me look. "),
    ("tool", "flights to Rome"),
    ("ai", ""),
    ("tool", "booked AZ1"),
    ("tool", "flights to Bari"),
    ("ai", "Booked AZ1, for Rome."),
]


@pytest.fixture(scope="module")
def usual() -> list[Any]:
    """The run that all others must be."""
    return said(graph(ScriptedChatModel(SCRIPT, usage=(7, 3))).invoke(GIVEN))


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("surface", GRAPHS)
def test_every_surface_gives_the_same_run(usual, surface, run):
    """The same words, calls, ids and usage, however it is called."""
    app = GRAPHS[surface](ScriptedChatModel(SCRIPT, usage=(7, 3)))

    assert USUAL == [(kind, text) for kind, text, *_ in usual]
    assert usual == said(RUNS[run](app))


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("surface", GRAPHS)
def test_version_3_of_streams_changes_nothing_but_ids_of_messages(usual, surface):
    """There LangChain itself names messages after the run; the ids of calls are the same."""
    state = asyncio.run(by_protocol(GRAPHS[surface](ScriptedChatModel(SCRIPT, usage=(7, 3)))))

    def nameless(run: list[Any]) -> list[Any]:
        return [(*told[:2], *told[3:6]) for told in run]

    assert nameless(usual) == nameless(said(state))


def test_sixteen_threads_do_not_share_a_place(usual):
    """Sixteen runs of one model at once are sixteen times the same."""
    app = graph(ScriptedChatModel(SCRIPT, usage=(7, 3), latency=0.001), saver=InMemorySaver())
    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(lambda _: said(app.invoke(GIVEN, thread())), range(16)))

    assert [usual] * 16 == runs


def test_sixteen_tasks_do_not_share_a_place(usual):
    """The same on one event loop."""
    app = graph(ScriptedChatModel(SCRIPT, usage=(7, 3), latency=0.001), saver=InMemorySaver())

    async def all_of_them() -> Any:
        return await asyncio.gather(*(app.ainvoke(GIVEN, thread()) for _ in range(16)))

    assert [usual] * 16 == [said(state) for state in asyncio.run(all_of_them())]


# ------------------------------------------------------------------------- resumes and crashes

QUESTIONS = [
    {"name": "ask", "args": {"question": "Window?"}},
    [{"name": "ask", "args": {"question": "Meal?"}}, {"name": "find", "args": {"to": "Rome"}}],
    "Done.",
]


def talk(model: Callable[[], Any], saver: Any, *, asynchronous: bool) -> Any:
    """A thread with two questions, each part of it by another graph and another model."""
    config: Any = thread()
    for given in (GIVEN, Command(resume="yes"), Command(resume="no")):
        app = graph(model(), [ask, find], saver)
        state = asyncio.run(app.ainvoke(given, config)) if asynchronous else app.invoke(given, config)  # fmt: skip
    return state


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_resume_goes_on_with_the_script(asynchronous):
    """Two interrupts, one beside a finished call: the answers are those of an unbroken run."""
    state = talk(lambda: ScriptedChatModel(QUESTIONS), InMemorySaver(), asynchronous=asynchronous)

    assert ["to Rome", "", "yes", "", "no", "flights to Rome", "Done."] == [
        m.text for m in state["messages"]
    ]


def test_a_resume_from_postgresql_is_the_same(database):
    """As from memory, ids and all."""
    model = lambda: ScriptedChatModel(QUESTIONS)  # noqa: E731
    memory = talk(model, InMemorySaver(), asynchronous=False)

    assert said(memory) == said(talk(model, Checkpointer(database), asynchronous=False))


def life(url: str) -> Any:
    """A run of one thread, from wherever it stands, in a process that may be killed."""
    with Database(url) as database:
        app = graph(ScriptedChatModel(SCRIPT, usage=(7, 3)), saver=Checkpointer(database))
        config: Any = {"configurable": {"thread_id": "1"}}
        given = None if app.get_state(config).values else GIVEN
        return said(app.invoke(given, config, durability="sync"))


@pytest.mark.slow
def test_a_run_that_was_killed_at_every_place_is_one_that_was_not(database_url, usual):
    """SIGKILL in each step, in five processes; the sixth ends it: the same calls, the same ids."""
    harness = CrashHarness()
    for point in ("model 2", "find Rome", "book AZ1", "find Bari", "model 7"):
        harness.kill(life, database_url, at=point)

    assert usual == harness.run(life, database_url)


def test_a_replayed_and_a_forked_thread_say_the_same(usual):
    """Time travel to before the second answer."""
    app, config = graph(ScriptedChatModel(SCRIPT, usage=(7, 3)), saver=InMemorySaver()), thread()
    app.invoke(GIVEN, config)
    past = next(s for s in app.get_state_history(config) if len(s.values["messages"]) == 3)

    assert usual == said(app.invoke(None, past.config))


# ---------------------------------------------------------------------------------- the script


def test_a_second_wish_begins_the_script_anew():
    """Places are counted from the user's last words, and its pattern is looked for in them."""
    model = ScriptedChatModel({"Rome": SCRIPT, "(?i)thank": ["You are welcome."]})
    app, config = graph(model, saver=InMemorySaver()), thread()
    app.invoke(GIVEN, config)
    state = app.invoke({"messages": [HumanMessage("Thanks")]}, config)
    third = app.invoke({"messages": [HumanMessage("again, to Rome")]}, config)

    assert "You are welcome." == state["messages"][-1].text
    assert [text for _, text in USUAL[1:]] == [m.text for m in third["messages"][-6:]]


def test_a_script_may_be_of_the_whole_thread():
    """Then places are counted from the beginning, whoever has spoken."""
    model = ScriptedChatModel(["one", "two"], since="start")

    assert "two" == model.invoke([*ASKED, AIMessage("one"), HumanMessage("and?")]).text


def test_a_script_may_be_a_function():
    """Of the messages; what it returns is an answer like any other."""
    model = ScriptedChatModel(lambda messages: [f"{len(messages)} ", FIND])
    message = model.bind_tools([find]).invoke([*ASKED, AIMessage("x"), HumanMessage("y")])

    assert ("3 ", ["find"]) == (message.text, [c["name"] for c in message.tool_calls])


def test_a_pattern_may_lead_to_a_function():
    """A mapping may mix lists and functions."""
    model = ScriptedChatModel({"Rome": lambda messages: messages[-1].text, "": ["other"]})

    assert ["to Rome", "other"] == [model.invoke(text).text for text in ("to Rome", "Bari")]


def test_ids_come_of_the_history_and_the_answer_alone():
    """Not of the ids in it, nor of the time that a system prompt tells."""
    history = [HumanMessage("hi"), AIMessage("", tool_calls=[{**FIND, "id": "a"}]),
               ToolMessage("x", tool_call_id="a")]  # fmt: skip
    same = [SystemMessage("it is noon"), HumanMessage("hi", id="7"),
            AIMessage("", id="8", tool_calls=[{**FIND, "id": "b"}]),
            ToolMessage("x", tool_call_id="b")]  # fmt: skip
    other = [*history[:2], ToolMessage("y", tool_call_id="a")]
    ids = [ScriptedChatModel(["", "ok"]).invoke(h).id for h in (history, same, other)]
    another = ScriptedChatModel(["", "well"]).invoke(history).id

    assert ids[0] == ids[1]
    assert 3 == len({ids[0], ids[2], another})


def test_two_calls_in_one_answer_have_two_ids():
    """Even if they are the same call."""
    message = ScriptedChatModel([[FIND, FIND]]).bind_tools([find]).invoke(ASKED)

    assert 2 == len({call["id"] for call in message.tool_calls})


def test_what_becomes_of_an_answer_does_not_change_the_script():
    """A guard that edits a call's arguments in place edits its own copy."""
    given = AIMessage("", tool_calls=[{"name": "find", "args": {"to": ["Rome"]}, "id": "c"}])
    for answer in (given, {"name": "find", "args": {"to": ["Rome"]}}):
        model = ScriptedChatModel([answer]).bind_tools([find])
        for _ in range(2):
            (call,) = model.invoke(ASKED).tool_calls
            assert {"to": ["Rome"]} == call["args"]
            call["args"]["to"].append("Bari")


@pytest.mark.parametrize(
    "script", ["hello", iter(["hello"]), {"Rome": "hello"}, {"(": ["hello"]}, 7, count()]
)
def test_what_is_no_script_is_refused(script):
    """One text is a sequence of letters, and an iterator is used up by whoever comes first."""
    with pytest.raises(ValueError):
        ScriptedChatModel(script)


@pytest.mark.parametrize(
    ("script", "error", "match"),
    [
        ([], ScriptExhausted, r"index 0, length 0; it follows 'human: to Rome'"),
        ({"Bari": ["x"], "Pisa": ["x"]}, ScriptExhausted, "index 0: none of its 2 patterns"),
        ([{"name": "drop", "args": {}}], ValueError, "calls drop, and bound are find, book"),
        ([{"name": "find"}], ValueError, "a call is"),
        ([None], ValueError, "cannot say a NoneType"),
        ([ConnectionResetError("gone")], ConnectionResetError, "gone"),
        ([ConnectionResetError], ConnectionResetError, None),
    ],
)
def test_what_the_script_cannot_say_is_an_error(script, error, match):
    """At the place where it is asked, naming it."""
    with pytest.raises(error, match=match):
        ScriptedChatModel(script).bind_tools([find, book]).invoke(ASKED)


def test_a_script_that_ends_too_early_names_its_place():
    """In the middle of a run."""
    with pytest.raises(ScriptExhausted, match="index 2, length 2; it follows 'tool: flights to B"):
        graph(ScriptedChatModel(SCRIPT[:2])).invoke(GIVEN)


# -------------------------------------------------------------------------------- bound tools


def test_a_graph_that_forgot_to_bind_its_tools_is_found_out():
    """A real model could not call them either."""
    with pytest.raises(ValueError, match="calls find, and no tool is bound"):
        ScriptedChatModel(SCRIPT).invoke(ASKED)


def test_a_model_may_still_call_what_there_is_not():
    """An `AIMessage` is said as it is: models do so, and agents must survive it."""
    call = {"name": "drop", "args": {}, "id": "c"}
    state = graph(ScriptedChatModel([AIMessage("", tool_calls=[call]), "Sorry."])).invoke(GIVEN)

    assert ("error", "Sorry.") == (state["messages"][2].status, state["messages"][3].text)


@pytest.mark.parametrize(
    ("choice", "fits"),
    [
        (None, True),
        ("auto", True),
        ("any", True),
        (True, True),
        ("find", True),
        ({"type": "function", "function": {"name": "find"}}, True),
        ({"type": "tool", "name": "find"}, True),
        ("book", False),
        ("none", False),
    ],
)
def test_a_choice_of_tools_is_kept(choice, fits):
    """In the spellings of OpenAI and of Anthropic."""
    model = ScriptedChatModel([FIND]).bind_tools([find, book], tool_choice=choice)
    if fits:
        assert ["find"] == [c["name"] for c in model.invoke(ASKED).tool_calls]
    else:
        with pytest.raises(ValueError, match="calls find"):
            model.invoke(ASKED)


def test_a_choice_of_what_is_not_bound_is_refused():
    """As a provider would."""
    with pytest.raises(ValueError, match="tool_choice is drop, and bound are find"):
        ScriptedChatModel([FIND]).bind_tools([find], tool_choice="drop")


def test_tools_of_any_kind_can_be_bound():
    """Tools, functions, models, schemas, what is built into a provider; or by `bind`."""

    class Search(BaseModel):
        """Search."""

        text: str

    built_in = {"type": "web_search_preview"}
    schema = {"title": "look", "description": "Look.", "type": "object", "properties": {}}
    model = ScriptedChatModel([FIND]).bind_tools([find, Search, schema, built_in])

    assert ("find", "Search", "look", "web_search_preview") == model.tools
    assert (
        "find" == ScriptedChatModel([FIND]).bind(tools=[find]).invoke(ASKED).tool_calls[0]["name"]
    )


# -------------------------------------------------------------------------- structured output


class Person(BaseModel):
    """Somebody."""

    name: str


class Named(TypedDict):
    """Somebody."""

    name: str


@pytest.mark.parametrize(
    ("schema", "answer", "expected"),
    [
        (Person, Person(name="Ann"), Person(name="Ann")),
        (Person, {"name": "Ann"}, Person(name="Ann")),
        (Person, {"name": "Person", "args": {"name": "Ann"}}, Person(name="Ann")),
        (Named, {"name": "Ann"}, {"name": "Ann"}),
        (Person.model_json_schema(), {"name": "Ann"}, {"name": "Ann"}),
        (Person.model_json_schema(), Person(name="Ann"), {"name": "Ann"}),
    ],
    ids=["object", "arguments", "call", "TypedDict", "schema", "object as schema"],
)
def test_structured_output_is_an_object_of_the_script(schema, answer, expected):
    """And with `include_raw` the message, too; sync and async."""
    model = ScriptedChatModel([answer])
    raw = model.with_structured_output(schema, include_raw=True).invoke("who?")

    assert expected == model.with_structured_output(schema).invoke("who?")
    assert expected == asyncio.run(model.with_structured_output(schema).ainvoke("who?"))
    assert (expected, None) == (raw["parsed"], raw["parsing_error"])
    assert isinstance(raw["raw"], AIMessage)


def test_a_judge_that_answers_nonsense_can_be_scripted():
    """A text where an object was wanted is none, and an object that does not fit is an error."""
    model = ScriptedChatModel(["I liked it!"]).with_structured_output(Person, include_raw=True)
    wrong = ScriptedChatModel([{"size": 7}]).with_structured_output(Person, include_raw=True)

    assert (None, "I liked it!") == ((told := model.invoke("who?"))["parsed"], told["raw"].text)
    assert "Field required" in str(wrong.invoke("who?")["parsing_error"])


def test_an_agent_can_have_a_form_for_its_answer():
    """`response_format` of create_agent: the object is a call of its tool."""
    agent = create_agent(ScriptedChatModel([FIND, Person(name="Ann")]), [find], response_format=Person)  # fmt: skip

    assert Person(name="Ann") == agent.invoke(GIVEN)["structured_response"]


def test_without_a_tool_for_it_an_object_is_json():
    """As a provider's own structured output is."""
    assert '{"name":"Ann"}' == ScriptedChatModel([Person(name="Ann")]).invoke("who?").text


# ------------------------------------------------------------------------- usage and streaming


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        "one two  three\n four ",
        "",
        " ",
        FIND,
        ["Let me ", {"name": "find", "args": {"to": "a longer name {[\"'\n than one piece"}}, FIND],
        {"name": "find", "args": {}},
        AIMessage([{"type": "text", "text": "hi"}, {"type": "reasoning", "reasoning": "…"}]),
        AIMessage("x", additional_kwargs={"refusal": "no"}, response_metadata={"a": 1}, name="bo"),
        AIMessage("", invalid_tool_calls=[
            {"name": "find", "args": "to = Rome", "id": "c", "error": None}
        ]),
    ],
)  # fmt: skip
def test_chunks_add_up_to_the_message(answer, words):
    """All of it; and of more than one word there is more than one chunk."""
    model = ScriptedChatModel([answer], stream_words=words).bind_tools([find])
    whole, chunks = model.invoke(ASKED), list(model.stream(ASKED))
    summed = chunks[0]
    for chunk in chunks[1:]:
        summed += chunk
    fields = ("content", "tool_calls", "usage_metadata", "id", "name", "additional_kwargs",
              "response_metadata")  # fmt: skip

    def told(message: Any) -> Any:
        broken = [(c["name"], c["args"], c["id"]) for c in message.invalid_tool_calls]
        return [getattr(message, field) for field in fields] + [broken]

    assert told(whole) == told(summed)
    assert words or 1 == len(chunks)
    assert not words or answer != "one two  three\n four " or len(chunks) >= 4


def test_what_it_takes_is_told():
    """As declared, else at four characters a token; with the name of the model."""
    told = ScriptedChatModel(["x"], usage=(9, 1)).invoke("hello").usage_metadata
    counted = ScriptedChatModel(["x" * 9], model_name="gpt-x").invoke("x" * 40)
    call = ScriptedChatModel([{"name": "find", "args": {"to": "x" * 31}}]).bind_tools([find])
    own = AIMessage("", usage_metadata={"input_tokens": 5, "output_tokens": 6, "total_tokens": 11})

    assert {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10} == told
    assert {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13} == counted.usage_metadata
    assert "gpt-x" == counted.response_metadata["model_name"]
    assert 11 == call.invoke("x").usage_metadata["output_tokens"]  # {"to": "…"} and 31 letters
    assert own.usage_metadata == ScriptedChatModel([own]).invoke("x").usage_metadata


def test_latency_does_not_block_the_event_loop():
    """Ten that take 0.2 s each take no two seconds."""
    model = ScriptedChatModel(["ok"], latency=0.2)

    async def ten() -> float:
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(*(model.ainvoke(str(n)) for n in range(10)))
        return asyncio.get_running_loop().time() - begun

    assert 0.2 <= asyncio.run(ten()) < 1.9


def test_a_cache_of_langchain_does_not_answer_for_it():
    """To the cache all scripts would be one model."""
    set_llm_cache(InMemoryCache())
    try:
        told = [ScriptedChatModel([text]).invoke("hi").text for text in ("one", "two")]
    finally:
        set_llm_cache(None)

    assert ["one", "two"] == told


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("bound", [False, True])
def test_an_error_is_raised_as_often_as_it_is_ordered(bound):
    """Then the answer comes; each history has its own attempts, whatever was bound of it since."""
    model = ScriptedChatModel(["fine"], errors={0: (TimeoutError("slow"), 2)})
    for words in ("a", "b"):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                (model.bind_tools([find]) if bound else model).invoke(words)

        assert "fine" == model.invoke(words).text


def test_an_error_goes_before_the_answer_only():
    """An exception in the script stands for the answer, and is raised whenever it is asked."""
    model = ScriptedChatModel([ValueError("never")], errors={0: KeyError})
    with pytest.raises(KeyError):
        model.invoke("x")
    for _ in range(3):
        with pytest.raises(ValueError, match="never"):
            model.invoke("x")


def test_a_retry_of_langgraph_gets_over_an_error(usual):
    """And every thread meets it, though all say the same."""
    errors = {1: (ConnectionError("reset"), 2)}
    retry = RetryPolicy(initial_interval=0.001, max_attempts=3, retry_on=ConnectionError)
    model = ScriptedChatModel(SCRIPT, usage=(7, 3), errors=errors)
    app = graph(model, saver=InMemorySaver(), retry_policy=retry)
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: said(app.invoke(GIVEN, thread())), range(4)))
    once = RetryPolicy(initial_interval=0.001, max_attempts=2, retry_on=ConnectionError)
    again = graph(model, saver=InMemorySaver(), retry_policy=once)

    assert [usual] * 4 == runs
    with pytest.raises(ConnectionError):
        again.invoke(GIVEN, thread())


def test_a_copy_counts_with_its_original():
    """Deep copies are made by frameworks that nobody asked."""
    model = ScriptedChatModel(["fine"], errors={0: OSError})
    with pytest.raises(OSError):
        copy.deepcopy(model).invoke("x")

    assert "fine" == model.invoke("x").text
