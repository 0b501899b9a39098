"""`python -m evals.oversight [--draws N] [--seed N] [--json FILE]`: who keeps the promise."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import mean, stdev

from rich.console import Console
from rich.table import Table

from .rules import ALPHA, CONTENDERS, DELTA, JOINT, Contender, Published
from .world import World


@dataclass(frozen=True)
class Cell:
    """One rule with so many labels, over all draws; shares and means of the true values."""

    rule: str
    n: int
    draws: int
    broken: float
    error: float
    automated: float
    escaped: float
    refused: float
    published: Published
    published_escaped: float | None
    kept: bool


def main(arguments: list[str] | None = None) -> int:
    """Simulate, print, and answer 1 if one of ours breaks its promise beyond chance."""
    parser = argparse.ArgumentParser(prog="python -m evals.oversight", description=__doc__)
    parser.add_argument("--draws", type=int, default=300, help="draws for each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with console.status("simulating reviews"):
        cells = list(measure(options.draws, options.seed))
    show(cells, console)
    if options.json:
        figures = {"alpha": ALPHA, "delta": DELTA, "cells": [asdict(cell) for cell in cells]}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    ours = [c for c in cells if c.rule.startswith(("LTT", "SelectiveRisk", "EscapeRate"))]
    return 0 if all(cell.kept for cell in ours) else 1


def measure(draws: int, seed: int) -> Iterator[Cell]:
    """One cell for every rule and every n it was published for."""
    for contender in CONTENDERS:
        for n in contender.published:
            random = Random(f"{seed}/{contender.name}/{n}")
            labels = (contender.world.draw(random, n) for _ in range(draws))
            yield cell(contender, n, [contender.rule(drawn) for drawn in labels])


def cell(contender: Contender, n: int, values: Sequence[float | None]) -> Cell:
    """What these thresholds truly do."""
    world, draws = contender.world, len(values)
    errors, escapes = [world.error(v) for v in values], [world.escaped(v) for v in values]
    broken = sum(error > ALPHA for error in errors) / draws
    # Three standard errors are chance.
    by_escape = contender.promise == "escape"
    most = ALPHA + 3 * stdev(escapes) / math.sqrt(draws)
    if not by_escape:
        most = DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / draws)
    return Cell(
        contender.name,
        n,
        draws,
        broken,
        mean(errors),
        mean(map(world.automated, values)),
        mean(escapes),
        sum(value is None for value in values) / draws,
        contender.published[n],
        JOINT.get(n) if by_escape else None,
        (mean(escapes) if by_escape else broken) <= most,
    )


def show(cells: Sequence[Cell], console: Console) -> None:
    """What we got, and in brackets what research measured."""
    world = World()
    oracle = world.automated(world.oracle(ALPHA))
    table = Table(
        title=f"α = {ALPHA}, δ = {DELTA}; {cells[0].draws} draws a cell, in brackets what research "
        f"measured; base error {world.error(0.0):.1%}, an oracle automates {oracle:.0%}",
        caption="the simulated world is a reconstruction, fitted to the base error, the oracle and "
        "fixed 0.7",
    )
    table.add_column("rule")
    for column in ("n", "P(error > α)", "mean error", "automated", "auto ∧ wrong", "refused"):
        table.add_column(column, justify="right")
    table.add_column("promise")
    last = ""
    for c in cells:
        if c.rule != last:
            table.add_section()
        broken, error, automated = c.published
        table.add_row(
            c.rule if c.rule != last else "",
            f"{c.n}",
            beside(c.broken, broken, ".2f"),
            beside(c.error, error, ".3f"),
            beside(c.automated, automated, ".0%"),
            beside(c.escaped, c.published_escaped, ".3f"),
            f"{c.refused:.0%}",
            "[green]kept[/]" if c.kept else "[red]broken[/]",
        )
        last = c.rule
    console.print(table)


def beside(value: float, published: float | None, form: str) -> str:
    """A value and the published one."""
    return f"{value:{form}}" + (f" ({published:{form}})" if published is not None else "")


if __name__ == "__main__":
    sys.exit(main())
