"""Secrets and, if asked, people, taken out of what is written down.

It goes by the names of fields, the names before values in a text, and shapes that secrets are known
to have. It is a net with holes: look at what you publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ..core.shapes import AZURE_KEY, SLACK_WEBHOOK, TOKENS, bounded
from .json_text import NOTHING, json_in, respelled
from .secret_names import REDACTED, is_count, is_secret, without_named

__all__ = ["REDACTED", "Redact", "Redaction", "is_secret", "redact"]

Redact: TypeAlias = Callable[[Any], Any]
"""A JSON value, and the same without what must not be written down."""

MOST_LEVELS, MOST_PASSES = 200, 8

SCALAR = frozenset({"pin"})
"""Names that are one of a secret only before a text or a number: a judge has a pin, too."""

_B = r"(?<![A-Za-z0-9_\-])"
_LOOSE = (
    r"github_pat_[A-Za-z0-9_]{60,100}",
    r"xox[abeoprs]-[A-Za-z0-9\-]{20,120}",
    _B + r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,128}",
    _B + r"(?:sk|lsv2)[-_](?=[A-Za-z_\-]{0,200}[0-9])[A-Za-z0-9_\-]{20,}",
    _B + r"ya29\.[A-Za-z0-9_\-]{20,}",
    r"(?<=/bot)[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}",
)
"""Shapes that say enough to be left out of a file, and too little to stop a message."""
SHAPES: tuple[re.Pattern[str], ...] = (
    re.compile(
        r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[A-Za-z0-9+/=\s]|\\n){20,20000}(?:-----END [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----)?"
    ),
    re.compile("|".join((*_LOOSE, *(bounded(kind, shape) for kind, shape, _ in TOKENS)))),
    re.compile(r"(?i)(?<=\bbearer )(?=[A-Za-z._~+/\-]{0,200}[0-9])[A-Za-z0-9._~+/\-]{16,}=*"),
    re.compile(r"(?<=\b[Bb]asic )(?=[a-z]{0,200}[A-Z0-9+/=])[A-Za-z0-9+/]{16,}=*"),
    re.compile(
        r"(?<=://)[^\s:/@\"'<>]{0,64}:(?![0-9]{1,5}[/?#])[^\s/\"'<>]{1,128}(?=@)(?<!\[redacted\])"
    ),
)
"""Shapes of which the whole match is a secret."""
PARTS = re.compile(
    f"{SLACK_WEBHOOK}|{AZURE_KEY}|api/webhooks/([0-9]{{15,21}}/[A-Za-z0-9_\\-]{{40,}})"
)
"""Shapes of which a group is."""
EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,4}"
)
STAND_IN = re.compile(r"person-\d+@example\.com")
PERSON = re.compile(r"Person \d+")
KEPT = rf"\[redacted\]|{STAND_IN.pattern}|{PERSON.pattern}(?!\w)"
"""What stands for something else: no name is looked for within."""


class Redaction:
    """Redacts JSON values: a callable, with a memory that keeps equal things equal.

    Secrets become `[redacted]`. With `emails`, addresses become person-1@example.com,
    person-2@…, in the order in which they were first seen; each of `names`, wherever it stands
    as words, becomes "Person 1", …: names cannot be recognised without being told. Redacting
    twice changes nothing more.
    """

    def __init__(self, *, emails: bool = False, names: Iterable[str] = ()) -> None:
        self.emails = emails
        self.people = {_folded(name): f"Person {n}" for n, name in enumerate(names, 1)}
        self.addresses: dict[str, str] = {}
        ordered = sorted(filter(None, self.people), key=len, reverse=True)
        spelled = "|".join(r"\s+".join(map(re.escape, name.split())) for name in ordered)
        named = rf"(?<!\w)(?:{spelled})(?!\w)"
        self._names = re.compile(rf"(?i){KEPT}|{named}") if spelled else None

    def __call__(self, value: Any) -> Any:
        """The value without what must not be written down."""
        return self._value(value, 0)

    def text(self, text: str) -> str:
        """A text without what must not be written down; one that is JSON as its value would be."""
        return self._text(text, 0)

    def _text(self, text: str, level: int) -> str:
        for _ in range(MOST_PASSES):  # what was redacted may be JSON now, and was none before
            if (done := self._once(text, level)) == text:
                break
            text = done
        return text

    def _once(self, text: str, level: int) -> str:
        if (value := json_in(text)) is not NOTHING:
            return respelled(text, value, self._value(value, level + 1))
        for shape in SHAPES:
            text = shape.sub(REDACTED, text)
        text = without_named(PARTS.sub(_part, text))
        if self.emails:
            text = EMAIL.sub(lambda match: self._address(match[0]), text)
        return self._names.sub(self._person, text) if self._names else text

    def _value(self, value: Any, level: int, *, named: bool = False, secret: bool = False) -> Any:
        if isinstance(value, Mapping | list | tuple) and level > MOST_LEVELS:
            return REDACTED
        if isinstance(value, Mapping):
            return dict(self._field(name, value, level, named, secret) for name in value)
        if isinstance(value, list | tuple):
            parts = [self._value(part, level + 1, secret=secret) for part in value]
            return parts if isinstance(value, list) else tuple(parts)
        if secret and not isinstance(value, bool) and value not in (None, ""):
            return REDACTED
        return self._text(value, level) if isinstance(value, str) else value

    def _field(
        self, key: Any, around: Mapping[Any, Any], level: int, named: bool, secret: bool
    ) -> tuple[Any, Any]:
        value, name = around[key], self._text(key, level) if isinstance(key, str) else key
        # Under "properties" of a JSON schema the names are described, and hold nothing; beside
        # a "logprob" a token is a word.
        described = isinstance(value, Mapping) and (named or name in SCALAR)
        described = described or is_count(name, value) or "logprob" in around
        hidden = secret or (is_secret(name) and not described)
        return name, self._value(value, level + 1, named=name == "properties", secret=hidden)

    def _person(self, match: re.Match[str]) -> str:
        kept = PERSON.fullmatch(match[0])
        return match[0] if kept else self.people.get(_folded(match[0]), match[0])

    def _address(self, address: str) -> str:
        if STAND_IN.fullmatch(address):
            return address
        stand_in = f"person-{len(self.addresses) + 1}@example.com"
        return self.addresses.setdefault(address.casefold(), stand_in)


def redact(value: Any) -> Any:
    """A JSON value with the secrets in it as `[redacted]`. Addresses and names stay."""
    return Redaction()(value)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _part(match: re.Match[str]) -> str:
    """A match without the secret in its group."""
    (start, end), begin = match.span(match.lastindex or 0), match.start()
    return match[0][: start - begin] + REDACTED + match[0][end - begin :]
