"""Webhook: an observer that tells another system, signed and retried.

The format is that of Standard Webhooks 1.0.0 (github.com/standard-webhooks): every attempt
is signed anew over `id.timestamp.body`; the id stays, so that a receiver can tell repeats.
Between attempts there is full jitter: `uniform(0, min(max_interval, initial_interval *
backoff_factor ** n))` (M. Brooker, "Exponential Backoff And Jitter", AWS, 2015).
"""

from __future__ import annotations

import atexit
import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random, SystemRandom
from typing import Any, Self
from uuid import uuid4

import httpx

from ..errors import LgProductionError
from .events import Event

logger = logging.getLogger("lg_production")

PREFIX = "whsec_"
AT_EXIT = 2.0
"""Seconds that the end of the process waits for what is still to be delivered."""
DRAINED = 65_536
"""Bytes of an answer that are read, so that its connection can be used again."""
WORTH_RETRYING = {408, 425, 429}


class SignatureInvalid(LgProductionError):
    """A webhook's signature does not prove who sent it, or when. Do not act on it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way. `id` is the same at every attempt."""

    id: str
    name: str
    body: bytes

    @classmethod
    def of(cls, event: Event) -> Delivery:
        """The event as JSON: `type`, `timestamp` of now, and the attributes as `data`."""
        told = {
            "type": event.name,
            "timestamp": datetime.now(UTC).isoformat(),
            "data": {name: _plain(value) for name, value in event.attributes.items()},
        }
        body = json.dumps(told, separators=(",", ":"), default=str).encode()
        return cls(f"msg_{uuid4().hex}", event.name, body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt: a status, or the name of the error that prevented one."""

    status: int | None
    error: str = ""
    retry_after: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def worth_retrying(self) -> bool:
        """No answer, 408, 425, 429 and 5xx. A redirect is not followed and not retried."""
        return self.status is None or self.status in WORTH_RETRYING or self.status >= 500

    def __str__(self) -> str:
        return self.error or f"HTTP {self.status}"


class Webhook:
    """An observer that POSTs events to `url` from a thread of its own.

    It never blocks or fails what is observed: events wait in a queue of `capacity`, and when
    that is full the oldest is dropped, counted in `dropped`, and a warning is logged. An
    event that is not taken after `max_attempts`, or is refused for good, counts in `failed`.
    Events are sent one after another, so one that is retried holds up those behind it. What
    is queued lives in memory only: a killed process loses it.

    `secret` is `whsec_` and base64, or the 24 to 64 bytes themselves. `events` are the names
    to tell of; None is all. Intervals and `timeout` are in seconds; `timeout` bounds each
    connect, write and read. A Retry-After of the receiver is honoured up to `max_interval`.
    After a 410 nothing more is sent. `url` must be https, except on loopback; redirects are
    not followed, and no proxy is read from the environment: give `transport`, for example
    `httpx.HTTPTransport(proxy=…)`. It is closed with the webhook.

    The process waits for the queue for a moment when it ends. Call `close`, or use it as a
    context manager, to choose for how long. Raises `ValueError` for what cannot work.
    """

    def __init__(
        self,
        url: str,
        secret: str | bytes,
        *,
        events: Collection[str] | None = None,
        max_attempts: int = 8,
        initial_interval: float = 0.5,
        backoff_factor: float = 2.0,
        max_interval: float = 60.0,
        timeout: float = 10.0,
        capacity: int = 1000,
        transport: httpx.BaseTransport | None = None,
        random: Random | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        if isinstance(events, str):
            raise ValueError("events are names, in a collection: {'budget.threshold'}")  # noqa: TRY004
        if max_attempts < 1 or capacity < 1 or backoff_factor < 1:
            raise ValueError("max_attempts, capacity and backoff_factor are at least 1")
        if not all(0 < seconds < math.inf for seconds in (initial_interval, max_interval, timeout)):
            raise ValueError("initial_interval, max_interval and timeout are seconds above 0")
        self._url, self._key = _checked(url), _key(secret)
        self.events = None if events is None else frozenset(events)
        self.max_attempts, self.initial_interval = max_attempts, initial_interval
        self.backoff_factor, self.max_interval = backoff_factor, max_interval
        self.timeout, self.capacity = timeout, capacity
        self.delivered = self.failed = self.dropped = 0
        self._transport = transport or httpx.HTTPTransport(trust_env=False)
        self._random, self._sleep = random or SystemRandom(), sleep or self._wait
        self._changed = threading.Condition()
        self._pending: deque[Delivery] = deque()
        self._in_flight = self._stopped = False
        self._thread: threading.Thread | None = None
        atexit.register(self.close, AT_EXIT)

    def __repr__(self) -> str:
        return f"Webhook({self._url.scheme}://{self._url.host}, queued={len(self._pending)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ----------------------------------------------------------------------- the observer

    def __call__(self, event: Event) -> None:
        """Queue the event, and return."""
        if self.events is not None and event.name not in self.events:
            return
        delivery = Delivery.of(event)
        with self._changed:
            dropped = self._queue(delivery)
            count = self.dropped
        if dropped and count.bit_count() == 1:  # the 1st, 2nd, 4th, …: a warning, no flood
            logger.warning("webhook to %s: %d events dropped so far", self._url.host, count)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait for the queue to empty, at most so many seconds; whether it did."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Deliver what can be delivered within so many seconds, and stop. Twice is once."""
        atexit.unregister(self.close)
        self.flush(timeout)
        with self._changed:
            left, self._stopped = len(self._pending), True
            self._pending.clear()
            self.dropped += left
            self._changed.notify_all()
            thread = self._thread
        if left:
            logger.warning("webhook to %s: closed with %d undelivered", self._url.host, left)
        if thread is None:
            self._transport.close()
        else:
            thread.join(min(timeout, 1.0))

    # ------------------------------------------------------------------- the other thread

    def _queue(self, delivery: Delivery) -> bool:
        """Add it; whether an event was lost to that. The lock is held."""
        full = len(self._pending) >= self.capacity
        self.dropped += full or self._stopped
        if self._stopped:
            return True
        if full:
            self._pending.popleft()
        self._pending.append(delivery)
        if self._thread is None or not self._thread.is_alive():  # none yet, or lost to a fork
            self._thread = threading.Thread(
                target=self._run, name="lg_production-webhook", daemon=True
            )
            self._thread.start()
        self._changed.notify_all()
        return full

    def _is_idle(self) -> bool:
        return not (self._pending or self._in_flight)

    def _run(self) -> None:
        try:
            while delivery := self._next():
                self._deliver(delivery)
        finally:
            self._transport.close()

    def _next(self) -> Delivery | None:
        with self._changed:
            self._in_flight = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pending or self._stopped)
            if self._stopped:
                return None
            self._in_flight = True
            return self._pending.popleft()

    def _deliver(self, delivery: Delivery) -> None:
        ceiling = min(self.initial_interval, self.max_interval)
        for attempt in range(1, self.max_attempts + 1):
            answer = self._attempt(delivery)
            if answer.delivered:
                self.delivered += 1
                return
            if attempt == self.max_attempts or self._stopped or not answer.worth_retrying:
                break
            asked = min(answer.retry_after, self.max_interval)
            self._sleep(max(self._random.uniform(0, ceiling), asked))  # close() ends it early
            ceiling = min(self.max_interval, ceiling * self.backoff_factor)
        self._give_up(delivery, attempt, answer)

    def _give_up(self, delivery: Delivery, attempts: int, answer: Answer) -> None:
        self.failed += 1
        logger.error(
            "webhook to %s: gave up on %s %s after %d attempts: %s",
            self._url.host, delivery.name, delivery.id, attempts, answer,
        )  # fmt: skip
        if answer.status == 410:
            with self._changed:
                self.dropped += len(self._pending)
                self._pending.clear()
                self._stopped = True
            logger.error("webhook to %s: gone (410), nothing more is sent", self._url.host)

    def _attempt(self, delivery: Delivery) -> Answer:
        try:
            response = self._transport.handle_request(self._request(delivery))
        except Exception as error:  # noqa: BLE001 - its text may name the URL, its type does not
            return Answer(None, type(error).__name__)
        with suppress(Exception):
            _drain(response)
        return Answer(response.status_code, retry_after=_retry_after(response.headers))

    def _request(self, delivery: Delivery) -> httpx.Request:
        """A request for the transport: httpx's client would log the URL, which may be secret."""
        seconds = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "lg_production",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(self._key, delivery.id, seconds, delivery.body),
        }
        limits = httpx.Timeout(self.timeout).as_dict()
        return httpx.Request(
            "POST", self._url, headers=headers, content=delivery.body,
            extensions={"timeout": limits},
        )  # fmt: skip

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)


def sign(secret: str | bytes, id: str, timestamp: int, body: bytes) -> str:  # noqa: A002
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, as Standard Webhooks says."""
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def verify(
    secret: str | bytes,
    headers: Mapping[str, str],
    body: bytes,
    tolerance: timedelta = timedelta(minutes=5),
    *,
    now: datetime | None = None,
) -> None:
    """Check a webhook that was received; raises `SignatureInvalid` unless it is genuine.

    `body` is the request's, byte for byte. A timestamp further from `now` than `tolerance`
    is refused. Any one of several signatures may match. An attempt may arrive twice: keep
    `webhook-id` for as long as `tolerance`, and act once.
    """
    told = {name.lower(): value for name, value in headers.items()}
    try:
        id_, seconds = told["webhook-id"], int(told["webhook-timestamp"])
        given = told["webhook-signature"].encode().split()
    except (KeyError, ValueError):
        raise SignatureInvalid("(a webhook- header is missing or malformed)") from None
    age = abs((now or datetime.now(UTC)).timestamp() - seconds)
    if age > tolerance.total_seconds():
        raise SignatureInvalid("(its timestamp is too far from now)")
    expected = sign(secret, id_, seconds, body).encode()
    if not any([hmac.compare_digest(expected, one) for one in given]):  # noqa: C419 - constant time
        raise SignatureInvalid("(no signature matches)")


def _key(secret: str | bytes) -> bytes:
    """The key behind a secret. No message says what the secret is."""
    if isinstance(secret, bytes):
        key = secret
    elif not secret.startswith(PREFIX):
        raise ValueError("a webhook's secret is 'whsec_' and base64, or bytes")
    else:
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("what follows 'whsec_' in a webhook's secret is no base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a webhook's secret has 24 to 64 bytes: secrets.token_bytes(32)")
    return key


def _checked(url: str) -> httpx.URL:
    """The URL, if events may be sent there. No message says more of it than its host."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("the webhook's URL is none; write https://host/path") from None
    if parsed.userinfo:
        raise ValueError("the webhook's URL has credentials in it; the signature is the proof")
    if not parsed.host or parsed.scheme not in ("https", "http"):
        raise ValueError("the webhook's URL must be https://host/path")
    if parsed.scheme == "http" and not _is_loopback(parsed.host):
        raise ValueError(f"the webhook to {parsed.host} must use https; http is for loopback only")
    return parsed


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _drain(response: httpx.Response) -> None:
    read = 0
    try:
        for chunk in response.iter_raw():
            read += len(chunk)
            if read > DRAINED:
                break
    finally:
        response.close()


def _retry_after(headers: httpx.Headers) -> float:
    """Seconds that a Retry-After asks for (RFC 9110 section 10.2.3); 0 without one."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else 0.0
