"""`python -m evals.drift [--runs N] [--seed N] [--json FILE]`: power, false alarms and blame."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from lg_production.core.intervals import Rate, wilson

from .detectors import DETECTORS, played
from .nights import attribution, nights
from .world import Drift

SIZES = (25, 40, 60, 100)
FLOOR = 0.03
OURS = next(iter(DETECTORS))
TARGETS: tuple[tuple[Drift, int], ...] = (("strict", 25), ("het", 40))
CASES = ((False, False), (True, False), (False, True), (True, True))


def main(arguments: list[str] | None = None) -> int:
    """Simulate, print, and answer 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m evals.drift", description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="draws for each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with console.status("simulating judges"):
        power = list(powers(options.runs, options.seed))
        watch = {d: nights(d, FLOOR, max(20, options.runs // 8), options.seed) for d in DRIFTS}
        blame = [attribution(*case, max(20, options.runs // 2), options.seed) for case in CASES]
    show(console, power, watch, blame)
    missed = list(misses(power, blame))
    for one in missed:
        console.print(f"[red]missed:[/] {one}")
    if options.json:
        figures = {"power": power, "nights": watch, "attribution": blame, "missed": missed}
        options.json.write_text(json.dumps(figures, indent=1, default=vars_of) + "\n")
    return 1 if missed else 0


DRIFTS: tuple[Drift, ...] = ("none", "strict", "het", "sym")


def vars_of(rate: Rate) -> dict[str, float]:
    """An interval as JSON."""
    return {"value": rate.value, "low": rate.low, "high": rate.high, "n": rate.n}


def powers(runs: int, seed: int) -> Iterator[dict[str, Any]]:
    """How often each detector speaks, by drift and number of re-grades."""
    for drift in DRIFTS:
        for n in SIZES:
            random = Random(f"{seed} {drift} {n}")
            rounds = [played(drift, FLOOR, n, random) for _ in range(runs)]
            for name, detect in DETECTORS.items():
                rate = wilson(sum(map(detect, rounds)), runs)
                yield {"detector": name, "drift": drift, "n": n, "rate": rate}


def misses(power: list[dict[str, Any]], blame: list[dict[str, float]]) -> Iterator[str]:
    """The targets of the issue that were not reached. Chance is allowed for, by the interval."""
    mine = {(row["drift"], row["n"]): row["rate"] for row in power if row["detector"] == OURS}
    for drift, n in TARGETS:
        if mine[drift, n].high < 0.9:
            yield f"power {mine[drift, n].value:.1%} at {drift}, {n} re-grades; 90 % is asked for"
    for n in SIZES:
        if mine["none", n].low > 0.01:
            yield f"false alarms {mine['none', n].value:.1%} at {n} re-grades; 1 % is asked for"
    only_judge = blame[1]
    if wilson(only_judge["agent"] * only_judge["runs"], only_judge["runs"]).low > 0.01:
        yield f"the agent is blamed for the judge in {only_judge['agent']:.1%}; 1 % is asked for"


def show(
    console: Console, power: list[dict[str, Any]], watch: dict[Drift, Any], blame: list[Any]
) -> None:
    """Three tables."""
    table = Table(title="How often a detector speaks, by re-grades (95 %)")
    for heading in ("detector", "judge", *map(str, SIZES)):
        table.add_column(heading)
    for name in DETECTORS:
        for drift in DRIFTS:
            rates = [r["rate"] for r in power if (r["detector"], r["drift"]) == (name, drift)]
            cells = (f"{r.value:.1%} ({r.low:.1%}–{r.high:.1%})" for r in rates)
            table.add_row(name, "unchanged" if drift == "none" else drift, *cells)
    console.print(table)
    table = Table(title="Two CUSUMs, 200 control items: re-grades until the alarm")
    for heading in ("judge", "median", "alarm within 200"):
        table.add_column(heading)
    for drift, row in watch.items():
        middle = "–" if row["median"] is None or drift == "none" else f"{row['median']:g}"
        table.add_row("unchanged" if drift == "none" else drift, middle, f"{row['within_200']:.1%}")
    console.print(table)
    table = Table(title="Who is blamed: 100 cases, 40 control items")
    for heading in ("truth", "ours: judge", "ours: agent", "both right", "agent, by 5 points",
                    "agent, by paired grades"):  # fmt: skip
        table.add_column(heading)
    names = ("nothing", "only the judge", "only the agent", "both")
    for name, row in zip(names, blame, strict=True):
        cells = (row[k] for k in ("judge", "agent", "both_right", "points", "paired"))
        table.add_row(name, *(f"{cell:.1%}" for cell in cells))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
