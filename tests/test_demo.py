"""The demo is a claim about LangGraph and about us: keep both true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_langgraph_books_several_times_and_we_book_once():
    """Bookings in the airline's own record after real crashes, by incident."""
    command = [sys.executable, "-m", "evals.demo", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    told = json.loads(ended.stdout)["incidents"]
    plain = {name: row["plain"] for name, row in told.items()}
    ours = {name: row["lg_production"] for name, row in told.items()}

    assert {"a": 2, "b": 2, "c": 6, "d": 3, "e": 2, "f": 2} == plain
    assert {"a": 1, "b": 1, "c": 3, "d": 1, "e": 1, "f": 1} == ours
    assert "Nobody knows whether book_flight happened" in told["f"]["remark"]
    assert 0 == ended.returncode, ended.stderr
