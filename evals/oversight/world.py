"""Simulated reviews of which the truth is known: so is whether a threshold keeps its promise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from lg_production.oversight.thresholds import Label, beta_cdf


@dataclass(frozen=True)
class World:
    """Scores are Beta(a, b), and honest: a case with score s is correct with probability s.

    A reconstruction: the published table tells no distribution, and a and b were chosen so that
    the base error (23.7 %), the share that an oracle could automate at 10 % error (43 %) and
    that above 0.7 (69 %, error 0.151) come out. That these agree is no evidence; what the other
    rules do is. `confidence` c above 1 shows score ** (1 / c), over-confident; 4 was chosen for
    the published 99 %.
    """

    a: float = 4.9
    b: float = 1.525
    confidence: float = 1.0

    def draw(self, random: Random, n: int) -> list[Label]:
        """So many judged cases, a uniform random sample."""
        drawn = [random.betavariate(self.a, self.b) for _ in range(n)]
        return [Label(s ** (1 / self.confidence), random.random() < s) for s in drawn]

    def automated(self, threshold: float | None) -> float:
        """The share of all cases at or above it."""
        return 0.0 if threshold is None else 1 - beta_cdf(self._honest(threshold), self.a, self.b)

    def escaped(self, threshold: float | None) -> float:
        """The share of all cases that are at or above it and wrong."""
        if threshold is None:
            return 0.0
        mean = self.a / (self.a + self.b)
        correct = mean * (1 - beta_cdf(self._honest(threshold), self.a + 1, self.b))
        return max(0.0, self.automated(threshold) - correct)

    def error(self, threshold: float | None) -> float:
        """The share of the wrong among those at or above it; 0 of none."""
        automated = self.automated(threshold)
        return self.escaped(threshold) / automated if automated else 0.0

    def oracle(self, alpha: float) -> float:
        """The loosest threshold with at most this error, for whoever knows the truth."""
        low, high = 0.0, 1.0
        while low < (middle := (low + high) / 2) < high:
            low, high = (low, middle) if self.error(middle) <= alpha else (middle, high)
        return high

    def _honest(self, threshold: float) -> float:
        return math.pow(min(max(threshold, 0.0), 1.0), self.confidence)
