"""The suites' targets on the session's own server: no test starts a second one."""

from __future__ import annotations

import pytest

from evals.suites import stage
from lg_production import Database


@pytest.fixture(autouse=True)
def staged(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A fresh database for the trials of a test."""
    monkeypatch.setattr(stage, "database", lambda: database)
    return database
