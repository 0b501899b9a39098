# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Who decides, and do they still look?
#
# Three questions about an agent with human oversight. Is its confidence worth anything? How much
# may go without a person, and what is promised of that? And are the people who look at the rest
# still looking? **The agent and the reviewers of this notebook are simulated**, so that the truth
# is known; the thresholds, tests and alarms are the library's, and the last section runs a real
# graph on a real PostgreSQL. It needs no key.

# %%
import os
import random
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

root = Path.cwd() if Path("langgraph.json").exists() else Path.cwd().parent
os.chdir(root)
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from lg_production import (
    Checkpointer,
    ConfidenceRouter,
    EscapeRate,
    Idempotent,
    Review,
    ReviewPolicy,
    SelectiveRisk,
    Stakes,
    embedded_database,
    tool_node,
)
from lg_production.oversight import Label
from lg_production.oversight.calibration import Isotonic, calibration_error, reliability
from lg_production.oversight.decay import Decided, Recommendation, Watch
from lg_production.oversight.watching import Watcher

PLAIN, OURS, THIRD, PALE = "#d55e00", "#0072b2", "#e69f00", "#a6cee3"
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
plt.rcParams["figure.constrained_layout.use"] = True

# %% [markdown]
# ## Confidence, as it is said and as it is
#
# The simulated agent is overconfident, as models are: it says 94 % where it is right in 86 %.


# %%
def cases(count: int, seed: int) -> list[Label]:
    """So many cases: what the agent says, and whether it is right."""
    numbers = random.Random(seed)
    found = []
    for _ in range(count):
        truth = numbers.betavariate(6, 1)
        said = min(0.999, truth**0.4)
        found.append(Label(said, numbers.random() < truth))
    return found


fitted, fresh = cases(2_000, 1), cases(2_000, 2)
isotonic = Isotonic.fit([c.score for c in fitted], [c.correct for c in fitted])
right = [c.correct for c in fresh]
said = {"as said": [c.score for c in fresh], "calibrated": [isotonic(c.score) for c in fresh]}

figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
for axis, (name, found), color in zip(axes, said.items(), (PLAIN, OURS), strict=True):
    bins = [b for b in reliability(found, right) if b.correct.n >= 20]
    x, y = [b.score for b in bins], [b.correct.value for b in bins]
    low = [b.correct.value - b.correct.low for b in bins]
    high = [b.correct.high - b.correct.value for b in bins]
    axis.plot([0.4, 1], [0.4, 1], color="grey", lw=0.8)
    axis.errorbar(x, y, yerr=[low, high], fmt="o-", color=color)
    axis.set(
        title=f"{name}: calibration error {calibration_error(found, right).value:.3f}",
        xlabel="confidence",
    )
axes[0].set_ylabel("share that was right (95 % interval)")
plt.show()

# %% [markdown]
# ## What may go without a person
#
# A threshold that is chosen where past errors look low enough promises nothing. `SelectiveRisk`
# promises, with probability 95 %, that of what passes at most 5 % is wrong; `EscapeRate` that of
# all cases at most 2 % pass and are wrong, on average. Both refuse while nothing is proven. Each
# is fitted sixty times on so many reviews, and judged on the world.

# %%
world = cases(60_000, 3)


def naive(labels: list[Label], alpha: float = 0.05) -> float | None:
    """The lowest threshold whose past errors look low enough."""
    wrong, best = 0, None
    for n, case in enumerate(sorted(labels, key=lambda c: -c.score), 1):
        wrong += not case.correct
        best = case.score if wrong / n <= alpha else best
    return best


ranked = sorted(world, key=lambda c: c.score)
errors_above = [0]
for case in reversed(ranked):
    errors_above.append(errors_above[-1] + (not case.correct))


def truth(value: float | None) -> tuple[float, float]:
    """The share of the world that passes, and how much of that is wrong."""
    if value is None:
        return 0.0, 0.0
    low, high = 0, len(ranked)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if ranked[middle].score < value else (low, middle)
    passed = len(ranked) - low
    return passed / len(ranked), errors_above[passed] / passed if passed else 0.0


rules = {
    "errors looked low enough": naive,
    "SelectiveRisk(0.05, 0.05)": lambda labels: SelectiveRisk(0.05, 0.05).fit(labels).value,
    "EscapeRate(0.02)": lambda labels: EscapeRate(0.02).fit(labels).value,
}
sizes = (100, 200, 400, 800)
results: dict[str, list[tuple[float, float, float]]] = {}
for name, rule in rules.items():
    for size in sizes:
        seen = [truth(rule(cases(size, 1_000 * size + n))) for n in range(60)]
        automated = sum(share for share, _ in seen) / len(seen)
        broken = sum(risk > 0.05 for _, risk in seen) / len(seen)
        escaped = sum(share * risk for share, risk in seen) / len(seen)
        results.setdefault(name, []).append((automated, broken, escaped))

figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
labelled = ("automated", "fits with more than 5 % wrong", "passed and wrong, of all")
for place, (axis, label) in enumerate(zip(axes, labelled, strict=True)):
    for (name, found), color in zip(results.items(), (PLAIN, OURS, THIRD), strict=True):
        axis.plot(sizes, [row[place] for row in found], "o-", color=color, label=name)
    axis.set(xlabel="reviews", title=label)
axes[1].axhline(0.05, color="grey", lw=0.8)
axes[2].axhline(0.02, color="grey", lw=0.8)
axes[0].legend()
plt.show()

for size in (20, 2_000):
    print(f"{size} reviews:", SelectiveRisk(0.05, 0.05).fit(cases(size, 9)).guarantee)

# %% [markdown]
# The grey lines are the promises. The 60,000 cases that the fits are judged on have, by chance, 3
# to 5 % more errors than this world has: that is why `EscapeRate` comes out a little above its
# line. `make evals-oversight` judges on a world that is known exactly.
#
# ## Nine months, and a reviewer who tires (simulated)
#
# Three people decide sixty cases a week each, and every twentieth is a canary, a case that is
# known to be wrong. Until the end of May Bo misses one canary in twenty, as the others do; from
# June on he approves nearly everything in a few seconds. When does the record say so?


# %%
FIRST, TIRED = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


def decides(reviewer: str, at: datetime, numbers: random.Random) -> Decided:
    """One decision of one person about a page of 1,200 characters, by this simulation."""
    tired = reviewer == "bo" and at >= TIRED
    canary = numbers.random() < 0.05
    approves = (0.9 if tired else 0.05) if canary else (0.99 if tired else 0.8)
    seconds = numbers.gammavariate(2, 3) if tired else 30 + numbers.gammavariate(2, 20)
    action = "approve" if numbers.random() < approves else "reject"
    return Decided(reviewer, "refund", at, action, seconds, 1200, canary)


numbers = random.Random(7)
votes = [
    decides(reviewer, FIRST + timedelta(weeks=week, hours=2 * n), numbers)
    for week in range(39)
    for reviewer in ("ada", "bo", "cy")
    for n in range(60)
]
watch = Watch()
alarms = watch.alarms(votes)
habits = watch.habits(votes)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharex=True)
for reviewer, color in (("ada", PALE), ("cy", THIRD), ("bo", PLAIN)):
    own = [h for h in habits if h.reviewer == reviewer]
    weeks = [h.week for h in own]
    axes[0].plot(weeks, [h.approval.value for h in own], color=color, label=reviewer)
    axes[1].plot(weeks, [h.fast.value for h in own], color=color)
    missed = [sum(h.missed for h in own[: n + 1]) for n in range(len(own))]
    axes[2].plot(weeks, missed, color=color)
for axis, title in zip(
    axes, ("approved", "faster than it can be read", "canaries missed"), strict=True
):
    axis.set_title(title)
    axis.axvline(TIRED.date(), color="grey", lw=0.8)
    axis.tick_params(axis="x", rotation=45)
axes[0].legend()
plt.show()

for kind in ("too_fast", "approves_all", "canaries"):
    first = min((a for a in alarms if a.kind == kind), key=lambda a: a.week, default=None)
    print(
        f"{kind:>12}:", f"{first.reviewer}, week of {first.week}: {first.reason}" if first else "-"
    )
print("alarms about the others:", sum(alarm.reviewer != "bo" for alarm in alarms))

# %% [markdown]
# This is one world. In others honest people are accused, and mostly by the canaries: the CUSUM has
# a false alarm every 490 canaries, and two colleagues see about 230 in nine months.

# %%
accused = 0
for seed in range(10):
    numbers = random.Random(100 + seed)
    others = [
        decides(reviewer, FIRST + timedelta(weeks=week, hours=2 * n), numbers)
        for week in range(39)
        for reviewer in ("ada", "cy")
        for n in range(60)
    ]
    accused += any(watch.alarms(others))
print(f"of 10 such worlds, {accused} accuse Ada or Cy at least once")

# %% [markdown]
# A `Watcher` in the router acts on it: more of the tool's cases are sampled, and a second person
# is asked.

# %%
for moment in (TIRED, TIRED + timedelta(weeks=4)):
    seen = [vote for vote in votes if vote.at < moment]
    asked = Watcher().judged(seen, moment).get("refund", Recommendation())
    print(
        f"{moment:%d %B}: rate of review x {asked.review_rate:g}, a second person in "
        f"{asked.second_person:.0%} of the cases, because of {len(asked.reasons)} alarms"
    )

# %% [markdown]
# ## One decision, for real
#
# A graph, PostgreSQL, a payment that is too large: it waits, a person edits it, and what runs is
# the edit. Nobody is logged in here, so the record calls this person `resume`.

# %%
stack = ExitStack()
database = stack.enter_context(embedded_database())
database.migrate()
checkpointer = Checkpointer(database)
checkpointer.setup()
paid: list[int] = []


@tool
def refund(euros: int) -> str:
    """Pay money back."""
    paid.append(euros)
    return f"{euros} euros are on their way"


def model(state: MessagesState) -> dict[str, Any]:
    """A scripted model: it asks for one refund."""
    if state["messages"][-1].type == "human":
        call = {"name": "refund", "args": {"euros": 50_000}, "id": "c1"}
        return {"messages": [AIMessage("", id="m1", tool_calls=[call])]}
    return {"messages": [AIMessage("done", id="m2")]}


policy = ReviewPolicy(tools={"refund": Stakes(tier="medium", amount="euros", amount_over=500)})
router = ConfidenceRouter(database, policy)
review = Review(database, policy, tools=[refund])
builder = StateGraph(MessagesState)
builder.add_node("model", model)
builder.add_node("router", router, destinations=router.destinations)
builder.add_node("review", review, destinations=("tools",))
builder.add_node("tools", tool_node([refund], review, Idempotent(database)))
builder.add_edge(START, "model")
builder.add_edge("model", "router")
builder.add_edge("tools", "model")
graph = builder.compile(checkpointer=checkpointer)

run: Any = {"configurable": {"thread_id": "42"}}
waiting = graph.invoke({"messages": [("user", "refund me")]}, run)["__interrupt__"][0].value
question = waiting["action_requests"][0]
print(question["description"], question["risk"])

named = {"idempotency_key": question["idempotency_key"], "digest": question["digest"]}
edit = {"type": "edit", "edited_action": {"name": "refund", "args": {"euros": "500"}}}
ended = graph.invoke(Command(resume={**edit, **named}), run)
print("paid:", paid, "-", ended["messages"][-2].content)
assert paid == [500]

# %%
import psycopg

with psycopg.connect(database.url) as connection:
    row = connection.execute(
        "SELECT verdict, reasons, state, outcome, arguments, edited, decided_by "
        "FROM lg_production.reviews"
    ).fetchone()
print(row)
stack.close()
