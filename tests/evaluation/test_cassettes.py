"""What was recorded is replayed, strictly, and nothing is ever called in replay."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.tools import BaseTool, InjectedToolCallId, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, ToolRuntime, tools_condition
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

from lg_production.errors import CassetteMiss, IdempotencyConflict
from lg_production.evaluation.cassettes import Cassette
from lg_production.evaluation.errors_kept import TapedError
from lg_production.evaluation.scripted import ScriptedChatModel
from tests.graphs_for_tests import thread

FIND, BOOK = {"name": "find", "args": {"to": "Rome"}}, {"name": "book", "args": {"flight": "AZ1"}}
SCRIPT = [["Let me look. ", FIND], [BOOK, FIND], "Booked AZ1."]
GIVEN = {"messages": [HumanMessage("to Rome")]}


class World:
    """What is called for real, and how often."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def model(self, script: Any = SCRIPT, **fields: Any) -> BaseChatModel:
        """A model that notes every call, whichever way it comes."""

        def answer(messages: Any) -> Any:
            self.calls["model"] += 1
            told = script(messages) if callable(script) else script
            place = sum(isinstance(m, AIMessage) for m in messages)
            return told[place] if isinstance(told, list) else told

        return ScriptedChatModel(answer, **fields)

    def tools(self) -> list[BaseTool]:
        @tool
        def find(to: str) -> dict[str, Any]:
            """Find flights."""
            self.calls["find"] += 1
            return {"to": to, "flights": ["AZ1"], "asked": self.calls["find"]}

        @tool
        async def book(flight: str) -> str:
            """Book a flight."""
            self.calls["book"] += 1
            return f"booked {flight}"

        @tool
        def book_(flight: str) -> str:
            """Book a flight."""
            self.calls["book"] += 1
            return f"booked {flight}"

        book.func = book_.func
        return [find, book]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "run.jsonl"


def loop(tape: Cassette, world: World, saver: Any = None) -> Any:
    """The model and tools in a graph of one's own, all behind the cassette."""
    tools = [tape.tool(one) for one in world.tools()]
    model = tape.model(world.model()).bind_tools(tools)

    def think(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", think)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


def agent(tape: Cassette, world: World, saver: Any = None) -> Any:
    """The same by create_agent."""
    tools = [tape.tool(one) for one in world.tools()]
    return create_agent(tape.model(world.model()), tools, checkpointer=saver)


def said(state: Any) -> list[Any]:
    return [
        (m.type, m.text, [(c["name"], c["args"], c["id"]) for c in getattr(m, "tool_calls", ())],
         getattr(m, "usage_metadata", None), m.response_metadata, getattr(m, "status", None))
        for m in state["messages"]
    ]  # fmt: skip


async def streamed(app: Any) -> Any:
    """The state after a run whose model streams."""
    config = thread()
    kinds = Counter([e["event"] async for e in app.astream_events(GIVEN, config, version="v2")])
    assert kinds["on_chat_model_stream"] > 5
    return (await app.aget_state(config)).values


WAYS: dict[str, Any] = {
    "invoke": lambda app: app.invoke(GIVEN, thread()),
    "ainvoke": lambda app: asyncio.run(app.ainvoke(GIVEN, thread())),
    "streamed": lambda app: asyncio.run(streamed(app)),
}


# --------------------------------------------------------------------------------- the replay


@pytest.mark.parametrize("replayed", WAYS)
@pytest.mark.parametrize("recorded", WAYS)
@pytest.mark.parametrize("build", [loop, agent])
def test_a_replay_is_the_run_and_calls_nothing(world, file, build, recorded, replayed):
    """Recorded one way and replayed another: the same words, calls, ids and usage."""
    with Cassette(file, "record") as tape:
        first = WAYS[recorded](build(tape, world, InMemorySaver()))
    nobody = World()
    with Cassette(file) as tape:
        second = WAYS[replayed](build(tape, nobody, InMemorySaver()))

    assert {"model": 3, "find": 2, "book": 1} == world.calls
    assert {} == nobody.calls
    assert said(first) == said(second)
    assert [] == tape.unused()


def test_a_cassette_outlives_the_bindings_of_its_model(world, file):
    """Tools that are bound twice, settings that are bound later, and LangChain's cache."""
    set_llm_cache(InMemoryCache())
    try:
        for mode in ("record", "replay"):
            with Cassette(file, mode) as tape:  # type: ignore[arg-type]
                model = tape.model(world.model([FIND]))
                bound = model.bind_tools(world.tools()[:1]).bind_tools(world.tools())
                for n in (1, 2):
                    assert "find" == bound.bind(seed=n).invoke("x").tool_calls[0]["name"]
    finally:
        set_llm_cache(None)

    assert {"model": 2} == world.calls
    assert [1, 2] == [one.request["settings"]["seed"] for one in tape.recordings]
    assert [] == tape.unused()


def test_the_same_question_may_have_several_answers(world, file):
    """In their order; one more is a miss, and one less is unused."""
    answers = iter("ab")
    with Cassette(file, "record") as tape:
        model = tape.model(world.model(lambda _: next(answers)))
        assert ["a", "b"] == [model.invoke("x").text for _ in range(2)]
    first, second = Cassette(file), Cassette(file)
    replayed = first.model(world.model())

    assert ["a", "b"] == [replayed.invoke("x").text for _ in range(2)]
    with pytest.raises(CassetteMiss, match=r"for the 3\. time, and was 2 times") as caught:
        replayed.invoke("x")
    assert "occurrence" == caught.value.field
    second.model(world.model()).invoke("x")
    assert ["b"] == [one.answer["said"]["data"]["content"] for one in second.unused()]


def test_two_models_of_one_cassette_are_told_apart(world, file):
    """By the names that they are given."""
    with Cassette(file, "record") as tape:
        for name in ("small", "large"):
            tape.model(world.model(lambda _, name=name: name), name).invoke("x")
    tape = Cassette(file)

    assert ["large", "small"] == [
        tape.model(world.model(), name).invoke("x").text for name in ("large", "small")
    ]
    with pytest.raises(
        CassetteMiss, match="model other is not recorded, only model large, model s"
    ):
        tape.model(world.model(), "other").invoke("x")


class Person(BaseModel):
    """Somebody."""

    name: str


@pytest.mark.parametrize("raw", [False, True])
def test_structured_output_is_replayed(world, file, raw):
    """By the model's own way; with another schema it is another question."""
    found = []
    for mode in ("record", "replay"):
        with Cassette(file, mode) as tape:  # type: ignore[arg-type]
            model = tape.model(world.model([Person(name="Ann")]))
            found += [model.with_structured_output(Person, include_raw=raw).invoke("who?")]

    parsed = [one["parsed"] if raw else one for one in found]
    assert ([Person(name="Ann")] * 2, {"model": 1}) == (parsed, world.calls)


def test_a_rate_limit_is_none_in_replay(world, file):
    """There is nobody to spare."""
    with Cassette(file, "record") as tape:
        tape.model(world.model(["a"])).invoke("x")
    limited = world.model(["a"], rate_limiter=InMemoryRateLimiter(requests_per_second=1e-9))

    assert "a" == Cassette(file).model(limited).invoke("x").text


def test_only_a_chat_model_can_be_taped(world, file):
    """Tools are bound behind the cassette, not before it."""
    with pytest.raises(TypeError, match="before tools are bound"):
        Cassette(file, "record").model(world.model().bind(stop=["x"]))


# ------------------------------------------------------------------------------------- misses

CALLED = AIMessage("", id="a", tool_calls=[{**FIND, "id": "1"}, {**FIND, "id": "2"}])
HISTORY = [SystemMessage("be brief"), HumanMessage("to Rome", id="h"), CALLED,
           ToolMessage("AZ1", tool_call_id="1"), ToolMessage("AZ2", tool_call_id="2")]  # fmt: skip
RENAMED = AIMessage("", id="b", tool_calls=[{**FIND, "id": "x"}, {**FIND, "id": "y"}])


def miss(world: World, file: Path, messages: Any = HISTORY, **settings: Any) -> CassetteMiss:
    """What is missing for a question, after `HISTORY` was recorded."""
    with Cassette(file, "record") as tape:
        tape.model(world.model(["", "ok"])).bind(seed=1).invoke(HISTORY)
        tape.model(world.model(["other"])).invoke("another question")
    fields = settings.pop("fields", {})
    model = Cassette(file).model(world.model(**fields)).bind(**{"seed": 1, **settings})
    with pytest.raises(CassetteMiss, match="never calls the real thing") as caught:
        model.invoke(messages)
    assert 2 == world.calls["model"]
    return caught.value


@pytest.mark.parametrize(
    ("messages", "field", "told"),
    [
        ([*HISTORY[:3], ToolMessage("AZ9", tool_call_id="1"), HISTORY[4]],
         "messages[3].content", 'messages[3].content was "AZ1", and is "AZ9"'),
        ([SystemMessage("be long"), *HISTORY[1:]], "messages[0].content", '"be long"'),
        ([HumanMessage("be brief"), *HISTORY[1:]], "messages[0].type", 'was "system"'),
        (HISTORY[:4], "messages[4]", "and is nothing"),
        ([*HISTORY, HumanMessage("and?")], "messages[5]", "was nothing"),
        ([*HISTORY[:2], AIMessage("", tool_calls=[{**BOOK, "id": "1"}, {**FIND, "id": "2"}]),
          *HISTORY[3:]], "messages[2].tool_calls[0].name", 'was "find", and is "book"'),
        ([*HISTORY[:2], AIMessage("", tool_calls=[
            {"name": "find", "args": {"to": "Bari"}, "id": "1"}, {**FIND, "id": "2"}]),
          *HISTORY[3:]], "messages[2].tool_calls[0].args.to", 'was "Rome", and is "Bari"'),
        ([*HISTORY[:3], ToolMessage("AZ1", tool_call_id="2"), ToolMessage("AZ2", tool_call_id="1")],
         "messages[3].tool_call_id", 'was "#0", and is "#1"'),
        ([*HISTORY[:4], ToolMessage("AZ2", tool_call_id="2", status="error")],
         "messages[4].status", "error"),
        ([HISTORY[0], HumanMessage([{"type": "text", "text": "to Rome"}]), *HISTORY[2:]],
         "messages[1].content", 'was "to Rome"'),
        ([HISTORY[0], HumanMessage("to Rome", name="ann"), *HISTORY[2:]], "messages[1].name", "ann"),
    ],
)  # fmt: skip
def test_a_miss_names_the_first_field_that_differs(world, file, messages, field, told):
    """Of the recording that is most like it, with both values; and the model is not called."""
    missed = miss(world, file, messages)

    assert field == missed.field
    assert told in str(missed)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"stop": ["x"]}, "settings.stop"),
        ({"tools": [FIND]}, "settings.tools"),
        ({"seed": 2}, "settings.seed"),
        ({"seed": None}, "settings.seed"),
        ({"model": "other"}, "settings.model"),
        ({"fields": {"model_name": "other"}}, "model.model_name"),
    ],
)
def test_settings_are_part_of_what_is_asked(world, file, settings, field):
    """Of the call and of the model."""
    assert field == miss(world, file, **settings).field


def test_other_ids_are_no_difference(world, file):
    """They are others in every run; which answer belongs to which call still shows."""
    same = [HISTORY[0], HumanMessage("to Rome", id="other"), RENAMED,
            ToolMessage("AZ1", tool_call_id="x"), ToolMessage("AZ2", tool_call_id="y", id="t")]  # fmt: skip
    with Cassette(file, "record") as tape:
        tape.model(world.model(["", "ok"])).invoke(HISTORY)

    assert "ok" == Cassette(file).model(world.model()).invoke(same).text


def test_ids_within_content_are_no_difference_either(world, file):
    """Anthropic's blocks of tool use have some."""

    def history(name: str) -> list[Any]:
        block = {"type": "tool_use", "id": name, "name": "find", "input": {"to": "Rome"}}
        call = AIMessage([block], tool_calls=[{**FIND, "id": name}])
        return [HumanMessage("x"), call, ToolMessage("y", tool_call_id=name)]

    with Cassette(file, "record") as tape:
        tape.model(world.model(["", "ok"])).invoke(history("toolu_1"))

    assert "ok" == Cassette(file).model(world.model()).invoke(history("toolu_2")).text


def test_long_values_are_cut_around_where_they_differ(world, file):
    """A prompt of ten pages is not shown, but its word that has changed is."""
    long = "word " * 2000
    with Cassette(file, "record") as tape:
        tape.model(world.model(["ok"])).invoke([HumanMessage(f"{long}old{long}")])
    with pytest.raises(CassetteMiss) as caught:
        Cassette(file).model(world.model()).invoke([HumanMessage(f"{long}new{long}")])

    assert "word old" in str(caught.value)
    assert "word new" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_none_is_a_value_and_true_is_not_one(world, file):
    """What equals in Python and not in JSON differs; 1 and 1.0 are one number."""

    @tool
    def note(value: Any = "nothing") -> str:
        """Note it."""
        return str(value)

    with Cassette(file, "record") as tape:
        tape.tool(note).invoke({"value": 1})
    for value in (None, True, "1", [1], 2):
        with pytest.raises(CassetteMiss) as caught:
            Cassette(file).tool(note).invoke({"value": value})
        assert "value" == caught.value.field

    assert "1" == Cassette(file).tool(note).invoke({"value": 1.0})


def test_other_tools_are_other_questions(world, file):
    """Both to the model that is offered them, and for themselves."""
    with Cassette(file, "record") as tape:
        agent(tape, world).invoke(GIVEN)
    find, _ = world.tools()
    tape = Cassette(file)
    with pytest.raises(CassetteMiss) as caught:
        tape.model(world.model()).bind_tools([find]).invoke(GIVEN["messages"])

    assert "model.tools[1]" == caught.value.field
    with pytest.raises(CassetteMiss, match='tool find: to was "Rome", and is "Bari"'):
        tape.tool(find).invoke({"to": "Bari"})


def test_a_miss_that_is_swallowed_comes_back_at_the_end(world, file):
    """A ToolNode that handles all errors would have told the model to mend its mistakes."""
    find, _ = world.tools()
    with Cassette(file, "record") as tape:
        tape.tool(find).invoke({"to": "Rome"})
    call = {"name": "find", "args": {"to": "Bari"}, "id": "c"}
    builder = StateGraph(MessagesState)
    with pytest.raises(CassetteMiss, match='was "Rome", and is "Bari"'), Cassette(file) as tape:
        builder.add_node("tools", ToolNode([tape.tool(find)], handle_tool_errors=True))
        builder.add_edge(START, "tools")
        told = builder.compile().invoke({"messages": [AIMessage("", tool_calls=[call])]})
        assert "error" == told["messages"][-1].status


# -------------------------------------------------------------------------------------- tools


def test_what_langgraph_injects_is_no_part_of_the_question(file):
    """State, runtime, the id of the call and the configuration are others in every run."""
    seen = []

    @tool
    def look(
        to: str,
        runtime: ToolRuntime,
        state: Annotated[dict[str, Any], InjectedState],
        key: Annotated[str, InjectedToolCallId],
    ) -> str:
        """Look."""
        seen.append((key, len(state["messages"]), runtime.tool_call_id))
        return f"looked {to}"

    told = []
    for mode in ("record", "replay"):
        with Cassette(file, mode) as tape:  # type: ignore[arg-type]
            call = {"name": "look", "args": {"to": "Rome"}, "id": f"id {mode}"}
            model = ScriptedChatModel([AIMessage("", tool_calls=[call]), "ok"])
            state = create_agent(model, [tape.tool(look)]).invoke(GIVEN, thread())
            told += [state["messages"][2].text]

    assert [("id record", 2, "id record")] == seen
    assert ["looked Rome"] * 2 == told
    assert {"to": "Rome"} == tape.recordings[0].request


class Odd(BaseTool):
    """A tool that is a class, as many of the community are."""

    name: str = "odd"
    description: str = "Odd."
    calls: list[str] = []

    def _run(self, text: str, run_manager: Any = None) -> str:
        assert run_manager is not None
        self.calls.append(text)
        return text.upper()


def test_a_tool_may_be_a_class_a_function_or_take_one_text(file):
    """And a copy of it is all that the tool is, but for the work."""

    def shout(text: str) -> str:
        """Shout."""
        return text.upper()

    odd = Odd(calls=[], return_direct=True, metadata={"a": 1})
    for mode in ("record", "replay"):
        with Cassette(file, mode) as tape:  # type: ignore[arg-type]
            taped = tape.tool(odd)
            assert "HI" == taped.invoke("hi") == tape.tool(shout).invoke({"text": "hi"})
            assert "HO" == asyncio.run(taped.ainvoke({"text": "ho"}))

    assert ["hi", "ho"] == odd.calls
    assert (True, {"a": 1}) == (taped.return_direct, taped.metadata)
    assert (odd.args, Odd) == (taped.args, type(taped))


class Seat(BaseModel):
    """A seat."""

    row: int = 7


ANSWERS = {
    "text": "a\u2028b\x85c",
    "number": 1.5,
    "none": None,
    "nested": {"a": [1, {"b": None}], "$ref": "x"},
    "marks": {"$send": ["a", {"$message": 1}], "$plain": {}},
    "blocks": [{"type": "text", "text": "x"}],
    "tuple": (1, [2]),
    "object": Seat(),
    "message": ToolMessage("x", tool_call_id="c", artifact={"a": 1}),
    "command": Command(
        update={"messages": [ToolMessage("moved", tool_call_id="c")], "n": 1},
        goto=[Send("model", {"a": (1,)}), "b"],
        graph=Command.PARENT,
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_of_any_kind_comes_back(file, kind):
    """As it was given in the recording: what JSON cannot hold as the text a model is shown."""
    calls = []

    @tool
    def give() -> Any:
        """Give it."""
        calls.append(kind)
        return ANSWERS[kind]

    with Cassette(file, "record") as tape:
        first = tape.tool(give).invoke({})
    second = Cassette(file).tool(give).invoke({})

    assert first == second == ("row=7" if kind == "object" else ANSWERS[kind])
    assert 1 == len(calls)


def test_content_and_artifact_come_back(file):
    """The message has both, and an artifact that is no JSON is text."""

    @tool(response_format="content_and_artifact")
    def plot() -> Any:
        """Plot."""
        return "a plot", {"points": [1, 2]}

    call = {"name": "plot", "args": {}, "id": "c", "type": "tool_call"}
    with Cassette(file, "record") as tape:
        first = tape.tool(plot).invoke(call)
    second = Cassette(file).tool(plot).invoke(call)

    assert ("a plot", {"points": [1, 2]}) == (first.content, first.artifact)
    assert first == second


class Unkind(Exception):
    """Its text is not its arguments, and it cannot be made without a place."""

    def __init__(self, place: str, code: int) -> None:
        super().__init__(f"{place} is closed")
        self.code = code


class Hidden(Exception):
    def __str__(self) -> str:
        return f"at {id(self)}"


ERRORS = {
    "builtin": ConnectionResetError("gone"),
    "number": FileNotFoundError(2, "No such file", "x.txt"),
    "key": KeyError("a"),
    "tool": ToolException("not today"),
    "own": IdempotencyConflict("(key 7)"),
    "unkind": Unkind("the shop", 423),
}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("of", ["tool", "model"])
def test_an_error_is_recorded_and_raised_again(world, file, kind, of):
    """The same class, text and simple attributes, so that a retry decides the same."""

    @tool
    def fail() -> str:
        """Fail."""
        raise ERRORS[kind]

    def ask(tape: Cassette) -> Any:
        if of == "tool":
            return tape.tool(fail).invoke({})
        return tape.model(world.model(lambda _: ERRORS[kind])).invoke("x")

    caught = []
    for mode in ("record", "replay"):
        with Cassette(file, mode) as tape, pytest.raises(type(ERRORS[kind])) as raised:  # type: ignore[arg-type]
            ask(tape)
        caught.append(raised.value)

    assert str(caught[0]) == str(caught[1])
    assert vars(caught[0]) == vars(caught[1])
    assert caught[0] is not caught[1]


def test_an_error_of_a_class_that_cannot_be_made_has_its_name_and_text(file):
    """Or one that this process does not know: nothing is imported for it."""

    @tool
    def fail() -> str:
        """Fail."""
        raise Hidden

    with Cassette(file, "record") as tape, pytest.raises(Hidden) as first:
        tape.tool(fail).invoke({})
    with pytest.raises(TapedError) as second:
        Cassette(file).tool(fail).invoke({})
    file.write_text(file.read_text().replace("test_cassettes:Hidden", "antigravity:Hidden"))
    with pytest.raises(TapedError) as third:
        Cassette(file).tool(fail).invoke({})

    assert ["Hidden"] * 2 == [type(one.value).__name__ for one in (second, third)]
    assert str(second.value).startswith("at ")
    assert str(second.value) == str(third.value)
    assert first.type is Hidden


# --------------------------------------------------------------------------------- interrupts


def asking(tape: Cassette, calls: list[Any], saver: Any) -> Any:
    @tool
    def ask(about: str) -> str:
        """Ask twice."""
        calls.append(about)
        return f"{interrupt(f'{about}?')} and {interrupt('sure?')}"

    model = ScriptedChatModel([{"name": "ask", "args": {"about": "Meal"}}, "ok"])
    return create_agent(model, [tape.tool(ask)], checkpointer=saver)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_question_within_a_tool_is_asked_again(file, asynchronous, apart):
    """In replay, too, the run waits for its answers; also if another process takes them."""
    calls: list[Any] = []

    def talk(mode: Any) -> Any:
        config, saver, seen = thread(), InMemorySaver(), []
        tape = Cassette(file, mode)
        for given in (GIVEN, Command(resume="fish"), Command(resume="yes")):
            if apart and mode == "replay":
                tape = Cassette(file, mode)
            app = asking(tape, calls, saver)
            state = asyncio.run(app.ainvoke(given, config)) if asynchronous else app.invoke(given, config)  # fmt: skip
            seen.append([one.value for one in state.get("__interrupt__", ())])
        tape.save()
        return seen, state["messages"][-2].text, [] if apart else tape.unused()

    recorded = talk("record")
    assert ([["Meal?"], ["sure?"], []], "fish and yes", []) == recorded
    assert 3 == len(calls)
    assert recorded == talk("replay")
    assert 3 == len(calls)


def test_a_question_that_nobody_answered_waits_in_replay_too(file):
    """To answer it there is a miss."""
    calls: list[Any] = []
    with Cassette(file, "record") as tape:
        asking(tape, calls, InMemorySaver()).invoke(GIVEN, thread())
    tape = Cassette(file)
    app, config = asking(tape, calls, InMemorySaver()), thread()

    assert "Meal?" == app.invoke(GIVEN, config)["__interrupt__"][0].value
    with pytest.raises(CassetteMiss, match=r"for the 2\. time"):
        app.invoke(Command(resume="fish"), config)


def test_what_was_cancelled_was_not_asked(file):
    """A time-out of the caller leaves no recording, and takes no answer of another."""

    @tool
    async def slow() -> str:
        """Take long, the first time."""
        if not done:
            done.append(1)
            await asyncio.sleep(60)
        return "at last"

    async def run(taped: Any) -> Any:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(taped.ainvoke({}), 0.05)
        return await taped.ainvoke({})

    done: list[int] = []
    with Cassette(file, "record") as tape:
        assert "at last" == asyncio.run(run(tape.tool(slow)))

    assert [{"said": "at last"}] == [one.answer for one in tape.recordings]
    assert [{"said": "at last"}] == [one.answer for one in Cassette(file).recordings]


# ------------------------------------------------------------------------------- the recording


def test_auto_records_what_is_new_and_calls_for_nothing_else(world, file):
    """What is known is replayed."""
    with Cassette(file, "record") as tape:
        tape.model(world.model(lambda m: f"first {m[-1].text}")).invoke("a")
    for _ in range(2):
        with Cassette(file, "auto") as tape:
            model = tape.model(world.model(lambda m: f"second {m[-1].text}"))
            assert ["first a", "second a", "second b"] == [model.invoke(t).text for t in "aab"]

    assert {"model": 3} == world.calls
    assert 4 == len(file.read_text().splitlines())


def test_record_is_anew(world, file):
    """What was there is gone, and what is asked twice is called twice."""
    for answer in ("old", "new"):
        with Cassette(file, "record") as tape:
            model = tape.model(world.model([answer]))
            assert [answer] * 2 == [model.invoke("x").text for _ in range(2)]

    assert {"model": 4} == world.calls
    assert [] == [line for line in file.read_text().splitlines() if "old" in line]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_parallel_recordings_are_not_torn(world, file, asynchronous):
    """Two hundred at once, some of them the same: every line whole, every answer with its
    question, as many as were asked, and all of them replayed, again at once."""
    barrier = threading.Barrier(8)

    def answer(messages: Any) -> str:
        return f"answer to {messages[-1].text} " + "x" * 3000

    def ask(model: Any) -> list[str]:
        texts = [f"q{n % 150}" for n in range(200)]
        if asynchronous:

            async def all_of_them() -> Any:
                return await asyncio.gather(*(model.ainvoke(text) for text in texts))

            return [m.text for m in asyncio.run(all_of_them())]
        with ThreadPoolExecutor(8, initializer=barrier.wait) as pool:
            return [m.text for m in pool.map(model.invoke, texts)]

    with Cassette(file, "record") as tape:
        first = ask(tape.model(world.model(answer, latency=0.001)))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    with Cassette(file) as tape:
        second = ask(tape.model(world.model(answer)))

    assert 201 == len(lines)
    assert all(
        f"answer to {one['request']['messages'][0]['content']} "
        in one["answer"]["said"]["data"]["content"]
        for one in lines[1:]
    )
    assert first == second
    assert ([], 200) == (tape.unused(), world.calls["model"])


def test_the_same_question_in_parallel_gets_each_answer_once(world, file):
    """Nobody gets what another got."""
    numbers = iter(range(1000))
    with Cassette(file, "record") as tape:
        model = tape.model(world.model(lambda _: str(next(numbers)), latency=0.001))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: model.invoke("x"), range(40)))
    replayed = Cassette(file).model(world.model())
    with ThreadPoolExecutor(8) as pool:
        found = [m.text for m in pool.map(lambda _: replayed.invoke("x"), range(40))]

    assert sorted(map(str, range(40))) == sorted(found)


def test_a_file_is_written_whole_or_not_at_all(world, file, monkeypatch):
    """A disk that is full in the middle leaves the old one, and no half of a new one."""
    with Cassette(file, "record") as tape:
        tape.model(world.model(["old"])).invoke("x")
    before = file.read_bytes()
    monkeypatch.setattr("lg_production.evaluation.recordings.os.fsync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError), Cassette(file, "record") as tape:
        tape.model(world.model(["new"])).invoke("x")

    assert before == file.read_bytes()
    assert [file] == list(file.parent.iterdir())


def test_nothing_is_written_in_replay(world, file):
    """Not even the time of a file."""
    with Cassette(file, "record") as tape:
        tape.model(world.model(["a"])).invoke("x")
    before = file.stat()
    with Cassette(file) as tape:
        tape.model(world.model()).invoke("x")

    assert (before.st_mtime_ns, before.st_ino) == (file.stat().st_mtime_ns, file.stat().st_ino)


def test_characters_that_end_a_line_elsewhere_do_not_here(world, file):
    """U+2028 and its kind stand in texts of the web; half a surrogate pair is no character."""
    text = "a\u2028b\u2029c\x85d\x0be\r\nf\ud800"
    with Cassette(file, "record") as tape:
        first = tape.model(world.model([text])).invoke(text).text
    second = Cassette(file).model(world.model()).invoke(text).text

    assert first == second == text.replace("\ud800", "\ufffd")


@pytest.mark.parametrize(
    "text", ["", "nonsense", '{"cassette": 9}', '{"cassette": 1}\n{"x": 1}', '{"cassette": 1}\n[']
)
def test_what_is_no_cassette_says_so(file, text):
    """Naming the file; and so does one that is missing."""
    file.parent.mkdir()
    file.write_text(text)
    for mode in ("replay", "auto"):
        with pytest.raises(CassetteMiss, match=r"run\.jsonl") as caught:
            Cassette(file, mode)  # type: ignore[arg-type]
        assert "format" == caught.value.field
    with pytest.raises(CassetteMiss, match="there is no"):
        Cassette(file.with_name("other.jsonl"))
    with pytest.raises(ValueError, match="mode is 'rewind'"):
        Cassette(file, "rewind")  # type: ignore[arg-type]


HEAD = '{"cassette": 1}\n'
GOOD = {"kind": "tool", "name": "t", "request": {}, "answer": {"said": 1}}
ERROR = {"class": "builtins:KeyError", "text": "x", "args": [], "attributes": {}}


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": None}, {"answer": {}}, {"answer": 5}, {"answer": {"sayd": 1}}, {"answer": {"said": 1, "error": 2}},
        {"kind": "model", "answer": {"said": 5}}, {"kind": "model", "answer": {"said": {"type": "ai"}}},
        {"kind": "model", "answer": {"said": {"type": "nobody", "data": {"content": ""}}}}, {"kind": "other"}, {"name": 5},
        {"answer": {"error": 5}}, {"answer": {"error": {**ERROR, "args": 5, "class": None}}}, {"used": True},
        {"answer": {"said": {"$message": 5}}}, {"answer": {"said": {"$command": {"nothing": 1}}}},
    ],
)  # fmt: skip
def test_a_damaged_recording_is_told_with_its_line_and_nothing_is_called(file, changes):
    """Before anything is asked: not when half of the run is done, and never by asking the real thing."""
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(HEAD + json.dumps(GOOD) + "\n\n" + json.dumps({**GOOD, **changes}) + "\n")
    with pytest.raises(CassetteMiss, match=r"run\.jsonl:4 is no line of a cassette.*") as caught:
        Cassette(file)

    assert "format" == caught.value.field
    assert "--lg-cassette=record" in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe", HEAD.encode() + b"\xff", HEAD.encode() + b"[" * 10**6, HEAD.encode() + b"[1]", b"{}", b""],
)  # fmt: skip
def test_bytes_that_are_no_cassette_are_a_miss(file, data):
    """Another encoding, or what nobody can read."""
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_bytes(data)
    with pytest.raises(CassetteMiss, match=r"run\.jsonl"):
        Cassette(file)


def test_a_byte_order_mark_means_nothing(world, file):
    """As in golden data."""
    with Cassette(file, "record") as tape:
        tape.model(world.model(["hello"])).invoke("hi")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert "hello" == Cassette(file).model(world.model()).invoke("hi").text


# ------------------------------------------------------------------------------------- secrets

KEY = "sk-ant-api03-" + "Ab3dE5fG7hJ9kL1mN2pQ4rS6tU8v" * 3
SECRETS = {
    "in words": f"my key is {KEY}, keep it",
    "as a header": "curl -H 'Authorization: Bearer abcdefghijklmnop0123456789'",
    "in a URL": "postgresql://ann:hunter2secret@db.example.org/x",
    "in JSON": json.dumps({"password": "hunter2secret", "n": 1}),
    "AWS": "AKIA" + "ABCDEFGHIJKLMNOP",
}
PARTS = (KEY, KEY[13:], "abcdefghijklmnop0123456789", "hunter2secret", "ABCDEFGHIJKLMNOP")


def everything_with(tape: Cassette, secret: str, world: World) -> None:
    """A secret wherever one can stand: asked, answered, raised, set, injected as a key."""

    @tool
    def login(user: str, password: str = "", headers: dict[str, Any] | None = None) -> Any:
        """Log in."""
        if user == "fail":
            raise ConnectionError(f"no login with {secret}")
        return {
            "api_key": KEY,
            "note": secret,
            secret: 1,
            "headers": {"authorization": "hunter2secret"},
        }

    call = {"name": "login", "args": {"user": "ann", "password": "hunter2secret"}, "id": "c"}
    answer = AIMessage(secret, tool_calls=[call], response_metadata={"x-api-key": "hunter2secret"},
                       additional_kwargs={"token": KEY})  # fmt: skip
    model = tape.model(world.model([answer, ConnectionError(f"refused {secret}")]))
    said = model.bind(api_key=KEY, extra={"password": "hunter2secret"}).invoke(
        [SystemMessage(secret), HumanMessage([{"type": "text", "text": secret}])]
    )
    tape.tool(login).invoke({"user": secret, "password": "hunter2secret"})
    tape.tool(login).invoke({"user": "a", "headers": {"Cookie": "hunter2secret"}})
    with pytest.raises(ConnectionError):
        tape.tool(login).invoke({"user": "fail"})
    with pytest.raises(ConnectionError):
        model.invoke([HumanMessage("x"), AIMessage("", tool_calls=said.tool_calls),
                      ToolMessage(secret, tool_call_id="c")])  # fmt: skip


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_reaches_the_file(world, file, kind):
    """Not of a request, nor of an answer, an error, a setting or a key; nor an error's text."""
    with Cassette(file, "record") as tape:
        everything_with(tape, SECRETS[kind], world)
    written = "".join(one.read_text() for one in file.parent.iterdir())
    with pytest.raises(CassetteMiss) as caught:
        Cassette(file).model(world.model()).invoke([HumanMessage(f"{SECRETS[kind]} {KEY}")])

    assert [] == [part for part in PARTS if part in written]
    assert [] == [part for part in PARTS if part in str(caught.value)]
    assert written.count("[redacted]") > 5
    everything_with(Cassette(file), SECRETS[kind], World())


@pytest.mark.parametrize(
    "given", [{"user": "a", "token": "tok_123456", "pin": 1234}, "as text", "in words", "in Python"]
)
def test_what_a_tool_gave_is_the_same_in_the_question_that_follows(world, file, given):
    """A cassette that was just recorded can be replayed, and has no secret: as a value, JSON or words."""
    answer = {"user": "a", "token": "tok_123456", "pin": 1234}
    said = {
        "as text": json.dumps(answer, indent=1),
        "in words": f"It is {json.dumps(answer)}.",
        "in Python": f"{answer}",
    }

    @tool
    def login(user: str) -> Any:
        """Log in."""
        return said.get(given, given) if isinstance(given, str) else given

    def run(tape: Cassette) -> str:
        call = {"name": "login", "args": {"user": "a"}, "id": "c"}
        agent = create_agent(
            tape.model(world.model([AIMessage("", tool_calls=[call]), "done"])), [tape.tool(login)]
        )
        return str(agent.invoke({"messages": [("user", "hi")]})["messages"][-1].text)

    with Cassette(file, "record") as tape:
        first = run(tape)
    with Cassette(file) as tape:
        second = run(tape)

    assert ("done", "done") == (first, second)
    assert [] == [part for part in ("tok_123456", "1234") if part in file.read_text()]


def test_a_recording_of_an_older_rule_is_compared_by_the_one_of_today(world, file):
    """What that left in is no difference."""
    with Cassette(file, "record", redact=lambda value: value) as tape:
        tape.model(world.model(["hello"])).invoke(f"use {KEY}")

    assert KEY in file.read_text()
    assert "hello" == Cassette(file).model(world.model()).invoke(f"use {KEY}").text


def test_a_key_that_was_changed_since_is_no_miss(world, file):
    """Both are the same to the cassette; the run itself sees what is real when it is recorded."""
    with Cassette(file, "record") as tape:
        first = tape.model(world.model([f"got {KEY}"])).invoke(f"use {KEY}")
    second = Cassette(file).model(world.model()).invoke(f"use {KEY.replace('Ab3', 'Zz9')}")

    assert (f"got {KEY}", "got [redacted]") == (first.text, second.text)


def test_another_rule_for_what_is_secret_can_be_given(world, file):
    """A function of JSON, asked of all that is compared or written."""

    def redact(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("Ann", "somebody"))

    with Cassette(file, "record", redact=redact) as tape:
        tape.model(world.model(["Hello Ann"])).invoke("I am Ann")

    assert "Ann" not in file.read_text()
    again = Cassette(file, redact=redact).model(world.model())
    assert "Hello somebody" == again.invoke("I am Ann").text


# ------------------------------------------------------------------------- a real provider's model


class Foreign(BaseChatModel):
    """A model that tells what it can beside the message, as providers do."""

    @property
    def _llm_type(self) -> str:
        return "foreign"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        message = AIMessage("hi", response_metadata={"a": 1})
        info = {"finish_reason": "stop", "logprobs": {"content": [{"logprob": -0.1}]}}
        return ChatResult(
            generations=[ChatGeneration(message=message, generation_info=info)],
            llm_output={"model_name": "foreign-1", "token_usage": {"total": 3}},
        )


def test_what_a_provider_tells_beside_the_message_comes_back(file):
    """Its model's name, why it ended, and log-probabilities."""
    with Cassette(file, "record") as tape:
        first = tape.model(Foreign()).invoke("x")
    second = Cassette(file).model(Foreign()).invoke("x")

    assert first.response_metadata == second.response_metadata == Foreign().invoke("x").response_metadata  # fmt: skip
    assert "foreign-1" == second.response_metadata["model_name"]


# A server that answers as OpenAI's does; the third time it has too much to do.
TALK = [
    {"content": "hello", "role": "assistant"},
    {"content": '{"name": "Ann"}', "role": "assistant"},
]


@pytest.fixture
def openai() -> Any:
    """The URL of the server, and the bodies that it was sent."""
    bodies: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            good = len(bodies) <= len(TALK)
            choice = {"index": 0, "finish_reason": "stop", "message": TALK[len(bodies) - 1]} if good else {}  # fmt: skip
            usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
            answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1,
                      "model": "gpt-4o-2024-08-06", "choices": [choice], "usage": usage}  # fmt: skip
            told = json.dumps(answer if good else {"error": {"message": f"{KEY} is busy"}}).encode()
            self.send_response(200 if good else 429)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    server.shutdown()
    server.server_close()


def test_a_real_client_is_replayed_without_a_server(file, openai):
    """Also its own structured output, which calls no tool, and its own errors."""
    module = pytest.importorskip("langchain_openai")
    url, bodies = openai

    def talk(tape: Cassette, at: str) -> Any:
        model = tape.model(
            module.ChatOpenAI(model="gpt-4o", base_url=at, api_key=KEY, max_retries=0)
        )
        said = model.invoke("hi").model_copy(update={"id": None})  # LangChain's, of its run
        form = model.with_structured_output(Person, method="json_schema", include_raw=True)
        ann = form.invoke("who?")
        with pytest.raises(sys.modules["openai"].RateLimitError) as raised:
            model.invoke("again")
        return said, ann["parsed"], str(raised.value), raised.value.status_code

    with Cassette(file, "record") as tape:
        first = talk(tape, url)
    with Cassette(file) as tape:
        second = talk(tape, "http://127.0.0.1:1/v1")

    assert ("hello", Person(name="Ann"), 429) == (first[0].text, first[1], first[3])
    assert [first[:2], 429] == [second[:2], second[3]]
    assert first[2].replace(KEY, "[redacted]") == second[2]
    assert "json_schema" == bodies[1]["response_format"]["type"]
    assert 3 == len(bodies)
    assert KEY not in file.read_text()
