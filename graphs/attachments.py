"""Attachments as text. Hostile ones are the normal case: nothing is unpacked beyond its limits."""

from __future__ import annotations

import codecs
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from graphs.markup import visible

MOST_BYTES = 1_000_000
"""Of one attachment, and of all that is in an archive together."""
MOST_MEMBERS = 50
MOST_RATIO = 100
"""How many times its own size an archive may unpack to."""
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ARCHIVE = b"PK\x03\x04"
BOUNDED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""What Python unpacks only as far as it is read; of bzip2 and LZMA it unpacks all at once."""
NO_CHARSET = frozenset({"punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape"})
"""Encodings that Python knows and no mail is written in; some take quadratic time."""


@dataclass(frozen=True)
class Attachment:
    """One file. `size` is in bytes; `note` says why there is no text."""

    name: str
    size: int
    text: str = ""
    note: str = ""


def attached(name: str, data: bytes, kind: str, charset: str | None) -> Iterator[Attachment]:
    """A file as text; an archive as the files in it."""
    name = clean(name)[:100] or "without a name"
    if len(data) > MOST_BYTES:
        yield refused(name, len(data), f"it is larger than {MOST_BYTES:,} bytes")
    elif data.startswith(ARCHIVE):
        yield from unpacked(name, data)
    elif b"\0" in data or not kind.startswith("text/"):
        yield Attachment(name, len(data), note="no text")
    else:
        text = decoded(data, charset)
        yield Attachment(name, len(data), visible(text) if kind == "text/html" else text)


def unpacked(name: str, data: bytes) -> Iterator[Attachment]:
    """The files in an archive; one note for an archive that is not opened."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            problem = objection(archive.infolist(), len(data))
            if problem:
                yield refused(name, len(data), problem)
                return
            for member in archive.infolist():
                if not member.is_dir():
                    yield unpacked_member(
                        archive, member, f"{clean(member.filename)[:100]} in {name}"
                    )
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError,
        ValueError, LookupError,
    ):  # fmt: skip
        yield refused(name, len(data), "it is broken or encrypted")


def objection(members: list[zipfile.ZipInfo], size: int) -> str:
    """Why an archive of this size is not opened, by what it says about itself; "" if it is."""
    if any(member.compress_type not in BOUNDED for member in members):
        return "it is packed in a way that is not unpacked bit by bit"
    whole = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS:
        return f"it holds more than {MOST_MEMBERS} files"
    if whole > MOST_BYTES:
        return f"it would unpack to more than {MOST_BYTES:,} bytes"
    if whole > MOST_RATIO * size:
        return f"it would unpack to more than {MOST_RATIO} times its size"
    return ""


def unpacked_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Attachment:
    """One file of an archive: never more than it said, whatever is in it."""
    with archive.open(member) as file:
        data = file.read(member.file_size + 1)
    if data.startswith(ARCHIVE):
        return refused(name, len(data), "it is an archive inside of an archive")
    if b"\0" in data:
        return Attachment(name, len(data), note="no text")
    return Attachment(name, len(data), decoded(data, None))


def refused(name: str, size: int, why: str) -> Attachment:
    """A file that is not opened."""
    return Attachment(name, size, note=f"not opened: {why}")


# ------------------------------------------------------------------------------- as text


def decoded(data: bytes, charset: str | None) -> str:
    """Bytes as text, whatever they are; what cannot be read becomes a question mark."""
    try:
        name = codecs.lookup(charset or "utf-8").name
        text = data.decode("utf-8" if name in NO_CHARSET else name, "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    return clean(text, lines=True)


def clean(text: str, *, lines: bool = False) -> str:
    """The text without control characters and lone surrogates, in one line or in several."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    kept = CONTROLS.sub(" ", text)
    return kept if lines else " ".join(kept.split())
