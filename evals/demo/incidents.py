"""The incidents: what goes wrong, and how many bookings there should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evals.demo.stage import Stage, Stuck
from evals.demo.worker import Job

ONE = "Book flight TP1234."
JET = "Book flight PJ0001."
THREE = "Book flights TP1234, LH1166 and AF1024."
WITH_QUESTION = "Book flight TP1234 and, in the same answer, ask me about the seat."
APPROVED = {"decisions": [{"type": "approve"}]}


@dataclass(frozen=True)
class Incident:
    """`play` returns a remark, or nothing. `client_timeout` is in seconds."""

    name: str
    title: str
    happened: str
    play: Callable[[Stage], str]
    wanted: tuple[str, ...] = ("TP1234",)
    client_timeout: float = 20.0
    confirm: bool = False
    declared: bool = True
    people: bool = False


def times_out(stage: Stage) -> str:
    """The airline books and does not answer; the agent sees an error."""
    stage.setting.airline.fail("hang", seconds=5)
    return str(stage.run(Job(wish=ONE))[0].get("said", ""))


def killed(stage: Stage) -> str:
    """The airline has booked; the worker dies before the checkpoint."""
    stage.setting.airline.fail("hang")
    stage.run_and_kill(Job(wish=ONE), bookings=1)
    return str(stage.run(Job())[0].get("said", ""))


def killed_among_three(stage: Stage) -> str:
    """Two of three parallel calls have returned when the worker dies."""
    stage.setting.airline.fail("hang", flight="AF1024")
    stage.run_and_kill(Job(wish=THREE), bookings=3)
    return str(stage.run(Job())[0].get("said", ""))


def resumed_thrice(stage: Stage) -> str:
    """A person says yes, and three workers hear it."""
    stage.run(Job(wish=ONE))
    stage.setting.airline.fail("delay", seconds=0.5, times=3)
    told = stage.run(*[Job(answer=APPROVED)] * 3)
    return f"{sum('said' in t for t in told)} of 3 were told: done"


def two_click(stage: Stage) -> str:
    """The jet waits for a person; two of them approve it at the same time."""
    if not stage.run(Job(wish=JET))[0].get("asked"):
        raise Stuck("nobody was asked")
    stage.setting.airline.fail("delay", seconds=0.5, times=2)
    told = stage.run(*[Job(answer=APPROVED)] * 2)
    return f"{sum('said' in t for t in told)} of 2 were told: done"


def sibling_asks(stage: Stage) -> str:
    """One call has booked; the other asks the traveller and pauses the node."""
    stage.run(Job(wish=WITH_QUESTION))
    return str(stage.run(Job(answer="a window seat"))[0].get("said", ""))


def undeclared(stage: Stage) -> str:
    """Nothing is known of the tool: a person looks at the airline's record and says so."""
    stage.setting.airline.fail("hang")
    stage.run_and_kill(Job(wish=ONE), bookings=1)
    ended = stage.run(Job())[0]
    if not ended.get("asked"):
        return ""
    looked_up = {"type": "respond", "message": "Booked TP1234, reference REF001"}
    stage.run(Job(answer={"decisions": [looked_up]}))
    return str(ended["asked"][0]["action_requests"][0]["description"])


INCIDENTS = (
    Incident(
        "a",
        "time-out",
        "the airline books, its answer never comes, the agent tries again",
        times_out,
        client_timeout=2.0,
    ),
    Incident(
        "b",
        "crash",
        "kill -9 between the booking and the checkpoint, then resume",
        killed,
    ),
    Incident(
        "c",
        "three calls",
        "kill -9 in a node with three parallel calls, then resume",
        killed_among_three,
        wanted=("TP1234", "LH1166", "AF1024"),
    ),
    Incident(
        "d",
        "three yes",
        "three processes resume the same interrupt at once",
        resumed_thrice,
        confirm=True,
    ),
    Incident(
        "e",
        "sibling",
        "an interrupt in one call runs its finished sibling again",
        sibling_asks,
    ),
)
UNDECLARED = Incident(
    "f",
    "undeclared",
    "as b, but nothing was declared about the tool, and it sends no key",
    undeclared,
    declared=False,
)
CLICKERS = Incident(
    "h",
    "two clickers",
    "two people approve the same jet for 50,000 at the same time",
    two_click,
    wanted=("PJ0001",),
    confirm=True,
    people=True,
)
