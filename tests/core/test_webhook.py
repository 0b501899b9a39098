"""A webhook that is signed and retried, against a real HTTP server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_production.core.events import Event, notify
from lg_production.core.webhook import SignatureInvalid, Webhook, sign, verify

KEY = bytes(range(24))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
VECTOR = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CROSSED = Event(
    "budget.threshold", {"tenant": "acme", "threshold": 80, "used": 4.0, "period": None}
)


class Highest(random.Random):
    """Draws the largest value: what is left is the ceiling of the formula."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Receiver:
    """A server that answers as scripted, 200 once the script is over, and keeps what it gets."""

    def __init__(self, *script: Any) -> None:
        self.script, self.requests = list(script), []
        self.gate = threading.Event()
        self.gate.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append((self.path, dict(self.headers), body))
                status, *headers = receiver.script.pop(0) if receiver.script else (200,)
                receiver.gate.wait(20)
                if status is None:  # hang up without a word
                    self.close_connection = True
                    return
                self.send_response(status)
                for header in headers:
                    self.send_header(*header)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/hidden-path"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.requests]

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, _, body in self.requests]


@contextmanager
def receiving(*script: Any) -> Iterator[Receiver]:
    receiver = Receiver(*script)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


@contextmanager
def telling(url: str, **options: Any) -> Iterator[tuple[Webhook, list[float]]]:
    """A webhook and the waits it would have made, all of them the longest possible."""
    waits: list[float] = []
    options = {"random": Highest(), "sleep": waits.append} | options
    with Webhook(url, SECRET, **options) as webhook:
        yield webhook, waits


def told(webhook: Webhook) -> tuple[int, int, int]:
    assert webhook.flush(20)
    return webhook.delivered, webhook.failed, webhook.dropped


# ------------------------------------------------------------------------------- delivery


def test_an_event_arrives_as_json_and_signed():
    """type, timestamp and data; the three headers prove the body to the receiver."""
    with receiving() as receiver, telling(receiver.url) as (webhook, _):
        webhook(CROSSED)

        assert (1, 0, 0) == told(webhook)
    ((path, headers, body),) = receiver.requests
    payload = json.loads(body)
    assert "/hook/hidden-path" == path
    assert ("budget.threshold", dict(CROSSED.attributes)) == (payload["type"], payload["data"])
    assert timedelta(0) == datetime.fromisoformat(payload["timestamp"]).utcoffset()
    assert "application/json" == headers["content-type"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" == headers["webhook-signature"]
    verify(SECRET, headers, body)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, None])
def test_what_may_pass_is_tried_again_under_the_same_id(status):
    """A receiver tells repeats by webhook-id; None is a connection that breaks."""
    with receiving((status,), (status,)) as receiver, telling(receiver.url) as (webhook, waits):
        webhook(CROSSED)

        assert (1, 0, 0) == told(webhook)
    assert 3 == len(receiver.requests)
    assert 1 == len(set(receiver.ids))
    assert 1 == len({body for _, _, body in receiver.requests})
    assert [0.5, 1.0] == waits
    for _, headers, body in receiver.requests:
        verify(SECRET, headers, body)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 422])
def test_what_cannot_pass_is_given_up_at_once(status):
    """A refusal is not tried again, and a redirect is not followed."""
    elsewhere = (status, ("location", "/elsewhere"))
    with receiving(elsewhere) as receiver, telling(receiver.url) as (webhook, waits):
        webhook(CROSSED)
        webhook(Event("next"))

        assert (1, 1, 0) == told(webhook)
    assert ["budget.threshold", "next"] == receiver.types
    assert {"/hook/hidden-path"} == {path for path, _, _ in receiver.requests}
    assert [] == waits


def test_attempts_end_and_waits_double_up_to_the_maximum():
    """min(max_interval, initial_interval * backoff_factor ** n), then it is given up."""
    options = {"max_attempts": 6, "initial_interval": 1, "max_interval": 5}
    script = [(500,)] * 6
    with receiving(*script) as receiver, telling(receiver.url, **options) as (webhook, waits):
        webhook(CROSSED)

        assert (0, 1, 0) == told(webhook)
    assert 6 == len(receiver.requests)
    assert [1, 2, 4, 5, 5] == waits


def test_jitter_is_full():
    """Waits are uniform between nothing and the ceiling, not around it."""
    refuse = httpx.MockTransport(lambda _: httpx.Response(500))
    options = {"initial_interval": 1, "backoff_factor": 1, "max_attempts": 2001}
    drawn = {"random": random.Random(7), "transport": refuse}
    with telling("https://example.com", **options, **drawn) as (webhook, waits):
        webhook(CROSSED)

        assert (0, 1, 0) == told(webhook)
    waits.sort()
    assert 2000 == len(waits)
    assert waits[0] < 0.01
    assert 0.45 < waits[1000] < 0.55
    assert 0.99 < waits[-1] <= 1


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("9", 9),
        ("0.1", 0.5),
        ("86400", 60),
        ("inf", 60),
        ("nan", 0.5),
        ("-3", 0.5),
        ("soon", 0.5),
        pytest.param(
            format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), 60, id="tomorrow"
        ),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.5),
    ],
)
def test_retry_after_is_honoured_up_to_a_cap(asked, waited):
    """Seconds or a date; longer than our wait, but never longer than max_interval."""
    script = (429, ("retry-after", asked))
    with receiving(script) as receiver, telling(receiver.url) as (webhook, waits):
        webhook(CROSSED)

        assert (1, 0, 0) == told(webhook)
    assert [waited] == waits


def test_a_receiver_that_does_not_answer_is_tried_again():
    """The time-out is ours to end, not the receiver's."""
    with receiving() as receiver:
        receiver.gate.clear()

        def let_go(_: float) -> None:
            receiver.gate.set()

        with telling(receiver.url, timeout=0.05, sleep=let_go) as (webhook, _):
            webhook(CROSSED)

            assert (1, 0, 0) == told(webhook)
    assert 2 <= len(receiver.requests)
    assert 1 == len(set(receiver.ids))


def test_nothing_listens():
    """A refused connection is tried as often as any other failure."""
    with receiving() as receiver:
        url = receiver.url
    with telling(url, max_attempts=3) as (webhook, waits):
        webhook(CROSSED)

        assert (0, 1, 0) == told(webhook)
    assert [0.5, 1.0] == waits


def test_gone_ends_it():
    """410: the receiver wants nothing more, so nothing more is sent."""
    with receiving((410,)) as receiver:
        receiver.gate.clear()
        with telling(receiver.url) as (webhook, _):
            for _ in range(3):
                webhook(CROSSED)
            receiver.gate.set()

            assert (0, 1, 2) == told(webhook)
            webhook(CROSSED)
            assert (0, 1, 3) == told(webhook)
    assert 1 == len(receiver.requests)


def test_a_long_answer_is_not_read_to_its_end():
    """A receiver cannot fill our memory."""
    read = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                read.append(1)
                yield b"x" * 4096

    endless = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    with telling("https://example.com", transport=endless) as (webhook, _):
        webhook(CROSSED)

        assert (1, 0, 0) == told(webhook)
    assert 17 == len(read)


# -------------------------------------------------------------------------- the observer


def test_it_never_blocks_and_drops_the_oldest(caplog):
    """The caller goes on while the receiver hangs; a full queue loses its oldest, and says so."""
    started = threading.Event()
    with receiving() as receiver:
        receiver.gate.clear()
        with telling(receiver.url, capacity=2, timeout=20) as (webhook, _):
            webhook(Event("first"))
            while not receiver.requests:
                started.wait(0.01)
            for n in range(6):
                webhook(Event(f"event.{n}"))
            receiver.gate.set()

            assert (3, 0, 4) == told(webhook)
    assert ["first", "event.4", "event.5"] == receiver.types
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [f"webhook to 127.0.0.1: {n} events dropped so far" for n in (1, 2, 4)] == warned


def test_only_the_events_asked_for_are_told():
    """`events` are exact names."""
    with receiving() as receiver, telling(receiver.url, events={"a", "b"}) as (webhook, _):
        notify([webhook], Event("a"))
        notify([webhook], Event("a.more"))
        notify([webhook], Event("b"))

        assert (2, 0, 0) == told(webhook)
    assert ["a", "b"] == receiver.types
    assert 2 == len(set(receiver.ids))


def test_what_json_cannot_say_is_told_as_text():
    """Infinity is no JSON, and one odd value does not lose the event."""
    odd = {"ratio": float("inf"), "none": float("nan"), "when": timedelta(1)}
    with receiving() as receiver, telling(receiver.url) as (webhook, _):
        webhook(Event("odd", odd))

        assert (1, 0, 0) == told(webhook)
    data = json.loads(receiver.requests[0][2], parse_constant=pytest.fail)["data"]
    assert {"ratio": "inf", "none": "nan", "when": "1 day, 0:00:00"} == data


def test_many_threads_lose_nothing():
    """Every event arrives once, whoever tells it."""
    with receiving() as receiver, telling(receiver.url) as (webhook, _):
        threads = [
            threading.Thread(target=lambda t=t: [webhook(Event(f"e.{t}.{n}")) for n in range(25)])
            for t in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (100, 0, 0) == told(webhook)
    assert {f"e.{t}.{n}" for t in range(4) for n in range(25)} == set(receiver.types)
    assert 100 == len(receiver.types)


def test_closing_delivers_what_is_queued_and_twice_is_once():
    """After close nothing is taken, and the loss is counted."""
    with receiving() as receiver:
        with telling(receiver.url) as (webhook, _):
            for _ in range(5):
                webhook(CROSSED)
        webhook.close()
        webhook(CROSSED)

    assert (5, 0, 1) == told(webhook)
    assert 5 == len(receiver.requests)


def test_closing_does_not_wait_for_ever():
    """What cannot be delivered in time is counted and logged; a wait between tries is ended."""
    with receiving(*[(500,)] * 9) as receiver:
        webhook = Webhook(receiver.url, SECRET, initial_interval=3600, max_interval=3600)
        webhook(CROSSED)
        webhook(CROSSED)
        while not receiver.requests:
            threading.Event().wait(0.01)
        webhook.close(timeout=0.05)

    assert (0, 1, 1) == told(webhook)


def test_a_flush_says_when_it_was_not_enough():
    """False while something is still on its way."""
    with receiving() as receiver:
        receiver.gate.clear()
        with telling(receiver.url) as (webhook, _):
            webhook(CROSSED)
            early = webhook.flush(0)
            receiver.gate.set()

            assert [False, True] == [early, webhook.flush(20)]


def test_the_end_of_the_process_waits_a_moment():
    """A script that forgets to close loses nothing."""
    script = (
        "import sys; from lg_production.core.events import Event;"
        "from lg_production.core.webhook import Webhook;"
        "Webhook(sys.argv[1], sys.argv[2])(Event('last.words'))"
    )
    with receiving() as receiver:
        command = [sys.executable, "-c", script, receiver.url, SECRET]
        ended = subprocess.run(command, capture_output=True, timeout=60, check=False)

    assert (0, b"") == (ended.returncode, ended.stderr)
    assert ["last.words"] == receiver.types


# ------------------------------------------------------------------------------- secrets


def test_nothing_secret_is_logged_or_shown(caplog):
    """Neither the secret, nor the URL's path, nor a body: not at any level of any logger."""
    caplog.set_level(logging.DEBUG)
    with receiving((404,), (500,)) as receiver:
        with telling(receiver.url, max_attempts=1) as (webhook, _):
            webhook(Event("a", {"thread_id": "thread-of-ada"}))
            webhook(Event("b", {"thread_id": "thread-of-ada"}))
            told(webhook)
            shown = repr(webhook)

    assert "Webhook(http://127.0.0.1, queued=0)" == shown
    gave_up = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert ["HTTP 404", "HTTP 500"] == [text.rpartition(": ")[2] for text in gave_up]
    for word in ("hidden-path", "thread-of-ada", SECRET, SECRET[6:], "v1,"):
        assert word not in caplog.text


def test_an_errors_text_is_not_logged(caplog):
    """A transport's message may name the URL; the error's type is enough."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot reach {request.url}")

    options = {"transport": httpx.MockTransport(refuse), "max_attempts": 1}
    with telling("https://example.com/hidden-path", **options) as (webhook, _):
        webhook(CROSSED)

        assert (0, 1, 0) == told(webhook)
    assert caplog.text.rstrip().endswith("after 1 attempts: ConnectError")
    assert "hidden-path" not in caplog.text


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/hook", "must use https"),
        ("http://127.0.0.1.example.com/", "must use https"),
        ("http://localhost.example.com/", "must use https"),
        ("http://2130706433.com/", "must use https"),
        ("https://ada:hunter2@example.com/", "credentials"),
        ("ftp://example.com/", "https://host/path"),
        ("https:///path", "https://host/path"),
        ("example.com/hook", "https://host/path"),
        ("", "https://host/path"),
        ("https://exa mple.com:port/", "https://host/path"),
    ],
)
def test_an_url_that_would_leak_is_refused(url, why):
    """https, or loopback; the message repeats nothing but the host."""
    with pytest.raises(ValueError, match=why) as raised:
        Webhook(url, SECRET)

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://example.com", "http://localhost:8000/", "http://[::1]/", "http://127.0.0.9/a"]
)
def test_https_and_loopback_are_taken(url):
    """The operator's URL is otherwise the operator's affair."""
    with Webhook(url, SECRET) as webhook:
        assert webhook.flush(0)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("hunter2hunter2hunter2hunter2", "whsec_"),
        ("whsec_hunter2!", "no base64"),
        ("whsec_é", "no base64"),
        ("whsec_aHVudGVyMg==", "24 to 64"),
        (b"hunter2", "24 to 64"),
        (b"hunter2" * 10, "24 to 64"),
        ("", "whsec_"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret, why):
    """24 to 64 bytes, as the specification wants."""
    with pytest.raises(ValueError, match=why) as raised:
        Webhook("https://example.com", secret)

    assert "hunter2" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    "options",
    [
        {"events": "budget.threshold"},
        {"max_attempts": 0},
        {"capacity": 0},
        {"backoff_factor": 0.5},
        {"initial_interval": 0},
        {"max_interval": float("inf")},
        {"timeout": float("nan")},
    ],
)
def test_settings_that_cannot_work_are_refused(options):
    """At construction, not when the first alert is lost."""
    with pytest.raises(ValueError):
        Webhook("https://example.com", SECRET, **options)


# ----------------------------------------------------------------------------- signatures

NOW = datetime.fromtimestamp(1614265330, UTC)
ID, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {
    "Webhook-Id": ID,
    "Webhook-Timestamp": "1614265330",
    "Webhook-Signature": SIGNATURE,
}


def test_the_test_vector_of_standard_webhooks():
    """From the reference libraries: the same key, id, time and body give this signature."""
    assert SIGNATURE == sign(VECTOR, ID, 1614265330, BODY)
    assert SIGNATURE == sign(base64.b64decode(VECTOR[6:]), ID, 1614265330, BODY)
    verify(VECTOR, HEADERS, BODY, now=NOW)


def test_one_of_several_signatures_is_enough():
    """While a secret is rotated there are two; other schemes stand beside ours."""
    other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    several = f"{other} v1a,abc {SIGNATURE} {other}"

    verify(VECTOR, HEADERS | {"Webhook-Signature": several}, BODY, now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"Webhook-Id": "msg_other"},
        {"Webhook-Timestamp": "1614265331"},
        {"Webhook-Timestamp": "hello"},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1,"},
        {"Webhook-Signature": SIGNATURE[:8]},
        {"Webhook-Signature": SIGNATURE.replace("v1,", "v2,")},
        {"Webhook-Signature": "v1,ü"},
    ],
)
def test_any_change_of_a_header_is_noticed(changed):
    """Id and time are signed too."""
    with pytest.raises(SignatureInvalid):
        verify(VECTOR, HEADERS | changed, BODY, now=NOW)


@pytest.mark.parametrize("name", list(HEADERS))
def test_a_missing_header_is_noticed(name):
    """All three are needed."""
    with pytest.raises(SignatureInvalid):
        verify(VECTOR, {k: v for k, v in HEADERS.items() if k != name}, BODY, now=NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_or_future_timestamp_is_refused(seconds):
    """Five minutes either way, so that a recorded request cannot be sent again."""
    verify(VECTOR, HEADERS, BODY, now=NOW + timedelta(seconds=seconds * 300 / 301))

    with pytest.raises(SignatureInvalid, match="timestamp"):
        verify(VECTOR, HEADERS, BODY, now=NOW + timedelta(seconds=seconds))


@given(st.binary(), st.binary())
def test_another_body_never_passes(body, other):
    """What was signed is what is accepted, and nothing else."""
    headers = HEADERS | {"Webhook-Signature": sign(VECTOR, ID, 1614265330, body)}
    verify(VECTOR, headers, body, now=NOW)

    if other != body:
        with pytest.raises(SignatureInvalid, match="no signature"):
            verify(VECTOR, headers, other, now=NOW)
