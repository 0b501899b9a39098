"""Several people answer one question, in processes of their own, at the same time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from lg_production import Checkpointer, Database
from lg_production.core.steps import Statement
from tests.graphs_for_tests import ASK, agent, call, says, thread
from tests.oversight.review_for_tests import APPROVE, REJECT, Office, messages, questions

WORKER = """
import json, os, signal, sys, time
from langchain_core.tools import tool
from langgraph.types import Command, interrupt
from lg_production import Checkpointer, Database, Idempotent
from lg_production.core.wrappers import tool_node
from lg_production.oversight.policy import ReviewPolicy, Stakes
from lg_production.oversight.review import Review
from langgraph.prebuilt import ToolNode
from tests.graphs_for_tests import ASK, agent, call, says

kind, url, thread_id, record, answer, dies = sys.argv[1:]
told = []

@tool
def pay(amount: int) -> str:
    "Pay."
    if kind == "plain" and interrupt({"pay": amount})["decisions"][0]["type"] != "approve":
        return "rejected"
    with open(record, "a") as file:
        file.write("paid\\n")
    time.sleep(1)
    return "paid"

def observe(event):
    if event.name == dies:
        os.kill(os.getpid(), signal.SIGKILL)
    if event.name == "review.voted":
        time.sleep(1)  # the others read the thread meanwhile, whatever was decided
    told.append([event.name, event.attributes.get("wanted")])

with Database(url, max_connections=4) as database:
    policy = ReviewPolicy(tools={"pay": Stakes(tier="high")})
    guards = [Review(database, policy, observers=[observe]), Idempotent(database)]
    node = ToolNode([pay]) if kind == "plain" else tool_node([pay], *guards)
    graph = agent(says(call("pay", "c1", amount=50_000)), node).compile(
        checkpointer=Checkpointer(database)
    )
    config = {"configurable": {"thread_id": thread_id}}
    answer = json.loads(answer)
    given = ASK if answer == "ask" else None if answer is None else Command(resume=answer)
    print("ready", flush=True)
    sys.stdin.readline()
    state = graph.invoke(given, config)
    said = [m.content for m in state["messages"] if m.type == "tool"]
    late = [wanted for name, wanted in told if name == "review.late"]
    print(json.dumps({"said": said, "late": late}))
"""


class Payment:
    """One thread that asks about one payment, and the processes that answer."""

    def __init__(self, kind: str, database: Database, record: Path) -> None:
        self.kind, self.database, self.record = kind, database, record
        self.thread_id = thread()["configurable"]["thread_id"]

    def at_once(self, *answers: Any, dies: str = "") -> list[Any]:
        """Answer from as many processes, which all wait for each other first."""
        running = [self._start(answer, dies) for answer in answers]
        for process in running:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [(process.communicate(timeout=60)[0], process.returncode) for process in running]
        return [json.loads(output) if output else code for output, code in ended]

    def _start(self, answer: Any, dies: str) -> subprocess.Popen[str]:
        arguments = [self.kind, self.database.url, self.thread_id, str(self.record)]
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments, json.dumps(answer), dies],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip

    def paid(self) -> int:
        return self.record.read_text().count("paid") if self.record.exists() else 0

    def rows(self, sql: Any) -> list[Any]:
        return self.database.execute(Statement(sql, {"thread": self.thread_id}, list))

    def decisions(self) -> list[Any]:
        return self.rows(
            "SELECT outcome, version FROM lg_production.reviews WHERE thread_id = %(thread)s"
        )


@pytest.fixture
def payment(database: Database, tmp_path: Path) -> Payment:
    """A payment of 50,000 that waits for a person."""
    payment = Payment("ours", database, tmp_path / "record")
    payment.at_once("ask")
    return payment


def test_langgraph_pays_as_often_as_people_click(database: Database, tmp_path: Path) -> None:
    """What we compare with: two approvals of one pause are two payments, and two successes."""
    payment = Payment("plain", database, tmp_path / "record")
    payment.at_once("ask")
    ended = payment.at_once(APPROVE, APPROVE)

    assert 2 == payment.paid()
    assert [["paid"], ["paid"]] == [told["said"] for told in ended]


def test_three_people_who_approve_pay_once(payment: Payment) -> None:
    """One decision and one effect; all three are told the same, and nobody that they lost."""
    ended = payment.at_once(APPROVE, APPROVE, APPROVE)

    assert 1 == payment.paid()
    assert [("approve", 2)] == payment.decisions()
    assert [{"said": ["paid"], "late": []}] * 3 == ended


@pytest.mark.parametrize(
    "answers", [(APPROVE, REJECT), (REJECT, APPROVE), (REJECT, APPROVE, REJECT)]
)
def test_who_approves_while_another_rejects_is_told_who_won(payment: Payment, answers: Any) -> None:
    """One decision; those who wanted something else are told, and all see the same outcome."""
    ended = payment.at_once(*answers)
    ((outcome, version),) = payment.decisions()
    wanted = [answer["decisions"][0]["type"] for answer in answers]

    assert int(outcome == "approve") == payment.paid()
    assert 2 == version
    assert [[w] if w != outcome else [] for w in wanted] == [told["late"] for told in ended]
    assert 1 == len({tuple(told["said"]) for told in ended})


def test_a_worker_that_dies_behind_the_approval_pays_once(payment: Payment) -> None:
    """SIGKILL between the decision and the effect: the next run acts on it, and asks nobody."""
    died = payment.at_once(APPROVE, dies="review.voted")
    before = payment.paid()
    ended = payment.at_once(None)

    assert [-signal.SIGKILL] == died
    assert 0 == before
    assert 1 == payment.paid()
    assert [{"said": ["paid"], "late": []}] == ended
    assert [("approve", 2)] == payment.decisions()


# -------------------------------------------------------------- what else an answer ran into


def test_langgraph_runs_what_was_rejected_when_a_predicate_changes_its_mind(
    database: Database,
) -> None:
    """What we compare with: it is asked again on resume, and says that nobody need be asked."""
    paid, risky = [], [True, False]

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        if risky.pop(0) and interrupt({"pay": amount})["decisions"][0]["type"] != "approve":
            return "rejected"
        paid.append(amount)
        return "paid"

    graph = agent(says(call("pay", "c1", amount=900)), ToolNode([pay]))
    compiled, config = graph.compile(checkpointer=Checkpointer(database)), thread()
    compiled.invoke(ASK, config)
    compiled.invoke(Command(resume=REJECT), config)

    assert [900] == paid


def test_a_predicate_that_changes_its_mind_is_not_asked(database: Database) -> None:
    """The verdict was written down before the pause: the rejection holds."""
    office = Office(database, call("pay", "c1", to="ann", amount=900))
    office.start()
    office.review.routing.policy = office.review.routing.policy.model_copy(
        update={"tools": {}, "unlisted": "deny"}
    )
    asked = office.run(None)
    state = office.resume(REJECT)

    assert ["pay"] == [q["name"] for q in questions(asked)]
    assert "rejected it" in messages(state)[0][1]
    assert [] == office.bank.paid


def test_an_approval_does_not_cover_what_it_did_not_show(database: Database) -> None:
    """The arguments were changed behind the approval: what would run is asked about anew."""
    office = Office(database, call("pay", "c1", to="ann", amount=900))
    message = office.start()["messages"][-1]
    office.decide_elsewhere("approve")
    changed = AIMessage("", id=message.id, tool_calls=[call("pay", "c1", to="eve", amount=90_000)])
    office.graph.update_state(office.config, {"messages": [changed]}, as_node="model")
    asked = office.run(None)

    assert [{"to": "eve", "amount": 90_000}] == [q["args"] for q in questions(asked)]
    assert [] == office.bank.paid


def test_a_retried_yes_does_not_delete_production(database: Database) -> None:
    """A resume that is sent twice, by id: its second coming finds the next question open."""
    ask_twice = [
        call("pay", "c1", to="ann", amount=900),
        call("pay", "c2", to="prod", amount=9_000),
    ]
    sent = iter(ask_twice)

    def model(state: Any) -> Any:
        done = sum(isinstance(m, ToolMessage) for m in state["messages"])
        return {
            "messages": [AIMessage("", tool_calls=[next(sent)]) if done < 2 else AIMessage("ok")]
        }

    office = Office(database, model=model)
    first = office.start()["__interrupt__"][0].id
    office.resume({first: APPROVE})
    state = office.resume({first: APPROVE})

    assert ["prod"] == [q["args"]["to"] for q in questions(state)]
    assert [("ann", 900)] == office.bank.paid
