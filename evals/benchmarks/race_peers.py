"""The same race with others' limits: 20 calls may be made; how many are?

Each contender guards one call of a provider that takes 50 ms and keeps its own bill. Every
thread tries until it is refused, and at most `ATTEMPTS` times. Overshoot is calls over limit.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import sql

from lg_production import Checkpointer, Database
from lg_production.cost.budget import Budget
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.errors import BudgetExceeded

from .contenders import sibling
from .measure import Figure, figure
from .race import Provider, race

CAP, ATTEMPTS, LATENCY = 20, 10, 0.05
Guarded: TypeAlias = Callable[[Callable[[], object]], bool]
"""Makes one guarded call; False if it was refused."""


def ours(url: str) -> Guarded:
    """One statement before the call and one after it."""
    limit = Limit(scope="task", model_calls=CAP)
    budget = Budget(Database(url, max_connections=8), BudgetPolicy(limits=(limit,)))
    who = budget.who({"configurable": {"task_id": "race"}})

    def guarded(call: Callable[[], object]) -> bool:
        try:
            held = budget.reserve(uuid4().bytes, who, {"model_calls": 1})
        except BudgetExceeded:
            return False
        call()
        budget.settle(held)
        return True

    return guarded


class Calls(BaseChatModel):
    """A chat model that makes the call."""

    call: Any

    @property
    def _llm_type(self) -> str:
        return "calls"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        del messages
        self.call()
        return ChatResult(generations=[ChatGeneration(message=AIMessage("done"))])


def langchain(url: str) -> Guarded:
    """ModelCallLimitMiddleware on PostgresSaver: one thread of conversation for all."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import ModelCallLimitMiddleware
    from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError

    config: Any = {"configurable": {"thread_id": "race"}}

    def guarded(call: Callable[[], object]) -> bool:
        limit: Any = ModelCallLimitMiddleware(thread_limit=CAP, exit_behavior="error")
        with PostgresSaver.from_conn_string(url) as saver:
            agent: Any = create_agent(Calls(call=call), middleware=[limit], checkpointer=saver)
            try:
                agent.invoke({"messages": [("user", "go")]}, config)
            except ModelCallLimitExceededError:
                return False
        return True

    return guarded


def pydantic_ai(_: str) -> Guarded:
    """UsageLimits over one shared RunUsage."""
    from pydantic_ai import Agent, ModelResponse, TextPart
    from pydantic_ai.exceptions import UsageLimitExceeded
    from pydantic_ai.models.function import FunctionModel
    from pydantic_ai.usage import RunUsage, UsageLimits

    usage, limits = RunUsage(), UsageLimits(request_limit=CAP)

    def guarded(call: Callable[[], object]) -> bool:
        async def answer(*_: Any) -> ModelResponse:
            await asyncio.to_thread(call)
            return ModelResponse(parts=[TextPart("done")])

        agent = Agent(FunctionModel(answer))
        try:
            asyncio.run(agent.run("go", usage=usage, usage_limits=limits))
        except UsageLimitExceeded:
            return False
        return True

    return guarded


def agentbudget(_: str) -> Guarded:
    """One session of $20 for all, asked before and told after, as its README has it."""
    from agentbudget import AgentBudget, BudgetExhausted

    session = AgentBudget(max_spend=CAP, max_repeated_calls=10**6).session()
    session.__enter__()

    def guarded(call: Callable[[], object]) -> bool:
        if session.would_exceed(1.0):
            return False
        call()
        try:
            session.track(None, cost=1.0)
        except BudgetExhausted:
            return False
        return True

    return guarded


OURS = "lg_production"
CONTENDERS: dict[str, tuple[Callable[[str], Guarded], str]] = {
    OURS: (ours, "lg_production"),
    "langchain ModelCallLimitMiddleware": (langchain, "langchain"),
    "pydantic-ai UsageLimits": (pydantic_ai, "pydantic_ai"),
    "agentbudget": (agentbudget, "agentbudget"),
}


def overshoot(url: str, say: Callable[[str], object]) -> Iterator[Figure]:
    """Calls made over calls allowed: in one process and in four; and ours in tokens, killed."""
    for processes, threads in ((1, 20), (4, 20)):
        for name, (_, module) in CONTENDERS.items():
            if find_spec(module) is None:
                say(f"{name} is not installed")
                continue
            say(f"{name}, {processes} x {threads}")
            made = calls_made(fresh(url), name, processes, threads)
            target: dict[str, Any] = {"kind": "at_most", "target": 1} if name == OURS else {}
            section = f"calls made of {CAP} allowed, {processes} x {threads}"
            yield figure(section, name, [made / CAP], **target)
    yield from tokens(url, say)


def tokens(url: str, say: Callable[[str], object]) -> Iterator[Figure]:
    """Ours to the last token, under SIGKILL too."""
    section = "tokens billed of those allowed"
    for processes, threads, budget, kills in (
        (1, 20, 20_000, 0), (4, 20, 20_000, 0), (8, 50, 60_000, 0), (4, 20, 20_000, 12),
    ):  # fmt: skip
        name = f"{processes} x {threads}" + (f", {kills} x kill -9" if kills else "")
        say(f"tokens, {name}")
        ended = race(fresh(url), processes, threads, budget, kills=kills)
        yield figure(section, name, [ended.overshoot], kind="at_most", target=1,
                     note=f"{ended.calls} calls")  # fmt: skip
        yield figure(section, "  used, by the books", [ended.utilisation], kind="at_least",
                     target=0.99)  # fmt: skip
        yield figure(section, "  left held", [ended.left_reserved], unit="tokens",
                     kind="at_most", target=0)  # fmt: skip


def calls_made(url: str, name: str, processes: int, threads: int) -> int:
    """The provider's own count."""
    with tempfile.TemporaryDirectory() as folder:
        bill = Path(folder, "bill")
        given = json.dumps([url, name, str(bill), threads])
        command = [sys.executable, "-m", "evals.benchmarks.race_peers", given]
        running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", f"{name} did not start"
        for process in running:
            process.communicate("go\n")
        return len(Provider.billed(bill))


def fresh(url: str) -> str:
    """A new migrated database on this server."""
    name = f"race_{uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    made = sibling(url, name)
    with Database(made, max_connections=2) as database:
        database.migrate()
        Checkpointer(database).setup()
    return made


def main(url: str, name: str, bill: str, threads: int) -> None:
    """One process of agents: they start together, when they are told."""
    provider, guarded = Provider(Path(bill), LATENCY), CONTENDERS[name][0](url)

    def agent() -> None:
        for _ in range(ATTEMPTS):
            if not guarded(lambda: provider.call(1)):
                return

    running = [threading.Thread(target=agent) for _ in range(threads)]
    print("ready", flush=True)
    sys.stdin.readline()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
