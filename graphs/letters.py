"""One letter from its bytes, whoever wrote them: odd encodings, HTML, attachments, and worse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header
from email.utils import parseaddr
from typing import Any

from graphs.attachments import Attachment, attached, clean, decoded
from graphs.markup import visible

MOST_LETTER, MOST_HEADERS, MOST_PARTS = 5_000_000, 64_000, 50
MOST_TEXT = 20_000
"""So many characters of a letter and its files are shown to the model."""
NESTING = re.compile(rb"boundary|message/rfc822", re.IGNORECASE)


@dataclass(frozen=True)
class Letter:
    """A letter as text. `sender` is an address as its author wrote it, and so proves nothing."""

    id: str
    folder: str
    sender: str = ""
    name: str = ""
    to: str = ""
    date: str = ""
    subject: str = ""
    text: str = ""
    attachments: tuple[Attachment, ...] = ()


def read_letter(raw: bytes, mail_id: str, folder: str) -> Letter:
    """A letter; one that cannot be read says why in its text."""
    problem = objection(raw)
    if problem:
        return Letter(mail_id, folder, text=f"[This letter was not opened: {problem}.]")
    try:
        message = message_from_bytes(raw, policy=policy.compat32)
        parts = [part for part in message.walk() if not part.is_multipart()]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        return Letter(mail_id, folder, text="[This letter was not opened: it is broken.]")
    name, sender = parseaddr(header(message, "From"))
    texts = [part for part in parts if is_body(part)]
    return Letter(
        mail_id,
        folder,
        sender=sender.casefold(),
        name=name,
        to=header(message, "To"),
        date=header(message, "Date"),
        subject=header(message, "Subject"),
        text=body(texts),
        attachments=tuple(a for part in parts if not is_body(part) for a in files(part)),
    )


def objection(raw: bytes) -> str:
    """Why a letter is not opened, before anything parses it; "" if it is."""
    if len(raw) > MOST_LETTER:
        return f"it is larger than {MOST_LETTER:,} bytes"
    if len(re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0]) > MOST_HEADERS:
        return f"its headers are longer than {MOST_HEADERS:,} bytes"
    if sum(1 for _ in NESTING.finditer(raw)) > MOST_PARTS:
        return f"it has more than {MOST_PARTS} parts"
    return ""


def header(message: Any, name: str) -> str:
    """A header in one line, decoded as far as it can be."""
    raw = clean(str(message.get(name, "")))[:2_000]
    with suppress(ValueError, LookupError, TypeError, MessageError):
        parts = [
            decoded(text, charset) if isinstance(text, bytes) else text
            for text, charset in decode_header(raw)
        ]
        return clean("".join(parts))
    return raw


def is_body(part: Any) -> bool:
    """Whether this is what the author wrote, and not what he sent with it."""
    return part.get_content_maintype() == "text" and not filename(part)


def filename(part: Any) -> str:
    """The name of a file that is sent with a letter; "" if this is none."""
    with suppress(ValueError, LookupError, TypeError):
        name = part.get_filename()
        attaches = part.get_content_disposition() == "attachment"
        return clean(name or ("attachment" if attaches else ""))
    return "attachment"


def payload(part: Any) -> bytes:
    """The bytes of a part; none if they cannot be decoded."""
    with suppress(ValueError, LookupError, TypeError, AssertionError):
        return part.get_payload(decode=True) or b""
    return b""


def charset(part: Any) -> str | None:
    """What a part says it is encoded in."""
    with suppress(ValueError, LookupError, TypeError):
        found: str | None = part.get_content_charset()
        return found
    return None


def body(parts: list[Any]) -> str:
    """The plain text of a letter, or what a person sees of its HTML."""
    plain = [p for p in parts if p.get_content_type() != "text/html"]
    found = [
        decoded(payload(p), charset(p)) if plain else visible(decoded(payload(p), charset(p)))
        for p in plain or parts
    ]
    return "\n".join(text.strip() for text in found)


def files(part: Any) -> Iterator[Attachment]:
    """What is sent with a letter in this part."""
    yield from attached(
        filename(part) or "attachment", payload(part), part.get_content_type(), charset(part)
    )


def shown(letter: Letter) -> str:
    """A letter as the model reads it, cut where it is very long."""
    text = "\n".join([
        f"From: {letter.name} <{letter.sender}>", f"To: {letter.to}", f"Date: {letter.date}",
        f"Subject: {letter.subject}", "", letter.text, *map(shown_file, letter.attachments),
    ])  # fmt: skip
    rest = len(text) - MOST_TEXT
    return f"{text[:MOST_TEXT]}\n[{rest:,} more characters]" if rest > 0 else text


def shown_file(file: Attachment) -> str:
    """An attachment as the model reads it."""
    return f"\nAttachment {file.name} ({file.size:,} bytes): {file.note or file.text}"
