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

from lg_production.security.leaks import Canary, entropy, leaked, planted, redacted, secrets_in

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
