"""Where a text points to, however it is written; made for those who do not want it found."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lg_production.security.addresses import canonical_url, found, occurrences
from lg_production.security.hosts import canonical_host, readings

PIECES = [
    "https://", "http:", "//", "\\", "/", "good.com", "evil.com", "www.", "@", "#", "?", "(", ")",
    "[", "]", "&#104;", "%2f", "%", "&period;", "\u200b", "\ud800", "\n", "\t", " ", "=", ".",
    "。", ":", "a", "é", "٣", "1.2.3.4", "::1", '"', "'", "{", "}", "|", ",", "\x00", "xn--",
]  # fmt: skip
HOSTILE = st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.text())
MANY = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def hosts(text: str) -> list[str]:
    return list(dict.fromkeys(one.host for one in found(text)))


@pytest.mark.parametrize(
    "written",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0.0.1",
        "017700000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "１２７.０.０.１",
        "127。0。0。1", "127.0.0.1.", "%31%32%37.0.0.1", "①②⑦.0.0.1", "[::FFFF:127.0.0.1%eth0]",
    ],
)  # fmt: skip
def test_an_ip_address_has_one_spelling(written):
    """Decimal, octal, hexadecimal, short, mapped, in full width, percent-encoded."""
    assert "127.0.0.1" == canonical_host(written)
    assert "127.0.0.1" in hosts(f"http://{written}/")


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("EVIL.com", "evil.com"), ("evil.com.", "evil.com"), ("ｅｖｉｌ．com", "evil.com"),
        ("ⓔⓥⓘⓛ.com", "evil.com"), ("ev\u00adil\u200b.com", "evil.com"), ("evil%2ecom", "evil.com"),
        ("еvil.com", "xn--vil-qdd.com"), ("xn--vil-qdd.com", "xn--vil-qdd.com"), ("[::1]", "::1"),
    ],
)  # fmt: skip
def test_a_name_has_one_spelling(written, host):
    """A letter that only looks like another is another."""
    assert host == canonical_host(written)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "-a.com", "a b", "256.1.1.1", "1.2.3.4.5", "[1]", "[::g]", "*.a.com",
             "\ud800.com", "a" * 64 + ".com", "a" * 5_000, "99999999999"]
)  # fmt: skip
def test_what_is_no_host_is_none(text):
    """And nothing raises."""
    assert canonical_host(text) is None


def test_a_leading_zero_is_read_in_both_ways():
    """One of the two is an internal machine."""
    assert ("8.8.8.8", "10.8.8.8") == readings("010.8.8.8")
    assert ("xn--strae-oqa.de", "strasse.de") == readings("straße.de")


@pytest.mark.parametrize(
    "text",
    [
        "https://good.com@evil.com/", "https://good.com\\@evil.com", "https://good.com#@evil.com",
        "https://good.com(@evil.com", 'https://good.com"@evil.com', "https:/evil.com",
        "https:evil.com", "https:////evil.com", "https:\\\\evil.com", "//evil.com/x",
        "\\\\evil.com\\share", "https://good.com/?u=https%3A%2F%2Fevil.com",
        "https://good.com/?u=https%253A%252F%252Fevil.com", "https://good.com/?u=evil.com/x",
        "https://good.com/https://evil.com", "https:\\/\\/evil.com\\/x", "https\\u003a//evil.com",
        "https&colon;//evil.com", "&#104;ttps&#x3a;//evil&#46;com", "evil.com:8080",
        "[x](https://evil.com)", "<evil.com>", "ｈｔｔｐｓ：／／ｅｖｉｌ．ｃｏｍ", "gopher://evil.com:70/",
        "jdbc:postgresql://evil.com/x", "ann@evil.com", "mailto:ann@evil.com", '"a b"@evil.com',
        "a%evil.com@good.com", '"a%evil.com"@good.com', "@evil.com:a@good.com", "@b.org,@evil.com:a@good.com", "mongodb://good.com,evil.com/db",
        "git@evil.com:x/y", "print evil.com(x)", "see https://a.com,https://evil.com", "evil\u200b.com",
    ],
)  # fmt: skip
def test_a_host_is_found_in_every_disguise(text):
    """Where programs differ about which it is, all are found."""
    assert "evil.com" in hosts(text)


def test_a_broken_line_does_not_hide_the_rest_of_a_host():
    """Browsers take line feeds and tabs out of an URL."""
    assert "good.com.evil.com" in hosts("https://good.co\nm.evil.com/x")
    assert ["a.com"] == hosts("https://a.com\nThanks, Bob")


@pytest.mark.parametrize(
    "text",
    ["", "and/or 3.5 at 12:30:45", "user.id = obj.name", "notes.md and main.py", "v1.2.3",
     "std::cout << x[::2]", "e.g. this, i.e. that", "00:11:22:33:44:55", "// TODO", "a @ b",
     "f(x).y", "const a = b ? c : d", "10.5 % of 1,000.00", "a //2 http:200", "Read it. See Inc. and", "m.it(x)", "pkg@1.2.3", "@ann", "C:\\dir",
     "data: x, y", "{data:e/t,size:3}", "javascript: the good parts", "root@box:~#", "@ann,@bob: hi", "Tel:030123", "std::data:", "mailto: Ann", "git@ home"],
)  # fmt: skip
def test_ordinary_text_points_nowhere(text):
    """Code, numbers, times and file names."""
    assert [] == [(one.kind, one.value) for one in found(text)]


def test_an_address_ends_where_its_sentence_goes_on():
    """Brackets that it did not open, and punctuation."""
    text = "(see https://a.com/b_(c)), {https://b.com/x}. ann@c.com."

    assert ["https://a.com/b_(c)", "https://b.com/x", "ann@c.com"] == [
        one.value for one in occurrences(text)
    ]


def test_a_host_that_cannot_be_read_is_still_an_address():
    """Who checks it refuses it."""
    assert [("url", "")] == [(one.kind, one.host) for one in found("http://{host}/x")]
    assert [("file", "")] == [(one.scheme, one.host) for one in found("file:///etc/passwd")]


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("see data:text/html;charset=utf-8,<b>", "data"), ("data:;base64,QQ==", "data"), ("(javascript:alert(1))", "javascript"),
        ("<vbscript:x(1)>", "vbscript"), ("blob:null/0f1e", "blob"), ("&#106;avascript:alert`1`", "javascript"), ("ＪavaScript:[1]", "javascript"),
    ],
)  # fmt: skip
def test_what_runs_or_holds_what_it_opens_is_an_address(text, scheme):
    """It has a scheme, no host, and no blank behind its colon."""
    assert (scheme, "") in {(one.scheme, one.host) for one in found(text)}


@pytest.mark.parametrize(
    "unit",
    ["http://a.com)", "data:,)", "mailto:a@b", "@a:b@", "@a,", "a%b@c", "javascript:a(", "x://a,"],
)
def test_many_addresses_take_no_more_time_each_than_few(unit):
    """Ten times the text is no more than some ten times the work."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = process_time()
        found(text)
        return process_time() - start

    assert seconds(300_000) < 40 * max(seconds(30_000), 0.01)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("HTTP://Evil.com:80/", "evil.com"), ("https://evil.com:443", "http://evil.com/"),
        ("//evil.com/a", "evil.com/a"), ("http://2130706433/", "127.0.0.1"), ("[::1]", "::1"),
    ],
)  # fmt: skip
def test_an_url_has_one_spelling(one, same):
    """To compare it by."""
    assert canonical_url(same) == canonical_url(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.com", "ftp://a.com"), ("https://a.com", "https://u@a.com"),
        ("https://a.com", "https://a.com/x"), ("https://a.com", "https://a.com:8443"),
        ("https://a.com", "https://а.com"), ("https://a.com", "https://a.com\\@evil.com"),
    ],
)  # fmt: skip
def test_what_is_another_place_has_another_spelling(one, other):
    """Scheme, user, path, port and alphabet count."""
    assert canonical_url(one) != canonical_url(other)


@MANY
@given(HOSTILE)
def test_any_text_can_be_searched(text):
    """Places fit, hosts are in their one spelling, and spelling twice is spelling once."""
    for one in found(text):
        again = canonical_host(f"[{one.host}]" if ":" in one.host else one.host)

        assert one.start < 0 or text[one.start : one.end] == one.value
        assert (again or "") == one.host
    assert canonical_url(canonical_url(text)) == canonical_url(text)


@MANY
@given(st.text(alphabet="abc .,\n\t()[]é\u200b", max_size=20), st.sampled_from(["https://", "//"]))
def test_an_url_is_found_whatever_stands_before_it(before, scheme):
    """Text in front of it does not hide it."""
    assert "evil.com" in hosts(f"{before} {scheme}evil.com/x")


def test_a_sentence_may_follow_without_a_space():
    """Both readings count."""
    assert {"www.example.org", "www.example.org.they"} == {
        one.host for one in found("to www.example.org.They sent it")
    }
    assert "ann@example.org" in {one.value for one in found("ask ann@example.org.Then go")}


def test_a_long_address_without_a_scheme_is_whole():
    """Two that differ only far behind are two."""
    long = "www.example.org/" + "a" * 400

    assert [long + "b"] == [one.value for one in found(long + "b")]
