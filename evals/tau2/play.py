"""The columns, one after the other, in one world and one PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from random import Random

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .campaign import Stuck, postgres, run, world
from .domains import DOMAINS
from .judge import Judge, Result
from .report import TITLES, Results
from .worker import Column, Setting
from .world import Client

CALM = Column("calm", twice=False)
PLAIN = Column("plain")
OURS = Column("ours", ours=True, kills=True, delay=0.03)
SURFACE = Column("surface", ours=True, kills=True, delay=0.03, declared=False)
SAMPLE = 8
MANY = 50


def play(console: Console, *, tasks: int | None, seed: int) -> Results:
    """Every task in every column. Raises `Tau2Missing`."""
    with world() as (address, client), postgres() as url:
        judge, results = Judge(url, client), {}
        bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*bars, TimeElapsedColumn(), console=console, transient=True) as progress:
            for column in (CALM, PLAIN, OURS, SURFACE):
                chosen = choose(client, tasks) if column is not SURFACE else sample(client, tasks)
                places = [f"{column.name}/{task}" for task in chosen]
                bar = progress.add_task(TITLES[column.name].replace("\n", ", "), total=len(places))

                def tick(name: str = column.name, bar: object = bar) -> None:
                    done = len(client.ask("finished", column=name))
                    progress.update(bar, completed=done)  # type: ignore[arg-type]

                trouble = run(Setting(column, url, address), places, client, Random(seed), tick)
                looks = client.ask("looked")
                if column is CALM:
                    judge.calm = judge.told(places)
                results[column.name] = by_domain = {name: Result() for name in DOMAINS}
                judge.judge(places, by_domain)
                by_domain["both"] = total(list(by_domain.values()))
                by_domain["both"].trouble, by_domain["both"].looks = trouble, looks
        if not client.ask("intact"):
            raise Stuck("an environment wrote to another one's rows: nothing of this counts")
    return results


def choose(client: Client, tasks: int | None) -> list[str]:
    """The first tasks of each domain, or all."""
    every: list[str] = client.ask("tasks")
    return [t for d in DOMAINS for t in [t for t in every if t.startswith(f"{d}/")][:tasks]]


def sample(client: Client, tasks: int | None) -> list[str]:
    """A few of the chosen tasks of each domain, of those that write."""
    tools = [tool for domain in DOMAINS for tool in client.ask("tools", domain=domain)]
    writes = {tool["name"] for tool in tools if tool["writes"]}

    def does_write(task: str) -> bool:
        return any(a["name"] in writes for a in client.ask("actions", place=f"any/{task}"))

    chosen = [task for task in choose(client, tasks) if does_write(task)]
    return [t for d in DOMAINS for t in [t for t in chosen if t.startswith(f"{d}/")][:SAMPLE]]


def total(results: Sequence[Result]) -> Result:
    """The sum of all numbers."""
    summed = Result()
    for field in fields(Result):
        if isinstance(getattr(summed, field.name), int):
            setattr(summed, field.name, sum(getattr(r, field.name) for r in results))
    return summed


def wrong(results: Results) -> list[str]:
    """What must not be so. Empty if our columns are clean and the experiment was one."""
    problems = []
    calm, ours = results["calm"]["both"], results["ours"]["both"]
    if calm.diverging or calm.harmed or not calm.tasks:
        problems.append("the run without re-delivery does not reach the reference: broken")
    for name in ("ours", "surface"):
        both = results[name]["both"]
        if not both.is_clean:
            problems.append(
                f"{name}: {both.diverging} tasks diverge, {both.harmed} writes harmed, "
                f"{both.extra_errors} extra errors, other answers in {both.other_answers} tasks, "
                f"{both.executed} effects carried out, {both.wanted} wanted"
            )
        if both.delivered < both.effects:
            problems.append(f"{name}: not every effect was delivered twice: broken")
    if ours.writes > MANY and not ours.trouble.kills:
        problems.append("no worker was killed: broken")
    return problems
