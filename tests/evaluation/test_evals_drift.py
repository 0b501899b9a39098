"""The eval on judge drift runs, and says what it missed."""

from __future__ import annotations

import json

import pytest

from evals.drift import __main__ as drift


@pytest.mark.exhaustive
def test_it_writes_what_it_found(tmp_path, monkeypatch):
    """Power, nights and blame, for every drift."""
    monkeypatch.setattr(drift, "SIZES", (25, 40))
    monkeypatch.setattr(drift, "nights", lambda *_: {"median": None, "within_200": 0.0, "runs": 1})
    blame = drift.attribution
    monkeypatch.setattr(
        drift, "attribution", lambda judge, agent, _, seed: blame(judge, agent, 4, seed)
    )
    file = tmp_path / "drift.json"
    code = drift.main(["--runs", "12", "--json", str(file)])
    figures = json.loads(file.read_text())

    assert (len(figures["missed"]) > 0) == bool(code)
    assert 4 * 2 * 4 == len(figures["power"])
    assert 4 == len(figures["attribution"])
