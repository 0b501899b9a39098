"""Whatever LangGraph does around a call: interrupts, answers, retries, forks, odd tools."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Annotated, Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, StructuredTool, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolNode, ToolRuntime
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, RetryPolicy, Send, interrupt

from lg_production import (
    Checkpointer,
    Database,
    EffectPolicy,
    Happened,
    IdempotentToolNode,
)
from lg_production.core.steps import Statement
from lg_production.errors import LgProductionError

from ..graphs_for_tests import ASK, agent, call, says, thread
from ..walk import Airline

APPROVE, REJECT = {"type": "approve"}, {"type": "reject"}


class Booking:
    """An airline, and a tool `book` that can lose the reply of an order's first calls."""

    def __init__(self) -> None:
        self.airline = Airline()
        self.lose: Counter[str] = Counter()
        self.drop: Counter[str] = Counter()

        @tool
        def book(order: str) -> str:
            """Book."""
            if self.drop[order] > 0:
                self.drop[order] -= 1
                raise TimeoutError("never arrived")
            self.airline.book(order)
            if self.lose[order] > 0:
                self.lose[order] -= 1
                raise TimeoutError("booked, but the reply is lost")
            return f"booked {order}"

        @tool
        def confirm(question: str) -> str:
            """Ask, then book."""
            answer = interrupt({"question": question})
            self.airline.book(f"confirmed {question} {answer}")
            return f"{question}: {answer}"

        self.book, self.confirm = book, confirm

    def bookings(self) -> Counter[str]:
        return Counter(self.airline.bookings)


def compiled(database: Database, model: Any, tools: Any, *, send: bool = False) -> Any:
    return agent(model, tools, send=send).compile(checkpointer=Checkpointer(database))


def asked(result: Any) -> list[Any]:
    """What the graph waits for: the orders in doubt of each interrupt, or its own question."""
    found = []
    for pause in result.get("__interrupt__", ()):
        actions = pause.value.get("action_requests")
        found.append([a["args"] for a in actions] if actions else pause.value)
    return found


def tool_messages(result: Any) -> list[tuple[str, str]]:
    return [(m.tool_call_id, m.content) for m in result["messages"] if isinstance(m, ToolMessage)]


def states(database: Database) -> Counter[str]:
    sql = "SELECT state FROM lg_production.effects"
    return Counter(r[0] for r in database.execute(Statement(sql, {}, list)))


SENDS = pytest.mark.parametrize("send", [False, True], ids=["ToolNode", "Send"])

# ------------------------------------------------------------------- the right answer


@SENDS
def test_a_second_doubt_in_the_same_run_needs_a_second_answer(
    database: Database, send: bool
) -> None:
    """Approved, run again, lost again: the first approval says nothing about the second doubt."""
    world = Booking()
    world.drop["A"] = 1
    world.lose["A"] = 1
    tools = IdempotentToolNode([world.book], database)
    graph, config = compiled(database, says(call("book", order="A")), tools, send=send), thread()
    graph.invoke(ASK, config, durability="sync")

    second = graph.invoke(Command(resume=APPROVE), config, durability="sync")
    graph.invoke(
        Command(resume={"type": "respond", "message": "booked A"}), config, durability="sync"
    )

    assert [[{"order": "A"}]] == asked(second)
    assert {"A": 1} == world.bookings()


def test_an_approval_is_used_up_by_a_crash(database: Database) -> None:
    """Approved, run again, killed: resuming with no answer asks again."""
    world = Booking()
    world.drop["A"] = 1
    tools = IdempotentToolNode([world.book], database)
    graph, config = compiled(database, says(call("book", order="A")), tools, send=True), thread()
    graph.invoke(ASK, config, durability="sync")
    settle, sent = tools.idempotent.database.execute, []

    class Killed(BaseException):
        pass

    def killed(statement: Any) -> Any:
        if "settled AS" in statement.sql and not sent:
            sent.append(statement)
            raise Killed
        return settle(statement)

    database.execute = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        graph.invoke(Command(resume=APPROVE), config, durability="sync")
    database.execute = settle  # type: ignore[method-assign]
    database.worker.close()

    third = graph.invoke(None, config, durability="sync")

    assert [[{"order": "A"}]] == asked(third)
    assert {"A": 1} == world.bookings()


@pytest.mark.parametrize("answer", [APPROVE, True, "yes"], ids=["approve", "True", "yes"])
def test_an_answer_to_the_tool_itself_is_not_an_answer_about_its_doubt(
    database: Database, answer: Any
) -> None:
    """A tool asks, acts and loses the reply: its own "approve" does not run it again."""
    world, lose = Booking(), [1]

    @tool
    def pay(order: str) -> str:
        """Confirm, then pay."""
        interrupt({"question": order})
        world.airline.book(order)
        if lose:
            lose.pop()
            raise TimeoutError
        return "paid"

    tools = IdempotentToolNode([pay], database)
    graph, config = compiled(database, says(call("pay", order="A")), tools, send=True), thread()
    graph.invoke(ASK, config, durability="sync")
    graph.invoke(Command(resume=answer), config, durability="sync")

    last = graph.invoke(
        Command(resume={"type": "respond", "message": "paid"}), config, durability="sync"
    )

    assert [] == asked(last)
    assert {"A": 1} == world.bookings()
    assert ["paid"] == [text for _, text in tool_messages(last)]


def test_a_confirmed_tool_beside_a_doubt_keeps_its_answer(database: Database) -> None:
    """One call asks by itself, its sibling is in doubt: each answer goes to its question."""
    world = Booking()
    world.drop["A"] = 1
    tools = IdempotentToolNode([world.book, world.confirm], database)
    model = says(call("book", order="A"), call("confirm", question="really?"))
    graph, config = compiled(database, model, tools), thread()
    result = graph.invoke(ASK, config, durability="sync")
    rounds = []
    while pauses := asked(result):
        rounds.append(pauses)
        own = pauses[0] == {"question": "really?"}
        result = graph.invoke(Command(resume="yes" if own else APPROVE), config, durability="sync")
        assert len(rounds) < 6, rounds

    assert {"A": 1, "confirmed really? yes": 1} == world.bookings()
    assert [[[{"order": "A"}]], [{"question": "really?"}]] == sorted(rounds, key=len) or len(
        rounds
    ) <= 3


def test_a_doubt_that_returns_beside_a_confirmed_tool_needs_its_own_answer(
    database: Database,
) -> None:
    """Approved, lost again while a sibling pauses: the old approval is not used again."""
    world = Booking()
    world.drop["A"] = 1
    world.lose["A"] = 1
    tools = IdempotentToolNode([world.book, world.confirm], database)
    model = says(call("book", order="A"), call("confirm", question="really?"))
    graph, config = compiled(database, model, tools), thread()
    result = graph.invoke(ASK, config, durability="sync")
    rounds = 0
    while pauses := asked(result):
        rounds += 1
        assert rounds < 8, pauses
        done = world.airline.booked("A")
        about_a = {"type": "respond", "message": "booked A"} if done else APPROVE
        own = pauses[0] == {"question": "really?"}
        result = graph.invoke(Command(resume="yes" if own else about_a), config, durability="sync")

    assert {"A": 1, "confirmed really? yes": 1} == world.bookings()


def test_a_lost_answer_is_asked_for_by_no_question_of_ours(database: Database) -> None:
    """The decision is committed, the answer's checkpoint is lost: the tool just runs."""
    world = Booking()
    world.drop["A"] = 1
    tools = IdempotentToolNode([world.book], database)
    graph, config = compiled(database, says(call("book", order="A")), tools, send=True), thread()
    graph.invoke(ASK, config, durability="sync")
    database.execute(
        Statement(
            "UPDATE lg_production.effects SET state = 'ready', version = version + 1",
            {},
            lambda _: None,
        )
    )

    result = graph.invoke(None, config, durability="sync")

    assert [] == asked(result)
    assert {"A": 1} == world.bookings()


def test_a_call_that_a_sent_state_brings_keeps_its_own_answer(database: Database) -> None:
    """`Send("tools", state)` makes one task of several calls: they are asked about together."""
    world = Booking()
    world.drop.update(A=1, B=1)
    tools = IdempotentToolNode([world.book], database)
    builder = StateGraph(MessagesState)
    builder.add_node("model", says(call("book", order="A"), call("book", order="B")))
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges(
        "model",
        lambda s: [Send("tools", s)] if s["messages"][-1].tool_calls else "__end__",
        ["tools", "__end__"],
    )
    graph, config = builder.compile(checkpointer=Checkpointer(database)), thread()
    result = graph.invoke(ASK, config, durability="sync")
    orders = [[a["order"] for a in p] for p in asked(result)]

    graph.invoke(Command(resume={"decisions": [APPROVE, REJECT]}), config, durability="sync")

    assert [["A", "B"]] == orders
    assert {"A": 1} == world.bookings()


def test_several_doubts_of_one_node_are_one_question(database: Database) -> None:
    """Each decision is about the call at its place."""
    world = Booking()
    world.drop.update(A=1, C=1)
    world.lose["B"] = 1
    tools = IdempotentToolNode([world.book], database)
    model = says(*[call("book", order=o) for o in "ABC"])
    graph, config = compiled(database, model, tools), thread()
    result = graph.invoke(ASK, config, durability="sync")
    decisions = [APPROVE, {"type": "respond", "message": "B is done"}, REJECT]

    last = graph.invoke(Command(resume={"decisions": decisions}), config, durability="sync")

    assert [[{"order": "A"}, {"order": "B"}, {"order": "C"}]] == asked(result)
    assert {"A": 1, "B": 1} == world.bookings()
    assert ["booked A", "B is done", "book was not carried out: a person decided so."] == [
        text for _, text in tool_messages(last)
    ]


@SENDS
def test_a_garbage_answer_is_asked_again(database: Database, send: bool) -> None:
    """What is no decision changes nothing, and the question says what was wrong."""
    world = Booking()
    world.drop["A"] = 1
    other = [] if send else [call("book", order="B")]
    tools = IdempotentToolNode([world.book], database)
    graph, config = (
        compiled(database, says(call("book", order="A"), *other), tools, send=send),
        thread(),
    )
    graph.invoke(ASK, config, durability="sync")
    for garbage in (
        "yes",
        True,
        7,
        {"type": "edit"},
        {"decisions": []},
        [],
        [[]],
        {"decisions": "approve"},
        {"type": "respond"},
        {"type": ["approve"]},
    ):
        result = graph.invoke(Command(resume=garbage), config, durability="sync")
        assert [[{"order": "A"}]] == asked(result), garbage

    last = graph.invoke(Command(resume=APPROVE), config, durability="sync")

    assert [] == asked(last)
    assert 1 == world.bookings()["A"]


def test_a_retried_answer_is_not_an_answer_to_the_next_question(database: Database) -> None:
    """The client sends the answer, by its interrupt id, twice: the second is about nothing."""
    world = Booking()
    world.drop["A"] = 1
    world.lose["A"] = 1
    tools = IdempotentToolNode([world.book], database)
    graph, config = compiled(database, says(call("book", order="A")), tools, send=True), thread()
    first = graph.invoke(ASK, config, durability="sync")
    answer = Command(resume={first["__interrupt__"][0].id: APPROVE})
    graph.invoke(answer, config, durability="sync")

    graph.invoke(answer, config, durability="sync")

    assert {"A": 1} == world.bookings()


def test_invoking_with_nothing_while_a_question_is_open_asks_again(database: Database) -> None:
    """`invoke(None)` is no answer."""
    world = Booking()
    world.drop["A"] = 1
    tools = IdempotentToolNode([world.book], database)
    graph, config = (
        compiled(database, says(call("book", order="A"), call("book", order="B")), tools),
        thread(),
    )
    graph.invoke(ASK, config, durability="sync")
    again = [asked(graph.invoke(None, config, durability="sync")) for _ in range(3)]

    graph.invoke(Command(resume=APPROVE), config, durability="sync")

    assert [[[{"order": "A"}]]] * 3 == again
    assert {"A": 1, "B": 1} == world.bookings()


def test_answers_by_interrupt_id_reach_their_calls(database: Database) -> None:
    """Two tasks, two interrupts, answers in the other order, one at a time."""
    world = Booking()
    world.drop.update(A=1, B=1)
    tools = IdempotentToolNode([world.book], database)
    graph, config = (
        compiled(
            database, says(call("book", order="A"), call("book", order="B")), tools, send=True
        ),
        thread(),
    )
    first = graph.invoke(ASK, config, durability="sync")
    ids = {p.value["action_requests"][0]["args"]["order"]: p.id for p in first["__interrupt__"]}
    second = graph.invoke(Command(resume={ids["B"]: REJECT}), config, durability="sync")
    left = asked(second)

    graph.invoke(Command(resume={ids["A"]: APPROVE}), config, durability="sync")

    assert [[{"order": "A"}]] == left
    assert {"A": 1} == world.bookings()


# ------------------------------------------------------------ retries, forks, subgraphs


def test_a_retry_policy_on_the_node_repeats_no_finished_call(database: Database) -> None:
    """LangGraph runs the whole node again: only what was not sent is sent."""
    world, refusals = Booking(), [1, 1]

    @tool
    def flaky(order: str) -> str:
        """Refused twice."""
        if refusals:
            refusals.pop()
            raise ConnectionRefusedError
        world.airline.book(order)
        return "booked"

    builder = StateGraph(MessagesState)
    builder.add_node("model", says(call("book", order="A"), call("flaky", order="B")))
    retry = RetryPolicy(
        initial_interval=0.01, jitter=False, max_attempts=4, retry_on=ConnectionError
    )
    builder.add_node("tools", IdempotentToolNode([world.book, flaky], database), retry_policy=retry)
    builder.add_edge(START, "model")
    builder.add_edge("model", "tools")
    graph = builder.compile(checkpointer=Checkpointer(database))

    graph.invoke(ASK, thread(), durability="sync")

    assert {"A": 1, "B": 1} == world.bookings()


def test_time_travel_and_forks_replay(database: Database) -> None:
    """Running from an old checkpoint, and from an edited copy of it, books nothing more."""
    world = Booking()
    graph, config = (
        compiled(
            database, says(call("book", order="A")), IdempotentToolNode([world.book], database)
        ),
        thread(),
    )
    graph.invoke(ASK, config, durability="sync")
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))
    travelled = graph.invoke(None, before.config, durability="sync")
    asking = before.values["messages"][-1]
    fork = graph.update_state(before.config, {"messages": [asking]}, as_node="model")
    forked = graph.invoke(None, fork, durability="async")

    assert {"A": 1} == world.bookings()
    assert ["booked A"] == [text for _, text in tool_messages(travelled)]
    assert ["booked A"] == [text for _, text in tool_messages(forked)]


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_doubt_in_a_subgraph_is_asked_and_answered(database: Database, durability: Any) -> None:
    """The barrier and the question work one level down."""
    world = Booking()
    world.drop["A"] = 1
    inner = agent(
        says(call("book", order="A")), IdempotentToolNode([world.book], database)
    ).compile()
    builder = StateGraph(MessagesState)
    builder.add_node("inner", inner)
    builder.add_edge(START, "inner")
    graph, config = builder.compile(checkpointer=Checkpointer(database)), thread()
    first = graph.invoke(ASK, config, durability=durability)

    last = graph.invoke(Command(resume=APPROVE), config, durability=durability)

    assert [[{"order": "A"}]] == asked(first)
    assert [] == asked(last)
    assert {"A": 1} == world.bookings()


# ----------------------------------------------------------------------------- odd tools


def test_a_command_an_artifact_and_blocks_are_replayed_unchanged(database: Database) -> None:
    """What the first run returned, the second returns, for its own call."""
    ran: Counter[str] = Counter()

    @tool
    def command(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
        """A command."""
        ran["command"] += 1
        return Command(update={"messages": [ToolMessage("commanded", tool_call_id=tool_call_id)]})

    @tool(response_format="content_and_artifact")
    def artifact() -> tuple[str, Any]:
        """An artifact."""
        ran["artifact"] += 1
        return "see artifact", {"rows": [1, 2.5, None, "ü"], "day": timedelta(days=1)}

    @tool
    def blocks() -> list[Any]:
        """Content blocks."""
        ran["blocks"] += 1
        return [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]

    tools = IdempotentToolNode([command, artifact, blocks], database)
    model = says(call("command"), call("artifact"), call("blocks"))
    graph, config = compiled(database, model, tools), thread()
    first = graph.invoke(ASK, config, durability="sync")
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))

    second = graph.invoke(None, before.config, durability="sync")

    def seen(result: Any) -> list[Any]:
        return [
            (m.content, m.artifact, m.tool_call_id, m.name, m.status)
            for m in result["messages"]
            if isinstance(m, ToolMessage)
        ]

    assert {"command": 1, "artifact": 1, "blocks": 1} == ran
    assert seen(first) == seen(second)


def test_a_business_key_gives_each_call_a_message_of_its_own(database: Database) -> None:
    """Two calls, one effect: both have an answer in the history, ids and all."""

    @tool
    def order(item: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> ToolMessage:
        """Order."""
        return ToolMessage(f"ordered {item}", tool_call_id=tool_call_id, id=f"message-{item}")

    policies = {"order": EffectPolicy(business=lambda a: a["item"])}
    tools = IdempotentToolNode([order], database, policies=policies)
    model = says(call("order", "one", item="x"), call("order", "two", item="x"))

    result = compiled(database, model, tools).invoke(ASK, thread(), durability="sync")

    assert [("one", "ordered x"), ("two", "ordered x")] == tool_messages(result)


@pytest.mark.parametrize(
    "found",
    [
        "text",
        {"a": 1},
        7,
        ["a", "b"],
        [{"type": "text", "text": "t"}],
        None,
    ],
)
def test_what_a_probe_finds_is_what_the_tool_would_have_returned(
    database: Database, found: Any
) -> None:
    """Any value that a tool may return, a probe may return."""

    @tool
    def act() -> Any:
        """Act."""
        raise TimeoutError

    @tool("act")
    def acts() -> Any:
        """Act."""
        return found

    policies = {"act": EffectPolicy(recovery="probe", probe=lambda *_: Happened(found))}

    def run(node: Any) -> Any:
        graph = compiled(database, says(call("act", "c")), node)
        try:
            return graph.invoke(ASK, {**thread(), "recursion_limit": 5}, durability="sync")
        except Exception as error:
            return {"messages": [ToolMessage(repr(error), tool_call_id="raised")]}

    plain = run(ToolNode([acts]))
    ours = run(IdempotentToolNode([act], database, policies=policies))

    assert tool_messages(plain) == tool_messages(ours)


@pytest.mark.parametrize(
    "handle",
    [
        True,
        False,
        "custom text",
        ValueError,
        (ValueError, KeyError),
        pytest.param(lambda e: f"seen {e}", id="function"),
        "default",
    ],
    ids=str,
)
@pytest.mark.parametrize("error", [ValueError("v"), KeyError("k"), None], ids=repr)
def test_tool_errors_are_handled_as_a_plain_tool_node_handles_them(
    database: Database, handle: Any, error: Exception | None
) -> None:
    """Same messages, or the same exception, for each form of handle_tool_errors."""

    @tool
    def fail(number: int) -> str:
        """Fail."""
        if error is not None:
            raise error
        return "fine"

    options = {} if handle == "default" else {"handle_tool_errors": handle}
    # A wrong argument, an unregistered tool, and a call that fails by itself.
    calls = [call("fail", "a", number="x"), call("nosuch", "b"), call("fail", "c", number=1)]

    def run(node: Any) -> Any:
        try:
            return tool_messages(
                compiled(database, says(*calls), node).invoke(ASK, thread(), durability="sync")
            )
        except Exception as raised:
            return type(raised).__name__, str(raised)[:40]

    assert run(ToolNode([fail], **options)) == run(IdempotentToolNode([fail], database, **options))


def test_injected_state_store_and_runtime_arrive(database: Database) -> None:
    """A tool is given what it declares, as by a plain ToolNode."""
    seen: list[Any] = []

    @tool
    def look(
        state: Annotated[Any, InjectedState],
        store: Annotated[Any, InjectedStore()],
        runtime: ToolRuntime,
        word: str,
    ) -> str:
        """Look."""
        seen.append((len(state["messages"]), type(store).__name__, runtime.tool_call_id, word))
        return word

    tools = IdempotentToolNode([look], database)
    builder = agent(says(call("look", "id-1", word="w")), tools)
    graph = builder.compile(checkpointer=Checkpointer(database), store=InMemoryStore())

    graph.invoke(ASK, thread(), durability="sync")

    assert [(2, "InMemoryStore", "id-1", "w")] == seen


def test_an_async_only_tool_works_under_ainvoke(database: Database) -> None:
    """No sync implementation is needed, and a replay needs none either."""
    ran = []

    async def act(order: str) -> str:
        """Act."""
        ran.append(order)
        return order

    tools = IdempotentToolNode(
        [StructuredTool.from_function(coroutine=act, name="act", description="Act.")], database
    )
    graph, config = compiled(database, says(call("act", order="A")), tools), thread()

    async def twice() -> Any:
        await graph.ainvoke(ASK, config)
        states_ = [s async for s in graph.aget_state_history(config) if s.next == ("tools",)]
        return await graph.ainvoke(None, states_[0].config)

    result = asyncio.run(twice())

    assert ["A"] == ran
    assert ["A"] == [text for _, text in tool_messages(result)]


def test_a_wrapper_of_the_users_own_stays_outermost(database: Database) -> None:
    """`wrap_tool_call` sees every call, replayed ones too, and may answer by itself."""
    world, seen = Booking(), []

    def wrap(request: Any, handler: Any) -> Any:
        seen.append(request.tool_call["args"]["order"])
        if request.tool_call["args"]["order"] == "never":
            return ToolMessage("no", tool_call_id=request.tool_call["id"])
        return handler(request)

    tools = IdempotentToolNode([world.book], database, wrap_tool_call=wrap)
    model = says(call("book", order="A"), call("book", order="never"))
    graph, config = compiled(database, model, tools), thread()
    graph.invoke(ASK, config, durability="sync")
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))

    graph.invoke(None, before.config, durability="sync")

    assert ["A", "A", "never", "never"] == sorted(seen)
    assert {"A": 1} == world.bookings()


def test_a_wrapper_of_the_users_own_that_edits_is_obeyed(database: Database) -> None:
    """What the user's wrapper changes is what is booked, and what is asked about."""
    world = Booking()
    world.drop["B"] = 1

    def wrap(request: Any, handler: Any) -> Any:
        return handler(request.override(tool_call={**request.tool_call, "args": {"order": "B"}}))

    tools = IdempotentToolNode([world.book], database, wrap_tool_call=wrap)
    model = says(call("book", "one", order="A"), call("book", "two", order="A"))
    graph, config = compiled(database, model, tools), thread()
    first = graph.invoke(ASK, config, durability="sync")

    graph.invoke(Command(resume={"decisions": [APPROVE]}), config, durability="sync")

    assert [[{"order": "B"}]] == asked(first)
    assert {"B": 2} == world.bookings()


def test_a_wrapper_that_edits_what_names_the_action_is_obeyed(database: Database) -> None:
    """The question is about the action that was begun, whatever the model called it."""
    world = Booking()
    world.drop["B"] = 1

    def wrap(request: Any, handler: Any) -> Any:
        args = {"order": request.tool_call["args"]["order"].replace("A", "B")}
        return handler(request.override(tool_call={**request.tool_call, "args": args}))

    policies = {"book": EffectPolicy(business=lambda a: a["order"])}
    tools = IdempotentToolNode([world.book], database, wrap_tool_call=wrap, policies=policies)
    model = says(call("book", "one", order="A"), call("book", "two", order="C"))
    graph, config = compiled(database, model, tools), thread()
    run, left = database.execute, iter(range(200))

    def bounded(statement: Any) -> Any:
        assert next(left, None) is not None, "it never ends"
        return run(statement)

    database.execute = bounded  # type: ignore[method-assign]
    first = graph.invoke(ASK, config, durability="sync")

    graph.invoke(Command(resume=APPROVE), config, durability="sync")

    assert [[{"order": "B"}]] == asked(first)
    assert {"B": 1, "C": 1} == world.bookings()


def test_two_calls_of_one_id_are_not_taken_for_each_other(database: Database) -> None:
    """A model that repeats an id with other arguments gets an error, never the other's result."""
    world = Booking()
    tools = IdempotentToolNode([world.book], database)
    model = says(call("book", "same", order="A"), call("book", "same", order="B"))
    graph = compiled(database, model, tools)
    try:
        told = [text for _, text in tool_messages(graph.invoke(ASK, thread(), durability="sync"))]
    except LgProductionError:
        told = []

    assert told in ([], ["booked A", "booked B"])
