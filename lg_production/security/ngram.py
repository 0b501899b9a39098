"""A logistic regression over hashed n-grams: how much a stretch of text reads like an attack.

Every n-gram has one place in one table of weights, and a score is a sum, so all windows of a text
cost one pass. Letters, words and classes of words are summed apart, each sum divided by the root
of how many there are. Two heads: `user`, an attack among requests, and `data`, an instruction to
a model among data. Trained by `evals/detection`; see `data/MODEL_CARD.md`.
"""

from __future__ import annotations

import base64
import json
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from itertools import accumulate, chain, pairwise
from math import exp, sqrt
from operator import add
from typing import Any, Final, Literal, TypeAlias

from .channels import Channel
from .lexicon import CLASS_OF
from .tokens import END

Head: TypeAlias = Literal["user", "data"]
Hashes: TypeAlias = tuple[int, ...]
Met: TypeAlias = tuple[int, int, int, Hashes, str | None]
"""A word: the sum of its letters' weights, how many, its own weight, its hashes, its class."""

BITS: Final = 18
MASK: Final = (1 << BITS) - 1
SIZES: Final = ((48, 16), (16, 8))
"""The windows, in words, and how far apart they begin: 40 words and their stops, and a sentence."""
REACH: Final = 5
SHIFT: Final = 13
KEPT: Final = (1 << BITS + SHIFT) - 1
"""The bits of a product that a place is made of."""
MIX: Final = (
    0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1, 0xD3A2646D, 0xFD7046C5,
)  # fmt: skip
"""Odd numbers that mix the hashes of words into those of phrases."""
LEAST: Final = (80, 28, 8)
"""Fewer n-grams than these of a block are divided as if there were as many."""
MOST_CACHED: Final = 50_000
HEADS: Final[Mapping[str, Head]] = {"user": "user", "document": "data", "tool_output": "data"}


def place(gram: str) -> int:
    """The place of an n-gram in the table."""
    return zlib.crc32(gram.encode("utf-8", "replace")) & MASK


def letters(word: str) -> list[int]:
    """The places of a word's n-grams of 3 to 5 letters."""
    if word == END:
        return []
    padded = f" {word} "
    size = len(padded)
    if not word.isascii():
        return [place(padded[i : i + n]) for n in (3, 4, 5) for i in range(size - n + 1)]
    data, crc, mask = padded.encode(), zlib.crc32, MASK
    return [crc(data[i : i + n]) & mask for n in (3, 4, 5) for i in range(size - n + 1)]


def phrases(hashes: Sequence[Hashes], index: int) -> tuple[int, ...]:
    """The places of the word n-grams that end here, from the hashes of their words.

    One, two and three words, and two with one between.
    """
    own = hashes[index]
    if not index:
        return (own[0] & MASK,)
    before = hashes[index - 1]
    two = before[1] + own[2] >> SHIFT & MASK
    if index == 1:
        return own[0] & MASK, two
    third = hashes[index - 2]
    three = third[3] + before[4] + own[5] >> SHIFT & MASK
    return own[0] & MASK, two, three, third[6] + own[7] >> SHIFT & MASK


def hashed(word: str) -> Hashes:
    """A hash of a word, of 32 bits, and what counts of its products with the numbers that mix."""
    own = zlib.crc32(b"w " + word.encode("utf-8", "replace"))
    return (own, *(own * number & KEPT for number in MIX))


def kinds(seen: Sequence[tuple[int, str]], index: int) -> tuple[int, ...]:
    """The places of the class n-grams that end here; `seen`: the classes so far, and where."""
    before = third = ""
    if len(seen) > 1 and index - seen[-2][0] <= REACH:
        before = seen[-2][1]
        if len(seen) > 2 and index - seen[-3][0] <= 2 * REACH:
            third = seen[-3][1]
    return kinds_of(third, before, seen[-1][1])


@lru_cache(maxsize=20_000)
def kinds_of(third: str, before: str, kind: str) -> tuple[int, ...]:
    """The places of up to three classes in a row; "" is none."""
    grams = [f"c {kind}"]
    if before:
        grams.append(f"c {before} {kind}")
    if third:
        grams += [f"c {third} {before} {kind}", f"t {third} {kind}"]
    return tuple(map(place, grams))


def spans(size: int) -> Iterator[tuple[int, int]]:
    """First and last word of each window of a text of so many words."""
    for width, stride in SIZES:
        if width == SIZES[0][0] or size > width:
            for start in range(0, max(1, size - width + stride), stride):
                yield start, min(size, start + width)


@dataclass(slots=True)
class Model:
    """The weights of one head, and what it remembers of the words it has met."""

    weights: array[int]
    scale: float
    bias: float
    known: dict[str, Met]
    chains: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)

    def windows(self, words: Sequence[str]) -> list[tuple[float, int, int]]:
        """The logit of each window, and its first and last word."""
        met = [self.known.get(word) or self._meet(word) for word in words]
        chars = list(accumulate([m[0] for m in met], initial=0))
        n_chars = list(accumulate([m[1] for m in met], initial=0))
        said, (kind, n_kind) = self._said(met), self._kinds(met)
        least_chars, least_said, least_kind = LEAST
        found = []
        for start, end in spans(len(words)):
            logit = (
                (chars[end] - chars[start]) / sqrt(max(n_chars[end] - n_chars[start], least_chars))
                + (said[end] - said[start]) / sqrt(max(grams(end) - grams(start), least_said))
                + (kind[end] - kind[start]) / sqrt(max(n_kind[end] - n_kind[start], least_kind))
            )
            found.append((self.bias + self.scale * logit, start, end))
        return found

    def _said(self, met: Sequence[Met]) -> list[int]:
        """The weights of all phrases (see `phrases`) that end before each word, and of all."""
        weights, hashes = self.weights, [m[3] for m in met]
        two = [weights[b[1] + o[2] >> SHIFT & MASK] for b, o in pairwise(hashes)]
        threes = zip(hashes, hashes[1:], hashes[2:], strict=False)
        three = [
            weights[t[3] + b[4] + o[5] >> SHIFT & MASK] + weights[t[6] + o[7] >> SHIFT & MASK]
            for t, b, o in threes
        ]
        longer = map(add, chain((0,), two), chain((0, 0), three))
        return list(accumulate(map(add, [m[2] for m in met], longer), initial=0))

    def _kinds(self, met: Sequence[Met]) -> tuple[list[int], list[int]]:
        """The weights of all n-grams of classes that end before each word, and how many."""
        kind, n_kind = [0] * len(met), [0] * len(met)
        far = near = -3 * REACH
        third = before = ""
        for index, word in enumerate(met):
            if name := word[4]:
                last = before if index - near <= REACH else ""
                row = (third if last and index - far <= 2 * REACH else "", last, name)
                kind[index], n_kind[index] = self.chains.get(row) or self._chain(row)
                third, far, before, near = before, near, name, index
        return list(accumulate(kind, initial=0)), list(accumulate(n_kind, initial=0))

    def _chain(self, row: tuple[str, str, str]) -> tuple[int, int]:
        places = kinds_of(*row)
        self.chains[row] = met = (sum(self.weights[p] for p in places), len(places))
        return met

    def _meet(self, word: str) -> Met:
        places, own, weights = letters(word), hashed(word), self.weights
        name = CLASS_OF.get(word, "END" if word == END else None)
        met = (sum([weights[p] for p in places]), len(places), weights[own[0] & MASK], own, name)
        if len(self.known) >= MOST_CACHED:
            self.known.clear()
        self.known[word] = met
        return met


def grams(size: int) -> int:
    """How many phrases there are in so many words."""
    return max(size, 2 * size - 1, 4 * size - 5)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The logits at which a channel's benign texts are passed over nearly always.

    `half` is where the score is one half, `sure` where it is nine tenths.
    """

    half: float
    sure: float

    def score(self, logit: float) -> float:
        """Between 0 and 1."""
        slope = 2.2 / max(0.1, self.sure - self.half)
        return 1 / (1 + exp(-max(-40.0, min(40.0, slope * (logit - self.half)))))


@dataclass(frozen=True, slots=True)
class Weights:
    """What training made: two heads, and a calibration a channel."""

    heads: Mapping[str, Model]
    channels: Mapping[str, Calibration]
    version: str

    def model(self, channel: Channel) -> Model:
        """The head that judges a channel."""
        return self.heads[HEADS[channel]]


def read(data: Mapping[str, Any]) -> Weights:
    """Weights from their JSON: bytes, packed and in base64, and numbers. Nothing is executed."""
    heads = {}
    for name, head in data["heads"].items():
        packed = zlib.decompressobj().decompress(base64.b64decode(head["int8"]), 1 << BITS)
        heads[name] = Model(array("b", packed), head["scale"], head["bias"], {})
        if len(heads[name].weights) != 1 << BITS:
            raise ValueError(f"the table of {name!r} has {len(heads[name].weights)} weights")
    channels = {name: Calibration(**found) for name, found in data["channels"].items()}
    return Weights(heads, channels, data["version"])


@cache
def shipped() -> Weights:
    """The weights that come with the package, read once."""
    text = files(__package__).joinpath("data/weights.json").read_text(encoding="utf-8")
    return read(json.loads(text))
