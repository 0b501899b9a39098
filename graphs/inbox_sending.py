"""The one tool of the inbox that lets something out, and what it takes for an address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.tools import BaseTool, ToolException, tool

from graphs.mail import Mail, compose
from lg_production import InjectedIdempotencyKey
from lg_production.security.channels import texts
from lg_production.security.words import wanted_in

ADDRESS = re.compile(r"[A-Za-z0-9._+\-]{1,64}@[A-Za-z0-9\-]{1,63}(\.[A-Za-z0-9\-]{1,63}){1,8}")
MOST_RECIPIENTS = 10


def sending(mail: Mail) -> BaseTool:
    """The one tool that lets something out. Its letter's Message-ID is made of the key."""

    @tool
    def send_mail(
        to: str,
        subject: str,
        body: str,
        cc: str = "",
        bcc: str = "",
        *,
        key: Annotated[str, InjectedIdempotencyKey()],
    ) -> str:
        """Send a mail. Addresses are separated by commas. This cannot be undone."""
        return send(mail, to, subject, body, cc=cc, bcc=bcc, message_id=f"<{key}@harbour.example>")

    return send_mail


def send(
    mail: Mail, to: str, subject: str, body: str, *, cc: str = "", bcc: str = "", message_id: str
) -> str:
    """Send a letter. Raises `Post.send`'s errors, and `ToolException` for what is no letter."""
    recipients = [one for field in (to, cc, bcc) for one in addresses(field)]
    if not recipients or len(recipients) > MOST_RECIPIENTS:
        raise ToolException(f"A mail goes to 1 to {MOST_RECIPIENTS} addresses.")
    try:
        message = compose(mail.me, to, subject, body, cc=cc, message_id=message_id)
    except ValueError:
        raise ToolException("A subject and an address have one line each.") from None
    refused = mail.post.send(message, recipients)
    got = [address for address in recipients if address not in refused]
    missed = "".join(f"; not to {one}: {why}" for one, why in refused.items())
    return f"Sent {subject!r} to {', '.join(got)}{missed}"


def addresses(field: str) -> list[str]:
    """The addresses in a field. Raises `ToolException` for anything but bare addresses.

    What two programs could read in two ways is no address: a guard has read it before.
    """
    parts = [part.strip() for part in field.split(",") if part.strip()]
    if not all(ADDRESS.fullmatch(part) for part in parts):
        raise ToolException("An address is name@example.com, without a name or brackets.")
    return parts


def owners_words(messages: Sequence[Any]) -> str:
    """What the owner has said in some messages, without what he does not want."""
    return wanted_in("\n".join(t.text for t in texts(list(messages)) if t.channel == "user"))


def is_meant(contact: str, state: Any) -> bool:
    """Whether the owner's own words name somebody: in full, or by a part of his name.

    A part must be spelled as it is in the address book: "will" is nobody, "Will" may be.
    """
    said = owners_words(state.get("messages", ()) if isinstance(state, Mapping) else ())
    parts = [part for part in re.findall(r"\w+", contact) if part[0].isupper() and len(part) > 1]
    return stands_in(contact.casefold(), said.casefold()) or any(
        stands_in(part, said) for part in parts
    )


def stands_in(name: str, said: str) -> bool:
    """Whether a text has a name, whole."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) is not None
