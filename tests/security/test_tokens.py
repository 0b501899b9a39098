"""Words are the same whether or not a text may have links and addresses in it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lg_production.security.tokens import TOKEN, tokens

PARTS = st.sampled_from(
    [
        "www.",
        "WwW.a",
        "http",
        "HTTPs://b.c",
        "a@b",
        "x.y@mail.org",
        "://",
        ".",
        "\n",
        " ",
        "Evil",
        "7",
    ]
)


@given(st.lists(PARTS, max_size=30).map("".join))
@settings(max_examples=200, deadline=None)
def test_the_quicker_patterns_find_the_same(text: Any) -> None:
    """A text without a sign of links or addresses is searched for neither."""
    every = [match.span() for match in TOKEN[True, True].finditer(text)]
    found = tokens(text)
    spans = list(zip(found.starts, found.ends, strict=True))

    assert [] == [span for span in spans if span not in every]
    assert [] == [text[a:b] for a, b in every if (a, b) not in spans and text[a:b].isalnum()]


def test_an_address_and_a_link_are_one_word_each() -> None:
    """Whatever their case."""
    assert ["see", "urltoken", "or", "urltoken", "by", "emailtoken"] == tokens(
        "See HTTPS://a.example/b?c or Www.b.example by Ann.B@mail.example"
    ).words
