"""The eval on judge drift runs, and says what it missed."""

from __future__ import annotations

import json

import pytest

from evals.drift import __main__ as drift
from lg_production.core.intervals import wilson


@pytest.mark.exhaustive
def test_it_writes_what_it_found(tmp_path, monkeypatch, capsys):
    """Power, nights and blame, for every drift, each with its interval."""
    monkeypatch.setattr(drift, "SIZES", (25, 40))
    quiet = {"median": None, "within_200": wilson(1, 300)}
    monkeypatch.setattr(drift, "nights", lambda *_: quiet)
    blame = drift.attribution
    monkeypatch.setattr(
        drift, "attribution", lambda judge, agent, _, seed: blame(judge, agent, 4, seed)
    )
    file = tmp_path / "drift.json"
    code = drift.main(["--runs", "12", "--null", "20", "--json", str(file)])
    figures = json.loads(file.read_text())
    rounds = {row["drift"]: row["rate"]["n"] for row in figures["power"]}

    assert (len(figures["missed"]) > 0) == bool(code)
    assert 4 * 2 * 4 == len(figures["power"])
    assert {"none": 20, "strict": 12, "het": 12, "sym": 12} == rounds
    assert list(drift.TRUTHS) == list(figures["attribution"])
    assert [*drift.WATCHED] == [(row["drift"], row["items"]) for row in figures["nights"]]
    assert "0.3 (0.1–1.9)" in capsys.readouterr().out


def test_what_is_missed_is_told_only_if_it_was_not_chance():
    """A power of 85 % in 400 rounds, 1.5 % of false alarms in 3000, and the agent's blame."""
    good = {("strict", 25): wilson(352, 400), ("het", 40): wilson(380, 400)}
    calm = {("none", n): wilson(36, 3000) for n in drift.SIZES}
    bad = {("strict", 25): wilson(340, 400), ("none", 60): wilson(48, 3000)}

    def missed(rates, alarms, blamed):
        rows = [{"detector": drift.OURS, "drift": d, "n": n, "rate": r}
                for (d, n), r in rates.items()]  # fmt: skip
        watch = {("none", 12): {"within_200": wilson(alarms, 300)},
                 ("strict", 40): {"within_200": wilson(290, 300)}}  # fmt: skip
        return list(drift.misses(rows, watch, {"only the judge": {"agent": wilson(blamed, 1000)}}))

    assert [] == missed(good | calm, 6, 12)
    assert [
        "power 85.0%", "false alarms 1.6%", "nightly false alarms 6.7% with 12 items",
        "the agent is blamed for the judge in 2.0%",
    ] == [one.split(" at ")[0].split(";")[0] for one in missed(good | calm | bad, 20, 20)]  # fmt: skip
