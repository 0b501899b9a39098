# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # The same flight, booked twice
#
# LangGraph runs a node *at least once*. Whatever a tool did before a crash, it does again
# after it. This notebook shows the window, six ways to fall into it, and the row that closes it.
# It needs no key and no server of yours: PostgreSQL comes from a wheel, the airline is a small
# HTTP server on loopback, and the kills are real.

# %%
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

root = Path.cwd() if Path("langgraph.json").exists() else Path.cwd().parent
os.chdir(root)
sys.path.insert(0, str(root))

# %% [markdown]
# ## One tool, one lost answer
#
# The airline books, and the answer never arrives. That is the whole problem: the agent sees a
# time-out and cannot know.

# %%
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command

from lg_production import Checkpointer, IdempotentToolNode, embedded_database

booked: list[str] = []


@tool
def book_flight(flight: str) -> str:
    """Book a flight at an airline whose answers get lost."""
    booked.append(flight)
    raise TimeoutError("no answer within 10 s")


def model(state: MessagesState) -> dict[str, Any]:
    """A scripted model: it asks for the flight, and after an error asks again, twice at most."""
    asked = sum(isinstance(m, AIMessage) for m in state["messages"])
    last = state["messages"][-1]
    if isinstance(last, HumanMessage) or (getattr(last, "status", "") == "error" and asked < 3):
        call = {"name": "book_flight", "args": {"flight": "TP1234"}, "id": str(uuid4())}
        return {"messages": [AIMessage("", tool_calls=[call])]}
    return {"messages": [AIMessage("Your flight is booked.")]}


def agent(tools: ToolNode, checkpointer: Checkpointer) -> Any:
    """Model and tools in a loop."""
    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=checkpointer)


stack = ExitStack()
database = stack.enter_context(embedded_database())
database.migrate()
checkpointer = Checkpointer(database)
checkpointer.setup()


def new_thread() -> Any:
    """A conversation."""
    return {"configurable": {"thread_id": str(uuid4())}}


plain = agent(ToolNode([book_flight], handle_tool_errors=True), checkpointer)
plain.invoke({"messages": [("user", "Book TP1234")]}, new_thread())
print("plain ToolNode:", len(booked), "bookings")
assert len(booked) == 3

# %% [markdown]
# The error went to the model, and the model did what one does after an error.
#
# ## The same agent, one class changed
#
# Nothing is declared about the tool, so its outcome is a question to a person, and not to the
# model: `respond` says that it happened, `approve` runs it again, `reject` leaves it.

# %%
booked.clear()
ours = agent(IdempotentToolNode([book_flight], database, handle_tool_errors=True), checkpointer)
thread = new_thread()
state = ours.invoke({"messages": [("user", "Book TP1234")]}, thread)
question = state["__interrupt__"][0].value["action_requests"][0]
print(question["description"])

state = ours.invoke(
    Command(resume={"decisions": [{"type": "respond", "message": "Booked, seat 12A."}]}), thread
)
print([m.content for m in state["messages"]])
print("IdempotentToolNode:", len(booked), "booking")
assert len(booked) == 1

# %% [markdown]
# The row that did it, with who decided what:

# %%
from lg_production.idempotency import maintenance

(entry,) = database.execute(maintenance.entries())
print(entry.effect.tool, entry.effect.state, "version", entry.effect.version, entry.arguments)
for at, action, by, reason, version in database.execute(maintenance.history(entry.effect.key)):
    print(f"{at:%H:%M:%S} {action} of version {version} by {by!r}: {reason}")
stack.close()

# %% [markdown]
# ## Six incidents, with real processes
#
# `make demo` as a picture. Every pair of bars is one incident, played once with LangGraph's
# ToolNode and PostgresSaver and once with `IdempotentToolNode`. It takes half a minute, because
# workers are started, killed and started again.

# %%
import json
import subprocess

played = subprocess.run(
    [sys.executable, "-m", "evals.demo", "--json"], stdout=subprocess.PIPE, text=True, check=True
)
results = json.loads(played.stdout)
incidents = results["incidents"]
for name, counts in incidents.items():
    print(name, {key: counts[key] for key in ("plain", "lg_production", "wanted")})

# %%
import matplotlib.pyplot as plt

TITLES = {
    "a": "time-out,\nretry", "b": "kill -9,\nresume", "c": "kill -9 among\nthree calls",
    "d": "three resume\nat once", "e": "interrupt beside\na sibling", "f": "nothing\ndeclared",
    "h": "two clickers",
}  # fmt: skip
figure, axes = plt.subplots(figsize=(9, 3.6))
for shift, column, color in ((-0.2, "plain", "#c44e52"), (0.2, "lg_production", "#4c72b0")):
    counts = [incident[column] for incident in incidents.values()]
    bars = axes.bar([n + shift for n in range(len(counts))], counts, 0.4, label=column, color=color)
    axes.bar_label(bars)
wanted = [incident["wanted"] for incident in incidents.values()]
axes.plot(range(len(wanted)), wanted, "k_", markersize=40, label="wanted")
axes.set_xticks(range(len(incidents)), [TITLES[name] for name in incidents])
axes.set_ylabel("bookings at the airline")
axes.set_yticks([])
axes.spines[["top", "right", "left"]].set_visible(False)
axes.legend(frameon=False)
plt.show()

assert wanted == [incident["lg_production"] for incident in incidents.values()]
