"""Secrets are known by their shape, canaries in any guise, and ordinary text is neither."""

from __future__ import annotations

import base64
import codecs
import random
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lg_production.security.leaks import (
    HEADS,
    TOKENS,
    Canary,
    entropy,
    leaked,
    planted,
    redacted,
    secrets_in,
)

CANARY = Canary.of(b"0123456789abcdef", "tenant")
TOKEN = CANARY.token
RANDOM = random.Random(7)


def some(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(RANDOM.choices(letters, k=count))


SECRETS = {
    "aws_access_key": "AKIA" + some(16, string.ascii_uppercase + "234567"),
    "github_token": "ghp_" + some(36),
    "gitlab_token": "glpat-" + some(20),
    "slack_token": "xoxb-123456789012-1234567890123-" + some(24),
    "slack_webhook": f"hooks.slack.com/services/T0{some(8, 'ABCDEF2345')}/B0ABCDE23F/{some(24)}",
    "stripe_key": "sk_live_" + some(24),
    "google_key": "AIza" + some(35),
    "anthropic_key": "sk-ant-api03-" + some(95),
    "openai_key": "sk-proj-" + some(48),
    "huggingface_token": "hf_" + some(34, string.ascii_letters),
    "npm_token": "npm_" + some(36),
    "pypi_token": "pypi-AgE" + some(80),
    "sendgrid_key": f"SG.{some(22)}.{some(43)}",
    "twilio_key": "SK" + some(32, "0123456789abcdef"),
    "telegram_token": "123456789:AA" + some(33),
    "jwt": f"eyJ{some(20)}.eyJ{some(40)}.{some(43)}",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\n" + some(64) + "\n" + some(64) + "\n",
    "url_password": "postgres://app:" + some(14) + "7aB@db.local/x",
    "assigned": 'password = "' + some(28) + '7aB9"',
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_known_by_its_shape(kind: Any) -> None:
    """Anywhere in a text; what is put in its place says what it was, and not what it said."""
    text, leaks = redacted(f"x '{SECRETS[kind]}' y")

    assert [kind] == [leak.kind for leak in leaks]
    assert f"[{kind} removed]" in text
    assert SECRETS[kind][-12:-2] not in text


def pieces(token: str, size: int, between: str) -> str:
    return between.join(token[n : n + size] for n in range(0, len(token), size))


AWS = "AKIAJOSFODNN7QXK4PLE"
GITHUB = "ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4hJ6"
LONG = "sk-ant-api03-" + some(95)
SPLITS = {
    "a tag": "AKIA<b></b>" + AWS[4:], "bold": f"AKIA**{AWS[4:8]}**{AWS[8:]}", "code": f"AKIA`{AWS[4:]}`", "a comment": f"AKIA<!-- x -->{AWS[4:]}",
    "a blank": f"{AWS[:9]} {AWS[9:]}", "a line": f"{GITHUB[:20]}\n{GITHUB[20:]}", "lines": pieces(LONG, 40, "\r\n"), "a list": f"- {AWS[:10]}\n- {AWS[10:]}",
    "unseen": f"{GITHUB[:20]}\u200b\u00ad{GITHUB[20:]}", "pieces": pieces(GITHUB, 4, " "), "letters": pieces(GITHUB, 1, " "), "hyphens": pieces(AWS, 1, "-"),
    "groups": pieces(AWS, 4, "-"), "stars": pieces(GITHUB, 6, " \u2022 "), "links": f"AKIA[{AWS[4:]}](x)", "emoji": f"{AWS[:7]}\U0001f642{AWS[7:]}", "dots": pieces(AWS, 2, "."), "brackets": pieces(AWS, 5, "}{"),
    "commas": pieces(AWS, 1, ", "), "quotes": f'"{AWS[:9]}" + "{AWS[9:]}"', "an entity": "AKI&#65;" + AWS[4:], "percent": "%41KIA" + AWS[4:], "an escape": "\\x41KIA" + AWS[4:],
    "full width": "".join(chr(ord(c) + 0xFEE0) for c in AWS), "spoiler": f"||{AWS[:9]}||{AWS[9:]}||", "tags of blanks": f"{GITHUB[:9]}<br/>\n<i>{GITHUB[9:]}</i>",
    "underscores": f"_{AWS}_", "an underscore": f"_{GITHUB}", "a hyphen": f"x-{AWS}-y", "a letter": f"key{AWS}x", "a word": f"{GITHUB}EXAMPLE", "two words": f"{LONG}xxxxxxplaceholder", "a name": f"MY_{GITHUB}_", "an escaped one": GITHUB.replace("_", "\\_"), "a break": GITHUB[:9] + "\\n" + GITHUB[9:],
}  # fmt: skip


@pytest.mark.parametrize("way", SPLITS)
def test_a_secret_is_known_whatever_stands_within_it(way: Any) -> None:
    """Markup, blanks, what is unseen, letters in another notation; the text around it stays."""
    text, leaks = redacted(f"Here it is: {SPLITS[way]}, as you asked.")
    letters = "".join(filter(str.isalnum, text))

    assert 1 == len(leaks)
    assert not any(
        secret[n : n + 6] in letters for secret in (AWS, GITHUB, LONG) for n in range(8, 15)
    )
    assert text.startswith("Here it is: ")
    assert text.endswith(", as you asked.")


def test_what_is_redacted_ends_where_words_begin() -> None:
    """Before and behind the pieces."""
    assert (
        "The key is [aws_access_key removed]. Keep it."
        == redacted(f"The key is {pieces(AWS, 4, ' ')}. Keep it.")[0]
    )
    assert "a [github_token removed] is it" == redacted(f"a {pieces(GITHUB, 5, ' ')} is it")[0]


@pytest.mark.parametrize(
    "text",
    [
        "ghp_ tokens are used by GitHub for personal access and gho_ ones for OAuth apps, since 2021 or 2022", "sk-learn 1.5 and Python 3.11 are what We need here, with NumPy 2",
        "AKIA is the prefix OF KEYS", "hf_ is the prefix of Hugging Face tokens that people paste everywhere", "a - b - c - d - e - f - g - h", "glpat- and glrt- and gldt- begin tokens of GitLab 17.2 or Later",
        "SK 12 of 34 and 56, then 78", "AIza starts a key of Google Maps which has 39 letters in all, Dear Ann", "eyJ is how base64 of a brace begins",
        "xoxb- or xoxp- begin what Slack gives to its bots, 2 of them", "| AKIA | 16 | LETTERS | OF | KEYS |",
    ],
)  # fmt: skip
def test_words_behind_the_beginning_of_a_token_are_words(text: Any) -> None:
    """Who explains what tokens look like gives none away."""
    assert () == secrets_in(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=Tr0ub4dor&3xyz", "password=[assigned removed]"), ('"password": "Tr0ub4dor&3xyz!",', '"password": "[assigned removed]",'),
        ("Password: **Tr0ub4dor&3xyz**", "Password: **[assigned removed]**"), ("the password is Tr0ub4dor&3xyz", "the password is [assigned removed]"),
        ("Server=db;Password=Tr0ub4dor&3;xyz9;Database=x", "Server=db;Password=[assigned removed];Database=x"), ("?password=Tr0ub4dor%263xyz&user=ann", "?password=[assigned removed]&user=ann"),
        ("<password>Tr0ub4dor&amp;3xyz</password>", "<password>[assigned removed]</password>"), ("PGPASSWORD='Tr0ub4dor$3xyz' psql", "PGPASSWORD='[assigned removed]' psql"),
        ("postgres://user:p@ss@db/x", "postgres://user:[url_password removed]@db/x"), ("redis://:p4ss!w@host:6379", "redis://:[url_password removed]@host:6379"),
        ("https://u:Xk9#d?2@evil.com/x", "https://u:[url_password removed]@evil.com/x"), ("mysql://app:sommer@db/x", "mysql://app:[url_password removed]@db/x"),
        ("amqps://u:pa%40ss1@[::1]:5671/", "amqps://u:[url_password removed]@[::1]:5671/"), ("mongodb+srv://u:a:b1@c1,c2/d", "mongodb+srv://u:[url_password removed]@c1,c2/d"),
    ],
)  # fmt: skip
def test_of_a_password_nothing_stays_and_all_else_does(text: Any, left: Any) -> None:
    """With any signs in it, and to the last @ of its URL."""
    assert left == redacted(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "password: must have 8+ characters, 2 Digits & 1 sign", "password=self.fields['Pass1'] & MASK2", "password = ${DB_PASS_2&x}", "if pwd != Other2 and X1:", "postgres://user:***@db", "PWD=/home/Ann/x1/y2",
        "http://host:8080/a@b", "https://host:80?mail=Ann1@example.org", "file://C:/dir/icon@2x.png", "postgres://u:%s@h/db", "postgres://u:{pw1}@h/db", "postgres://scott:tiger@h/db",
        "git+ssh://git@example.org:x/y@v1.2", "amqp://guest:guest@localhost", "http://user:thing@example.org", "docker://image:tag/x@sha256:0f", "secret -> Tr(0)ub4&dor(X)", "is_password=True&Two22=1",
    ],
)  # fmt: skip
def test_what_only_stands_where_a_password_would_is_none(text: Any) -> None:
    """Rules, variables, ports, paths, and what documentation writes."""
    assert () == secrets_in(text)


def test_every_token_begins_as_one_is_looked_for() -> None:
    """`HEADS` leaves none out."""
    tokens = [secret for kind, secret in SECRETS.items() if kind in {name for name, *_ in TOKENS}]

    assert [] == [token for token in tokens if not HEADS.match(token)]
    assert {"sk-", "gho_", "ghs_", "ASIA", "rk_live_", "dop_v1_", "shpca_"} == {
        head
        for head in ("sk-", "gho_", "ghs_", "ASIA", "rk_live_", "dop_v1_", "shpca_")
        if HEADS.match(head)
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["<b>", "*", " ", "\n", "AK", "IA", "J2SF", "a", "&#65;", "%41", "É", "\u200b", '" "', "ghp_", "xY3z"]), max_size=40).map("".join))  # fmt: skip
def test_places_are_those_of_the_text(text: Any) -> None:
    """In their order, within it, and without overlaps; a whole secret within is found."""
    leaks = secrets_in(f"{text} {AWS} {text}")
    edges = [place for leak in leaks for place in (leak.start, leak.end)]

    assert leaks
    assert edges == sorted(edges)
    assert edges[-1] <= 2 * len(text) + len(AWS) + 2


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE", "ghp_" + "x" * 36, "sk-your-api-key-goes-here-please-replace-it-now",
        "postgres://user:password@localhost/db", "postgres://u:${PASSWORD}@h/db", "token = get_token(1)",
        "password: ********************", "api_key = os.environ['OPENAI_API_KEY_FOR_TESTS_1']",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg",
        "123e4567-e89b-12d3-a456-426614174000", "sk-learn-is-a-machine-learning-library-for-python-people",
        "secret_name=projects/my-project-1/secrets/name", "eyJhbGciOiJIUzI1NiJ9",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", "AIza" + "a" * 35,
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_none(text: Any) -> None:
    """Placeholders, hashes, identifiers, code."""
    assert () == secrets_in(text)


def test_the_source_of_this_project_holds_no_secret() -> None:
    """Some hundred files of ordinary code, prose and SQL."""
    root = Path(__file__).parents[2]
    folders = ("lg_production", "graphs", "evals")
    files = [f for folder in folders for f in (root / folder).rglob("*.py")]
    files += [root / "README.md", root / "CHANGELOG.md"]
    found = [(f.name, k.kind) for f in files for k in secrets_in(f.read_text())]

    assert [] == found


def test_entropy_is_in_bits_a_letter() -> None:
    """Shannon's."""
    assert [0.0, 0.0, 1.0, 2.0] == [entropy(text) for text in ("", "aaaa", "abab", "abcd")]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_can_be_redacted(text: Any) -> None:
    """And what is redacted holds nothing more to redact."""
    assert () == redacted(redacted(text)[0])[1]


@pytest.mark.parametrize(
    ("guise", "text"),
    [
        ("plain", TOKEN), ("plain", TOKEN.upper()), ("plain", " ".join(TOKEN)),
        ("plain", "-".join(TOKEN)), ("plain", "\n".join(TOKEN)), ("plain", "\u200b".join(TOKEN)),
        ("plain", "".join(chr(ord(c) + 0xFEE0) for c in TOKEN)), ("plain", "*".join(TOKEN)),
        ("reversed", TOKEN[::-1]), ("rot13", codecs.encode(TOKEN, "rot13")),
        ("hex", TOKEN.encode().hex()), ("hex", " ".join(f"{b:02X}" for b in TOKEN.encode())),
        ("hex", "".join(f"\\x{b:02x}" for b in TOKEN.encode())),
        ("hex", "".join(f"%{b:02x}" for b in TOKEN.encode())),
        ("hex", ", ".join(f"0x{b:02x}" for b in TOKEN.encode())),
        ("base64", base64.b64encode(TOKEN.encode()).decode()),
        ("base64", base64.b64encode(f"a{TOKEN}b".encode()).decode()),
        ("base64", base64.urlsafe_b64encode(f"ab{TOKEN}".encode()).decode().rstrip("=")),
        ("base64", "\n".join(base64.b64encode(f"abc{TOKEN}".encode()).decode())),
        ("base64", base64.b64encode(TOKEN.upper().encode()).decode()),
        ("base32", base64.b32encode(f"abcd{TOKEN}".encode()).decode()),
    ],
)  # fmt: skip
def test_a_canary_is_found_in_any_guise(guise: Any, text: Any) -> None:
    """In the midst of other text."""
    assert guise in leaked(f"Here it is: {text}, done", [CANARY])


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text())
def test_a_canary_is_found_whatever_stands_around_it(before: Any, after: Any) -> None:
    """In base64, too."""
    coded = base64.b64encode(f"{before}{TOKEN}{after}".encode("utf-8", "replace")).decode()

    assert "plain" in leaked(f"{before} {TOKEN} {after}", [CANARY])
    assert "base64" in leaked(coded, [CANARY])


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_ordinary_text_holds_no_canary(text: Any) -> None:
    """Nobody says it by chance."""
    assert () == leaked(text, [CANARY])
    assert () == leaked(text, [])


def test_a_canary_is_the_same_at_every_replay_and_another_for_another_scope() -> None:
    """It is computed from a key, and its repr does not say it."""
    key = b"0123456789abcdef"

    assert CANARY == Canary.of(key, "tenant")
    assert CANARY != Canary.of(key, "other")
    assert TOKEN not in repr(CANARY)
    assert ("plain",) == leaked(planted("You help.", CANARY), [CANARY])


@pytest.mark.parametrize("wrong", ["short", "has digits 123 in the word", "ü" * 20])
def test_a_weak_canary_is_refused(wrong: Any) -> None:
    """It would be said by chance, or not be found."""
    with pytest.raises(ValueError, match="canary"):
        Canary(wrong)
    with pytest.raises(ValueError, match="key"):
        Canary.of(b"short")
