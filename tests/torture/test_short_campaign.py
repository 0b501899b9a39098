"""A short campaign. The long one: `python -m tests.torture --seconds 600`."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_short_campaign_of_kills_does_no_harm(server_url: str) -> None:
    """Killed and stopped at random: duplicates 0, lost 0, false done 0, and all work is done."""
    command = [
        sys.executable,
        "-m",
        "tests.torture",
        "--seconds",
        "8",
        "--seed",
        "3",
        "--url",
        server_url,
    ]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=80, check=False)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
