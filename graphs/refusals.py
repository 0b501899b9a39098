"""What a provider has refused: nothing happened, and the model can do something else about it."""

from __future__ import annotations

import smtplib
from typing import TypeAlias

from langchain_core.tools import ToolException
from langgraph.prebuilt.tool_node import ToolInvocationError

Reply: TypeAlias = tuple[int, bytes | str]


class Refused(ToolException):
    """The airline will not do this, now or later."""


class NotTaken(smtplib.SMTPException):
    """The mail server takes no such letter, now or later.

    It is no ToolException: a tool that turns those into words itself would keep this one from the
    ledger, which knows whether an earlier attempt is in doubt.
    """


class NotNow(smtplib.SMTPException):
    """The mail server takes no letter for now. Nothing was sent: resume later."""


def told(error: Exception) -> str:
    """What the model is told of a refusal, as a ToolNode's `handle_tool_errors`.

    Raises every other error: what it is worth to try again is not the model's to say.
    """
    match error:
        case ToolInvocationError():
            return error.message
        case ToolException() | NotTaken():
            return str(error)
    raise error


def replies_in(error: smtplib.SMTPException) -> list[Reply]:
    """The replies by which a server refused a letter; none where it may have taken it.

    smtplib's SMTPResponseException itself is none: an answer that is too long raises one as well.
    """
    match error:
        case smtplib.SMTPRecipientsRefused():
            return [*error.recipients.values()]
        case smtplib.SMTPSenderRefused() | smtplib.SMTPDataError() | smtplib.SMTPConnectError():
            return [(error.smtp_code, error.smtp_error)]
    return []


def refusal(error: smtplib.SMTPException) -> smtplib.SMTPException:
    """What an error of smtplib's means to who sends: RFC 5321 section 4.2.1."""
    found = replies_in(error)
    if not found or not all(400 <= code < 600 for code, _ in found):
        return error
    said = "; ".join(dict.fromkeys(map(spelled, found)))
    if min(code for code, _ in found) < 500:
        return NotNow(f"The mail server says {said!r}. Nothing was sent: resume later.")
    if isinstance(error, smtplib.SMTPConnectError):
        return error  # it takes no letter at all: an operator's to mend
    return NotTaken(
        f"send_mail was not carried out: the mail server says {said!r}. The same letter again "
        "will not help: look at its addresses and its size, or tell your user."
    )


def spelled(reply: Reply) -> str:
    """A reply in a line."""
    code, said = reply
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())[:200]}"
