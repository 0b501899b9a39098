# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Did the agent get worse, or the judge?
#
# A suite of golden data is run on the travel agent. Then the agent is broken on purpose, and the
# comparison says so. Then the judge is broken on purpose, and it is the judge that is blamed. The
# agent is real, on a real PostgreSQL, with a scripted model; **the judge is simulated**, so that
# the truth about it is known. It needs no key.

# %%
import os
import random
import sys
from functools import partial
from pathlib import Path

root = Path.cwd() if Path("langgraph.json").exists() else Path.cwd().parent
os.chdir(root)
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt

from evals.suites import booking
from lg_production.evaluation import (
    Gate,
    Judge,
    Monitor,
    PermutationTest,
    Runner,
    attribute,
    baseline_of,
    by_split,
    compare,
    load_suite,
    regraded,
)

PLAIN, OURS, PALE = "#d55e00", "#0072b2", "#a6cee3"
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
plt.rcParams["figure.constrained_layout.use"] = True

# %% [markdown]
# ## A suite, and what it says
#
# Each case says what goes in, what people answer, and what must come of it: which tools run, who is
# asked, what the airline has on record afterwards. No model judges any of that. The interval is
# over cases: a hundred of them cannot tell 86 % from 90 %.

# %%
suite = load_suite("evals/golden/booking")
print(suite.name, suite.version, len(suite.cases), "cases, data", suite.hash[:12])
print(suite.cases[2].line()[:400], "…")

# %%
good = Runner(booking.target, suite).run()
rows = {"all": list(good.results), **by_split(good.results)}
rates = {name: good.rate(found) for name, found in rows.items()}

figure, axis = plt.subplots(figsize=(7, 2.6))
for place, rate in enumerate(reversed(rates.values())):
    axis.plot([rate.low, rate.high], [place, place], color=PALE, lw=6, solid_capstyle="butt")
    axis.plot(rate.value, place, "o", color=OURS)
    axis.annotate(f"{rate.value:.0%} of {rate.n:g}", (1.02, place), va="center")
axis.set_yticks(range(len(rates)), list(reversed(rates)))
axis.set_xlim(0, 1)
axis.set_xlabel("pass rate with its 95 % interval")
plt.show()

# %% [markdown]
# What fails here fails honestly: the scripted agent does not know everything. These are its first
# failures, with the reason.

# %%
for result in [one for one in good.results if one.rate < 1][:6]:
    name, why = next(iter(result.failures.items()))
    print(f"{result.id:28} {name}: {why}"[:150])

# %% [markdown]
# ## Break the agent
#
# Somebody takes the review out of the graph: a seat for 50,000 is booked without asking. The same
# cases, run again and compared case by case.

# %%
from graphs.booking import POLICIES, booking_tools, wire
from lg_production import Idempotent, tool_node


def careless(database, airline):
    """The travel agent without anybody who looks."""
    return wire(tool_node(booking_tools(airline), Idempotent(database, policies=POLICIES)))


bad = Runner(partial(booking.target, build=careless), suite).run()
change = compare(good, bad)
low, high = change.difference.low, change.difference.high
print(f"{change.verdict}: {change.difference.value:+.1%} ({low:+.1%} to {high:+.1%})")
print(f"p = {change.p:.2g}")
print("gate:", Gate(max_drop=0.02).objections(bad, good))
assert change.verdict == "worse"

# %%
moved = [one for one in change.changes if one.difference]
figure, axis = plt.subplots(figsize=(7, 0.26 * len(moved) + 0.8))
for place, one in enumerate(sorted(moved, key=lambda c: c.difference, reverse=True)):
    colour = PLAIN if one.difference < 0 else OURS
    axis.annotate("", (one.after, place), (one.before, place),
                  arrowprops={"arrowstyle": "->", "color": colour, "lw": 2})  # fmt: skip
axis.set_yticks(
    range(len(moved)), [c.id for c in sorted(moved, key=lambda c: c.difference, reverse=True)]
)
axis.set_xlim(-0.05, 1.05)
axis.set_xlabel("share of trials that passed: before → after")
plt.show()

# %% [markdown]
# ## Break the judge
#
# A judge grades on ten levels. On the day it is pinned it grades 40 control items five times. Here
# it is a function that sees some quality in each answer, always the same, and adds noise;
# "tomorrow" its provider changes the model behind the name, and every grade is a level lower.

# %%
outcomes = {trial.case: trial for trial in good.trials}
cases = {case.id: case for case in suite.cases}
noise = random.Random(1)


def judging(shift: float):
    """A judge whose grades are so many levels off."""

    def judge(_: str, data: str) -> str:
        quality = sum(map(ord, data)) % 4  # another one for every answer, the same each time
        score = 6 + quality + shift + noise.gauss(0, 0.6)
        return f"reason: as far as I can see\nscore: {min(10, max(1, round(score)))}"

    return Judge.of("acme", "judge-1", "2026-01-15", judge, "Does the answer help the traveller?")


names = list(outcomes)[:40]
control = {name: (cases[name], outcomes[name].outcome) for name in names}
baseline = baseline_of(judging(0), control, suite.hash)

same = PermutationTest().test(baseline, regraded(judging(0), control))
changed = PermutationTest().test(baseline, regraded(judging(-1), control))
print(f"the same judge: p = {same.p:.3f}, drifted: {same.drifted}")
print(
    f"a stricter one: p = {changed.p:.4f}, drifted: {changed.drifted}, {changed.shift:+.1f} levels"
)
assert changed.drifted

# %% [markdown]
# An alias such as `latest` would have hidden this: it is refused when the judge is made.

# %%
from lg_production.errors import JudgeRefused

try:
    Judge.of("acme", "judge-1", "latest", lambda *_: "", "…")
except JudgeRefused as refused:
    print(refused)

# %% [markdown]
# ## Who is blamed?
#
# All scores fell. Comparing today's grades of the new outputs with last month's grades of the old
# ones would blame the agent. Grading both today, by the same judge, does not.

# %%
today = judging(-1)
everything = {name: (cases[name], trial.outcome) for name, trial in outcomes.items()}
old, new = regraded(today, everything), regraded(today, everything)
found = attribute(baseline, regraded(today, control), old, new)
print(found.words)
assert found.judge.drifted
assert not found.agent.changed

# %% [markdown]
# ## Every night
#
# A few control items each night, and two sums that forget what is ordinary: one for a judge that
# became stricter or milder, one for one that became erratic.

# %%
means = {name: sum(scores) / len(scores) for name, scores in baseline.grades.items()}
figure, axis = plt.subplots(figsize=(7, 2.8))
for shift, colour, label in ((0, OURS, "the same judge"), (-1, PLAIN, "one level stricter")):
    monitor, path = Monitor.of(baseline), []
    for name in noise.sample(names, 40):
        score = regraded(judging(shift), {name: control[name]})[name]
        monitor = monitor.after(score - means[name])
        path.append(monitor.down)
    axis.plot(
        range(1, len(path) + 1), path, color=colour, label=f"{label}: {monitor.alarm or 'no alarm'}"
    )
axis.axhline(monitor.level, color="black", lw=1, ls=":")
axis.annotate("alarm", (1, monitor.level), va="bottom")
axis.set_xlabel("grades of control items")
axis.set_ylabel("CUSUM, downwards")
axis.legend()
plt.show()
