"""Real processes without the price of importing LangGraph in each: a server forks them."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

METHODS = multiprocessing.get_all_start_methods()
PROCESSES: Any = multiprocessing.get_context("forkserver" if "forkserver" in METHODS else "spawn")


def warm_up(*modules: str) -> None:
    """Let the fork server import these, while we do something else."""
    if PROCESSES.get_start_method() == "forkserver":
        PROCESSES.set_forkserver_preload(list(modules))
        PROCESSES.Process(target=time.monotonic, daemon=True).start()
