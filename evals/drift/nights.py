"""A judge that is watched every night, and who is blamed when scores fall."""

from __future__ import annotations

from random import Random
from statistics import fmean, median

from lg_production.core.intervals import Rate, wilson
from lg_production.evaluation.attribution import attribute
from lg_production.evaluation.cusum import Monitor
from lg_production.evaluation.drift import Baseline, PermutationTest
from lg_production.evaluation.statistics import sign_flip

from .detectors import ALPHA, DRAWS, K, played
from .world import Drift, is_moved, item, judge_of, shift_for

MOST = 600
WORSE = 0.10
"""An agent that has become worse: all its outputs somewhat, so many of them pass no more."""


def watched(drift: Drift, floor: float, items: int, random: Random, most: int) -> int | None:
    """After how many re-grades a monitor has an alarm; None if it has none.

    Every night each item is graded once, in another order; the next night all of them again.
    """
    old, new = judge_of("none", floor), judge_of(drift, floor)
    control = {str(n): (item(random), is_moved(drift, random)) for n in range(items)}
    before = {
        name: tuple(old.grade(margin, False, random) for _ in range(K))
        for name, (margin, _) in control.items()
    }
    monitor = Monitor.of(Baseline("", "", before), seed=random.getrandbits(30))
    while monitor.seen < most:
        for name in random.sample(list(control), items):
            grade = new.grade(*control[name], random)
            monitor = monitor.after(grade - fmean(before[name]))
            if monitor.alarm:
                return monitor.seen if monitor.seen <= most else None
    return None


def nights(
    drift: Drift, floor: float, items: int, runs: int, seed: int
) -> dict[str, Rate | float | None]:
    """Median re-grades until the alarm, and how often there was one within 200."""
    random, most = Random(f"{seed} {items}"), MOST if drift != "none" else 200
    found = [watched(drift, floor, items, random, most) for _ in range(runs)]
    reached = sorted(MOST + 1 if one is None else one for one in found)
    middle = median(reached)
    within = sum(one is not None and one <= 200 for one in found)
    return {"median": None if middle > MOST else middle, "within_200": wilson(within, runs)}


def blamed(judge_drifts: bool, agent_worse: bool, random: Random) -> dict[str, bool]:
    """One run of 100 cases and 40 control items: what each way of looking says."""
    floor, drift = 0.03, "strict" if judge_drifts else "none"
    control = played(drift, floor, 40, random)  # type: ignore[arg-type]
    old, new = judge_of("none", floor), judge_of(drift, floor)  # type: ignore[arg-type]
    stored, before, after = [], {}, {}
    for name in map(str, range(100)):
        margin = item(random)
        then = margin - (shift_for(1.0, WORSE) if agent_worse else 0.0)
        stored.append(old.grade(margin, False, random))
        before[name] = new.grade(margin, True, random)
        after[name] = new.grade(then + random.gauss(0, 0.3), True, random)
    test = PermutationTest(ALPHA, DRAWS)
    found = attribute(Baseline("", "", control.before), control.today, before, after, test=test)
    naive = [b - a for a, b in zip(stored, after.values(), strict=True)]
    drop = sum(a > 5 for a in stored) - sum(b > 5 for b in after.values())
    return {
        "judge": found.judge.drifted, "agent": found.agent.changed, "points": drop > 5,
        "paired": sign_flip(naive, draws=DRAWS) <= ALPHA,
    }  # fmt: skip


def attribution(judge_drifts: bool, agent_worse: bool, runs: int, seed: int) -> dict[str, Rate]:
    """How often each way says that it was the agent, and ours that it was the judge."""
    random = Random(f"{seed} {judge_drifts} {agent_worse}")
    rows = [blamed(judge_drifts, agent_worse, random) for _ in range(runs)]
    for row in rows:
        row["both_right"] = (row["judge"], row["agent"]) == (judge_drifts, agent_worse)
    return {name: wilson(sum(row[name] for row in rows), runs) for name in rows[0]}
