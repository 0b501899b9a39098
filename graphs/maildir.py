"""A maildir: letters in folders, each a file whose name is its identity."""

from __future__ import annotations

import mailbox
import os
import re
from collections.abc import Iterator
from pathlib import Path

from langchain_core.tools import ToolException

from graphs.letters import Letter, read_letter

INBOX, DRAFTS = "INBOX", "Drafts"
NAME = re.compile(r"[^\W_](?:[\w &+-]|\.(?!\.)){0,63}")
"""A folder's name: words, and no path. What is called otherwise on the disk is no folder here."""


class Missing(ToolException, LookupError):
    """There is no such letter or folder: the model can act on it."""


class Occupied(ToolException):
    """Another letter has this identity there: the model can act on it."""


class Maildir:
    """The letters below a directory, which is created as a maildir if there is none."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.box = mailbox.Maildir(root, create=True)

    def folders(self) -> list[str]:
        """The names of all folders, the inbox first."""
        return [INBOX, *sorted(name for name in self.box.list_folders() if NAME.fullmatch(name))]

    def add_folder(self, name: str) -> None:
        """A new folder. For whoever owns the mail: no tool of the agent's makes one.

        Raises `ValueError` for what is no name.
        """
        if name == INBOX or not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a folder")
        self.box.add_folder(name)

    def letters(self, folder: str = INBOX) -> list[Letter]:
        """The letters of a folder, in the order of their names. Raises `Missing`."""
        return [self._read(path, folder) for path in self._files(folder)]

    def letter(self, mail_id: str) -> Letter:
        """One letter, in whatever folder it is. Raises `Missing`."""
        path, folder = self._find(mail_id)
        return self._read(path, folder)

    def file(self, mail_id: str, folder: str) -> None:
        """Move a letter; one that is there already stays. Nothing is ever written over.

        Raises `Missing`, and `Occupied` where another letter has this identity in the folder. A
        link is made before the old name goes: a crash between them leaves two names of one letter.
        """
        path, found_in = self._find(mail_id)
        there = [one for one in self._files(folder) if identity(one) == mail_id]
        if found_in == folder:
            return
        if not all(one.samefile(path) for one in there):
            raise Occupied(f"{folder} has another mail {mail_id!r} already: it was not moved.")
        if not there:
            os.link(path, self._directory(folder) / "cur" / path.name)
        path.unlink()

    def add(self, raw: bytes, mail_id: str, folder: str = INBOX) -> str:
        """Keep a letter under an identity; the same one again is the same file."""
        directory = self._directory(folder)
        unfinished = directory / "tmp" / mail_id
        unfinished.write_bytes(raw)
        unfinished.rename(directory / "cur" / f"{mail_id}:2,")
        return mail_id

    def _directory(self, folder: str) -> Path:
        if folder not in self.folders():
            raise Missing(f"There is no folder {folder!r}.")
        return self.root if folder == INBOX else self.root / f".{folder}"

    def _files(self, folder: str) -> Iterator[Path]:
        directory = self._directory(folder)
        found = [*(directory / "cur").iterdir(), *(directory / "new").iterdir()]
        yield from sorted((path for path in found if path.is_file()), key=lambda path: path.name)

    def _find(self, mail_id: str) -> tuple[Path, str]:
        for folder in self.folders():
            for path in self._files(folder):
                if identity(path) == mail_id:
                    return path, folder
        raise Missing(f"There is no mail {mail_id!r}.")

    def _read(self, path: Path, folder: str) -> Letter:
        return read_letter(path.read_bytes(), identity(path), folder)


def identity(path: Path) -> str:
    """The name of a letter's file, without the flags that mail programs add to it."""
    return path.name.partition(":")[0]
