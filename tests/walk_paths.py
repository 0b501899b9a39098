"""Which paths through a protocol are walked: every single failure, two deaths, some of three."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from random import Random
from typing import Any, Protocol, TypeAlias

import pytest

from lg_production import Database
from lg_production.core import wrappers
from lg_production.core.steps import Statement, Steps
from lg_production.errors import LgProductionError
from lg_production.idempotency import transactional

from .walk import DEATHS, KINDS, Fault, Walk, let_go

SAMPLE = 12
ACTIONS = ("approve", "edit", "reject")
BOOLEANS = (True, False)
KEPT = (True, "paused")
"""Whether a run that dies keeps the answers that it took: see `Walk.keep_answers`."""


class Scene(Protocol):
    """What is walked: a protocol, the people around it, and the counts at the end."""

    database: Database

    def protocol(self, database: Database) -> Steps[Any]: ...
    def acts(self, effect: Any) -> bool: ...
    def answer(self, payload: Any) -> Any: ...
    def operate(self, error: LgProductionError) -> None: ...
    def harm(self, walk: Walk) -> list[str]: ...


def mostly(names: str, kept: Sequence[tuple[Any, ...]], *axes: Sequence[Any]) -> Any:
    """A walk by every combination of these: `kept` in the suite, the rest in `make walks`."""
    every = list(product(*axes))
    assert set(kept) <= set(every)
    marks = {one: () if one in kept else pytest.mark.exhaustive for one in every}
    return pytest.mark.parametrize(names, [pytest.param(*o, marks=m) for o, m in marks.items()])


Make: TypeAlias = Callable[[], Scene]


class NoLeases:
    """The walk lets leases run out itself."""

    def hold(self, owner: Any, key: Any) -> None: ...
    def drop(self, owner: Any) -> None: ...


def execute(database: Database, sql: Any) -> list[Any]:
    return database.execute(Statement(sql, {}, list))


def walked(scene: Scene, faults: list[Fault], **options: Any) -> tuple[Walk, list[str]]:
    """Walk one path: the walk, and the path if it did any harm."""
    walk = Walk(
        scene.database, scene.protocol, scene.answer, faults, scene.acts, scene.operate, **options
    )
    places = [(module, name) for module in (transactional, wrappers) for name in DRIVERS]
    drivers = [getattr(module, name) for module, name in places]
    worker = scene.database.worker
    transactional.drive, transactional.adrive = walk.perform_all, walk.aperform_all
    wrappers.drive = lambda steps, *_: walk.perform_all(steps)
    wrappers.adrive = lambda steps, *_: walk.aperform_all(steps)
    try:
        walk.settle()
        harm = scene.harm(walk)
    except (RuntimeError, AssertionError, KeyError) as error:
        harm = [repr(error)]
    finally:
        for (module, name), driver in zip(places, drivers, strict=True):
            setattr(module, name, driver)
        scene.database.worker = worker
        let_go()
    return walk, ["\n".join([str(faults), *walk.trace, *harm])] if harm else []


DRIVERS = ("drive", "adrive")


def every_path(make: Make, **options: Any) -> list[str]:
    """All paths with one fault: those that did harm."""
    walk, bad = walked(make(), [], **options)
    for at in range(walk.yields):
        for kind in KINDS:
            bad += walked(make(), [Fault(at, kind)], **options)[1]
    return bad


def every_two_deaths(make: Make, first_ones: int = 6, **options: Any) -> list[str]:
    """All paths with two deaths (dying before an effect is dying after the last): the harmful."""
    bad = []
    for first in range(first_ones):
        second, walk = first, None
        while walk is None or walk.yields > second:
            second += 1
            deaths = [Fault(first, "died after"), Fault(second, "died after")]
            walk, harm = walked(make(), deaths, **options)
            bad += harm
    return bad


def some_threes(make: Make, seed: int, first_ones: int = 6, **options: Any) -> list[str]:
    """A sample of the paths with two deaths after a first fault: those that did harm."""
    random, bad = Random(seed), []
    for _ in range(SAMPLE):
        faults = [Fault(random.randrange(first_ones), random.choice(KINDS))]
        for _ in range(2):
            faults.append(Fault(faults[-1].at + random.randrange(1, 12), random.choice(DEATHS)))
        bad += walked(make(), faults, **options)[1]
    return bad


def report(harm: list[str]) -> str:
    return f"{len(harm)} paths, the first:\n{harm[0]}" if harm else ""
