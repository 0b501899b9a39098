"""From texts to weights: windows, hashed n-grams, two logistic regressions, eight bits each."""

from __future__ import annotations

import base64
import random
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from lg_production.security.canonical import canonical
from lg_production.security.lexicon import CLASS_OF
from lg_production.security.ngram import (
    BITS,
    LEAST,
    SIZES,
    Head,
    Model,
    hashed,
    kinds,
    letters,
    phrases,
    spans,
)  # fmt: skip
from lg_production.security.tokens import END, tokens

from .corpus import SEED, Example, origin
from .generators import FAMILIES

letters_of = lru_cache(maxsize=200_000)(letters)
hash_of = lru_cache(maxsize=200_000)(hashed)
C: dict[Head, float] = {"user": 6.0, "data": 1.5}
STEPS = 60
SUBSETS, KEPT, LEAST_ROWS = 8, 0.75, 200
"""Fits to a part of the sources, the part, and how many windows of a class there must be in it."""
SHARE = 0.7
"""How much of the weights for requests is added to those for data."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of words with its label, its weight, and the text it is from.

    `owner` is the place of that text, as -1 - place where it is not told which of its windows
    holds the attack.
    """

    words: tuple[str, ...]
    attack: bool
    weight: float
    owner: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The windows of a head as a matrix, with what is known of each."""

    matrix: Any
    attack: Any
    weight: Any
    owner: Any
    fold: Any
    source: Any

    def where(self, keep: Any) -> Rows:
        """Some of them."""
        parts = (self.matrix, self.attack, self.weight, self.owner, self.fold, self.source)
        return Rows(*(part[keep] for part in parts))

    def scaled(self, scale: Any) -> Rows:
        """The same with every column times its number."""
        scaled = self.matrix.copy()
        scaled.data *= scale[scaled.indices].astype(np.float32)
        return replace(self, matrix=scaled)


def blocks(words: Sequence[str]) -> list[list[int]]:
    """The places of a window's n-grams: of letters, of words, of classes."""
    chars = [p for word in words for p in letters_of(word)]
    hashes = [hash_of(word) for word in words]
    said = [p for index in range(len(words)) for p in phrases(hashes, index)]
    seen: list[tuple[int, str]] = []
    kind: list[int] = []
    for index, word in enumerate(words):
        if name := CLASS_OF.get(word, "END" if word == END else None):
            seen.append((index, name))
            kind += kinds(seen, index)
    return [chars, said, kind]


def matrix(windows: Iterable[Sequence[str]]) -> Any:
    """One row a window."""
    data, columns, ends = [], [], [0]
    for words in windows:
        for found, least in zip(blocks(words), LEAST, strict=True):
            value = 1 / sqrt(max(len(found), least))
            columns.append(np.asarray(found, dtype=np.int32))
            data.append(np.full(len(found), value, dtype=np.float32))
        ends.append(ends[-1] + sum(map(len, columns[-3:])))
    shape = (len(ends) - 1, 1 << BITS)
    rows = csr_matrix((np.concatenate(data), np.concatenate(columns), ends), shape=shape)
    rows.sum_duplicates()
    return rows


def words_of(text: str) -> list[list[str]]:
    """The words of each segment of a text."""
    return [tokens(segment.text).words for segment in canonical(text).segments]


def cut(words: Sequence[str], most: int, rng: random.Random) -> list[tuple[str, ...]]:
    """Windows as the detector sees them, at most so many."""
    found = [(start, end) for start, end in spans(len(words)) if end - start > 1]
    chosen = found if len(found) <= most else sorted(rng.sample(found, most))
    return [tuple(words[start:end]) for start, end in chosen]


def around(payload: list[str], carrier: list[str], rng: random.Random) -> list[tuple[str, ...]]:
    """Windows of a carrier that see enough of the payload put into it, one of each size."""
    at = rng.randrange(len(carrier) + 1)
    words = [*carrier[:at], END, *payload, END, *carrier[at:]]
    first, last = at + 1, at + 1 + len(payload)
    found = []
    for width, _ in SIZES:
        need = min(len(payload), round(0.7 * width) if width < 20 else 16)
        low, high = max(0, first + need - width), max(0, last - need)
        if low <= high:
            start = rng.randint(low, high)
            found.append(tuple(words[start : start + width]))
    return found


def rows_of(head: Head, examples: Sequence[Example]) -> Rows:
    """What a head is trained on. A payload is put into texts of its own fold."""
    rng = random.Random(SEED)
    make = _user if head == "user" else _data
    windows: list[Window] = []
    for number in range(FAMILIES):
        own = [(place, e) for place, e in enumerate(examples) if e.fold == number]
        windows += make(own, rng)
    owner = np.array([w.owner for w in windows])
    texts = [examples[place] for place in np.where(owner < 0, -1 - owner, owner)]
    return Rows(
        matrix(w.words for w in windows),
        np.array([w.attack for w in windows]),
        np.array([w.weight for w in windows]),
        owner,
        np.array([e.fold for e in texts]),
        np.array([origin(e.source) for e in texts]),
    )


def _user(examples: Sequence[tuple[int, Example]], rng: random.Random) -> Iterable[Window]:
    for owner, e in examples:
        if e.channel == "user":
            for words in words_of(e.text):
                for window in cut(words, 8, rng):
                    yield Window(window, e.attack, 1.0, -1 - owner if e.attack else owner)
        elif not e.attack and rng.random() < 0.35:
            for window in cut(words_of(e.text)[0], 2, rng):
                yield Window(window, False, 0.7, owner)


def _data(examples: Sequence[tuple[int, Example]], rng: random.Random) -> Iterable[Window]:
    carriers = [words_of(e.text)[0] for _, e in examples if not e.attack and e.channel != "user"]
    for owner, e in examples:
        if not e.attack and e.channel != "user":
            for words in words_of(e.text):
                for window in cut(words, 8, rng):
                    yield Window(window, False, 1.0, owner)
        elif e.attack and e.channel in ("user", "order"):
            payload = next((w for w in reversed(words_of(e.text)) if w), [])[:120]
            if not payload:
                continue
            for window in cut(payload, 2, rng):
                yield Window(window, True, 0.5, owner)
            for _ in range(2 if e.channel == "order" else 1):
                carrier = rng.choice(carriers)
                start = rng.randrange(len(carrier) + 1)
                for window in around(payload, carrier[start : start + 80], rng):
                    yield Window(window, True, 0.7, owner)
        elif e.attack and not e.source.startswith("wrapped"):
            for words in words_of(e.text):
                for window in cut(words, 30, rng):
                    yield Window(window, True, 1.0, -1 - owner)


def fit(rows: Mapping[Head, Rows]) -> dict[Head, Model]:
    """The weights of both heads.

    Those for requests have a share in those for data, where attacks are of fewer kinds.
    """
    user, data = steady(rows["user"]), learned("data", rows["data"])
    return {"user": packed(user), "data": packed(data + SHARE * user)}


def steady(rows: Rows) -> Any:
    """The weights for requests, and the bias behind them.

    The mean of a fit to all, and of fits that each miss some sources: what leans on one source
    weighs less.
    """
    rng, names = np.random.RandomState(SEED), np.unique(rows.source)
    found: list[Any] = []
    while len(found) < SUBSETS:
        part = rows.where(np.isin(rows.source, names[rng.rand(len(names)) < KEPT]))
        if LEAST_ROWS < part.attack.sum() < len(part.attack) - LEAST_ROWS:
            found.append(learned("user", part))
    return (learned("user", rows) + np.mean(found, axis=0)) / 2


def learned(head: Head, rows: Rows) -> Any:
    """The weights of one fit, and the bias behind them.

    Where an attack stands in a longer text is not told: after a first fit only the window that
    reads most like one is kept of each such text.
    """
    scale = telling(rows)
    rows = rows.scaled(scale)
    scores = solve(head, rows).decision_function(rows.matrix)
    best: dict[int, float] = {}
    vague = np.flatnonzero(rows.owner < 0)
    for index in vague:
        best[rows.owner[index]] = max(best.get(rows.owner[index], -1e9), scores[index])
    keep = np.ones(len(scores), dtype=bool)
    for index in vague:
        keep[index] = scores[index] >= best[rows.owner[index]] - 0.5
    model = solve(head, rows.where(keep))
    return np.append(model.coef_[0] * scale, model.intercept_[0])


def telling(rows: Rows) -> Any:
    """How much each n-gram tells by itself: the root of its log-odds (Wang and Manning, 2012).

    What is as frequent in both classes is left little room to be learned by heart.
    """
    weight = balanced(rows.attack, rows.weight)
    there = (rows.matrix > 0).astype(np.float32)
    attack, benign = (1 + there[label].T @ weight[label] for label in (rows.attack, ~rows.attack))
    odds = np.log(attack / attack.sum()) - np.log(benign / benign.sum())
    return np.minimum(np.sqrt(np.abs(odds)), 3)


def balanced(attack: Any, weight: Any) -> Any:
    """Weights with which both classes count the same."""
    total = {label: weight[attack == label].sum() for label in (True, False)}
    half = (total[True] + total[False]) / 2
    return np.where(attack, weight * half / total[True], weight * half / total[False])


def solve(head: Head, rows: Rows) -> Any:
    """A logistic regression. It stops after so many steps, which is enough, and always the same."""
    regression = LogisticRegression(C=C[head], solver="lbfgs", max_iter=STEPS)
    with catch_warnings():
        simplefilter("ignore", ConvergenceWarning)
        return regression.fit(rows.matrix, rows.attack, balanced(rows.attack, rows.weight))


def packed(found: Any) -> Model:
    """Eight bits a weight."""
    weights, bias = found[:-1], float(found[-1])
    scale = float(np.quantile(np.abs(weights[weights != 0]), 0.9995)) / 127
    small = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
    return Model(array("b", small.tobytes()), scale, bias, {})


def as_json(model: Model) -> dict[str, Any]:
    """What `ngram.read` reads."""
    data = base64.b64encode(zlib.compress(model.weights.tobytes(), 9)).decode()
    return {"int8": data, "scale": model.scale, "bias": model.bias}
