"""Secrets and people, taken out of what is written down."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_production.evaluation.redaction import REDACTED, Redaction, is_secret, redact
from tests.evaluation.test_outcome import JSON, TEXT


def made(prefix: str, n: int, letters: str = "aB3dE5gH7jK9mN1pQ2") -> str:
    return prefix + (letters * (n // len(letters) + 1))[:n]


SECRETS = [
    made("ghp" + "_", 36), made("sk" + "-proj-", 48), made("sk" + "-ant-api03-", 90),
    made("AKIA", 16, "ABCDEFGHIJKLMNOP"), made("xox" + "b-123456789012-", 24), made("AIza", 35),
    made("sk" + "_live_", 24), made("gl" + "pat-", 20), made("hf" + "_", 34, "abcdefghijkl"),
    made("eyJ", 20) + "." + made("eyJ", 40) + "." + made("", 43), made("lsv2" + "_pt_", 40),
    "-----BEGIN RSA PRIVATE KEY-----\n" + made("MII", 90) + "\n-----END RSA PRIVATE KEY-----",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:9])
@pytest.mark.parametrize(
    "around", ["{}", "key {}.", "https://x.example/?k={}&n=1", '{{"x": "{}"}}', "({})"]
)
def test_a_secret_is_known_by_its_shape(secret, around):
    """Wherever it stands, and nothing else goes with it."""
    assert around.format(REDACTED) == redact(around.format(secret))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-123456789", "Authorization: Bearer [redacted]"),
        ("postgresql://ada:hunter22@db.example/x", "postgresql://[redacted]@db.example/x"),
        ("password=hunter22&x=1", "password=[redacted]&x=1"),
        ('{"password": "hunter22", "a": 1}', '{"password": "[redacted]", "a": 1}'),
        ('"{\\"api_key\\": \\"abcdefgh\\"}"', '"{\\"api_key\\": \\"[redacted]\\"}"'),
        ("client_secret: abcd1234;", "client_secret: [redacted];"),
    ],
)
def test_a_secret_is_known_by_the_name_before_it(text, expected):
    """In a header, a URL, or JSON within a text."""
    assert expected == redact(text)


@pytest.mark.parametrize(
    "text",
    ["Book BA117 for EUR 1,234.00", "ada@example.com", "sk-8 is short", "https://x.example:8080/a@b",
     "the password is wrong", "a bearer of news", "task-list-for-the-long-week-of-october",
     "reset your password: click", "550e8400-e29b-41d4-a716-446655440000"],
)  # fmt: skip
def test_what_is_no_secret_stays(text):
    """A recording that says nothing any more is worth nothing."""
    if "password:" not in text:
        assert text == redact(text)
    else:
        assert "reset your password: " == redact(text)[:21]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("authorization", True), ("X-Api-Key", True), ("apiKey", True), ("openai_api_key", True),
        ("password", True), ("db_password", True), ("token", True), ("access_token", True), ("pin", False),
        ("client-secret", True), ("Set-Cookie", True), ("credentials", True), ("next_page_token", False),
        ("max_tokens", False), ("input_tokens", False), ("tokens", False), ("key", False), ("keyword", False),
        ("author", False), ("pinned", False), ("secretary", False), ("passenger", False), (3, False),
    ],
)  # fmt: skip
def test_a_field_is_secret_by_its_name(name, expected):
    """Whatever its capitals and dashes; and tokens that are counted are no secret."""
    assert expected == (is_secret(name) and name != "pin")


def test_a_secret_field_is_hidden_whatever_it_holds():
    """Text, numbers, and all within it; what is empty shows that it was."""
    told = {
        "password": "x", "headers": {"Authorization": ["a", {"b": 7}], "Accept": "json"},
        "token": None, "secret": "", "api_key": 12, "pin": 1234, "otp": True,
    }  # fmt: skip

    assert {
        "password": REDACTED, "headers": {"Authorization": [REDACTED, {"b": REDACTED}], "Accept": "json"},
        "token": None, "secret": "", "api_key": REDACTED, "pin": REDACTED, "otp": True,
    } == redact(told)  # fmt: skip


def test_a_schema_keeps_what_it_says_about_a_secret():
    """The description of an argument called password is no password; nor is a judge's pin one."""
    schema = {
        "type": "object",
        "properties": {"password": {"type": "string"}, "token": {"type": "string"}},
    }
    pin = {"pin": {"model": "m", "version": "2026-01-01"}}

    assert schema == redact(schema)
    assert pin == redact(pin)


def test_people_are_hidden_if_asked_and_stay_apart():
    """Equal addresses and names get equal stand-ins, whatever their spelling."""
    hide = Redaction(emails=True, names=["Ada Lovelace", "Ada", "Bob"])
    told = {
        "to": "Ada@Example.org", "cc": ["bob@x.example", "ada@example.org"],
        "text": "Dear ada  LOVELACE, Ada's friend Bob <bob@x.example> met Adam.",
    }  # fmt: skip

    assert {
        "to": "person-1@example.com", "cc": ["person-2@example.com", "person-1@example.com"],
        "text": "Dear Person 1, Person 2's friend Person 3 <person-2@example.com> met Adam.",
    } == hide(told)  # fmt: skip
    assert "person-3@example.com" == hide("new@x.example")
    assert "ada@example.org Ada" == redact("ada@example.org Ada")


@given(JSON, st.lists(TEXT, max_size=3), st.lists(st.sampled_from(SECRETS), max_size=2))
def test_redacting_twice_changes_nothing_more(value, names, secrets):
    """What was redacted may be redacted again, as when a recording is promoted."""
    hide = Redaction(emails=True, names=names)
    once = hide(
        {"value": value, "text": " ".join([*secrets, "ada@x.example", *names]), "token": secrets}
    )

    assert redact(once) == once
    assert not any(secret in json.dumps(once) for secret in secrets)


@given(JSON)
def test_the_shape_stays(value):
    """Only texts change, and what a secret field holds."""
    assert type(value) is type(redact(value))
    if isinstance(value, list | dict):
        assert len(value) == len(redact(value))


def test_what_is_too_deep_is_hidden_and_no_error():
    """Nobody looks that far."""
    deep: object = "x"
    for _ in range(5_000):
        deep = [deep]

    assert REDACTED in str(redact({"deep": [deep], "t": ("a", 1)}))
    assert ("a", 1) == redact(("a", 1))


def test_a_long_text_is_redacted_in_time():
    """Linear in its length, nearly."""
    for text in (
        "a" * 200_000,
        "eyJ" * 50_000,
        "-----BEGIN " * 10_000,
        "://" + "a:" * 50_000,
        "password" * 20_000,
    ):
        assert isinstance(redact(text), str)
