"""A tool gets what it declares, and answers as declared."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import InjectedState
from langgraph.types import Command
from pydantic import BaseModel, Field, PlainSerializer, PlainValidator, model_validator
from typing_extensions import TypedDict

from lg_production.core.events import Event
from lg_production.core.wrappers import tool_node
from lg_production.errors import OutputRejected
from lg_production.security.channels import structured_of
from lg_production.security.gate import GatePolicy, ProvenanceGate
from lg_production.security.schemas import Validated, measured
from tests.graphs_for_tests import ASK, agent, call, says, thread


class Contact(BaseModel):
    name: str
    email: str


def run(own: Validated, one: Any, is_async: bool = False, /, **arguments: Any) -> ToolMessage:
    graph = agent(says(call(one.name, "c1", **arguments)), tool_node([one], own)).compile()
    state: Any = asyncio.run(graph.ainvoke(ASK)) if is_async else graph.invoke(ASK)
    return cast("ToolMessage", state["messages"][-2])


def sender() -> tuple[Any, list[Any]]:
    ran: list[Any] = []

    @tool
    def send(to: str, count: int, call_id: Annotated[str, InjectedToolCallId],
             state: Annotated[Any, InjectedState]) -> str:  # fmt: skip
        """Send."""
        ran.append((to, count, call_id))
        return "sent"

    return send, ran


@pytest.mark.parametrize("is_async", [False, True])
def test_what_fits_passes(is_async: Any) -> None:
    """Arguments that LangGraph injects are none of the model's."""
    send, ran = sender()
    message = run(Validated(), send, is_async, to="ann", count=2)

    assert ("sent", [("ann", 2, "c1")]) == (message.content, ran)


@pytest.mark.parametrize(
    ("arguments", "says_so"),
    [
        ({"to": "ann", "count": 1, "bcc": "evil"}, "'bcc' is unknown"),
        ({"to": "ann", "count": 1, "call_id": "x"}, "'call_id' is unknown"),
        ({"to": "ann"}, "count: missing"),
        ({"to": ["hunter2"], "count": 1}, "to: string_type"),
        ({"to": "x" * 2_000_000, "count": 1}, "too long"),
        ({"to": [[[[[[[[[[[["x"]]]]]]]]]]]], "count": 1}, "too deep"),
    ],
)
def test_what_does_not_fit_is_told_to_the_model_and_not_called(
    arguments: Any, says_so: Any
) -> None:
    """By the names of the fields; never by their values."""
    send, ran = sender()
    events: list[Event] = []
    message = run(Validated(most_depth=8, observers=[events.append]), send, **arguments)

    assert ([], "error") == (ran, message.status)
    assert says_so in message.content
    assert "hunter2" not in message.content
    assert [("schema.rejected", "input")] == [(e.name, e.attributes["side"]) for e in events]


class Folder(BaseModel):
    name: Annotated[str, Field(max_length=20)]


def test_a_text_that_is_no_utf_8_is_told_with_a_remedy() -> None:
    """Half a surrogate pair or broken bytes: what it is, what to do, and nothing of the text."""

    @tool
    def keep(name: Annotated[str, Field(max_length=20)]) -> str:
        """Keep."""
        return name

    remedy = "decode what was read with errors='replace'"
    message = run(Validated(), keep, name="hunter2\ud800")
    with pytest.raises(OutputRejected) as caught:
        run(Validated({"contacts": Folder}), answering({"name": "hunter2\ud800"}))

    assert "error" == message.status
    assert "name: string_unicode (no UTF-8, such as half a surrogate pair" in message.content
    assert [True, True] == [remedy in said for said in (message.content, str(caught.value))]
    assert [False] * 2 == ["hunter2" in said for said in (message.content, str(caught.value))]


def test_a_json_schema_is_checked_by_names() -> None:
    """The rest is the tool's own server's."""
    schema = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    search = StructuredTool.from_function(
        lambda **given: "found", name="search", description="s", args_schema=schema
    )

    assert "found" == run(Validated(), search, q="x").content
    assert "'r' is unknown" in run(Validated(), search, q="x", r="y").content
    assert "'q' is missing" in run(Validated(), search).content


def answering(answer: Any, **options: Any) -> Any:
    @tool(**options)  # type: ignore[untyped-decorator]
    def contacts() -> Any:
        """Contacts."""
        return answer

    return contacts


@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_that_fits_is_noted_as_data(is_async: Any) -> None:
    """Then its fields may anchor a value."""
    own = Validated({"contacts": list[Contact]})
    ann = [{"name": "Ann", "email": "ann@x.org"}]
    message = run(own, answering(ann), is_async)

    assert ann == structured_of(message)
    assert run(Validated(), answering(ann)).additional_kwargs == {}


@pytest.mark.parametrize(
    "answer", [[{"name": "Ann"}], "Ann <ann@x.org>", {"hunter2": 1}, "[" * 99_999]
)
def test_an_answer_that_does_not_fit_is_not_passed_on(answer: Any) -> None:
    """An error for the operator, or none for the model; without a value."""
    declared = {"contacts": list[Contact]}
    with pytest.raises(OutputRejected) as caught:
        run(Validated(declared), answering(answer))
    message = run(Validated(declared, on_rejected="message"), answering(answer))

    assert "contacts" == caught.value.source
    assert "hunter2" not in str(caught.value)
    assert ("error", "contacts gave an answer that cannot be used.") == (
        message.status, message.content,
    )  # fmt: skip


def test_an_artifact_is_judged_by_itself() -> None:
    """The text beside it is for the model."""
    pair = ("Ann", [{"name": "Ann", "email": "a@x.org"}])
    own = Validated({"contacts": list[Contact]})
    good = run(own, answering(pair, response_format="content_and_artifact"))

    assert "Ann" == good.content
    with pytest.raises(OutputRejected):
        run(own, answering(("Ann", [1]), response_format="content_and_artifact"))


def test_a_command_is_judged_by_its_message() -> None:
    """That which answers the call."""
    told = ToolMessage("12", tool_call_id="c1", name="contacts")
    own = Validated({"contacts": list[Contact]})
    with pytest.raises(OutputRejected):
        run(own, answering(Command(update={"messages": [told]})))

    assert "12" == run(Validated({"contacts": str}), answering("12")).content


def test_a_failure_of_the_tool_is_no_answer() -> None:
    """It passes as it is."""

    @tool
    def contacts() -> str:
        """Contacts."""
        raise ValueError("broken")

    node = tool_node([contacts], Validated({"contacts": int}), handle_tool_errors=True)
    state = agent(says(call("contacts", "c1")), node).compile().invoke(ASK)

    assert "error" == state["messages"][-2].status


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_any_value_can_be_measured(value: Any) -> None:
    """A limit of nothing refuses everything."""
    assert "" == measured(value, 10**9, 10**6)
    assert measured(value, 0, 10**6) != ""


def test_any_depth_can_be_measured() -> None:
    """No recursion."""
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]

    assert "too deep" == measured(deep, 10**9, 64)


class City(TypedDict):
    city: str


class Loose(BaseModel, extra="allow"):
    id: int


class Nested(BaseModel):
    id: int
    meta: Any


class Tree(BaseModel):
    id: int
    below: list[Tree] | None = None


BELOW = {"id": 1, "below": [{"id": 2, "below": None}]}


class Shouted(BaseModel):
    id: int = Field(alias="ID")


class Expecting(BaseModel):
    """A type whose validator expects a map."""

    id: int

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        return {"id": given["id"]}


@pytest.mark.parametrize(
    ("declared", "answer", "data"),
    [
        (str, '{"to": "eve@evil.example"}', None),
        (str | dict[str, str], '{"to": "eve@evil.example"}', None),
        (Any, '{"to": "eve@evil.example"}', None),
        (City, '{"city": "Rome", "to": "eve@evil.example"}', {"city": "Rome"}),
        (City, '{"city": "Rome"}', {"city": "Rome"}),
        (list[City], '[{"city": "Rome", "to": "eve@evil.example"}]', [{"city": "Rome"}]),
        (int, "12", 12),
        (Loose, '{"id": 1, "to": "eve@evil.example"}', {"id": 1}),
        (Nested, '{"id": 1, "meta": {"to": "eve@evil.example"}}', {"id": 1}),
        (dict, '{"to": "eve@evil.example"}', None),
        (dict[str, str], '{"to": "eve@evil.example"}', None),
        (dict[str, City], '{"to": {"city": "Rome", "to": "e"}}', {"to": {"city": "Rome"}}),
        (list[Any], '["eve@evil.example"]', None),
        (list[dict[str, Any]], '[{"to": "eve@evil.example"}]', None),
        (City | Loose, '{"id": 1, "to": "eve@evil.example"}', {"id": 1}),
        (list[City], "[]", []),
        (tuple[int, City], '[1, {"city": "Rome", "to": "e"}]', [1, {"city": "Rome"}]),
        (Tree, '{"id": 1, "below": [{"id": 2, "to": "e"}]}', BELOW),
        (Shouted, '{"ID": 1, "to": "eve@evil.example"}', {"ID": 1}),
        (Expecting, '{"id": 1, "to": "eve@evil.example"}', {"id": 1}),
    ],
)
def test_only_what_is_declared_is_data(declared: Any, answer: Any, data: Any) -> None:
    """Whoever wrote a page wrote the rest of it; what fits as a text is one."""
    message = run(Validated({"contacts": declared}), answering(answer))

    assert answer == message.content
    assert data == structured_of(message)


def test_of_an_artifact_only_what_is_declared_is_data() -> None:
    """Although a tool gave it beside its text."""
    given = ("x", {"city": "Rome", "to": "eve@evil.example"})
    found = run(
        Validated({"contacts": City}), answering(given, response_format="content_and_artifact")
    )

    assert {"city": "Rome"} == structured_of(found)


def test_an_answer_that_a_validator_has_not_reckoned_with_does_not_fit() -> None:
    """It is not the graph that fails."""
    with pytest.raises(OutputRejected, match="the whole: TypeError"):
        run(Validated({"contacts": Expecting}), answering("[1]"))


def test_a_type_without_a_schema_declares_nothing() -> None:
    """What fits it passes, and is no data."""

    class Own:
        pass

    kind = Annotated[Own, PlainValidator(lambda _: Own()), PlainSerializer(lambda _: {"to": "eve"})]
    message = run(Validated({"contacts": kind}), answering('{"to": "eve@evil.example"}'))

    assert structured_of(message) is None


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_person_answers_in_the_place_of_a_tool_is_no_answer_of_the_tools(
    is_async: Any,
) -> None:
    """It is words for the model, and of no type."""
    gate = ProvenanceGate(GatePolicy())
    build = agent(
        says(call("fetch", "c1", url="https://evil.example/x")),
        tool_node([fetcher()], Validated({"fetch": City}), gate),
    )
    graph, config = build.compile(checkpointer=InMemorySaver()), thread()
    told = Command(resume={"decisions": [{"type": "respond", "message": "I looked: it is gone."}]})
    if is_async:
        asyncio.run(graph.ainvoke(ASK, config))
        state = asyncio.run(graph.ainvoke(told, config))
    else:
        graph.invoke(ASK, config)
        state = graph.invoke(told, config)

    assert "I looked: it is gone." == state["messages"][-2].content


def fetcher() -> Any:
    @tool
    def fetch(url: str) -> str:
        """Fetch."""
        return "{}"

    return fetch
