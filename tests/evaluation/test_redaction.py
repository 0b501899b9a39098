"""Secrets and people, taken out of what is written down."""

import json
from pathlib import Path

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
        ("run --password=hunter22 now", "run --password=[redacted] now"),
        ("run --api-key hunter22 now", "run --api-key [redacted] now"),
        (
            "java -Dspring.datasource.password=hunter22",
            "java -Dspring.datasource.password=[redacted]",
        ),
        ("sh -c \"x --token='a b c d'\"", 'sh -c "x --token=[redacted]"'),
        ('os.environ["DB_PASSWORD"]="hunter22"', 'os.environ["DB_PASSWORD"]="[redacted]"'),
        ("API_KEYS=hunter22", "API_KEYS=[redacted]"),
        ("password=$ecretP4ss", "password=[redacted]"),
    ],
)
def test_a_secret_is_known_by_the_name_before_it(text, expected):
    """In a header, a URL, or JSON within a text."""
    assert expected == redact(text)


@pytest.mark.parametrize(
    "text",
    ["Book BA117 for EUR 1,234.00", "ada@example.com", "sk-8 is short", "https://x.example:8080/a@b",
     "the password is wrong", "a bearer of news", "task-list-for-the-long-week-of-october",
     "reset your password: click", "run --max-tokens=4096", "password=$DB_PASSWORD", "pwd=%s",
     "run --tokenizer=gpt2", "password=$password", "a well-known-password policy", "550e8400-e29b-41d4-a716-446655440000"],
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


HOSTILE = {
    "letters": "a" * 10**6, "jwt": "eyJ" * 333_333, "jwt parts": "eyJaaaaaaaaaa." * 70_000,
    "pem": "-----BEGIN " * 90_000, "url": "://" + "a:" * 500_000, "urls": "://a:b" * 150_000,
    "names": "password" * 125_000, "given": "password=" * 110_000, "opened": 'password="' * 100_000,
    "escaped": 'token=\\"' * 125_000, "mixed": ('token="\\" ' + "token=' ") * 50_000,
    "brackets": "[" * 500_000 + "]" * 500_000, "braces": "{" * 10**6, "quotes": '"' * 10**6,
    "backslashes": '"' + "\\" * 10**6 + '"', "addresses": "a@b." * 250_000, "keys": " sk-a" * 200_000,
    "blanks": "token" + " " * 10**6, "said": "password is " * 83_000, "bearer": "bearer " * 142_000,
    "cookies": "cookie: a=b" + "; a=b" * 200_000, "flags": "--token a " * 100_000,
    "bots": "/bot12345678:AA" * 66_000, "words": "api key " * 125_000, "in json": json.dumps(["x" * 10**6]),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_megabyte_of_hostile_text_is_redacted(kind):
    """Linear in its length: what is not, takes hours here."""
    assert isinstance(Redaction(emails=True, names=["Ann Lee"]).text(HOSTILE[kind]), str)


# ------------------------------------------------------------------------- names within a text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token=abcdef123456 x", "token=[redacted] x"), ("api_token=zzzzzzzz9", "api_token=[redacted]"),
        ("BOT_TOKEN: 123456:ABCDEF", "BOT_TOKEN: [redacted]"), ("pin: 1234.", "pin: [redacted]."),
        ("API key: abcdefgh1", "API key: [redacted]"), ("otp=123456", "otp=[redacted]"),
        ("X-Api-Key: aaaabbbbcccc", "X-Api-Key: [redacted]"), ("jwt: abc.def1", "jwt: [redacted]"),
        ("Cookie: a=b1c2; d=e", "Cookie: [redacted]"), ("Authorization: Bearer abc1", "Authorization: Bearer [redacted]"),
        ("my password is hunter2, yes", "my password is [redacted], yes"), ("the PIN is 4711", "the PIN is [redacted]"),
        ("run --password hunter2 now", "run --password [redacted] now"), ("postgres://u:p@ss@h/db", "postgres://[redacted]@h/db"),
        ("https://hooks.slack.com/services/T00000000/B00000000/" + "aB1" * 8, "https://hooks.slack.com/services/[redacted]"),
        ("ya29.a0AfH6SMB" + "x" * 25, "[redacted]"), ("https://api.telegram.org/bot12345678:AA" + "a1" * 16 + "b/send", "https://api.telegram.org/bot[redacted]/send"),
        ("it said {'user': 'a', 'token': 'tok_1', 'pin': 1234}", "it said {'user': 'a', 'token': '[redacted]', 'pin': '[redacted]'}"),
        ("{'password': \"it's\"}", "{'password': '[redacted]'}"), ('x {"token": "a\\"b", "n": 1}', 'x {"token": "[redacted]", "n": 1}'),
        ("password='a b c' x", "password='[redacted]' x"), ('{\n  "token": "x",\n  "n": 1.50\n}', '{\n  "token": "[redacted]",\n  "n": 1.50\n}'),
    ],
)  # fmt: skip
def test_a_secret_within_a_text_is_known_by_the_names_of_fields(text, expected):
    """The same list of names, in settings, headers, prose, JSON and Python; nothing else is touched."""
    assert expected == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "the token count is 512", "token=512, total_tokens=9", "the token is expired", "token: a small piece of a word",
        "cookie: chocolate", "next_page_token=abc123", "the password is at least 12 letters", "the secret is out", "--budget-tokens 200",
        "def f(token: str, pin=None)", "token = get_token(1)", "WHERE token = %s", "password=${DB_PASSWORD}", "if token == other1: x",
        "basic internationalisation", "bearer internationalisation-of-it", "sk-learn-is-a-machine-learning-library", "PWD=/home/ann1",
        '{"usage": {"token": 512, "output_tokens": 7}}', '{"logprobs": [{"token": "Hi", "logprob": -0.5}]}', "http://host:8080/?m=ann@x",
    ],
)  # fmt: skip
def test_ordinary_words_numbers_and_code_stay(text):
    """Tokens that are counted, or that are words of a model, are no secret."""
    assert text == redact(text)


def test_tokens_that_are_counted_stay_countable():
    """As fields; and a token's text beside its log-probability."""
    told = {"token": 512, "input_tokens": 3, "cost_per_token": 0.5, "next_page_token": "abc", "eos_token": "</s>",
            "content": [{"token": "Hi", "logprob": -0.1}]}  # fmt: skip

    assert told == redact(told)


GOLDEN = sorted((Path(__file__).parents[2] / "evals" / "golden").rglob("*.json*"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_nothing_in_the_golden_data_is_taken_for_a_secret(file):
    """Mail, invoices, flights, attacks: none of them plants one."""
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]

    assert [] == [line for line in lines if json.loads(line) != redact(json.loads(line))]


PIECES = ["token", "pin", "password", "Cookie", "authorization", "Bearer ", "api key", " is ", "=", ":", ": ",
          '"', "'", '\\"', "\\", "{", "}", "[", "]", ",", ";", "\n", " ", "512", "hunter2", "abc123", "true",
          "[redacted]", "redacted", "://", "u:p@h", "@", "; a=b", "--token ", "properties", "sk-", "eyJ", "Person 1",
          "person-1@example.com", "Ann", "person", "ada@x.example", "é", "\u2028", *SECRETS[:3]]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
NAMES = st.sampled_from(
    ["token", "pin", "password", "a", "api_key", "properties", "credentials", "logprob"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**12) | st.floats(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
SPELLED = st.sampled_from(
    [{}, {"ensure_ascii": False}, {"indent": 2}, {"separators": (",", ":")}, {"sort_keys": True}]
)


@given(TEXTS, VALUES)
def test_redacting_pieces_twice_changes_nothing_more(text, value):
    """Whatever they are put together to; with people, too."""
    for hide in (redact, Redaction(emails=True, names=["Ann", "person", "redacted"])):
        once = hide([text, value])

        assert once == hide(once)


@given(st.lists(VALUES) | st.dictionaries(NAMES, VALUES), SPELLED)
def test_json_within_a_text_is_redacted_as_its_value_is(value, spelled):
    """In its own spelling; so that what a tool gave is the same in the question that follows."""
    text = json.dumps(value, **spelled)

    assert json.dumps(redact(value), **spelled) == redact(text)
    assert json.dumps(redact(text)) == redact(json.dumps(text))


def test_names_in_the_plural_hold_secrets_and_tokens_are_words():
    """Those of a model are counted and listed."""
    given = {"api_keys": ["a"], "secrets": {"db": "b"}, "passwords": "c", "refresh_tokens": ["d"],
             "tokens": ["the", "cat"], "input_tokens": 5}  # fmt: skip

    assert {
        "api_keys": [REDACTED], "secrets": {"db": REDACTED}, "passwords": REDACTED,
        "refresh_tokens": [REDACTED], "tokens": ["the", "cat"], "input_tokens": 5,
    } == redact(given)  # fmt: skip
