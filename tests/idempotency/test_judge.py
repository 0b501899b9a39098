"""What an exception says about the effect."""

from __future__ import annotations

import smtplib
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from langchain_core.tools import ToolException, tool
from pydantic import BaseModel, ValidationError

from lg_production.idempotency.failures import judge, retry_after
from lg_production.idempotency.retry import transient

REQUEST = httpx.Request("POST", "http://airline")


def status(code: int, **headers: str) -> httpx.HTTPStatusError:
    response = httpx.Response(code, request=REQUEST, headers=headers)
    return httpx.HTTPStatusError("", request=REQUEST, response=response)


def wrapped(inner: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            raise ToolException("it did not work") from error
    except ToolException as error:
        return error


def refusing(*codes: int) -> smtplib.SMTPRecipientsRefused:
    """What smtplib raises where nobody may have the letter."""
    return smtplib.SMTPRecipientsRefused({f"{code}@b.example": (code, b"no") for code in codes})


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ConnectionRefusedError(), "not_sent"),
        (socket.gaierror(), "not_sent"),
        (httpx.ConnectError("", request=REQUEST), "not_sent"),
        (httpx.ConnectTimeout("", request=REQUEST), "not_sent"),
        (httpx.PoolTimeout("", request=REQUEST), "not_sent"),
        (status(429), "not_sent"),
        (status(503), "not_sent"),
        (status(400), "rejected"),
        (status(401), "rejected"),
        (status(404), "rejected"),
        (status(422), "rejected"),
        (ToolException("no seats"), "rejected"),
        (status(408), "in_doubt"),
        (status(409), "in_doubt"),
        (status(500), "in_doubt"),
        (status(502), "in_doubt"),
        (status(504), "in_doubt"),
        (TimeoutError(), "in_doubt"),
        (ConnectionResetError(), "in_doubt"),
        (BrokenPipeError(), "in_doubt"),
        (httpx.ReadTimeout("", request=REQUEST), "in_doubt"),
        (httpx.RemoteProtocolError("", request=REQUEST), "in_doubt"),
        (wrapped(TimeoutError()), "in_doubt"),
        (wrapped(ConnectionRefusedError()), "not_sent"),
        (smtplib.SMTPDataError(451, b"try again later"), "not_sent"),
        (smtplib.SMTPConnectError(421, b"busy"), "not_sent"),
        (smtplib.SMTPSenderRefused(452, b"full", "a@b.example"), "not_sent"),
        (refusing(450, 550), "not_sent"),
        (refusing(550, 553), "rejected"),
        (smtplib.SMTPDataError(554, b"no"), "rejected"),
        (smtplib.SMTPDataError(-1, b"?"), "in_doubt"),
        (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "in_doubt"),
        (smtplib.SMTPResponseException(421, b"what QUIT was told"), "unexplained"),
        (wrapped(smtplib.SMTPDataError(451, b"later")), "not_sent"),
        (ValueError("?"), "unexplained"),
        (KeyError("id"), "unexplained"),
    ],
    ids=repr,
)
def test_only_what_is_known_is_believed(error, verdict):
    """Not sent, rejected, or in doubt; a time-out hidden in a ToolException is still one."""
    assert verdict == judge(error)


def test_arguments_that_do_not_validate_were_never_sent():
    """The model's bad arguments stop before the tool; a bad answer inside it does not."""

    class Answer(BaseModel):
        n: int

    @tool
    def count(n: int) -> str:
        """Count."""
        return str(Answer(n="many").n)

    with pytest.raises(ValidationError) as before:
        count.invoke({"n": "x"})
    with pytest.raises(ValidationError) as inside:
        count.invoke({"n": 1})

    assert "not_sent" == judge(before.value)
    assert "unexplained" == judge(inside.value)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422])
def test_what_waiting_cannot_cure_is_not_retried(code):
    """Never validation, authentication or another 4xx."""
    assert not transient(status(code))


@pytest.mark.parametrize(
    "error", [status(429), status(503), status(500), TimeoutError(), ConnectionRefusedError()]
)
def test_what_waiting_may_cure_is_retried(error):
    """429, 5xx, refused connections, time-outs."""
    assert transient(error)


def test_retry_after_is_read_in_both_forms():
    """Seconds or a date (RFC 9110 section 10.2.3)."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)

    assert 7 == retry_after(status(429, **{"retry-after": "7"}))
    assert 95 < retry_after(status(503, **{"retry-after": date})) <= 100
    assert retry_after(status(503, **{"retry-after": "soon"})) is None
    assert retry_after(ValueError()) is None
