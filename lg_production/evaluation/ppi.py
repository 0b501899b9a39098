"""Prediction-powered intervals: a few human labels make a judge's many honest.

A judge's pass rate alone is too sure of itself: its interval holds the true rate in 63 % of cases
for a judge with 70 % specificity. A few hundred human labels correct its error, and its many grades
make the interval narrower than the labels alone would.
Source: Angelopoulos et al., Prediction-Powered Inference (Science 2023); the tuned weight:
PPI++ (2023), for the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, pvariance

from .statistics import Interval


def prediction_powered(
    human: Sequence[float],
    judged: Sequence[float],
    unlabelled: Sequence[float],
    *,
    confidence: float = 0.95,
) -> Interval:
    """The mean of human labels, with a judge's help.

    `human` and `judged`: labels of the same items by both, in one order; `unlabelled`: the judge's
    of items that no human has seen. Labels are 0 and 1, or any scores of one scale. Raises
    `ValueError` for fewer than two labelled items, different lengths, or no unlabelled item.
    """
    n, more = len(human), len(unlabelled)
    if n != len(judged) or n < 2 or not more:
        raise ValueError(
            "at least two items that both have labelled, and one that only the judge has"
        )
    weight = tuned(human, judged, more)
    corrected = [y - weight * f for y, f in zip(human, judged, strict=True)]
    value = weight * fmean(unlabelled) + fmean(corrected)
    variance = weight**2 * pvariance(unlabelled) / more + pvariance(corrected) / (n - 1)
    width = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(variance)
    return Interval(value, value - width, value + width, n + more, confidence)


def tuned(human: Sequence[float], judged: Sequence[float], more: int) -> float:
    """How much the judge is listened to, from 0 to 1: what makes the interval narrowest."""
    n, left, right = len(human), fmean(human), fmean(judged)
    together = fmean((y - left) * (f - right) for y, f in zip(human, judged, strict=True))
    spread = pvariance(judged)
    return min(1.0, max(0.0, together / ((1 + n / more) * spread))) if spread else 0.0
