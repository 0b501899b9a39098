"""The incident "burns through the monthly budget in three hours": many agents, one budget."""

from __future__ import annotations

import pytest

from evals.benchmarks.race import race
from lg_production import Database
from lg_production.core.steps import Statement


@pytest.mark.parametrize(("processes", "threads", "kills"), [(1, 20, 0), (4, 5, 4)])
def test_agents_that_race_never_overspend_by_a_token(
    database_url: str, processes: int, threads: int, kills: int
) -> None:
    """The provider's own bill stays below; the books are full; nothing is held for the dead."""
    ended = race(database_url, processes, threads, 4000, kills=kills, latency=0.02)

    assert kills == ended.kills
    assert ended.billed <= ended.used == ended.budget
    assert kills or ended.billed == ended.used
    assert 0 == ended.left_reserved


def test_thresholds_are_told_once_by_all_processes_together(database_url: str) -> None:
    """Who pays is told at 50, 80 and 100 percent, once each, whoever crossed them."""
    race(database_url, 3, 4, 3000, latency=0.01)

    with Database(database_url) as database:
        sql = "SELECT threshold, told_at IS NOT NULL FROM lg_production.budget_alerts ORDER BY 1"
        told = database.execute(Statement(sql, {}, list))
    assert [(50, True), (80, True), (100, True)] == told
