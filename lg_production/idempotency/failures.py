"""What an exception says about the effect: not sent, rejected, or nothing at all.

Only what is known is believed. A refused connection was never sent; a 4xx was read and
refused; a time-out, a reset, a 5xx or a cancellation leaves the effect in doubt. Of SMTP's
replies a 4yz was refused for now and a 5yz for good; no reply after DATA is a doubt.
"""

from __future__ import annotations

import itertools
import smtplib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, TypeAlias

from langchain_core.tools import ToolException
from pydantic import ValidationError

from ..core.http import status_of

Verdict: TypeAlias = Literal["not_sent", "rejected", "in_doubt", "unexplained"]

# Names, not classes: the HTTP clients are the user's, and none is imported here.
NEVER_SENT = {
    "ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL",
    "LocalProtocolError", "ClientConnectorError", "NewConnectionError", "NameResolutionError",
    "ConnectTimeoutError",
}  # fmt: skip
IN_DOUBT = {
    "ReadTimeout", "WriteTimeout", "TimeoutException", "Timeout", "ReadError", "WriteError",
    "RemoteProtocolError", "NetworkError", "TransportError", "ConnectionError",
    "ServerDisconnectedError", "ServerTimeoutError", "ClientOSError", "ProtocolError",
    "ChunkedEncodingError", "APITimeoutError", "APIConnectionError", "SMTPServerDisconnected",
}  # fmt: skip
NOT_CARRIED_OUT = {429, 503}
"""Refused for now, before any work: RFC 6585 section 4, RFC 9110 section 15.6.4."""
AMBIGUOUS_STATUS = {408, 409, 423, 425}
SMTP_REFUSALS = (
    smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPAuthenticationError,
    smtplib.SMTPSenderRefused, smtplib.SMTPDataError,
)  # fmt: skip
"""Not their base class: that is raised for QUIT, too, when the letter has been taken."""


def judge(error: BaseException) -> Verdict:
    """What this exception says about the effect.

    `unexplained` is an exception that says nothing about a transport: as much in doubt as
    the others, but likely a fault in the tool, which its author should see.
    """
    if isinstance(error, ValidationError) and _while_parsing(error.__traceback__):
        return "not_sent"
    verdicts = [_judge_one_failure(links) for links in _failures(error)]
    if "in_doubt" in verdicts:
        return "in_doubt"
    # A ToolException says that it failed; only what it was raised from says how.
    said: Verdict = "rejected" if isinstance(error, ToolException) else "unexplained"
    return next((v for v in verdicts if v), said)


def _judge_one_failure(links: list[BaseException]) -> Verdict | None:
    """One failure, told by an exception and its causes: the one that knows it was not sent wins."""
    verdicts = [_judge_one(link) for link in links]
    return next((v for v in ("not_sent", "in_doubt", "rejected") if v in verdicts), None)


def retry_after(error: BaseException) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110 section 10.2.3), or None."""
    for link in itertools.chain.from_iterable(_failures(error)):
        headers: Any = getattr(getattr(link, "response", None), "headers", None)
        value = headers.get("retry-after") if hasattr(headers, "get") else None
        if value is None:
            continue
        try:
            return max(0.0, float(value))
        except ValueError:
            try:
                when = parsedate_to_datetime(value)
            except ValueError:
                return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    return None


def _judge_one(error: BaseException) -> Verdict | None:
    status = status_of(error)
    if status is not None:
        if status in NOT_CARRIED_OUT:
            return "not_sent"
        if 400 <= status < 500 and status not in AMBIGUOUS_STATUS:
            return "rejected"
        return "in_doubt"
    if codes := smtp_codes(error):
        return _by_smtp(codes)
    names = _names(error) | _names(_reason(error))
    if isinstance(error, ConnectionRefusedError | socket.gaierror) or names & NEVER_SENT:
        return "not_sent"
    if isinstance(error, TimeoutError | ConnectionError) or names & IN_DOUBT:
        return "in_doubt"
    return None


def smtp_codes(error: BaseException) -> list[int]:
    """The replies by which an SMTP server refused a letter as a whole; none for other errors."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return [code for code, _ in error.recipients.values()]
    return [error.smtp_code] if isinstance(error, SMTP_REFUSALS) else []


def _by_smtp(codes: list[int]) -> Verdict:
    """Either way the action did not take place: RFC 5321 section 4.2.1."""
    if not all(400 <= code < 600 for code in codes):
        return "in_doubt"
    return "rejected" if min(codes) >= 500 else "not_sent"


def _reason(error: BaseException) -> object:
    """What urllib3 says inside of what requests raises."""
    return getattr(error.args[0], "reason", None) if error.args else None


def _names(error: object) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def _failures(error: BaseException) -> Iterator[list[BaseException]]:
    """The failures that led here, the last first, each with its causes.

    `raise … from` tells the same failure in other words. What was merely being handled
    when another exception was raised, its `__context__`, is an earlier failure.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        failure = [link]
        seen.add(id(link))
        while link.__cause__ is not None and id(link.__cause__) not in seen:
            link = link.__cause__
            failure.append(link)
            seen.add(id(link))
        yield failure
        link = None if link.__suppress_context__ else link.__context__


def _while_parsing(traceback: TracebackType | None) -> bool:
    """Whether LangChain was still reading the arguments, so that the tool never ran."""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_name == "_parse_input" and "langchain_core" in code.co_filename:
            return True
        traceback = traceback.tb_next
    return False
