"""Whether a text says something, whatever its spaces, dashes, capitals and spelling of numbers."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MOST_TEXT = 100_000
DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-") | dict.fromkeys(map(ord, "’‘ʼ"), "'")
UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
"""Characters that nobody sees, and that part a word for a program only."""

THIN = re.compile("(?<=\\d)[\u00a0\u2009\u202f](?=\\d{3}(?!\\d))")
SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?:[.,]\d+)?(?![\d]|[,.]\d)")
"""1 234.50; or two numbers."""
GROUPED = re.compile(r"(?<![\d.,])\d{1,3}([,'])\d{3}(?:\1\d{3})*(?:\.\d+)?(?![\d]|[,.]\d)")
"""1,234.50 and 1'234.50."""
DOTTED = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+,\d+(?![\d]|[,.]\d)")
"""1.234,50."""
COMMA = re.compile(r"(?<![\d.,])\d+,\d{1,2}(?![\d]|[,.]\d)")
"""12,50."""
DECIMAL = re.compile(r"(?<![\d.,])(\d+)\.(\d*)(?![\d]|[,.]\d)")
LETTER = r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U0003ffff]"
"""A letter or digit of a script that puts spaces between its words."""


def normal(text: str, *, case_sensitive: bool = False, spaced: bool = False) -> str:
    """The text in one spelling. `spaced`: a plain space, too, may part the thousands."""
    text = THIN.sub("", text)
    text = UNSEEN.sub("", unicodedata.normalize("NFKC", text)).translate(DASHES)
    text = " ".join(text.split())
    text = SPACED.sub(lambda m: m[0].replace(" ", ""), text) if spaced else text
    text = GROUPED.sub(lambda m: m[0].replace(m[1], ""), text)
    text = DOTTED.sub(lambda m: m[0].replace(".", "").replace(",", "."), text)
    text = COMMA.sub(lambda m: m[0].replace(",", "."), text)
    text = DECIMAL.sub(_shortest, text)
    return text if case_sensitive else text.casefold()


def _shortest(match: re.Match[str]) -> str:
    """A decimal number without the noughts at its end."""
    rest = match[2].rstrip("0")
    return f"{match[1]}.{rest}" if rest else match[1]


def finds(text: str, wanted: str, *, case_sensitive: bool = False) -> bool:
    """Whether the text says what is wanted, as whole words and whole numbers.

    Raises ValueError for a text that is too long.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(f"a text of {len(text):,} characters is too long to be searched")
    return any(
        _words(normal(wanted, case_sensitive=case_sensitive, spaced=spaced)).search(
            normal(text, case_sensitive=case_sensitive, spaced=spaced)
        )
        for spaced in (False, True)
    )


@lru_cache(maxsize=1_000)
def _words(wanted: str) -> re.Pattern[str]:
    before = rf"(?<!{LETTER})" if re.match(LETTER, wanted) else ""
    after = rf"(?!{LETTER})" if re.search(LETTER + r"\Z", wanted) else ""
    before += r"(?<!\d[.,])" if wanted[:1].isdecimal() else ""
    after += r"(?![.,]\d)" if wanted[-1:].isdecimal() else ""
    return re.compile(before + re.escape(wanted) + after)
