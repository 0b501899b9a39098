"""The demo is a claim about LangGraph and about us: keep both true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_langgraph_repeats_and_overspends_and_we_do_not():
    """Bookings and letters in the outside world's own records, tokens on the provider's bill."""
    command = [sys.executable, "-m", "evals.demo", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    answer = json.loads(ended.stdout)
    told, burnt = answer["incidents"], answer["tokens"]["g"]
    plain = {name: row["plain"] for name, row in told.items()}
    ours = {name: row["lg_production"] for name, row in told.items()}

    assert {"a": 2, "b": 2, "c": 6, "d": 3, "e": 2, "f": 2, "h": 2} == plain
    assert {"a": 1, "b": 1, "c": 3, "d": 1, "e": 1, "f": 1, "h": 1} == ours
    assert {"i": (2, 0), "j": (47, 4)} == {
        name: (row["plain"], row["lg_production"]) for name, row in answer["letters"].items()
    }
    assert "attacker@evil.com" in answer["letters"]["i"]["remark"]
    assert "Nobody knows whether book_flight happened" in told["f"]["remark"]
    assert burnt["plain"] >= 5 * burnt["budget"]
    assert burnt["budget"] / 2 < burnt["lg_production"] <= burnt["budget"]
    assert burnt["remark"].startswith("This answer is partial.")
    assert "[1]" in burnt["remark"]
    assert 0 == ended.returncode, ended.stderr
