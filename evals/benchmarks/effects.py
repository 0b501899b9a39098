"""One effect without a graph: alone, among many, and replayed."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg

from .contenders import Contender, Floor, Ours, booked, request
from .measure import Figure, faster, figure, rounds

REPLAYED = "SELECT outcome_type, outcome FROM lg_production.effects WHERE key = %s"


def sequential(
    floor: Floor, relaxed: Floor, free: Ours, guarded: Ours, peers: list[Contender], count: int
) -> Iterator[Figure]:
    """One worker, one effect after the other."""
    section = "one effect, sequential, ops/s"
    fast: dict[str, Contender] = {
        "floor": floor,
        "relaxed": relaxed,
        "free": free,
        "guarded": guarded,
    }
    variants = {name: contender.one for name, contender in fast.items()}
    samples = rounds(variants | {p.name: p.one for p in peers}, count, warm=20)
    base = samples["floor"]
    yield figure(section, floor.name, [1e3 * s for s in base], unit="ms", note="1.00")
    yield figure(section, relaxed.name, faster(base, samples["relaxed"]), note="the limit")
    for name, label in (
        ("free", "lg_production, no barrier"),
        ("guarded", "lg_production, barrier in the claim"),
    ):
        values = faster(base, samples[name])
        yield figure(section, label, values, kind="at_least", target=1.5)
    for peer in peers:
        yield figure(section, peer.name, faster(base, samples[peer.name]))


def concurrent(
    floor: Floor, ours: Ours, ours_async: Ours, peers: list[Contender], seconds: float, count: int
) -> Iterator[Figure]:
    """Threads and asyncio tasks, against a floor with a connection for each of 16 threads."""
    section = "many effects at once, ops/s"
    variants: dict[str, Callable[[], float]] = {
        "floor": partial(floor.crowd, 16, seconds),
        "16 threads": partial(ours.crowd, 16, seconds),
        "16 asyncio tasks": partial(ours_async.crowd, 16, seconds),
        "64 threads": partial(ours.crowd, 64, seconds),
        "64 asyncio tasks": partial(ours_async.crowd, 64, seconds),
    }
    for peer in peers:
        variants[peer.name] = partial(peer.crowd, 16, seconds)
    spent: dict[str, list[float]] = {name: [] for name in variants}
    samples = rounds(
        {n: partial(_counted, v, spent[n], seconds) for n, v in variants.items()}, count
    )
    base = samples.pop("floor")
    yield figure(section, "floor, 16 threads", base, unit="/s", note=_spent(spent["floor"]))
    for name, values in samples.items():
        ratios = [v / b for v, b in zip(values, base, strict=True)]
        if name in variants and name[0].isdigit():
            target = 1.2 if name.startswith("16") else 1.5
            label, note = f"lg_production, {name}", _spent(spent[name])
            yield figure(section, label, ratios, kind="at_least", target=target, note=note)
        else:
            yield figure(section, f"{name}, 16 workers", ratios, note=_spent(spent[name]))


def _counted(crowd: Callable[[], float], spent: list[float], seconds: float) -> float:
    """The rate of a crowd; the processor time of this process for each effect is added."""
    before = time.process_time()
    rate = crowd()
    spent.append((time.process_time() - before) / (rate * seconds))
    return rate


def _spent(seconds: list[float]) -> str:
    return f"{1e6 * statistics.median(seconds):.0f} µs of CPU each"


def replayed(ours: Ours, connection: psycopg.Connection[Any], count: int) -> Iterator[Figure]:
    """A call whose outcome is in the ledger, against a bare SELECT of that outcome."""
    section = "replay, ops/s"
    asked = request(secrets.randbits(60))
    ours.idempotent.wrap_tool_call(asked, booked)
    found = connection.execute(
        "SELECT key FROM lg_production.effects ORDER BY created_at DESC LIMIT 1"
    ).fetchone()
    assert found is not None

    def bare() -> float:
        start = time.perf_counter()
        connection.execute(REPLAYED, found, prepare=True).fetchone()
        return time.perf_counter() - start

    def replay() -> float:
        start = time.perf_counter()
        ours.idempotent.wrap_tool_call(asked, booked)
        return time.perf_counter() - start

    def select_one() -> float:
        start = time.perf_counter()
        connection.execute("SELECT 1", prepare=True).fetchone()
        return time.perf_counter() - start

    samples = rounds({"bare": bare, "replay": replay, "one": select_one}, count, warm=20)
    base = samples["bare"]
    yield figure(section, "bare SELECT by key", [1e3 * s for s in base], unit="ms", note="1.00")
    yield figure(section, "SELECT 1, the round trip alone", faster(base, samples["one"]))
    values = faster(base, samples["replay"])
    extra = statistics.median(samples["replay"]) - statistics.median(base)
    note = f"{1e6 * extra:.0f} µs more"
    yield figure(section, "lg_production", values, kind="at_least", target=0.9, note=note)
