"""The embedded PostgreSQL cleans up, also after a killed owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from lg_production.core.embedded import embedded_server

OWNER = """
import sys, time
from lg_production.core.embedded import embedded_server
with embedded_server(sys.argv[1] if len(sys.argv) > 1 else None) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def owner(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OWNER, *arguments], stdout=subprocess.PIPE, text=True
    )
    return child, child.stdout.readline().strip()


def kill(child: subprocess.Popen[str]) -> None:
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def data_of(url: str) -> Path:
    return Path(url.partition("host=")[2])


def test_a_killed_owner_leaves_nothing_once_the_next_one_starts():
    """The server and the data of a SIGKILLed process are found, stopped and deleted."""
    child, url = owner()
    data = data_of(url)
    server = int((data / "postmaster.pid").read_text().splitlines()[0])
    kill(child)

    with embedded_server():
        pass

    assert not data.exists()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{server}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{server}").exists()


def test_a_directory_keeps_its_data_and_survives_a_killed_owner(tmp_path):
    """A second owner of the directory finds the data, and its end stops the server."""
    tmp_path.chmod(0o755)
    directory = tmp_path / "postgres"
    child, url = owner(str(directory))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    kill(child)

    with embedded_server(directory) as again, psycopg.connect(again) as connection:
        found = connection.execute("SELECT to_regclass('kept')::text").fetchone()

    assert ("kept",) == found
    assert not (directory / "postmaster.pid").exists()
