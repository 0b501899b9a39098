"""Run AgentDojo with a fully compromised model: `python -m evals.agentdojo`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from lg_production import Checkpointer
from lg_production.core.embedded import embedded_server

from . import suites
from .play import Outcome, Row, connect, play
from .report import show, summary, wrong

ROWS = (
    Row("undefended", defence="none", under_attack=True),
    Row("blocking", under_attack=True),
    Row("blocking, create_agent", surface="create_agent"),
    Row("blocking, ToolNode, async", surface="tool_node_async", attacks=False),
    Row("person asked, PostgreSQL", defence="ask", surface="postgres", under_attack=True),
    Row("person asked, create_agent", defence="ask", surface="create_agent", attacks=False),
    Row("plan, blocking", plan="names", under_attack=True),
    Row("plan, person asked, PostgreSQL", defence="ask", surface="postgres", plan="names"),
    Row("plan with sources, blocking", plan="sources", under_attack=True),
    Row("plan with sources, person asked", defence="ask", plan="sources", attacks=False),
    Row("adaptive: value as a whole field", variant="field", benign=False),
    Row("adaptive: value as a record in the text", variant="json", benign=False),
    Row("adaptive: value encoded", variant="encoded", benign=False),
    Row("adaptive: value split", variant="split", benign=False),
    Row("adaptive: value in look-alikes", variant="homoglyph", benign=False),
    Row("plan, value as a whole field", plan="names", variant="field", benign=False),
)

DATABASE: dict[str, Any] = {}


def work(job: tuple[Row, str, str, Sequence[str | None], str]) -> list[Outcome]:
    """All cases of one user task under one row."""
    row, suite, user, injections, url = job
    if row.surface == "postgres" and "it" not in DATABASE:
        DATABASE["it"] = connect(url)
    return [play(row, suite, user, one, DATABASE.get("it")) for one in injections]


def jobs(rows: Sequence[Row], names: Sequence[str], limit: int | None, url: str) -> Iterator[Any]:
    """The work, a user task at a time."""
    for suite in names:
        acts, words = suites.pairs(suite)
        for user in list(suites.suite_of(suite).user_tasks)[:limit]:
            theirs = [injection for name, injection in acts if name == user]
            saying = [injection for name, injection in words if name == user]
            for row in rows:
                wanted: list[str | None] = [None] if row.benign else []
                wanted += theirs if row.attacks else []
                wanted += saying if row.attacks and not row.variant else []
                if wanted:
                    yield row, suite, user, wanted, url


@contextmanager
def postgres(rows: Sequence[Row]) -> Iterator[str]:
    """A PostgreSQL of our own, if a row needs one."""
    if not any(row.surface == "postgres" for row in rows):
        yield ""
        return
    with embedded_server() as url:
        with connect(url) as database:
            database.migrate()
            Checkpointer(database).setup()
        yield url


def run(rows: Sequence[Row], names: Sequence[str], limit: int | None, workers: int) -> Any:
    """Every outcome of every row."""
    outcomes: dict[str, list[Outcome]] = {row.name: [] for row in rows}
    suites.agentdojo()
    with postgres(rows) as url, get_context("fork").Pool(workers) as pool:
        work_list = list(jobs(rows, names, limit, url))
        for job, done in zip(work_list, pool.imap(work, work_list), strict=True):
            outcomes[job[0].name].extend(done)
    return outcomes


def main() -> None:
    """Print the table; exit 1 if ours misses a target, and 2 if AgentDojo is missing."""
    parser = argparse.ArgumentParser(prog="python -m evals.agentdojo", description=__doc__)
    parser.add_argument("--suite", choices=suites.SUITES, action="append")
    parser.add_argument("--row", action="append", help="only the rows of these names")
    parser.add_argument("--tasks", type=int, help="only so many user tasks of each suite")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every outcome to this file, too")
    parser.add_argument("--verbose", action="store_true", help="list what was held and what passed")
    given = parser.parse_args()
    wide = None if sys.stdout.isatty() else 200
    began, console = time.monotonic(), Console(highlight=False, width=wide)
    rows = [r for r in ROWS if not given.row or r.name in given.row]
    try:
        outcomes = run(rows, given.suite or suites.SUITES, given.tasks, given.workers)
    except suites.AgentDojoMissing as error:
        print(f"{suites.AgentDojoMissing.__doc__} ({error})", file=sys.stderr)
        sys.exit(2)
    show(console, rows, outcomes, time.monotonic() - began, verbose=given.verbose)
    if given.json:
        given.json.write_text(json.dumps(summary(rows, outcomes), indent=1) + "\n")
    whole = not (given.suite or given.row or given.tasks)
    problems = wrong(rows, outcomes) if whole else []
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
