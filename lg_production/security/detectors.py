"""What a text is suspected of: one small interface, ours behind it, and room for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any, Protocol, TypeAlias

import httpx

from .canonical import Canonical, Segment, canonical
from .channels import Channel
from .ngram import Weights, shipped
from .rules import broken
from .tokens import tokens

CERTAIN = 0.97
SUSPICIOUS = 0.5
MOST_SPANS = 16


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the given text, what carried the words in it, and why it is suspected."""

    start: int
    end: int
    carrier: str
    reason: str
    score: float


@dataclass(frozen=True, slots=True)
class Finding:
    """How much a text reads like an attack.

    `score` is between 0 and 1; at one half, about one benign text of a hundred would be suspected.
    It is no probability, and no proof: route by it, and let a gate decide what may be done.
    `reasons` are names of rules, or "ngram"; never words of the text.
    """

    score: float
    spans: tuple[Span, ...] = ()
    reasons: tuple[str, ...] = ()


class Detector(Protocol):
    """Anything that judges a text that came through a channel."""

    def __call__(self, text: str, channel: Channel) -> Finding: ...  # noqa: D102


class Layered:
    """Ours: strict rules, or the n-gram model, over the text and all that it hides.

    Deterministic, offline, in time linear in the text. `weights` replace those that the package
    ships; see `evals/detection` for how they are made, and the model card for what to expect.
    """

    def __init__(self, weights: Weights | None = None) -> None:
        self.weights = weights or shipped()

    def __call__(self, text: str, channel: Channel) -> Finding:
        """Judge a text."""
        shape = canonical(text)
        found = [
            span for segment in shape.segments for span in self._spans(shape, segment, channel)
        ]
        if not found:
            return Finding(0.0)
        best = max(span.score for span in found)
        shown = sorted((s for s in found if s.score >= SUSPICIOUS), key=lambda s: -s.score)
        reasons = tuple(dict.fromkeys(span.reason for span in shown))
        return Finding(best, _placed(shape, shown[:MOST_SPANS]), reasons)

    def _spans(self, shape: Canonical, segment: Segment, channel: Channel) -> list[Span]:
        said = tokens(segment.text)
        found = [
            _span(segment, hit.start, hit.end, hit.rule, CERTAIN)
            for hit in broken(shape, segment, said, channel)
        ]
        if said.words:
            calibration = self.weights.channels[channel]
            windows = self.weights.model(channel).windows(said.words)
            top = max(windows)
            limit = min(calibration.half, top[0])
            for logit, first, last in windows:
                if logit >= limit:
                    start, end = said.starts[first], said.ends[last - 1]
                    score = calibration.score(logit)
                    found.append(_span(segment, start, end, "ngram", score))
        return found


def _span(segment: Segment, start: int, end: int, reason: str, score: float) -> Span:
    if segment.carrier != "text":
        start, end = segment.start, segment.end
    return Span(start, end, segment.carrier, reason, score)


def _placed(shape: Canonical, spans: Sequence[Span]) -> tuple[Span, ...]:
    """The same spans, counted in the text that was given."""
    if not spans:
        return ()
    origin = shape.origin()
    return tuple(Span(origin(s.start), origin(s.end), s.carrier, s.reason, s.score) for s in spans)


Judgement: TypeAlias = Finding | float | bool


class Judged:
    """Any function as a detector: `judge(text, channel)` answers a Finding, a score, or yes or no.

    Takes a Hugging Face pipeline, a model as judge, or a rule of yours. `threshold` is the score of
    the function's own at which it suspects a text; it becomes one half.
    """

    def __init__(
        self,
        judge: Callable[[str, Channel], Judgement],
        *,
        name: str = "judged",
        threshold: float = 0.5,
    ) -> None:
        if not 0 < threshold < 1:
            raise ValueError("threshold is between 0 and 1")
        self.judge, self.name, self.threshold = judge, name, threshold

    def __call__(self, text: str, channel: Channel) -> Finding:
        """Ask the function."""
        found = self.judge(text, channel)
        if isinstance(found, Finding):
            return found
        score = rescaled(float(found), self.threshold)
        return Finding(score, (), (self.name,) if score >= SUSPICIOUS else ())


class Service:
    """A detector behind HTTP: POST `{"text", "channel"}`, and `read` the score in the JSON answer.

    A refusal, a timeout or an answer without a score raises: what then happens to the text is the
    policy's `on_failure`. The text leaves this process: give it an address of your own.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        read: Callable[[Any], float] = lambda body: float(body["score"]),
        headers: Mapping[str, str] | None = None,
        threshold: float = 0.5,
        client: httpx.Client | None = None,
    ) -> None:
        self.url, self.read, self.threshold = url, read, threshold
        self.client = client or httpx.Client(timeout=timeout, headers=dict(headers or {}))

    def __call__(self, text: str, channel: Channel) -> Finding:
        """Ask the service. Raises `httpx.HTTPError`, and what `read` raises."""
        safe = text.encode("utf-8", "replace").decode("utf-8")
        answer = self.client.post(self.url, json={"text": safe, "channel": channel})
        score = rescaled(self.read(answer.raise_for_status().json()), self.threshold)
        return Finding(score, (), ("service",) if score >= SUSPICIOUS else ())


class Highest:
    """Several detectors: the highest score, and everybody's spans and reasons."""

    def __init__(self, *detectors: Detector) -> None:
        if not detectors:
            raise ValueError("name at least one detector")
        self.detectors = detectors

    def __call__(self, text: str, channel: Channel) -> Finding:
        """Ask all of them."""
        found = [detector(text, channel) for detector in self.detectors]
        spans = tuple(span for one in found for span in one.spans)
        reasons = tuple(dict.fromkeys(reason for one in found for reason in one.reasons))
        return Finding(max(one.score for one in found), spans, reasons)


def rescaled(score: float, threshold: float) -> float:
    """A score between 0 and 1 whose `threshold` lies at one half; the order stays."""
    if not 0 <= score <= 1:
        raise ValueError(f"a score is between 0 and 1, not {score}")
    return score ** (log(0.5) / log(threshold)) if score else 0.0


def odds(score: float) -> float:
    """A score from a logit, for services that answer one."""
    return 1 / (1 + exp(-max(-40.0, min(40.0, score))))
