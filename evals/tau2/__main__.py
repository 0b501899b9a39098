"""Run tau2-bench's reference actions, every write delivered twice: `python -m evals.tau2`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from evals.demo import forking


def main() -> None:
    """Run the columns, print the table, exit 1 if ours is wrong and 2 if tau2 is missing."""
    parser = argparse.ArgumentParser(prog="python -m evals.tau2", description=__doc__)
    parser.add_argument("--tasks", type=int, help="only so many of each domain")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--seed", type=int, default=1, help="of the kills")
    given = parser.parse_args()
    began = time.monotonic()
    console = Console(highlight=False)
    forking.warm_up("evals.tau2.worker")
    from .play import play, wrong
    from .report import plain, show

    try:
        results = play(console, tasks=given.tasks, seed=given.seed)
    except Exception as error:
        if type(error).__name__ not in ("Tau2Missing", "ExtraMissing"):
            raise
        print(error, file=sys.stderr)
        sys.exit(2)
    seconds = time.monotonic() - began
    show(console, results, seconds)
    if given.json:
        given.json.write_text(json.dumps(plain(results, seconds), indent=2) + "\n")
    problems = wrong(results)
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
