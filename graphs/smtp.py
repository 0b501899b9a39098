"""An SMTP server on loopback that writes down what was sent, and fails on demand.

    python -m graphs.smtp --port 0 --record sent.jsonl

prints its port and stops when its parent dies or nobody connects for ten minutes. A letter
whose Message-ID it has seen is accepted and not sent again, as servers with duplicate suppression
do (Cyrus, Exchange). `XFAULT kind seconds times` orders what shall go wrong with the next letters:
`unavailable` refuses one for now, `refuse` for good, `delay` waits before it is sent, `hang`
after, and `reset` sends it and cuts the connection. Nobody at `nobody.example` has a mailbox.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

IDLE = 600.0
REFUSALS = {"unavailable": "451 try again later", "refuse": "554 this letter is not taken"}


@dataclass
class Record:
    """What was sent: an append-only file, read again at the start."""

    file: Path
    faults: list[tuple[str, float]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    last_call: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.file.exists():
            lines = self.file.read_text(encoding="utf-8").splitlines()
            self.seen = {json.loads(line)["message_id"] for line in lines}

    def deliver(self, envelope: Envelope) -> None:
        """Write a letter down, once for each Message-ID."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        message = message_from_bytes(raw, policy=policy.default)
        message_id = str(message["Message-ID"] or f"without-{len(self.seen)}")
        if message_id in self.seen:
            return
        self.seen.add(message_id)
        text = message.get_body(("plain",))
        entry = {
            "message_id": message_id,
            "to": envelope.rcpt_tos,
            "subject": str(message["Subject"] or ""),
            "text": text.get_content() if text else "",
        }
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")


class Server(SMTP):
    """Speaks to one client."""

    def __init__(self, record: Record, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(self, loop=loop, hostname="localhost")
        self.record = record
        record.last_call = time.monotonic()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Somebody who shall have the letter."""
        del server, session
        if address.endswith("@nobody.example"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """A letter, or an order to fail."""
        del server, session
        kind, seconds = self.record.faults.pop(0) if self.record.faults else ("", 0.0)
        if kind in REFUSALS:
            return REFUSALS[kind]
        if kind == "delay":
            await asyncio.sleep(seconds)
        self.record.deliver(envelope)
        if kind == "hang":
            await asyncio.sleep(seconds)
        if kind == "reset" and isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
        return "250 OK"

    @syntax("XFAULT kind seconds times")
    async def smtp_XFAULT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Order what shall go wrong next."""
        kind, seconds, times = arg.split()
        self.record.faults += [(kind, float(seconds))] * int(times)
        await self.push("250 OK")


async def serve(port: int, record: Record, parent: int) -> None:
    """Serve until the parent dies or nobody connects any more."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(record, loop), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    while os.getppid() == parent and time.monotonic() - record.last_call < IDLE:
        await asyncio.sleep(0.2)
    server.close()


def main() -> None:
    """Serve until the parent dies."""
    parent = os.getppid()
    parser: Any = argparse.ArgumentParser(prog="graphs.smtp", description="SMTP on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, required=True)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, Record(options.record), parent))


if __name__ == "__main__":
    main()
