"""Prediction-powered intervals: a few human labels make a judge's many honest.

A judge's pass rate alone is too sure of itself: its interval holds the true rate in 63 % of cases
for a judge with 70 % specificity. Human labels correct its error, and its many grades make the
interval narrower than the labels alone would.
Source: Angelopoulos et al., Prediction-Powered Inference (Science 2023); the tuned weight:
PPI++ (2023), for the mean. That is for many labels: of 20 it holds the truth in 4 of 10 cases where
97 % pass. So two items are added that nobody has seen, as Agresti and Coull (1998) do for a share:
half an item for each way in which a human and a judge can be at the ends of the scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import sqrt
from numbers import Real
from statistics import fmean, pvariance

from .statistics import Interval, quantile

LEAST_LABELS = 10
"""With fewer the interval says next to nothing, and that not often enough."""


def prediction_powered(
    human: Sequence[float],
    judged: Sequence[float],
    unlabelled: Sequence[float],
    *,
    scale: tuple[float, float] = (0, 1),
    confidence: float = 0.95,
) -> Interval:
    """The mean of human labels, with a judge's help.

    `human` and `judged`: labels of the same items by both, in one order; `unlabelled`: the judge's
    of items that no human has seen. `scale` are the least and the highest label there can be. In
    simulations of 20 to 200 labels the interval holds the truth in 93 % and more.
    Raises `ValueError` for fewer than ten labelled items, different lengths, no unlabelled item, or
    a label that is not on the scale (NaN, None).
    """
    n, more = len(human), len(unlabelled)
    if n != len(judged) or n < LEAST_LABELS or not more:
        raise ValueError(
            f"at least {LEAST_LABELS} items that both have labelled, and one only the judge has"
        )
    _check(scale, (*human, *judged, *unlabelled))
    left, right = seen(human, judged, scale)
    labelled = len(left) / 2
    weight = tuned(left, right, labelled / more)
    corrected = [y - weight * f for y, f in zip(left, right, strict=True)]
    value = weight * fmean(unlabelled) + fmean(corrected)
    many = pvariance([*unlabelled, *scale]) / more
    width = quantile(confidence) * sqrt(weight**2 * many + pvariance(corrected) / labelled)
    low, high = max(scale[0], value - width), min(scale[1], value + width)
    return Interval(min(high, max(low, value)), low, high, n + more, confidence)


def _check(scale: tuple[float, float], labels: Sequence[float]) -> None:
    least, most = scale
    if not least < most:
        raise ValueError("a scale has a least and a highest label")
    for label in labels:
        if not isinstance(label, Real) or not least <= label <= most:
            raise ValueError(f"{label!r} is no label from {least} to {most}: see `scale`")


def seen(
    human: Sequence[float], judged: Sequence[float], scale: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """The labels of both, each twice, and once those of the four items that stand for the unseen.

    So a label counts as one item, and each of the four as half of one.
    """
    left, right = zip(*product(scale, scale), strict=True)
    return [*human, *human, *left], [*judged, *judged, *right]


def tuned(human: Sequence[float], judged: Sequence[float], ratio: float) -> float:
    """How much the judge is listened to, from 0 to 1: what makes the interval narrowest.

    `ratio`: how many items are labelled for each that is not.
    """
    left, right = fmean(human), fmean(judged)
    together = fmean((y - left) * (f - right) for y, f in zip(human, judged, strict=True))
    return min(1.0, max(0.0, together / ((1 + ratio) * pvariance(judged))))
