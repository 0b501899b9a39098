"""Secrets and, if asked, people, taken out of what is written down.

It goes by the names of fields and by shapes that secrets are known to have. It is a net with
holes: look at what you publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

Redact: TypeAlias = Callable[[Any], Any]
"""A JSON value, and the same without what must not be written down."""

REDACTED = "[redacted]"
MOST_LEVELS = 200

FIELDS = re.compile(
    r"(?:.*(?:password|passwd|passphrase|secret|secretkey|apikey|accesskey|privatekey|signingkey"
    r"|credentials?|(?:access|refresh|id|auth|bearer|session|csrf|secret|api)token)"
    r"|(?:proxy|x)?authorization|token|pwd|pin|cvv|cvc|otp|(?:set)?cookies?|jwt)"
)
"""Names of fields that hold a secret, in small letters and without - and _."""

SCALAR = frozenset({"pin"})
"""Names that are one of a secret only before a text or a number: a judge has a pin, too."""

_B, _E = r"(?<![A-Za-z0-9_\-])", r"(?![A-Za-z0-9_\-])"
_TOKENS = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36,251}",
    r"github_pat_[A-Za-z0-9_]{60,100}",
    r"gl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_\-]{20,64}",
    r"xox[abeoprs]-[A-Za-z0-9\-]{20,120}",
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,128}",
    r"whsec_[A-Za-z0-9+/]{32,64}",
    r"AIza[A-Za-z0-9_\-]{35}",
    r"GOCSPX-[A-Za-z0-9_\-]{28}",
    r"(?:sk|lsv2)[-_][A-Za-z0-9_\-]{20,200}",
    r"hf_[A-Za-z]{34}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_\-]{50,400}",
    r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}",
    r"eyJ[A-Za-z0-9_\-]{10,2000}\.eyJ[A-Za-z0-9_\-]{10,6000}\.[A-Za-z0-9_\-]{20,2000}",
)
SHAPES: tuple[re.Pattern[str], ...] = (
    re.compile(
        r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[A-Za-z0-9+/=\s]|\\n){20,20000}(?:-----END [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----)?"
    ),
    re.compile(_B + "(?:" + "|".join(_TOKENS) + ")" + _E),
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/\-]{16,4096}=*"),
    re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/]{16,4096}=*"),
    re.compile(r"(?<=://)(?![^\s/@]*\[redacted\]@)[^\s:/@\"'<>]{0,64}:[^\s/@\"'<>]{1,128}(?=@)"),
)
"""Shapes of which the whole match is a secret."""
ASSIGNED = re.compile(
    r"(?i)((?:passw(?:or)?d|passphrase|secret|api[_\-]?key"
    r"|(?:access|auth|client|private|refresh|secret)[_\-]?(?:key|token|secret))"
    r"\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?)(?!\[redacted\])([^\s\"'\\,;&<>{}\[\]]{4,256})"
)
"""A name, and after = or : the secret, also in JSON or in a URL within a text."""
EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,4}"
)
STAND_IN = re.compile(r"person-\d+@example\.com")


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
        self._names = re.compile(rf"(?i)(?<!\w)(?:{spelled})(?!\w)") if spelled else None

    def __call__(self, value: Any) -> Any:
        """The value without what must not be written down."""
        return self._value(value, 0)

    def text(self, text: str) -> str:
        """A text without what must not be written down."""
        for shape in SHAPES:
            text = shape.sub(REDACTED, text)
        text = ASSIGNED.sub(lambda match: match[1] + REDACTED, text)
        if self.emails:
            text = EMAIL.sub(lambda match: self._address(match[0]), text)
        return (
            self._names.sub(lambda match: self.people[_folded(match[0])], text)
            if self._names
            else text
        )

    def _value(self, value: Any, level: int, *, named: bool = False, secret: bool = False) -> Any:
        if isinstance(value, Mapping | list | tuple) and level > MOST_LEVELS:
            return REDACTED
        if isinstance(value, Mapping):
            return {self._key(k): self._field(k, v, level, named, secret) for k, v in value.items()}
        if isinstance(value, list | tuple):
            parts = [self._value(part, level + 1, secret=secret) for part in value]
            return parts if isinstance(value, list) else tuple(parts)
        if secret and not isinstance(value, bool) and value not in (None, ""):
            return REDACTED
        return self.text(value) if isinstance(value, str) else value

    def _key(self, key: Any) -> Any:
        return self.text(key) if isinstance(key, str) else key

    def _field(self, name: Any, value: Any, level: int, named: bool, secret: bool) -> Any:
        # Under "properties" of a JSON schema the names are described, and hold nothing.
        described = isinstance(value, Mapping) and (named or name in SCALAR)
        hidden = secret or (is_secret(name) and not described)
        return self._value(value, level + 1, named=name == "properties", secret=hidden)

    def _address(self, address: str) -> str:
        if STAND_IN.fullmatch(address):
            return address
        stand_in = f"person-{len(self.addresses) + 1}@example.com"
        return self.addresses.setdefault(address.casefold(), stand_in)


def is_secret(name: Any) -> bool:
    """Whether a field of this name holds a secret."""
    return isinstance(name, str) and bool(
        FIELDS.fullmatch(name.casefold().replace("-", "").replace("_", ""))
    )


def redact(value: Any) -> Any:
    """A JSON value with the secrets in it as `[redacted]`. Addresses and names stay."""
    return Redaction()(value)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
