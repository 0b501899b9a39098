"""A reviewed payment is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime
from langgraph.runtime import ExecutionInfo
from langgraph.types import interrupt

from lg_production import Database, Idempotent
from lg_production.core.steps import Call, Statement, Steps
from lg_production.oversight.policy import ReviewPolicy, Stakes
from lg_production.oversight.review import Review

from ..walk import Airline, Walk
from ..walk_paths import (
    ACTIONS,
    BOOLEANS,
    KEPT,
    NoLeases,
    every_path,
    every_two_deaths,
    mostly,
    report,
    some_threes,
)

NUMBERS = count()
NO_TIME = {"wait": timedelta(0), "barrier_timeout": timedelta(0)}
POLICY = ReviewPolicy(tools={"book": Stakes(tier="high"), "both": Stakes(tier="critical")})
EDITED = " by train"
VOTES = """
SELECT v.reviewer, v.action, v.counted FROM lg_production.review_votes v
JOIN lg_production.reviews r ON r.key = v.key WHERE r.thread_id = %(thread)s
"""
STATE = """
SELECT state, outcome, decided_by, (SELECT count(*)::int FROM lg_production.effects e
  WHERE e.thread_id = r.thread_id)
FROM lg_production.reviews r WHERE r.thread_id = %(thread)s
"""
DECISION = """
SELECT e.evidence->>'decision' = encode(r.key, 'hex') FROM lg_production.effects e
JOIN lg_production.reviews r ON r.thread_id = e.thread_id WHERE r.thread_id = %(thread)s
"""


class Scene:
    """One order that a person decides about: `action`, by as many as it takes."""

    def __init__(
        self, database: Database, action: str = "approve", *, name: str = "book", asks: bool = False
    ) -> None:
        self.database, self.action, self.name, self.asks = database, action, name, asks
        self.number = next(NUMBERS)
        self.order = f"order-{self.number}"
        self.airline = Airline()
        self.reviewer = "cy"  # starts it; ann and bob decide
        self.heard: list[Any] = []
        airline, heard = self.airline, self.heard

        @tool(name)
        def book(order: str) -> str:
            """Book."""
            if asks:
                heard.append(interrupt({"own": True}))
            return airline.book(order)

        self.tool = book

    def protocol(self, database: Database) -> Steps[Any]:
        """Review around Idempotent around the tool."""
        review = Review(database, POLICY)
        idempotent = Idempotent(database, barrier=False, **NO_TIME)
        idempotent.leases = NoLeases()  # type: ignore[assignment]

        def run(request: ToolCallRequest) -> Any:
            return request.tool.invoke({**request.tool_call, "type": "tool_call"})

        async def arun(request: ToolCallRequest) -> Any:
            return await request.tool.ainvoke({**request.tool_call, "type": "tool_call"})

        def inner(request: ToolCallRequest) -> Call[Any]:
            return Call(
                lambda: idempotent.wrap_tool_call(request, run),
                lambda: idempotent.awrap_tool_call(request, arun),
            )

        return review.steps(self.request(), inner)

    def request(self) -> ToolCallRequest:
        call: Any = {
            "name": self.name,
            "args": {"order": self.order},
            "id": "c",
            "type": "tool_call",
        }
        state = {"messages": [AIMessage("", id=f"ai-{self.number}", tool_calls=[call])]}
        info = ExecutionInfo("checkpoint", "tools:task", f"task-{self.number}", self.order)
        runtime: Any = ToolRuntime(
            state=state, tool_call_id="c", config={}, context={"reviewer": self.reviewer},
            store=None, stream_writer=lambda _: None, execution_info=info,
        )  # fmt: skip
        return ToolCallRequest(call, self.tool, state, runtime)

    # ------------------------------------------------------------- people and counting

    def answer(self, payload: Any) -> Any:
        """The reviewer's answer to a review, a look-up's to a doubt, an account to the tool."""
        if "own" in payload:
            return "own answer"
        (action,) = payload["action_requests"]
        if "agreed" not in action:
            order = action["args"]["order"]
            respond = {"type": "respond", "message": f"booked {order}"}
            return {"decisions": [respond if self.airline.booked(order) else {"type": "approve"}]}
        self.reviewer = "bob" if "ann" in action["agreed"] else "ann"
        edited = {"name": self.name, "args": {"order": self.order + EDITED}}
        edits = self.action == "edit" and action["args"] != edited["args"]
        decision = {"type": "edit" if edits else self.action, "edited_action": edited}
        if self.action == "edit" and not edits:
            decision = {"type": "approve"}
        return {"decisions": [{**decision, "digest": action["digest"]}]}

    def operate(self, error: Exception) -> None:
        """Whatever there is to be asked is asked where the graph is."""

    def acts(self, effect: Any) -> bool:
        """The calls of the tool."""
        call = isinstance(effect, Call) and (effect.afunction or effect.function)
        return bool(call) and call.__qualname__.startswith("ToolWrapper.")

    def rows(self, sql: Any) -> list[Any]:
        return self.database.execute(Statement(sql, {"thread": self.order}, list))

    def harm(self, walk: Walk) -> list[str]:
        """What went wrong: not what was decided, not once, not who decided, a wrong answer."""
        runs = self.action in ("approve", "edit")
        wanted = self.order + (EDITED if self.action == "edit" else "")
        found = []
        if not (runs <= len(self.airline.bookings) <= runs * (1 + walk.late)):
            found.append(f"{len(self.airline.bookings)} bookings")
        if not set(self.airline.bookings) <= {wanted}:
            found.append(f"booked {self.airline.bookings}")
        people = ["ann", "bob"] if self.name == "both" and runs else ["ann"]
        ((state, outcome, by, effects),) = self.rows(STATE)
        if (state, outcome, sorted(by), effects) != ("decided", self.action, people, int(runs)):
            found.append(f"recorded {state} {outcome} by {by}, {effects} effects")
        counted = sorted(who for who, _, counts in self.rows(VOTES) if counts)
        if counted != people or not all(counts for _, _, counts in self.rows(VOTES)):
            found.append(f"votes {self.rows(VOTES)}")
        if [(True,)] * runs != self.rows(DECISION):
            found.append("the claim does not name the decision")
        if set(self.heard) - {"own answer"}:
            found.append(f"the tool heard {self.heard}")
        for result in walk.results:
            told = (
                f"booked {wanted}" if runs else f"{self.name} was not carried out: ann rejected it."
            )
            if not isinstance(result, ToolMessage) or result.content != told:
                found.append(f"told {result!r}")
        return found


@mostly(
    "action, is_async, keep_answers",
    [("approve", False, True), ("approve", True, "paused"), ("edit", True, True),
     ("reject", False, "paused")],
    ACTIONS, BOOLEANS, KEPT,
)  # fmt: skip
def test_what_is_decided_happens_once_wherever_it_fails(
    database: Database, action: str, is_async: bool, keep_answers: Any
) -> None:
    """Stopped at every yield, in every way: one decision, its effect once, and its name on it."""
    options = {"is_async": is_async, "keep_answers": keep_answers}
    harm = every_path(lambda: Scene(database, action), **options)

    assert [] == harm, report(harm)


@mostly("action, is_async", [("approve", True), ("edit", False)], ACTIONS, BOOLEANS)
def test_two_people_decide_once_wherever_it_fails(
    database: Database, action: str, is_async: bool
) -> None:
    """Nobody's answer is counted for another person, and nobody's twice."""
    harm = every_path(lambda: Scene(database, action, name="both"), is_async=is_async)

    assert [] == harm, report(harm)


@mostly("is_async, keep_answers", [(False, "paused")], BOOLEANS, KEPT)
def test_the_tools_own_question_is_answered_wherever_it_fails(
    database: Database, is_async: bool, keep_answers: Any
) -> None:
    """No answer to the review is given to the tool, and none to the tool is a review."""
    options = {"is_async": is_async, "keep_answers": keep_answers}
    harm = every_path(lambda: Scene(database, asks=True), **options)

    assert [] == harm, report(harm)


@mostly("name, is_async", [("both", True)], ["both", "book"], BOOLEANS)
def test_a_review_that_fails_and_fails_again_is_decided_once(
    database: Database, name: str, is_async: bool
) -> None:
    """Two deaths, or three failures, on the way."""

    def make() -> Scene:
        return Scene(database, name=name)

    harm = every_two_deaths(make, is_async=is_async) + some_threes(make, 31, is_async=is_async)

    assert [] == harm, report(harm)
