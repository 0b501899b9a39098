"""A share of cases, and the interval that holds the true one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `n`, and the interval that holds the true one."""

    value: float
    low: float
    high: float
    n: float


def wilson(hits: float, n: float, confidence: float = 0.95) -> Rate:
    """A share with Wilson's interval (Wilson 1927). Of nothing: anything between 0 and 1."""
    if not n:
        return Rate(0.0, 0.0, 1.0, 0)
    z, share = NormalDist().inv_cdf(0.5 + confidence / 2), hits / n
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    width = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if hits <= 0 else (middle - width) / scale
    return Rate(share, low, 1.0 if hits >= n else (middle + width) / scale, n)
