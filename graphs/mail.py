"""Somebody's mail: letters, an address book, notes, and the server that sends."""

from __future__ import annotations

import json
import os
import smtplib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any, Literal

from graphs.maildir import Maildir
from graphs.processes import kept, serving
from graphs.refusals import refusal, spelled
from graphs.seed_mail import CONTACTS, FOLDERS, letters

Kind = Literal["unavailable", "refuse", "delay", "hang", "reset"]


@dataclass(frozen=True)
class Post:
    """An SMTP server on loopback, and its own record of what was sent. `timeout` in seconds."""

    port: int
    record: Path
    timeout: float = 5.0

    def send(self, message: EmailMessage, recipients: Sequence[str]) -> dict[str, str]:
        """Hand a letter over; who of several may not have it, and why.

        Raises `NotTaken` and `NotNow` if nobody got it, and smtplib's errors if nobody knows.
        """
        try:
            with self._server() as server:
                refused = server.send_message(message, to_addrs=list(recipients))
        except smtplib.SMTPException as error:
            if (meant := refusal(error)) is error:
                raise
            raise meant from error
        return {address: spelled(reply) for address, reply in refused.items()}

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        """A connection. What becomes of the farewell makes no difference to a letter."""
        server = smtplib.SMTP("127.0.0.1", self.port, timeout=self.timeout)
        try:
            yield server
        finally:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def fail(self, kind: Kind, *, seconds: float = 30.0, times: int = 1) -> None:
        """Order what shall go wrong with the next letters."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=self.timeout) as server:
            server.docmd("XFAULT", f"{kind} {seconds} {times}")

    def sent(self) -> list[dict[str, Any]]:
        """What was really sent: recipients of the envelope, subject and text."""
        if not self.record.exists():
            return []
        lines = self.record.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def recipients(self) -> list[str]:
        """Who got a letter, one entry for each."""
        return [address for letter in self.sent() for address in letter["to"]]


@dataclass(frozen=True)
class Mail:
    """The mail of one person, in a directory."""

    root: Path
    post: Post
    me: str = "ada@harbour.example"

    @property
    def box(self) -> Maildir:
        """The letters."""
        return Maildir(self.root / "Maildir")

    @property
    def contacts(self) -> dict[str, str]:
        """The address book: addresses by names. Its owner writes it, and no tool of the agent's."""
        book: dict[str, str] = json.loads((self.root / "contacts.json").read_text(encoding="utf-8"))
        return book

    @property
    def notes(self) -> list[str]:
        """What the agent noted in earlier threads."""
        file = self.root / "notes.txt"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def remember(self, note: str) -> None:
        """Note something for later threads; twice is once."""
        line = " ".join(note.split())
        if line not in self.notes:
            with (self.root / "notes.txt").open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def compose(
    sender: str, to: str, subject: str, body: str, *, cc: str = "", message_id: str = ""
) -> EmailMessage:
    """A letter to be sent. Raises `ValueError` for what is no header, such as two lines."""
    message = EmailMessage(policy=policy.SMTP)
    heads = {"From": sender, "To": to, "Subject": subject, "Cc": cc, "Message-ID": message_id}
    for name, value in heads.items():
        try:
            if value or name in ("From", "To", "Subject"):
                message[name] = value
        except (AttributeError, LookupError, TypeError) as error:  # of Python's own parser
            raise ValueError(f"{name} is no header") from error
    message.set_content(body)
    return message


@contextmanager
def mail(root: Path, *, timeout: float = 5.0) -> Iterator[Mail]:
    """The mail in this directory, with a server of its own for this block; seeded if it is new."""
    seed(root)
    record = root.resolve() / "sent.jsonl"
    with serving("graphs.smtp", record) as port:
        yield Mail(root, Post(port, record, timeout))


def seed(root: Path) -> None:
    """An inbox that is worth reading, unless there is one."""
    if (root / "contacts.json").exists():
        return
    box = Maildir(root / "Maildir")
    for folder in FOLDERS:
        box.add_folder(folder)
    for mail_id, raw in letters().items():
        box.add(raw, mail_id)
    (root / "contacts.json").write_text(json.dumps(CONTACTS, indent=2), encoding="utf-8")


@cache
def default_mail() -> Mail:
    """The mail under MAIL_ROOT, or `.lg_production/mail`, with a server of this process."""
    root = Path(os.environ.get("MAIL_ROOT") or Path(".lg_production") / "mail")
    root.mkdir(parents=True, exist_ok=True)
    return kept(mail(root))
