"""A post office in a thread of this process, and letters that were written down as data.

A letter is an object: `id`, `from`, `subject`, and `text` or `html` or both. It may have
`files` (names to texts), `zip` (names to texts, in one archive), `headers`, and a `folder`.
`raw` in the place of all but `id` and `folder` is the letter as it came, one byte a character.
"""

from __future__ import annotations

import asyncio
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from graphs.mail import Post
from graphs.seed_mail import ME
from graphs.smtp import Record, Server

PATIENCE = 0.8
"""How many seconds the agent waits for the server."""


@contextmanager
def office(file: Path) -> Iterator[Post]:
    """An SMTP server that writes down what was sent, for this block."""
    loop, record = asyncio.new_event_loop(), Record(file)
    opening = loop.create_server(lambda: Server(record, loop), "127.0.0.1", 0)
    server = loop.run_until_complete(opening)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Post(server.sockets[0].getsockname()[1], file, PATIENCE)
    finally:
        asyncio.run_coroutine_threadsafe(closed(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def closed(server: asyncio.Server) -> None:
    """Close it, and all that it is busy with."""
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def written(letter: Mapping[str, Any]) -> bytes:
    """A letter as it lies in a maildir."""
    if "raw" in letter:
        return str(letter["raw"]).encode("latin-1")
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"], message["Subject"] = letter["from"], ME, letter["subject"]
    message["Date"] = "Mon, 02 Mar 2026 09:00:00 +0100"
    for name, value in letter.get("headers", {}).items():
        message[name] = value
    if "text" in letter or "html" not in letter:
        message.set_content(letter.get("text", ""))
    if "html" in letter:
        add = message.add_alternative if "text" in letter else message.set_content
        add(letter["html"], subtype="html")
    for name, text in letter.get("files", {}).items():
        message.add_attachment(text, filename=name)
    if "zip" in letter:
        archive = packed(letter["zip"])
        message.add_attachment(archive, maintype="application", subtype="zip", filename="files.zip")
    return message.as_bytes()


def packed(files: Mapping[str, str]) -> bytes:
    """These files in an archive."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return found.getvalue()
