"""Which auto-approved cases a person sees all the same: the agent cannot tell, a replay can.

Without these, labels are known only where a person looked anyway, and no threshold can be
judged by them. The number drawn for a case is a keyed hash of its id: the same on every replay,
and unknown to whoever lacks the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..core.intervals import Rate
from .calibration import exact
from .thresholds import Label


def draw(secret: bytes, decision_id: str | bytes) -> float:
    """A number from 0 up to 1 for a decision: HMAC-SHA256, its first 53 bits."""
    name = decision_id.encode() if isinstance(decision_id, str) else decision_id
    digest = hmac.digest(secret, name, hashlib.sha256)
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


@dataclass(frozen=True, slots=True)
class Sampled:
    """What was drawn. `stratum`, `probability` and `draw` belong into the case's label."""

    taken: bool
    stratum: str
    probability: float
    draw: float


@dataclass(frozen=True)
class Sampler:
    """Samples auto-approved cases, each tool and each bin of scores at its own rate.

    `rate` is for tools that `tools` does not name. `edges` part the scores into bins. Within
    `near` of the threshold, where a case says most about it, `near_rate` is used if it is more.
    A rate of 0 would leave cases that nobody can ever judge: it is refused.
    """

    secret: bytes = field(repr=False)
    rate: float = 0.05
    tools: Mapping[str, float] = field(default_factory=dict)
    edges: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9, 0.95)
    near: float = 0.05
    near_rate: float = 0.2

    def __post_init__(self) -> None:
        if len(self.secret) < 16:
            raise ValueError("the secret needs at least 16 bytes: take secrets.token_bytes(32)")
        if not all(0 < rate <= 1 for rate in (self.rate, self.near_rate, *self.tools.values())):
            raise ValueError("a sampling rate must be above 0 and at most 1")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must rise")

    def probability(self, tool: str, score: float, threshold: float | None = None) -> float:
        """How likely such a case is sampled."""
        rate = self.tools.get(tool, self.rate)
        close = threshold is not None and abs(score - threshold) <= self.near
        return max(rate, self.near_rate) if close else rate

    def stratum(self, tool: str, score: float) -> str:
        """The tool, and the bin of the score from its lower edge: `book_flight/0.9`."""
        at = bisect_right(self.edges, score)
        return f"{tool}/{self.edges[at - 1]:g}" if at else f"{tool}/-"

    def decide(
        self, decision_id: str | bytes, tool: str, score: float, threshold: float | None = None
    ) -> Sampled:
        """Whether a person sees this case. The same case, the same answer."""
        number = draw(self.secret, decision_id)
        probability = self.probability(tool, score, threshold)
        return Sampled(number < probability, self.stratum(tool, score), probability, number)


def error_rate(labels: Iterable[Label], confidence: float = 0.95) -> Rate:
    """The share of wrong cases, each weighted by how unlikely it was to be seen (Hájek).

    The interval is Clopper and Pearson's for as many equal cases as tell as much (Korn and
    Graubard): it does not shrink to nothing where no error was seen. `n` is that number.
    """
    cases = list(labels)
    if not cases:
        return Rate(0.0, 0.0, 1.0, 0)
    weights = [1 / case.probability for case in cases]
    total = math.fsum(weights)
    wrong = [float(not case.correct) for case in cases]
    share = math.fsum(w * e for w, e in zip(weights, wrong, strict=True)) / total
    spread = math.fsum((w * (e - share)) ** 2 for w, e in zip(weights, wrong, strict=True))
    if spread:
        n = share * (1 - share) * total**2 / spread
    else:
        n = total**2 / math.fsum(w * w for w in weights)
    n = min(n, len(cases))
    return exact(share * n, n, confidence)


def errors_in(labels: Iterable[Label], cases: int) -> float:
    """How many of so many cases are wrong, labelled or not (Horvitz and Thompson)."""
    return min(cases, math.fsum(1 / case.probability for case in labels if not case.correct))
