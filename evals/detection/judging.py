"""Judge every text by a detector that has seen nothing of its source, and say what came of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

import numpy as np
from sklearn.metrics import roc_auc_score

from lg_production.security.canonical import canonical
from lg_production.security.detectors import Layered
from lg_production.security.ngram import HEADS, Calibration, Head, Model
from lg_production.security.rules import broken
from lg_production.security.tokens import tokens

from .corpus import Example
from .generators import FAMILIES
from .training import fit, rows_of

RATE = {"user": 0.01, "document": 0.01, "tool_output": 0.01}
NEVER, ALWAYS = -20.0, 20.0
RULED = 8.0
WRITTEN = frozenset({"attack", "request", "listing"})
"""Texts of our own grammar that are reported by themselves, and not in a channel's figures."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A text, the highest logit of its windows, and the rules that it breaks."""

    example: Example
    logit: float
    rules: tuple[str, ...]

    @property
    def total(self) -> float:
        """The logit, or a high one where a rule is broken."""
        return max(self.logit, RULED) if self.rules else self.logit


def judge(model: Model, example: Example) -> Verdict:
    """One text."""
    shape, logit, hits = canonical(example.text), NEVER, []
    for segment in shape.segments:
        said = tokens(segment.text)
        hits += [hit.rule for hit in broken(shape, segment, said, example.channel)]  # type: ignore[arg-type]
        if said.words:
            logit = max(logit, max(model.windows(said.words))[0])
    return Verdict(example, logit, tuple(dict.fromkeys(hits)))


def crossed(examples: Sequence[Example]) -> tuple[list[Verdict], dict[Head, Model]]:
    """Every text, judged by weights that have not seen its source; and the weights of all.

    Leaves out a fold of whole sources at a time, of both heads, since one has a share in the other.
    """
    names: tuple[Head, ...] = ("user", "data")
    rows = {name: rows_of(name, examples) for name in names}
    verdicts = []
    for number in range(FAMILIES):
        models = fit({name: found.where(found.fold != number) for name, found in rows.items()})
        held = [e for e in examples if e.fold == number and e.channel in HEADS]
        verdicts += [judge(models[HEADS[e.channel]], e) for e in held]
    return verdicts, fit(rows)


def counts(example: Example, channel: str) -> bool:
    """Whether a channel's scores are set by this text: benign, and not of our own making.

    Without ours, tool answers are too few; e-mail is one of them, whatever channel it is judged in.
    Among documents it is easy, and would hide what documentation does.
    """
    if example.attack or example.kind in WRITTEN:
        return False
    if channel == "tool_output":
        return example.channel == channel or example.kind == "e-mail"
    return example.channel == channel and not example.source.startswith("own")


def calibrations(verdicts: Sequence[Verdict]) -> dict[str, Calibration]:
    """Where one half and nine tenths lie, by unseen benign texts."""
    found = {}
    for channel, rate in RATE.items():
        logits = [v.logit for v in verdicts if counts(v.example, channel)]
        half, sure = np.quantile(logits, [1 - rate, 1 - rate / 10])
        found[channel] = Calibration(float(half), float(max(sure, half + 0.5)))
    return found


def summary(verdicts: Sequence[Verdict]) -> list[str]:
    """Lines of a report: a channel, then each of its sources."""
    lines = []
    for channel in RATE:
        every = [v for v in verdicts if v.example.channel == channel]
        ours = [v for v in every if v.example.kind not in WRITTEN]
        benign = np.array([v.total for v in ours if not v.example.attack])
        attack = np.array([v.total for v in ours if v.example.attack])
        labels = [0] * len(benign) + [1] * len(attack)
        auc = roc_auc_score(labels, np.concatenate([benign, attack]))
        recall = [recalled(benign, attack, rate) for rate in (0.01, 0.02, 0.05)]
        lines.append(
            f"{channel}: {len(benign)} benign, {len(attack)} attacks, AUC {auc:.3f}, recall at "
            + ", ".join(f"{r} % {v:.3f}" for r, v in zip((1, 2, 5), recall, strict=True))
        )
        rules = [
            np.mean([bool(v.rules) for v in ours if v.example.attack is a]) for a in (True, False)
        ]
        lines.append(f"  rules alone: recall {rules[0]:.3f}, false positives {rules[1]:.4f}")
        limit = calibrations(verdicts)[channel].half
        lines += [f"  {line}" for line in by_source(every, limit)]
    return lines


def recalled(benign: np.ndarray, attack: np.ndarray, rate: float) -> float:
    """The share of attacks above the threshold that suspects so many of the benign."""
    return float(np.mean(attack > np.quantile(benign, 1 - rate)))


def by_source(verdicts: Sequence[Verdict], limit: float) -> list[str]:
    """The share of each source that is suspected at the channel's threshold."""
    groups: Mapping[tuple[bool, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        e = verdict.example
        source = f"MIT packages, {e.kind}" if e.source.startswith("MIT package") else e.source
        groups[e.attack, source].append(verdict)
    return [
        f"{'attack' if attack else 'benign'} | {source} | {len(found)} | "
        f"{np.mean([v.total > limit for v in found]):.3f}"
        for (attack, source), found in sorted(groups.items())
    ]


def speed(examples: Sequence[Example], detector: Layered) -> tuple[float, float]:
    """Median and 95th percentile for 1 kB of text, in milliseconds of CPU."""
    joined = " ".join(e.text for e in examples if e.channel != "user")
    pieces = [joined[s : s + 1_000] for s in range(0, min(len(joined), 400_000), 1_000)]
    took = []
    for piece in pieces:
        start = process_time()
        detector(piece, "document")
        took.append(1_000 * (process_time() - start))
    return median(took), float(np.quantile(took, 0.95))
