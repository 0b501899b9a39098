"""Words, their places, and where sentences end: what the rules and the model look at."""

from __future__ import annotations

import re
from dataclasses import dataclass

URL = r"(?P<url>(?i:https?://|www\.)[^\s\"'<>)\]]{1,300})|"
MAIL = r"(?P<mail>[\w.+-]{1,48}@[\w-]{1,48}\.[\w.-]{1,48})|"
WORD = (
    r"(?P<word>[^\W\d_]{1,200})|(?P<number>\d{1,40})"
    r"|(?P<end>[.!?:;\n\"{}<>|#*\[\]]+)"
)
TOKEN = {
    (url, mail): re.compile((URL if url else "") + (MAIL if mail else "") + WORD)
    for url in (False, True)
    for mail in (False, True)
}
"""By whether a text may have links, and addresses: to look for them takes most of the time."""
FIXED = {"url": "urltoken", "mail": "emailtoken", "number": "0", "end": "."}
END = "."
LONGEST = 24
IDEOGRAPHS = "\u2e80"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The words of a text in lower case, "." where a stretch ends, and where each stands."""

    words: list[str]
    starts: list[int]
    ends: list[int]


def tokens(text: str) -> Tokens:
    """The words of a canonical text."""
    found = Tokens([], [], [])
    words, starts, ends = found.words, found.starts, found.ends
    linked = "://" in text or "www." in text.lower()
    for match in TOKEN[linked, "@" in text].finditer(text):
        kind = match.lastgroup or "word"
        start, end = match.span()
        if kind == "word":
            word = match[0].lower()
            if end - start > LONGEST or word[0] >= IDEOGRAPHS:
                _add_odd(found, word, start, end)
                continue
        elif kind == "end" and words and words[-1] == END:
            continue
        else:
            word = FIXED[kind]
        words.append(word)
        starts.append(start)
        ends.append(end)
    return found


def _add(found: Tokens, word: str, start: int, end: int) -> None:
    found.words.append(word)
    found.starts.append(start)
    found.ends.append(end)


def _add_odd(found: Tokens, word: str, start: int, end: int) -> None:
    """A word of a script without blanks, two signs at a time; or one that is too long."""
    if word[0] >= IDEOGRAPHS and len(word) == end - start:
        for place in range(0, len(word), 2):
            _add(found, word[place : place + 2], start + place, min(start + place + 2, end))
    else:
        _add(found, "longtoken" if len(word) > LONGEST else word, start, end)
