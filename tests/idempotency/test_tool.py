"""What a user sees of IdempotentToolNode, in a graph, on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import psycopg
import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import InjectedStore
from langgraph.types import Command, interrupt
from langgraph.types import RetryPolicy as GraphRetryPolicy

from lg_production import (
    Checkpointer,
    EffectPolicy,
    Happened,
    Idempotent,
    IdempotentToolNode,
    InjectedConnection,
    InjectedIdempotencyKey,
    NotHappened,
    RetryPolicy,
    current_effect,
    tool_node,
)
from lg_production.errors import IdempotencyConflict, NotDurable
from lg_production.idempotency import maintenance
from lg_production.idempotency.attempt import Unrecorded
from lg_production.idempotency.tool import TwoRetryLayers
from tests.graphs_for_tests import ASK, agent, call, says, thread

AT_ONCE = RetryPolicy(initial_interval=0.001)


@dataclass
class Airline:
    """The outside world: what really happened, and how it answers."""

    booked: list[str]
    failures: list[Exception]

    def book(self, flight: str) -> str:
        self.booked.append(flight)
        if self.failures:
            raise self.failures.pop(0)
        return f"booked {flight}"


@pytest.fixture
def airline() -> Airline:
    return Airline([], [])


@pytest.fixture
def book(airline: Airline) -> Any:
    @tool
    def book(flight: str) -> str:
        """Book a flight."""
        return airline.book(flight)

    return book


def compiled(database, node, *calls, **options):
    model = says(*(calls or (call("book", "call-1", flight="LIS"),)))
    return agent(model, node, **options).compile(checkpointer=Checkpointer(database))


def answers(state: dict[str, Any]) -> list[str]:
    return [m.content for m in state["messages"] if isinstance(m, ToolMessage)]


def states(database) -> list[str]:
    return sorted(e.effect.state for e in database.execute(maintenance.entries()))


def decide(*decisions: dict[str, Any]) -> Command[Any]:
    return Command(resume={"decisions": list(decisions)})


def test_a_call_runs_once_and_is_recorded(database, book, airline):
    """One row, succeeded, with the arguments and the evidence beside it."""
    config = thread()
    result = compiled(database, IdempotentToolNode([book], database)).invoke(ASK, config)

    assert ["booked LIS"] == answers(result)
    assert ["LIS"] == airline.booked
    (entry,) = database.execute(maintenance.entries())
    assert ("succeeded", "surface", {"flight": "LIS"}) == (
        entry.effect.state, entry.recovery, entry.arguments,
    )  # fmt: skip
    assert config["configurable"]["thread_id"] == entry.thread_id
    assert {"task_id", "checkpoint_id", "checkpoint_ns", "run_id", "node_attempt"} == set(
        entry.evidence
    )


def test_time_travel_replays(database, book, airline):
    """Running again from before the call serves the record, marked as replayed."""
    graph = compiled(database, IdempotentToolNode([book], database))
    config = thread()
    graph.invoke(ASK, config)
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))

    result = graph.invoke(None, before.config)

    assert ["LIS"] == airline.booked
    (message,) = [m for m in result["messages"] if isinstance(m, ToolMessage)]
    assert {"replayed": True, "attempt": 1} == message.additional_kwargs["lg_production"]


def test_the_graph_retrying_the_node_runs_nothing_twice(database, book, airline):
    """A RetryPolicy re-runs the whole node: the finished sibling is replayed."""
    tries = []

    @tool
    def unlucky(n: int) -> str:
        """Fail once, before anything is sent."""
        tries.append(n)
        if len(tries) == 1:
            raise ConnectionRefusedError
        return "ok"

    node = IdempotentToolNode([book, unlucky], database)
    builder = agent(says(call("book", flight="LIS"), call("unlucky", n=1)), node)
    builder.nodes["tools"].retry_policy = GraphRetryPolicy(
        initial_interval=0.01, retry_on=ConnectionRefusedError
    )
    result = builder.compile(checkpointer=Checkpointer(database)).invoke(ASK, thread())

    assert ["booked LIS", "ok"] == answers(result)
    assert (["LIS"], 2) == (airline.booked, len(tries))


@pytest.mark.parametrize(
    ("decision", "booked", "answer"),
    [
        ({"type": "approve"}, ["LIS", "LIS"], "booked LIS"),
        ({"type": "respond", "message": "booked, seat 3"}, ["LIS"], "booked, seat 3"),
        ({"type": "reject"}, ["LIS"], "book was not carried out: a person decided so."),
    ],
)
def test_a_person_settles_what_is_in_doubt(database, book, airline, decision, booked, answer):
    """approve runs it again, respond takes the result, reject leaves it."""
    airline.failures.append(TimeoutError())
    graph = compiled(database, IdempotentToolNode([book], database))
    config = thread()
    asked = graph.invoke(ASK, config)["__interrupt__"][0].value

    result = graph.invoke(decide(decision), config)

    assert [{"action_name": "book", "allowed_decisions": ["approve", "respond", "reject"]}] == (
        asked["review_configs"]
    )
    assert {"flight": "LIS"} == asked["action_requests"][0]["args"]
    assert [answer] == answers(result)
    assert booked == airline.booked


@pytest.mark.parametrize(
    "garbage",
    ["yes", True, {"decisions": []}, {"type": "edit"}, [{"type": "respond"}], {"a": 1}, 7],
)
def test_garbage_is_no_decision(database, book, airline, garbage):
    """An answer that is none leaves the question open, and says why."""
    airline.failures.append(TimeoutError())
    graph = compiled(database, IdempotentToolNode([book], database))
    config = thread()
    graph.invoke(ASK, config)

    again = graph.invoke(Command(resume=garbage), config)

    assert "not understood" in again["__interrupt__"][0].value["action_requests"][0]["description"]
    assert ["LIS"] == airline.booked
    respond = {"type": "respond", "message": "seat 3"}
    assert ["seat 3"] == answers(graph.invoke(decide(respond), config))


@pytest.mark.parametrize(
    "answer",
    [[{"type": "response", "args": "seat 3"}], {"type": "respond", "message": "seat 3"}],
)
def test_agent_inbox_and_a_bare_decision_are_understood(database, book, airline, answer):
    """The three shapes in which today's tools answer."""
    airline.failures.append(TimeoutError())
    graph = compiled(database, IdempotentToolNode([book], database))
    config = thread()
    graph.invoke(ASK, config)

    assert ["seat 3"] == answers(graph.invoke(Command(resume=answer), config))


def test_a_native_key_is_sent_again_by_itself(database, airline):
    """A time-out after the booking: the same key again, and the provider replays."""
    seen: list[str] = []

    @tool
    def book(flight: str, key: Annotated[str, InjectedIdempotencyKey()]) -> str:
        """Book a flight."""
        seen.append(key)
        if key in seen[:-1]:
            return f"booked {flight}"
        return airline.book(flight)

    airline.failures.append(TimeoutError())
    policy = EffectPolicy(recovery="native_key", native_ttl=timedelta(hours=1), retry=AT_ONCE)
    node = IdempotentToolNode([book], database, policies={"book": policy})
    result = compiled(database, node).invoke(ASK, thread())

    assert ["booked LIS"] == answers(result)
    assert ["LIS"] == airline.booked
    assert 1 == len(set(seen))
    assert "key" not in book.tool_call_schema.model_json_schema()["properties"]


def test_the_model_cannot_choose_the_key(database):
    """What the model puts into the injected argument is thrown away."""
    seen: list[str] = []

    @tool
    def book(flight: str, key: Annotated[str, InjectedIdempotencyKey()]) -> str:
        """Book a flight."""
        seen.append(key)
        return flight

    policy = EffectPolicy(recovery="native_key", native_ttl=timedelta(hours=1))
    node = IdempotentToolNode([book], database, policies={"book": policy})
    compiled(database, node, call("book", flight="LIS", key="mine")).invoke(ASK, thread())

    assert "mine" != seen[0]
    assert 64 == len(seen[0])


def test_a_forgotten_native_key_is_a_question(database, airline, book):
    """Past native_ttl the provider may book again: a person is asked."""
    airline.failures.extend([TimeoutError(), TimeoutError()])
    policy = EffectPolicy(recovery="native_key", native_ttl=timedelta(microseconds=1))
    node = IdempotentToolNode([book], database, policies={"book": policy})
    graph = compiled(database, node)
    config = thread()

    assert "__interrupt__" in graph.invoke(ASK, config)
    assert ["LIS"] == airline.booked


@pytest.mark.parametrize(
    ("found", "booked", "answer"),
    [
        (Happened("booked LIS"), ["LIS"], "booked LIS"),
        (NotHappened(), ["LIS", "LIS"], "booked LIS"),
    ],
)
def test_a_probe_settles_the_doubt(database, book, airline, found, booked, answer):
    """Happened is recorded; NotHappened runs again, by the retry that was declared."""
    airline.failures.append(TimeoutError())
    policy = EffectPolicy(recovery="probe", probe=lambda key, arguments: found, retry=AT_ONCE)
    node = IdempotentToolNode([book], database, policies={"book": policy})

    assert [answer] == answers(compiled(database, node).invoke(ASK, thread()))
    assert booked == airline.booked


def test_a_transactional_tool_commits_with_its_record(database):
    """The tool's rows and the ledger's row are there together or not at all."""
    with database.connection() as connection:
        connection.execute("CREATE TABLE bookings (flight text)")
    fail = [True]

    @tool
    def book(flight: str, connection: Annotated[psycopg.Connection, InjectedConnection()]) -> str:
        """Book a flight."""
        connection.execute("INSERT INTO bookings VALUES (%s)", (flight,))
        if fail.pop():
            raise ValueError("after the insert")
        return "booked"

    node = IdempotentToolNode(
        [book], database, policies={"book": EffectPolicy(recovery="transactional")}
    )
    graph = compiled(database, node)
    config = thread()
    with pytest.raises(ValueError, match="after the insert"):
        graph.invoke(ASK, config)
    nothing = states(database)
    fail.append(False)
    asyncio.run(graph.ainvoke(None, config))
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))
    graph.invoke(None, before.config)

    assert ([], ["succeeded"]) == (nothing, states(database))
    with database.connection() as connection:
        assert [("LIS",)] == connection.execute("SELECT flight FROM bookings").fetchall()


def test_mcp_annotations_are_the_default(database, book, airline):
    """readOnlyHint: no row. idempotentHint: it may run again."""
    book.metadata = {"readOnlyHint": True}
    compiled(database, IdempotentToolNode([book], database)).invoke(ASK, thread())
    read_only = states(database)
    book.metadata = {"idempotentHint": True}
    compiled(database, IdempotentToolNode([book], database)).invoke(ASK, thread())

    assert [] == read_only
    assert "at_least_once" == database.execute(maintenance.entries())[0].recovery


def test_exit_durability_is_refused_before_any_effect(database, book, airline):
    """With durability="exit" no checkpoint comes first."""
    graph = compiled(database, IdempotentToolNode([book], database))
    with pytest.raises(NotDurable, match="exit"):
        graph.invoke(ASK, thread(), durability="exit")

    assert [] == airline.booked
    assert [] == states(database)


def test_another_checkpointer_needs_an_explicit_word(database, book, airline):
    """InMemorySaver writes no checkpoint here: refused, unless barrier=False."""

    def graph(**options):
        node = IdempotentToolNode([book], database, **options)
        return agent(says(call("book", flight="LIS")), node).compile(checkpointer=InMemorySaver())

    with pytest.raises(NotDurable, match="barrier=False"):
        graph(barrier_timeout=timedelta(seconds=0.1)).invoke(ASK, thread())
    assert [] == airline.booked

    graph(barrier=False).invoke(ASK, thread())
    assert ["LIS"] == airline.booked


def test_a_graph_without_checkpointer_says_what_to_do(database, book, airline):
    """Nothing to resume from: refused, with the remedy."""
    graph = agent(says(call("book", flight="LIS")), IdempotentToolNode([book], database)).compile()
    with pytest.raises(NotDurable, match="checkpointer"):
        graph.invoke(ASK)

    assert [] == airline.booked


def test_the_same_key_with_other_arguments_is_a_conflict(database, book, airline):
    """Stripe's rule: one key, one request."""
    business = EffectPolicy(business=lambda arguments: "order-1")
    node = IdempotentToolNode([book], database, policies={"book": business})
    compiled(database, node).invoke(ASK, thread())
    with pytest.raises(IdempotencyConflict):
        compiled(database, node, call("book", flight="OPO")).invoke(ASK, thread())

    assert ["LIS"] == airline.booked


def test_a_business_key_holds_across_threads(database, book, airline):
    """Two conversations that mean the same order book once."""
    business = EffectPolicy(business=lambda arguments: arguments["flight"])
    node = IdempotentToolNode([book], database, policies={"book": business})
    first = compiled(database, node).invoke(ASK, thread())
    second = compiled(database, node, call("book", "other", flight="LIS")).invoke(ASK, thread())

    assert ["LIS"] == airline.booked
    assert answers(first) == answers(second)
    assert "other" == next(m for m in second["messages"] if isinstance(m, ToolMessage)).tool_call_id


def test_a_model_that_asks_again_is_told_that_it_is_done(database, book, airline):
    """Within the window the same words are the same action; after it, a new one."""

    def twice(state):
        asked = sum(isinstance(m, AIMessage) for m in state["messages"])
        calls = [call("book", flight="LIS")] if asked < 3 else []
        return {"messages": [AIMessage("", tool_calls=calls)]}

    def answers_with(window: timedelta) -> list[str]:
        policy = EffectPolicy(window=window)
        node = IdempotentToolNode([book], database, policies={"book": policy})
        graph = agent(twice, node).compile(checkpointer=Checkpointer(database))
        return answers(graph.invoke(ASK, thread()))

    done = "Already done. This is the recorded result:\nbooked LIS"

    assert ["booked LIS", done, done] == answers_with(timedelta(hours=1))
    assert ["LIS"] == airline.booked
    assert ["booked LIS"] * 3 == answers_with(timedelta(microseconds=1))


def test_commands_artifacts_and_blocks_replay_unchanged(database):
    """The record is the outcome, whatever its shape."""

    @tool(response_format="content_and_artifact")
    def with_artifact(n: int) -> tuple[str, dict[str, Any]]:
        """Return an artifact."""
        return "text", {"n": n}

    @tool
    def with_blocks(n: int) -> list[dict[str, Any]]:
        """Return content blocks."""
        return [{"type": "text", "text": str(n)}]

    @tool
    def with_command(n: int, runtime: Any = None) -> Any:
        """Return a command."""
        return Command(update={"messages": [ToolMessage(f"c{n}", tool_call_id="call-3")]})

    calls = [
        call("with_artifact", "call-1", n=1),
        call("with_blocks", "call-2", n=2),
        call("with_command", "call-3", n=3),
    ]
    node = IdempotentToolNode([with_artifact, with_blocks, with_command], database)
    graph = compiled(database, node, *calls)
    config = thread()
    first = graph.invoke(ASK, config)
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))
    again = graph.invoke(None, before.config)

    def shape(state):
        messages = [m for m in state["messages"] if isinstance(m, ToolMessage)]
        return [(m.content, m.artifact, m.tool_call_id, m.status) for m in messages]

    assert shape(first) == shape(again)
    assert ("text", {"n": 1}, "call-1", "success") == shape(again)[0]
    assert all(
        m.additional_kwargs["lg_production"]["replayed"]
        for m in again["messages"]
        if isinstance(m, ToolMessage)
    )


class Ticket:
    """A class that no allow-list names and msgpack does not know."""


def test_a_result_that_cannot_be_serialised_still_happened(database):
    """LangGraph cannot checkpoint it either, but a resume does not book again."""
    runs = []

    @tool(response_format="content_and_artifact")
    def book(flight: str) -> tuple[str, Any]:
        """Book a flight."""
        runs.append(flight)
        return "booked", Ticket()

    graph = compiled(database, IdempotentToolNode([book], database), call("book", flight="LIS"))
    config = thread()
    with pytest.warns(Unrecorded, match="book"), pytest.raises(TypeError):
        graph.invoke(ASK, config)

    assert ["booked"] == answers(graph.invoke(None, config))
    assert (["LIS"], ["succeeded"]) == (runs, states(database))


def test_a_result_that_is_too_large_is_replaced_in_the_record_only(database):
    """The run gets it whole; a replay gets a placeholder that says so."""

    @tool
    def fetch(n: int) -> str:
        """Return ten megabytes."""
        return "x" * 10_000_000

    graph = compiled(database, IdempotentToolNode([fetch], database), call("fetch", n=1))
    config = thread()
    with pytest.warns(Unrecorded, match="too large"):
        first = graph.invoke(ASK, config)
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))
    again = graph.invoke(None, before.config)

    assert [10_000_000] == [len(a) for a in answers(first)]
    assert "not recorded: it is too large" in answers(again)[0]
    assert ["succeeded"] == states(database)


def test_two_retry_layers_are_pointed_out(database):
    """Ours and LangGraph's multiply: a warning says so."""

    @tool
    def book(flight: str) -> str:
        """Never reach the airline."""
        raise ConnectionRefusedError

    policy = EffectPolicy(recovery="at_least_once", retry=AT_ONCE)
    node = IdempotentToolNode([book], database, policies={"book": policy})
    builder = agent(says(call("book", flight="LIS")), node)
    builder.nodes["tools"].retry_policy = GraphRetryPolicy(
        initial_interval=0.01, max_attempts=2, retry_on=ConnectionRefusedError
    )
    graph = builder.compile(checkpointer=Checkpointer(database))
    with pytest.warns(TwoRetryLayers), pytest.raises(ConnectionRefusedError):
        graph.invoke(ASK, thread())


def test_a_rejected_call_is_final_and_the_model_is_told(database):
    """A ToolException that ToolNode hands to the model is handed out again at a replay."""
    runs = []

    @tool
    def book(flight: str) -> str:
        """Refuse."""

        runs.append(flight)
        raise ToolException("no seats")

    graph = compiled(database, IdempotentToolNode([book], database, handle_tool_errors=True))
    config = thread()
    first = graph.invoke(ASK, config)
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))
    again = graph.invoke(None, before.config)

    assert answers(first) == answers(again)
    assert (1, ["failed_final"]) == (len(runs), states(database))


def test_a_doubt_never_becomes_an_error_message(database, book, airline):
    """handle_tool_errors=True would tell the model to try again; a person is asked instead."""
    airline.failures.append(TimeoutError())
    node = IdempotentToolNode([book], database, handle_tool_errors=True)

    assert "__interrupt__" in compiled(database, node).invoke(ASK, thread())


@pytest.mark.parametrize(
    ("policies", "problem"),
    [
        ({"buk": EffectPolicy()}, "buk"),
        ({"book": EffectPolicy(recovery="transactional")}, "InjectedConnection"),
    ],
)
def test_policies_that_cannot_be_meant_are_refused(database, book, policies, problem):
    """At construction, before anything runs."""
    with pytest.raises(ValueError, match=problem):
        IdempotentToolNode([book], database, policies=policies)


@pytest.mark.parametrize(
    "arguments",
    [
        {"recovery": "native_key"},
        {"native_ttl": timedelta(hours=1)},
        {"recovery": "probe"},
        {"window": timedelta(0)},
        {"window": timedelta(1), "business": str},
        {"compensate": print, "store_arguments": False},
        {"recovery": "sometimes"},
        {"recover": "surface"},
    ],
)
def test_a_policy_must_agree_with_itself(arguments):
    """Ambiguity is refused, with the reason."""
    with pytest.raises(ValueError):
        EffectPolicy(**arguments)


def test_the_current_effect_is_there_for_every_tool(database):
    """current_effect() holds the native key, sync and async, and nothing outside."""
    seen = []

    @tool
    async def peek(n: int) -> str:
        """Look."""
        seen.append(current_effect())
        return "ok"

    graph = compiled(database, IdempotentToolNode([peek], database), call("peek", n=1))
    asyncio.run(graph.ainvoke(ASK, thread()))

    (entry,) = database.execute(maintenance.entries())
    assert entry.effect.native_key == seen[0].native_key
    assert current_effect() is None


def test_the_wrapper_in_a_plain_tool_node_does_the_same(database, book, airline):
    """tool_node(tools, Idempotent(database)) is IdempotentToolNode without its questions."""
    graph = compiled(database, tool_node([book], Idempotent(database)))
    config = thread()
    graph.invoke(ASK, config)
    before = next(s for s in graph.get_state_history(config) if s.next == ("tools",))
    graph.invoke(None, before.config)

    assert ["LIS"] == airline.booked


def test_two_tools_that_ask_get_their_own_answers(database):
    """A finished tool's answer is not handed to its sibling when only that one runs again."""
    asked = []

    @tool
    def ask(q: str) -> str:
        """Ask a person."""
        answer = interrupt(q)
        asked.append((q, answer))
        return str(answer)

    graph = compiled(
        database,
        IdempotentToolNode([ask], database),
        call("ask", "a", q="book?"),
        call("ask", "b", q="delete PRODUCTION?"),
    )
    config = thread()
    state = graph.invoke(ASK, config)
    while "__interrupt__" in state:
        question = state["__interrupt__"][0].value
        state = graph.invoke(Command(resume="yes" if question == "book?" else "no"), config)

    assert {("book?", "yes"), ("delete PRODUCTION?", "no")} == set(asked)


def test_what_never_reached_the_tool_was_never_sent(database):
    """A missing store stops ToolNode before the tool: the call may simply run again."""

    @tool
    def remember(n: int, store: Annotated[Any, InjectedStore()]) -> str:
        """Write into the store."""
        return "ok"

    graph = compiled(database, IdempotentToolNode([remember], database), call("remember", n=1))
    with pytest.raises(ValueError, match="store"):
        graph.invoke(ASK, thread())

    assert ["failed_retryable"] == states(database)
