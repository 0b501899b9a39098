"""Reports that say what a test needs, without a run."""

from __future__ import annotations

from typing import Any

from lg_production.evaluation.expectation import Verdict
from lg_production.evaluation.outcome import Outcome
from lg_production.evaluation.results import Report, Trial

HOSTILE = "</script><script>alert(1)</script></style>\u202e\x00\ud800<img src='x' onerror=\"y\">"
"""What a model may write into a report."""


def trial(name: str, n: int, passed: bool, answer: str = "fine", **outcome: Any) -> Trial:
    """A trial with one behaviour."""
    verdict = Verdict("uses book", passed, "" if passed else "no such call; " + answer)
    return Trial(name, n, Outcome(answer, **outcome), (verdict,))


def report(passes: list[int], *, repeat: int = 1, hash: str = "h", stopped: str = "") -> Report:
    """A report of cases that passed so often of `repeat`."""
    cases = tuple({"id": f"c-{n}", "split": ("happy", "edge")[n % 2]} for n in range(len(passes)))
    trials = tuple(
        trial(f"c-{n}", r, r < times) for n, times in enumerate(passes) for r in range(repeat)
    )
    return Report("s", "v1", hash, "t", cases, trials, stopped=stopped)
