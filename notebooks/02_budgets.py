# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # One budget, twenty agents
#
# A limit that is read before a call and raised after it holds for one agent at a time. This
# notebook shows by how much twenty overspend it, then what is held, counted and told when a
# month's budget is a row in PostgreSQL: how it burns down, where the money went, what a run says
# that has no more of it, and what a loop costs that nobody stops. It needs no key and no server
# of yours: PostgreSQL comes from a wheel, and the models are scripted.

# %%
import logging
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate, count
from pathlib import Path
from typing import Any
from uuid import uuid4

root = Path.cwd() if Path("langgraph.json").exists() else Path.cwd().parent
os.chdir(root)
sys.path.insert(0, str(root))
logging.getLogger("langchain_core.callbacks.manager").setLevel(logging.ERROR)

import matplotlib.pyplot as plt

from lg_production import Checkpointer, embedded_database

# %%
PLAIN, OURS, THIRD, PALE = "#d55e00", "#0072b2", "#e69f00", "#a6cee3"
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
plt.rcParams["figure.constrained_layout.use"] = True

stack = ExitStack()
database = stack.enter_context(embedded_database())
database.migrate()
checkpointer = Checkpointer(database)
checkpointer.setup()

# %% [markdown]
# ## Look, then spend
#
# The provider takes 20 to 100 tokens for a call and 20 to 80 ms to answer, and it keeps its own
# bill. Twenty agents may take 1,000 tokens together.

# %%
BUDGET, MOST, AGENTS = 1_000, 100, 20


class Provider:
    """Bills a call first, and answers after a while."""

    def __init__(self) -> None:
        self.bill, self.start = [(0.0, 0)], time.monotonic()

    def call(self, most: int) -> int:
        took = min(most, random.randint(20, MOST))
        self.bill.append((time.monotonic() - self.start, took))
        time.sleep(random.uniform(0.02, 0.08))
        return took


def race(agents: list[Any]) -> list[tuple[float, int]]:
    """All agents at once, until each of them stops; then the bill."""
    provider = Provider()
    with ThreadPoolExecutor(AGENTS) as pool:
        list(pool.map(lambda agent: agent(provider), agents))
    return provider.bill


# %% [markdown]
# The counter is a good one. It has a lock, and it lets nobody begin a call that might not fit in
# what it knows of. What it does not know of are the calls that have begun and not ended. And four
# worker processes have four such counters.


# %%
class Tally:
    def __init__(self) -> None:
        self.used, self.lock = 0, threading.Lock()

    def agent(self, provider: Provider) -> None:
        while self.used + MOST <= BUDGET:
            took = provider.call(MOST)
            with self.lock:
                self.used += took


one, four = Tally(), [Tally() for _ in range(4)]
bills = {
    "one counter": race([one.agent] * AGENTS),
    "four counters,\nas four workers have": race([tally.agent for tally in four * (AGENTS // 4)]),
}

# %% [markdown]
# ## Hold, then spend, then settle
#
# A reservation is held before the call, in the one row that all agents share, and settled for
# what the call took. Where it does not fit, it waits for calls under way; where it will never
# fit, an agent asks for a shorter answer, and stops when not a token is left. The provider sees
# nothing but fewer calls. Twenty agents cross three thresholds, and three events are told. Here
# they are threads; `make bench` has them in four processes too, and under `kill -9`.

# %%
from lg_production import Budget, BudgetPolicy, Event, Limit
from lg_production.errors import BudgetExceeded

events: list[Event] = []
policy = BudgetPolicy(limits=(Limit(scope="task", total_tokens=BUDGET),))
budget = Budget(database, policy, observers=[events.append])
who = budget.who({"configurable": {"task_id": "race"}})


def careful(provider: Provider) -> None:
    most = MOST
    while most:
        try:
            held = budget.reserve(uuid4().bytes, who, {"total_tokens": most})
        except BudgetExceeded:
            most //= 2
            continue
        budget.settle(held, {"total_tokens": provider.call(most)})


bills["lg_production"] = race([careful] * AGENTS)
for event in events:
    if event.name == "budget.threshold":
        print({key: event.attributes[key] for key in ("scope", "threshold", "used", "limit")})

# %%
totals = {name: sum(took for _, took in bill) for name, bill in bills.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(3, 2))
for (name, bill), color in zip(bills.items(), (THIRD, PLAIN, OURS), strict=True):
    times, tokens = zip(*bill, strict=True)
    left.step(times, [*accumulate(tokens)], where="post", color=color, linewidth=2)
    left.plot(times[-1], totals[name], "o", color=color)
    bars = right.bar(name, 100 * totals[name] / BUDGET, 0.6, color=color)
    right.bar_label(bars, fmt="%.0f %%")
for axes, limit in ((left, BUDGET), (right, 100)):
    axes.axhline(limit, color="k", linestyle="--", linewidth=1)
left.text(left.get_xlim()[1], BUDGET, "the budget", ha="right", va="bottom")
left.set(xlabel="seconds", ylabel="tokens on the provider's bill", ylim=0)
right.set(ylabel="bill, % of the budget", yticks=[])
right.tick_params(axis="x", labelsize=8)
plt.show()
assert totals["lg_production"] <= BUDGET < totals["one counter"]

# %% [markdown]
# ## A month of research
#
# `graphs/research.py`: one plans, several search and take notes, one writes. A large model plans
# and writes, a small one searches, and it does everything once a quarter of the budget is left.
# Ada and Bob have 1.2 cents a month each; Ada is curious. A question is a thread of its own, and
# its user pays. Their provider is busy at times: then its small model answers for the large one.

# %%
from graphs.research import builder
from graphs.research_model import Researching, count_tokens

QUESTIONS = (
    "How does a Fresnel lens work, and what did lighthouses burn before electricity?",
    "What causes the tides, and why are the tides of Fundy so high?",
    "Who built the Eddystone lighthouses, and how did Gustaf Dalén's sun valve work?",
    "Who first mapped the Gulf Stream, and how did Harrison find the longitude?",
    "Who built the Bell Rock lighthouse, and how do fog signals work?",
    "What was the Pharos of Alexandria, and how are tides predicted?",
    "What are spring tides?",
    "What were lightships, and why did lighthouse keepers leave?",
)
times_large = count(1)


class Busy(Researching):
    """Answers after 20 ms; every third time that it is asked for, the large model is busy."""

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.02)
        result = super()._generate(*args, **kwargs)
        if self.model == "scripted-large" and next(times_large) % 3 == 0:
            result.generations[0].message.response_metadata = {"model_name": "scripted-small"}
        return result


def busy(_: str, size: str) -> Busy:
    return Busy(model=f"scripted-{size}", max_tokens=256)


monthly = BudgetPolicy(limits=(Limit(scope="user", per="month", usd="0.012"),), max_tokens=256)
alerts: list[Event] = []
graph = builder(database, monthly, busy, (alerts.append,)).compile(checkpointer=checkpointer)


def ask(user: str, number: int) -> str:
    run: Any = {"configurable": {"thread_id": f"{user}-{number}", "user_id": user}}
    return graph.invoke({"messages": [("user", QUESTIONS[number])]}, run)["messages"][-1].text


answers = [ask("ada", number) for number in range(8)] + [ask("bob", number) for number in range(3)]

# %% [markdown]
# ## How the month burned down
#
# Every call left a row: what was held for it, in which budgets, when, and what it took. Summed up
# in their order, the rows are the month. What is held is the most that a call can take, so it is
# far more than what is used in the end; a call begins only if both fit under the limit.

# %%
from lg_production.core.steps import Statement
from lg_production.cost import decisions

BURNED = """
SELECT sum(e.used) OVER story, sum(e.held) OVER story
FROM lg_production.reservations r,
  unnest(r.budgets, r.quantities, r.amounts) AS u (budget, quantity, held),
  LATERAL (VALUES
    (r.created_at, 0, u.held),
    (r.closed_at, CASE WHEN r.state = 'released' THEN 0
      ELSE coalesce((r.spent ->> u.quantity)::bigint, u.held) END, -u.held)
  ) AS e (at, used, held)
WHERE u.budget = %(budget)s AND e.at IS NOT NULL
WINDOW story AS (ORDER BY e.at, r.key ROWS UNBOUNDED PRECEDING) ORDER BY e.at, r.key
"""
ada, bob = (database.execute(decisions.accounts(f"user:{u}"))[0] for u in ("ada", "bob"))
story = database.execute(Statement(BURNED, {"budget": ada.id}, list))
print(ada.place.period, "ada:", ada.used, "bob:", bob.used, "of", ada.limit, "micro-USD each")
assert story[-1] == (ada.used, 0)

# %%
CENT = 10_000  # micro-USD
calls = [n / 2 for n in range(len(story))]  # each has a hold and a settlement
used, taken = [int(u) / CENT for u, _ in story], [int(u + h) / CENT for u, h in story]
figure, axes = plt.subplots(figsize=(9, 3.8))
axes.fill_between(calls, taken, step="post", color=PALE, label="held for calls under way")
axes.fill_between(calls, used, step="post", color=OURS, label="used")
for percent in (50, 80, 100):
    line = percent / 100 * ada.limit / CENT
    axes.axhline(line, color="k", linestyle="--", linewidth=0.8)
    axes.annotate(f"{percent} %", (0.5, line), va="bottom", fontsize=8)
for event in alerts:
    told = event.attributes
    if event.name == "budget.threshold" and told["scope"] == "user:ada":
        n = next(n for n, amount in enumerate(used) if amount >= told["used"] / CENT)
        axes.plot(n / 2, used[n], "o", color=PLAIN, markeredgecolor="w", markersize=8)
        axes.annotate(f"{told['threshold']} % told", (n / 2, used[n]), (-5, 7),
                      textcoords="offset points", ha="right", color=PLAIN)  # fmt: skip
axes.set(xlabel="model calls", ylabel="cents of Ada's month", xlim=0, ylim=0)
axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
plt.show()

# %% [markdown]
# The peaks are answers of the large model under way. Where less than a quarter is left they end,
# and Ada's line becomes flat: the small model does it all, and the rest of the month lasts for
# the other half of her questions. 100 % is never told: no call fits into the little that is left.
#
# ## Where it went
#
# By the node that asked, and by the model that was asked. Both names of a model are kept, because
# both are needed: a call is held at the price of the one, and billed at that of the other.

# %%
from collections import Counter

calls = database.execute(decisions.calls([ada.id, bob.id]))
by_node, by_model = Counter(), Counter()
for call in calls:
    user = call.thread_id.partition("-")[0]
    by_node[call.node, user] += call.spent["micro_usd"]
    by_model[call.requested, call.served] += call.spent["micro_usd"]
print(len(calls), "calls, at the prices of", calls[0].price_version)
assert sum(by_node.values()) == ada.used + bob.used


def stacked(axes: Any, sums: Any, colors: Any, what: str) -> None:
    names, left = list(dict.fromkeys(name for name, _ in sums)), Counter()
    for part, color in colors.items():
        widths = [sums[name, part] / CENT for name in names]
        axes.barh(names, widths, 0.6, [left[name] for name in names], color=color, label=part)
        left.update(dict(zip(names, widths, strict=True)))
    axes.set(xlabel="cents", title=what, xlim=(0, 1.3 * max(left.values())))
    axes.legend(loc="upper right")


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6))
stacked(left, by_node, {"ada": OURS, "bob": PALE}, "by node and user")
models = {"scripted-large": OURS, "scripted-small": THIRD}
stacked(right, by_model, models, "by model asked and served")
plt.show()

# %% [markdown]
# ## Out of money
#
# Ada's last question met the limit on the way. A researcher for whose next call there is no room
# ends, what it noted is paid for and is in the answer, and the answer says what is missing.

# %%
print(answers[7])
assert answers[7].startswith("This answer is partial")

# %% [markdown]
# Somebody gives her more, for a reason that stays in the ledger. Then the run is resumed where the
# researchers set out, at the checkpoint that LangGraph kept. What was spent stays spent: the limit
# was raised, and not the counter reset.

# %%
command = [sys.executable, "-m", "lg_production", "budgets", "extend", "user:ada", "micro_usd"]
command += ["5000", "--by", "maria", "--reason", "she writes a book"]
where = {**os.environ, "DATABASE_URL": database.url}
print(subprocess.check_output(command, env=where, text=True))
for at, action, amount, by, reason in database.execute(decisions.history([ada.id])):
    print(f"{at:%H:%M:%S} {action} {amount:,} by {by}: {reason}")

# %%
past = graph.get_state_history({"configurable": {"thread_id": "ada-7"}})
planned = next(state.config["configurable"] for state in past if "researcher" in state.next)
answer = graph.invoke(None, {"configurable": {**planned, "user_id": "ada"}})["messages"][-1].text
print(answer)
account = database.execute(decisions.accounts("user:ada"))[0]
print(f"{ada.used:,} used before, {account.used:,} now, of {account.limit:,} micro-USD")
assert "is partial" not in answer
assert ada.used < account.used <= account.limit

# %% [markdown]
# ## An agent that would never stop
#
# A budget ends a loop late and dearly: every call of it is longer than the last. This researcher
# searches and reads the same in turn, for ever: with LangGraph's `recursion_limit` alone, here
# 100, and with `LoopGuard` before its model. The guard climbs a ladder: it tells the model, has the
# calls of the loop refused, asks for an answer without tools, and stops. What finds something new
# each time is no loop: that one is for the budget.

# %%
from langchain_core.messages import AIMessage
from langgraph.errors import GraphRecursionError

from graphs.reading import calling
from graphs.research import TOOLS, researcher
from lg_production import LoopBreaker, LoopGuard, tool_node
from lg_production.cost.loop_history import LOOP


class Pacing(Researching):
    bill: list[int]

    def research(self, messages: Any, question: str) -> Any:
        self.bill.append(count_tokens(messages))
        steps = [("search", {"query": question}), ("read", {"document": "bay-of-fundy"})]
        return calling(messages, [steps[(len(self.bill) + 1) % 2]])


def run(**guards: Any) -> tuple[list[int], list[Any]]:
    """The tokens of each call, and the messages of a run that came to an end."""
    model = Pacing(bill=[])
    agent = researcher(lambda *_: model, tool_node(TOOLS, LoopBreaker()), guards)
    question = {"messages": [("user", "Why are the tides of Fundy so high?")]}
    try:
        return model.bill, agent.invoke(question, {"recursion_limit": 100})["messages"]
    except GraphRecursionError:
        return model.bill, []


endless, _ = run()
ended, messages = run(loops=LoopGuard(then="model"))
print(messages[-1].text.split("\n\n")[-1])

# %%
figure, axes = plt.subplots(figsize=(9, 3.4))
for bill, color, name in ((endless, PLAIN, "recursion_limit=100"), (ended, OURS, "LoopGuard")):
    total = [tokens / 1000 for tokens in accumulate(bill)]
    label = f"{name}: {len(bill)} calls, {sum(bill):,} tokens"
    axes.plot(range(1, len(bill) + 1), total, "o-", color=color, markersize=4, label=label)
for n, message in enumerate(messages):
    mark = message.additional_kwargs.get(LOOP, {})
    if "rung" in mark:
        call = sum(isinstance(before, AIMessage) for before in messages[:n])
        axes.annotate(mark["rung"], (call, sum(ended[:call]) / 1000), (-3, 8), rotation=60,
                      textcoords="offset points", color=OURS)  # fmt: skip
axes.set(xlabel="model calls", ylabel="thousand tokens in", xlim=0, ylim=0)
axes.legend(loc="upper left")
plt.show()
stack.close()
