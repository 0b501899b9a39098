"""`python -m evals.benchmarks [--quick] [--json FILE] [--rows N] [--only SECTION …]`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import psycopg
from rich.console import Console

from lg_production import Checkpointer, Database
from lg_production.core.embedded import OpensDirectories, embedded_server

from . import effects, hot_row, race_peers, report, size, turns
from .contenders import Contender, Floor, Ours, make_durable
from .measure import Figure
from .peers import installed

SECTIONS = (
    "sequential", "concurrent", "replay", "graphs", "hot_row", "overshoot", "weight", "growth",
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How much is enough."""

    effects: int = 400
    seconds: float = 1.5
    crowds: int = 7
    turns: int = 200
    weight: int = 10_000
    rows: int = 10_000_000


QUICK = Scale(effects=100, seconds=0.4, crowds=3, turns=40, weight=2_000, rows=200_000)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks; 0 even where a target is missed: a ratio is a finding, not a test."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of ten")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--rows", type=int, help="rows of the full ledger")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    options = parser.parse_args(arguments)
    scale = QUICK if options.quick else Scale()
    console = Console(width=None if sys.stdout.isatty() else 120)
    warnings.simplefilter("ignore", OpensDirectories)
    figures: list[Figure] = []
    with embedded_server() as url:
        server = _server(url)
        for section in options.only:
            with ExitStack() as stack:
                run = _sections(url, scale, options.rows or scale.rows, stack, console)[section]
                with console.status(section) as status:
                    figures.extend(run(status.update))
    report.show(figures, server, console)
    if options.json:
        report.write(figures, server, options.json)
    return 0


Kept = TypeVar("Kept", bound=Contender)
Section: TypeAlias = Callable[[Callable[[str], object]], Iterator[Figure]]


def _sections(
    url: str, scale: Scale, rows: int, stack: ExitStack, console: Console
) -> dict[str, Section]:
    def keep(contender: Kept) -> Kept:
        return stack.enter_context(closing(contender))

    def peers() -> list[Contender]:
        return [keep(peer) for peer in installed(url, partial(console.print, markup=False))]

    with Database(url, max_connections=2) as database:
        database.migrate()
        Checkpointer(database).setup()
        make_durable(database)

    def sequential(_: Callable[[str], object]) -> Iterator[Figure]:
        contenders = keep(Floor(url)), keep(Floor(url, relaxed=True))
        free, guarded = keep(Ours(url, barrier=False)), keep(Ours(url))
        return effects.sequential(*contenders, free, guarded, peers(), scale.effects)

    def concurrent(_: Callable[[str], object]) -> Iterator[Figure]:
        floor, ours = keep(Floor(url, 16)), keep(Ours(url))
        others = keep(Ours(url, asynchronous=True))
        return effects.concurrent(floor, ours, others, peers(), scale.seconds, scale.crowds)

    def replay(_: Callable[[str], object]) -> Iterator[Figure]:
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        return effects.replayed(keep(Ours(url)), connection, 2 * scale.effects)

    def graphs(_: Callable[[str], object]) -> Iterator[Figure]:
        return turns.graphs(url, keep(Ours(url)).database, keep(Floor(url)), scale.turns)

    def hot(_: Callable[[str], object]) -> Iterator[Figure]:
        return hot_row.hot_row(url, 2 * scale.seconds, scale.crowds)

    def overshoot(say: Callable[[str], object]) -> Iterator[Figure]:
        return race_peers.overshoot(url, say)

    def weight(_: Callable[[str], object]) -> Iterator[Figure]:
        return size.weight(keep(size.ledger(url, "weight")), scale.weight)

    def growth(say: Callable[[str], object]) -> Iterator[Figure]:
        return size.growth(url, rows, scale.effects, say)

    made = sequential, concurrent, replay, graphs, hot, overshoot, weight, growth
    return dict(zip(SECTIONS, made, strict=True))


def _server(url: str) -> dict[str, str]:
    settings = ("server_version", "fsync", "synchronous_commit", "wal_sync_method")
    with psycopg.connect(url) as connection:
        asked = ", ".join(f"current_setting('{name}')" for name in settings)
        found = connection.execute(f"SELECT {asked}").fetchone() or ()
    return {
        **dict(zip(settings, map(str, found), strict=True)),
        "python": platform.python_version(),
        "cores": str(os.cpu_count()),
    }


if __name__ == "__main__":
    sys.exit(main())
