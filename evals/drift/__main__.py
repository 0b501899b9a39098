"""`python -m evals.drift [--runs N] [--null N] [--seed N] [--json FILE]`: power and blame.

What must be rare is counted in many more rounds than what must be frequent: 4 of 400 would be a
rate of 0.4 to 2.5 %, and say nothing of a promised 1 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
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
DRIFTS: tuple[Drift, ...] = ("none", "strict", "het", "sym")
WATCHED: tuple[tuple[Drift, int], ...] = (
    *(("none", items) for items in (12, 25, 40, 200)),
    *((drift, items) for drift in ("strict", "het", "sym") for items in (40, 200)),
)  # fmt: skip
"""Which judges are watched every night, with how many control items."""
TRUTHS = {
    "nothing": (False, False), "only the judge": (True, False), "only the agent": (False, True),
    "both": (True, True),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Simulate, print, and answer 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m evals.drift", description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="rounds of each judge that drifts")
    parser.add_argument("--null", type=int, default=3000, help="rounds of one that does not")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with console.status("simulating judges"):
        power = list(powers(options.runs, options.null, options.seed))
        watch = {(d, n): nights(d, FLOOR, n, some(d, options), options.seed) for d, n in WATCHED}
        blame = {truth: blames(truth, options) for truth in TRUTHS}
    show(console, power, watch, blame)
    missed = list(misses(power, watch, blame))
    for one in missed:
        console.print(f"[red]missed:[/] {one}")
    if options.json:
        nightly = [{"drift": d, "items": n, **row} for (d, n), row in watch.items()]
        figures = {"power": power, "nights": nightly, "attribution": blame, "missed": missed}
        options.json.write_text(json.dumps(figures, indent=1, default=vars_of) + "\n")
    return 1 if missed else 0


def some(drift: Drift, options: argparse.Namespace) -> int:
    """How many monitors to watch: one takes as long as many rounds."""
    runs: int = options.null // 10 if drift == "none" else options.runs // 8
    return max(20, runs)


def blames(truth: str, options: argparse.Namespace) -> dict[str, Rate]:
    """Who is blamed; most often where nobody but the judge may be."""
    runs = options.null // 3 if truth == "only the judge" else options.runs // 4
    return attribution(*TRUTHS[truth], max(20, runs), options.seed)


def vars_of(rate: Rate) -> dict[str, float]:
    """An interval as JSON."""
    return {"value": rate.value, "low": rate.low, "high": rate.high, "n": rate.n}


def powers(runs: int, null: int, seed: int) -> Iterator[dict[str, Any]]:
    """How often each detector speaks, by drift and number of re-grades."""
    for drift in DRIFTS:
        rounds_of = null if drift == "none" else runs
        for n in SIZES:
            random = Random(f"{seed} {drift} {n}")
            rounds = [played(drift, FLOOR, n, random) for _ in range(rounds_of)]
            for name, detect in DETECTORS.items():
                rate = wilson(sum(map(detect, rounds)), rounds_of)
                yield {"detector": name, "drift": drift, "n": n, "rate": rate}


def misses(
    power: list[dict[str, Any]],
    watch: Mapping[tuple[Drift, int], Mapping[str, Any]],
    blame: dict[str, dict[str, Rate]],
) -> Iterator[str]:
    """The targets of the issue that were not reached; chance is allowed for, by the interval."""
    mine = {(row["drift"], row["n"]): row["rate"] for row in power if row["detector"] == OURS}
    for drift, n in TARGETS:
        if mine[drift, n].high < 0.9:
            yield f"power {mine[drift, n].value:.1%} at {drift}, {n} re-grades; 90 % is asked for"
    for n in SIZES:
        if mine["none", n].low > 0.01:
            yield f"false alarms {mine['none', n].value:.1%} at {n} re-grades; 1 % is asked for"
    for (kind, n), row in watch.items():
        rate = row["within_200"]
        if kind == "none" and rate.low > 0.01:
            yield f"nightly false alarms {rate.value:.1%} with {n} items; 1 % is asked for"
    agent = blame["only the judge"]["agent"]
    if agent.low > 0.01:
        yield f"the agent is blamed for the judge in {agent.value:.1%}; 1 % is asked for"


def show(
    console: Console,
    power: list[dict[str, Any]],
    watch: Mapping[tuple[Drift, int], Mapping[str, Any]],
    blame: dict[str, dict[str, Rate]],
) -> None:
    """Three tables."""
    table = Table(title="How often a detector speaks, by re-grades: % (95 % interval)")
    for heading in ("detector", "judge", *map(str, SIZES)):
        table.add_column(heading)
    for name in DETECTORS:
        for drift in DRIFTS:
            rates = [r["rate"] for r in power if (r["detector"], r["drift"]) == (name, drift)]
            table.add_row(name, judge_that(drift), *map(told, rates))
    console.print(table)
    table = Table(title="Two CUSUMs, every item every night: re-grades until the alarm")
    for heading in ("judge", "items", "median", "alarm within 200: %"):
        table.add_column(heading)
    for (drift, n), row in watch.items():
        middle = "–" if row["median"] is None or drift == "none" else f"{row['median']:g}"
        table.add_row(judge_that(drift), str(n), middle, told(row["within_200"]))
    console.print(table)
    table = Table(title="Who is blamed: 100 cases, 40 control items: % (95 % interval)")
    for heading in ("truth", "ours: judge", "ours: agent", "both right", "agent, by 5 points",
                    "agent, by paired grades"):  # fmt: skip
        table.add_column(heading)
    for name, row in blame.items():
        kinds = ("judge", "agent", "both_right", "points", "paired")
        table.add_row(name, *(told(row[kind]) for kind in kinds))
    console.print(table)


def judge_that(drift: Drift) -> str:
    """What became of the judge."""
    return "unchanged" if drift == "none" else drift


def told(rate: Rate) -> str:
    """A rate and its interval, in percent."""
    value, low, high = (f"{100 * share:.1f}" for share in (rate.value, rate.low, rate.high))
    return f"{value} ({low}–{high})"


if __name__ == "__main__":
    sys.exit(main())
