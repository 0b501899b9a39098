"""The library of the researchers: a folder of Markdown files, and a search by BM25."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
SATURATION, LENGTH_WEIGHT, TITLE_WEIGHT = 1.2, 0.75, 3
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about after all also an and any are as at be been before but by can could did do does
        for from had has have he how i in into is it its me more most much my of on one or other our
        she so some tell than that the their them then there these they this to up us was we were
        what when where which who whom whose why will with would you your""",
    )
)


@dataclass(frozen=True)
class Document:
    """One file: its name without `.md`, its first heading, and its text without markup."""

    name: str
    title: str
    text: str

    @property
    def sentences(self) -> list[str]:
        """The sentences of the text."""
        return sentences(self.text)


@dataclass(frozen=True)
class Hit:
    """A document that was found. `snippet` is its sentence that fits best."""

    document: Document
    score: float
    snippet: str


class Library:
    """Documents, and which of them a query is about."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = {document.name: document for document in documents}
        self._counts = {
            d.name: Counter(terms(d.title) * TITLE_WEIGHT + terms(d.text)) for d in documents
        }
        self._lengths = {name: counts.total() for name, counts in self._counts.items()}
        self._mean = sum(self._lengths.values()) / max(1, len(documents))
        self._in_documents = Counter(term for counts in self._counts.values() for term in counts)

    def search(self, query: str, limit: int = 3) -> list[Hit]:
        """The documents that fit best, by Okapi BM25, best first; ties in order of the name."""
        asked = set(terms(query))
        scores = {name: self._score(name, asked) for name in self.documents}
        best = sorted((name for name in scores if scores[name] > 0), key=lambda n: (-scores[n], n))
        return [self._hit(self.documents[name], scores[name], asked) for name in best[:limit]]

    def read(self, name: str) -> Document:
        """The document of this name. Raises `LookupError` with the names there are."""
        if name not in self.documents:
            raise LookupError(f"There is no document {name!r}; search gives the names.")
        return self.documents[name]

    def quotes(self, name: str, text: str) -> bool:
        """Whether the document says this, word for word."""
        return squeezed(text) in squeezed(self.read(name).text)

    def _score(self, name: str, asked: set[str]) -> float:
        counts, relative = self._counts[name], self._lengths[name] / self._mean
        damping = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative)
        return sum(
            self._rarity(term) * counts[term] * (SATURATION + 1) / (counts[term] + damping)
            for term in sorted(asked)
        )

    def _rarity(self, term: str) -> float:
        having = self._in_documents[term]
        return math.log(1 + (len(self.documents) - having + 0.5) / (having + 0.5))

    def _hit(self, document: Document, score: float, asked: set[str]) -> Hit:
        said = max(document.sentences, key=lambda s: len(asked & set(terms(s))))
        return Hit(document, round(score, 2), said)


@cache
def library(folder: Path = CORPUS) -> Library:
    """The library in this folder; without one, the corpus that comes with the graph."""
    return Library([document(file) for file in sorted(folder.glob("*.md"))])


def document(file: Path) -> Document:
    """The document in a Markdown file that begins with a heading."""
    heading, _, body = file.read_text(encoding="utf-8").partition("\n")
    paragraphs = [" ".join(p.split()) for p in body.replace("*", "").split("\n\n")]
    return Document(file.stem, heading.removeprefix("#").strip(), "\n\n".join(paragraphs).strip())


def terms(text: str) -> list[str]:
    """The words that carry meaning, in lower case and without their commonest endings."""
    words = re.findall(r"[^\W_]+", text.lower())
    return [stem(word) for word in words if word not in STOP_WORDS]


def stem(word: str) -> str:
    """A word without its ending: lighthouses is lighthous, and so is lighthouse."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) > 3 and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e") if len(word) > 4 else word


def sentences(text: str) -> list[str]:
    """The sentences of a text; a full stop after an initial or a number ends none."""
    return [s for p in text.split("\n\n") for s in re.split(r"(?<=[a-z\d)][.!?]) (?=[A-Z])", p)]


def squeezed(text: str) -> str:
    """A text by which quotations are compared: one space where there are several."""
    return " ".join(text.split()).casefold()
