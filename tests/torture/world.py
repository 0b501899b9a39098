"""The outside world of the campaign: files, so that it outlives every process."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path


class World:
    """Bookings, one line each; the orders a native key was used for, one file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "keys").mkdir(parents=True, exist_ok=True)

    def write(self, name: str, line: str) -> None:
        """Append a line; short appends are atomic."""
        file = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{line}\n".encode())
        os.close(file)

    def read(self, name: str) -> list[str]:
        """The lines written so far."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def book(self, order: str, key: str = "") -> str:
        """Take a while, book, take a while. A key books once."""
        self.write("progress", f"{os.getpid()} tool {order}")
        time.sleep(0.01)
        if key:
            (self.folder / "keys" / f"{order}--{key}").touch()
        else:
            self.write("bookings", order)
        time.sleep(0.01)
        return f"booked {order}"

    def bookings(self) -> Counter[str]:
        """How often each order was booked, by either way."""
        keyed = [p.name.split("--")[0] for p in (self.folder / "keys").iterdir()]
        return Counter(self.read("bookings") + keyed)
