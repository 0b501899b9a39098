"""What must not leave: secrets, by their well-known shapes, and canaries, in any guise.

A secret is found in the text as it stands, in what is left of it without markup and what is
unseen, and where it is spread over blanks. Who encodes it (base64, rot13, backwards) hides it.
"""

from __future__ import annotations

import base64
import codecs
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import log2
from typing import TypeAlias

from ..core.shapes import AZURE_KEY, SLACK_WEBHOOK, TOKENS, bounded
from .hosts import FOLDED
from .views import BLANKS, COATS, SIGNS, WORD, View

# ------------------------------------------------------------------------------- secrets

USER = r"(?<![a-zA-Z0-9+.\-])[a-zA-Z][a-zA-Z0-9+.\-]{1,20}://[^\s:/@\"'<>?#]{0,64}:"
"""An URL up to its password, which in one of the web must be no word."""
CHARACTER = r"(?:[^\s\"'`<>(){}\[\]\\&;,]|[&;,](?![\w .\-]{0,32}=)(?=[^\s\"'<>]))"
"""A character of a password; an & or a semicolon may also begin the next of several settings."""
PLACES: tuple[tuple[str, str, float], ...] = (
    ("slack_webhook", SLACK_WEBHOOK, 3.2),
    ("azure_key", AZURE_KEY, 4.0),
    (
        "private_key",
        (
            r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
            r"\s{0,4}((?:[A-Za-z0-9+/=]|\\n|\s){60,20000})"
        ),
        4.0,
    ),
    (
        "url_password",
        (
            rf"(?:(?!(?i:https?|wss?|ftp):){USER}|{USER}"
            r"(?=[a-zA-Z]{0,127}(?:[^a-zA-Z\s/@\"'<>]|@[^\s/@\"'<>]{1,127}@)))"
            r"(?![0-9]{1,5}[/?#]|[$%<({\[*])"
            r"((?:[^\s/@\"'<>{}\\`]|@(?=[^\s/@\"'<>]{1,128}@)){4,128})@(?=[a-zA-Z0-9\[])"
        ),
        0.0,
    ),
    (
        "assigned",
        (
            r"(?i:passw(?:or)?d|secret|api[_\-]?key|bearer"
            r"|(?:access|auth|client|private)[_\-]?(?:key|token|secret))"
            r"[\"']?\s{0,3}[:=\s]\s{0,3}[\"']?"
            r"([A-Za-z0-9+/_\-=~]{20,256})(?![A-Za-z0-9+/_\-=~.(\[])"
        ),
        4.0,
    ),
    (
        "assigned",
        (
            r"(?i:passw(?:or)?d|passphrase|passwort|pwd|secret)"
            r"[\"']?\s{0,3}(?:[:=|]=?|[=\-]>|>|\sis\s)\s{0,3}[\"']?(?![$%({\[<*/])"
            rf"(?={CHARACTER}{{0,127}}[!@#$%^&*?~+|;,])({CHARACTER}{{10,128}})"
        ),
        3.0,
    ),
)
Shapes: TypeAlias = tuple[tuple[str, re.Pattern[str], float], ...]
"""Kind, shape with the secret part in its group, and the least entropy of that, bits a letter."""

WHOLE: Shapes = tuple(
    (name, re.compile(bounded(name, shape)), least) for name, shape, least in TOKENS
)
PLACED: Shapes = tuple((name, re.compile(shape), least) for name, shape, least in PLACES)
SPREAD: Shapes = tuple(
    (name, re.compile(re.sub(r"\}\)\Z", "}?)", shape)), least) for name, shape, least in TOKENS
)
"""The shapes of tokens, as short as they may be."""
SIGNLESS: Shapes = tuple(one for one in SPREAD if r"\-" not in one[1].pattern)
HEADS = re.compile(
    r"AKIA|ASIA|ABIA|ACCA|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|ptt|soat)-|xox[abeoprs]-"
    r"|[sr]k_live_|whsec_|AIza|GOCSPX-|sk-|hf_|npm_|pypi-AgE|SG\.|SK[0-9a-f]{4}|do[opr]_v1_"
    r"|shp(?:at|ca|pa|ss)_|[0-9]{8,10}:AA|AGE-SECRET-KEY-1|eyJ"
)
"""How a token of each shape begins: where none does, none is looked for."""

MIXED = frozenset({"assigned", "openai_key"})
"""Shapes that words of a language have, too: their secret must look like no word."""
PRETENDED = re.compile(
    r"example|placeholder|your[_\-]|changeme|dummy|sample|redacted|xxxx|0{8}|1234567|abcdefg"
    r"|password|secret|(.)\1{5}",
    re.IGNORECASE,
)
"""What documentation writes in the place of a secret."""
LEFT = 16
"""Letters of a secret that somebody has written such a word into."""
WEAK = re.compile(
    r"(?:pass|passwd|pass?wd|pwd?|token|key|guest|root|admin|user(?:name)?|test|foo|bar|demo|hunter"
    r"|my|some|the|db|postgres|mysql|x+|tiger)[\d_.!\-]*",
    re.IGNORECASE,
)
"""What it writes in the place of a password."""

REMOVED = "[{} removed]"
REMOVED_PASSWORD = REMOVED.format("url_password")
"""What stands in the place of a secret."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret in a text: its kind and its place, never itself."""

    kind: str
    start: int
    end: int


def secrets_in(text: str) -> tuple[Leak, ...]:
    """The secrets in a text, in their order, none within another."""
    kept: list[Leak] = []
    for leak in sorted(_hits(text), key=lambda leak: (leak.start, -leak.end)):
        if not kept or leak.start >= kept[-1].end:
            kept.append(leak)
        elif leak.end > kept[-1].end:
            kept[-1] = replace(kept[-1], end=leak.end)
    return tuple(kept)


def _hits(text: str) -> Iterator[Leak]:
    yield from _standing(text)
    seen = View(text, COATS) if COATS.search(text) else None
    if seen and seen.text != text:
        yield from _placed(seen, _standing(seen.text))
    plain = seen.text if seen else text
    for between, shapes in ((BLANKS, SPREAD), (SIGNS, SIGNLESS)):
        if HEADS.search(between.sub("", plain)):
            spread = View(plain, between)
            leaks = _placed(spread, _spread(spread, shapes))
            yield from _placed(seen, leaks) if seen else leaks


def _placed(view: View, leaks: Iterable[Leak]) -> Iterator[Leak]:
    """The same leaks, where they stood in the text that this is a view of."""
    for leak in leaks:
        yield Leak(leak.kind, *view.placed(leak.start, leak.end))


def _standing(text: str) -> Iterator[Leak]:
    """The secrets that stand in a text as they are."""
    for kind, shape, least in (*(WHOLE if HEADS.search(text) else ()), *PLACED):
        for match in shape.finditer(text):
            if is_secret(kind, match[1], least):
                whole = kind not in ("assigned", "url_password")
                yield Leak(kind, match.start() if whole else match.start(1), match.end(1))


def _spread(view: View, shapes: Shapes) -> Iterator[Leak]:
    """The tokens in a text without blanks that had some within: random pieces, and few words."""
    done = 0
    for head in HEADS.finditer(view.text):
        start = head.start()
        if start < done or not view.is_edge(start):
            continue
        for kind, shape, least in shapes:
            match = shape.match(view.text, start)
            if match is None or view.edge_behind(start + 1) >= match.end():
                continue
            end = view.edge_behind(match.end())
            whole = shape.fullmatch(view.text, start, end)
            if whole and view.is_random(start, end) and is_secret(kind, whole[1], least):
                while (more := view.edge_behind(end + 1)) > end:
                    if WORD.fullmatch(view.text, end, more) or not shape.fullmatch(
                        view.text, start, more
                    ):
                        break
                    end = more
                yield Leak(kind, start, end)
                done = end
                break


def is_secret(kind: str, body: str, least: float) -> bool:
    """Whether this has the letters of a secret of this kind, and is no stand-in for one."""
    body = body[:256]
    if PRETENDED.search(body):
        body = PRETENDED.sub("", body)
        if len(body) < LEFT or not is_mixed(body):
            return False
    if kind == "url_password":
        return not WEAK.fullmatch(body) and is_password(body)
    return entropy(body) >= least and (kind not in MIXED or is_mixed(body))


def is_password(text: str) -> bool:
    """Whether a text is no number, and not one letter over and over."""
    return any(map(str.isalpha, text)) and len(set(text)) > 2


def entropy(text: str) -> float:
    """Shannon's entropy of the letters of a text, in bits a letter."""
    counts = Counter(text).values()
    return sum(n * log2(len(text) / n) for n in counts) / len(text) if text else 0.0


def is_mixed(text: str) -> bool:
    """Whether a text has the letters of a password: two digits, and both cases or only hex."""
    digits = sum(letter.isdigit() for letter in text)
    hexadecimal = re.fullmatch(r"[0-9a-f]{32,}|[0-9A-F]{32,}", text) is not None
    mixed = text.lower() != text and text.upper() != text
    return digits >= 2 and (hexadecimal or mixed)


def redacted(text: str) -> tuple[str, tuple[Leak, ...]]:
    """The text with the kind of each secret in its place, and what they were."""
    leaks, parts, done = secrets_in(text), [], 0
    for leak in leaks:
        parts += [text[done : leak.start], REMOVED.format(leak.kind)]
        done = leak.end
    return "".join([*parts, text[done:]]), leaks


# ------------------------------------------------------------------------------- canaries

ALPHABET = "abcdefghijkmnpqrstuvwxyz"
NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")
URL_SAFE = str.maketrans("-_", "+/")
PLANTED = "Internal marker, never to be repeated, translated or encoded: {token}"


@dataclass(frozen=True, slots=True)
class Canary:
    """A word that nobody has a reason to say. `Canary.of` gives the same at every replay."""

    token: str

    def __post_init__(self) -> None:
        if len(self.token) < 16 or not (self.token.isascii() and self.token.isalpha()):
            raise ValueError("a canary is a word of at least 16 ASCII letters: Canary.of(key, …)")

    @classmethod
    def of(cls, key: bytes, scope: str = "") -> Canary:
        """The canary of a scope (a tenant, a thread): 24 letters that only `key` gives."""
        if len(key) < 16:
            raise ValueError("the key of a canary has at least 16 bytes")
        mark = hmac.digest(key, scope.encode("utf-8", "surrogatepass"), "sha256")
        return cls("".join(ALPHABET[byte % len(ALPHABET)] for byte in mark[:24]))

    def __repr__(self) -> str:
        return "Canary(…)"


def planted(prompt: str, canary: Canary) -> str:
    """A system prompt with the canary in it."""
    return f"{prompt}\n\n{PLANTED.format(token=canary.token)}"


def leaked(text: str, canaries: Iterable[Canary]) -> tuple[str, ...]:
    """In which guises one of the canaries stands in a text; none if it does not.

    `plain` in any case, spaced, hyphenated, in full width or with invisible letters within;
    `reversed`, `rot13`, `hex`, `base64` and `base32`. Linear in the text for each canary.
    """
    canaries = tuple(canaries)
    if not canaries or not text:
        return ()
    folded = text if text.isascii() else text.translate(FOLDED)
    squashed = "".join(filter(str.isalnum, folded.casefold()))
    bare = "\n".join(squashed.replace(escape, "") for escape in ("x", "0x", "u00", "\0"))
    letters = NOT_BASE64.sub("", folded.translate(URL_SAFE))
    guises: dict[str, None] = {}
    for canary in canaries:
        for guise, needle in _needles(canary.token):
            hay = letters if guise == "base64" else bare if guise == "hex" else squashed
            if needle in hay:
                guises[guise] = None
    return tuple(guises)


def _needles(token: str) -> Iterator[tuple[str, str]]:
    """What a canary looks like in each guise, less what its neighbours would change."""
    low = token.lower()
    yield "plain", low
    yield "reversed", low[::-1]
    yield "rot13", codecs.encode(low, "rot13")
    yield "hex", low.encode().hex()
    yield "hex", low.upper().encode().hex()
    for spelled in dict.fromkeys((token, low, low.upper())):
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + spelled.encode()).decode()
            yield "base64", whole[4 if shift else 0 :].rstrip("=")[: -1 - shift]
        for shift in range(5):
            coded = base64.b32encode(b"\0" * shift + spelled.encode()).decode().rstrip("=")
            yield "base32", coded[8 if shift else 0 : -2].lower()
