"""The corpus that the research graph ships, and the search in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphs.library import CORPUS, Document, Library, library, terms

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*.md")), ids=lambda file: file.stem)
def test_every_document_is_short_and_has_a_title(file):
    """One heading, at least three paragraphs, 150 to 300 words, lines that fit."""
    text = file.read_text()
    found = library().read(file.stem)

    assert text.startswith(f"# {found.title}\n\n")
    assert 1 == text.count("#")
    assert found.text.count("\n\n") >= 2
    assert 150 <= len(text.split()) <= 300
    assert max(map(len, text.splitlines())) <= 100


def test_every_title_is_given_once():
    """An answer cites titles."""
    titles = {document.title for document in library().documents.values()}

    assert len(list(CORPUS.glob("*.md"))) == len(titles)
    assert len(titles) >= 12


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("How does a Fresnel lens work?", "fresnel-lens"),
        ("why are the tides of Fundy so high", "bay-of-fundy"),
        ("Who invented the sun valve?", "sun-valve"),
        ("What fuel did the lighthouses burn?", "lighthouse-fuels"),
        ("neap tide", "spring-and-neap-tides"),
        ("Franklin's chart of the Gulf Stream", "gulf-stream"),
        ("Kelvin's machine to predict tides", "predicting-tides"),
        ("clocks and the LONGITUDE", "harrison-longitude"),
        ("Grace Darling", "keepers-and-automation"),
        ("turbines in a barrage", "tidal-power"),
    ],
)
def test_the_document_about_it_is_found_first(query, best):
    """By title or by text, singular or plural, in any case."""
    assert best == library().search(query)[0].document.name


@pytest.mark.parametrize("query", ["", "the of and", "quantum chromodynamics", "?!"])
def test_nothing_is_found_where_nothing_is(query):
    """No document is better than a wrong one."""
    assert [] == library().search(query)


def test_a_rare_word_counts_more_than_a_common_one():
    """Okapi BM25: rarity, saturation, length."""
    texts = {"east": "sea sea sea sea", "north": "sea sea pharos", "west": "sea sea sea sea"}
    found = Library([Document(name, name, text) for name, text in texts.items()]).search(
        "sea pharos"
    )

    assert ["north", "east", "west"] == [hit.document.name for hit in found]
    assert found[1].score == found[2].score


def test_the_order_is_the_same_in_every_process():
    """Not by a set's order, which changes with the hash seed."""
    program = (
        "from graphs.library import library\n"
        "print([(h.document.name, h.score) for h in library().search('high tides and a lens', 16)])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert 1 == len(told)


def test_a_quotation_is_word_for_word():
    """Case and white space do not matter; every word does."""
    ours = library()

    assert ours.quotes("bay-of-fundy", "the REASON for the high\n tides of Fundy is resonance.")
    assert not ours.quotes("bay-of-fundy", "The reason for the low tides of Fundy is resonance.")
    assert not ours.quotes("fresnel-lens", "The reason for the high tides of Fundy is resonance.")


def test_an_unknown_document_is_refused():
    """By name, and with what to do."""
    with pytest.raises(LookupError, match="There is no document 'atlantis'; search"):
        library().read("atlantis")


def test_sentences_are_whole():
    """They are what researchers note."""
    said = library().read("tidal-power").sentences

    assert "A tide mill at Nendrum in Northern Ireland has been dated to the year 619." in said
    assert all(sentence[-1] in ".!?" and sentence[0].isupper() for sentence in said)


def test_words_meet_in_singular_and_plural():
    """A stem, no dictionary."""
    assert terms("lighthouse tide lens wave") == terms("Lighthouses, tides, lens: waves")
