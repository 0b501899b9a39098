"""The router's protocol is stopped at every yield, in every way. See tests/walk.py."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from lg_production import Database
from lg_production.core.steps import Statement, Steps, drive
from lg_production.oversight.routing import Asked, Routing

from ..walk import Walk
from ..walk_paths import every_path, every_two_deaths, report, some_threes
from .test_router import BIG, DRIVERS, LOOSE, SMALL, STRICT, UNSURE, scored

NUMBERS = count()


class Mind:
    """A policy that is changed between any two runs, and the scorers with it."""

    def __init__(self, database: Database, *, restated: bool = False) -> None:
        self.database, self.name, self.restated = database, f"walk-{next(NUMBERS)}", restated
        self.asked, self.runs, self.seen = Asked(self.name, "m", {}), 0, list[Any]()
        self.calls = [SMALL, BIG, {**SMALL, "id": "third"}]
        if restated:
            old = [{**c, "args": {"to": "old", "amount": 1}} for c in self.calls]
            drive(Routing(LOOSE).route(self.asked, old), database)

    def protocol(self, database: Database) -> Steps[Any]:
        """Each run has another opinion, and sees what the one before left behind."""
        self.seen.append(self.rows())
        self.runs += 1
        policy, sure = [(UNSURE, 0.9), (STRICT, 0.1), (UNSURE, 0.1)][self.runs % 3]
        return Routing(policy, scorers=[scored(sure)]).route(self.asked, self.calls)

    def rows(self) -> dict[str, Any]:
        sql = (
            "SELECT tool_call_id, verdict, reasons, policy_hash, confidence, round "
            "FROM lg_production.reviews WHERE thread_id = %(thread)s AND arguments->>'to' <> 'old'"
        )
        found = self.database.execute(Statement(sql, {"thread": self.name}, list))
        return {call_id: rest for call_id, *rest in found}

    def acts(self, effect: Any) -> bool:
        return False

    def answer(self, payload: Any) -> Any:
        raise AssertionError(payload)

    def operate(self, error: Exception) -> None:
        """Nobody needs to do anything."""

    def harm(self, walk: Walk) -> list[str]:
        """What was once there never changed, and is what everybody was told."""
        now = self.rows()
        changed = [n for seen in self.seen for n in seen if seen[n] != now[n]]
        told = [{row.tool_call_id: row.verdict for row in rows} for rows in walk.results]
        wanted = {call_id: rest[0] for call_id, rest in now.items()}
        rounds = {rest[-1] for rest in now.values()}
        return [
            *(f"{n} was decided twice" for n in changed),
            *(f"told {each}, recorded {wanted}" for each in told if each != wanted),
            *([f"rounds {rounds}"] if rounds != {1 + self.restated} else []),
            *([] if len(now) == len(self.calls) else [f"{len(now)} rows"]),
        ]


@DRIVERS
@pytest.mark.parametrize("restated", [False, True], ids=["new", "other arguments"])
def test_a_verdict_that_fails_anywhere_is_made_once(
    database: Database, restated: bool, is_async: bool
) -> None:
    """Stopped at every yield, in every way, with a new opinion each time it begins again."""
    harm = every_path(lambda: Mind(database, restated=restated), is_async=is_async, in_graph=False)

    assert [] == harm, report(harm)


@DRIVERS
def test_a_verdict_that_fails_and_fails_again_is_made_once(
    database: Database, is_async: bool
) -> None:
    """Two deaths, or three failures, on the way."""
    options = {"is_async": is_async, "in_graph": False}

    harm = every_two_deaths(lambda: Mind(database), **options)
    harm += some_threes(lambda: Mind(database, restated=True), 41, **options)

    assert [] == harm, report(harm)
