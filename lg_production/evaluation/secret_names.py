"""The names that secrets go by, as fields and in words: one list for both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

REDACTED = "[redacted]"
LONGEST, LEAST, MOST_COUNT = 128, 4, 10**9

FIELDS = re.compile(
    r"(?:.*(?:passwords?|passwd|passphrases?|passcodes?|passwort|secrets?|credentials?"
    r"|(?:secret|api|access|account|private|signing|encryption|master|ssh)keys?"
    r"|(?:db|pg|root|admin|smtp|ftp)pass|(?:security|verification|mfa|otp)codes?|token"
    r"|(?:access|api|auth|bearer|refresh|session)tokens)"
    r"|(?:proxy|x)?authorization|pwd|pin|cvv|cvc|t?otp|(?:set)?cookies?|jwt)"
)
"""Names of fields that hold a secret, in small letters and without blanks, - and _."""
HARMLESS = re.compile(
    r".*(?:page|next|sync|cursor|continuation|pagination|stop|start|end|[be]os|pad|unk|mask"
    r"|first|last|max|min|per|special|new|prefix|image)token"
)
"""Tokens that are places in a list, or words of a model."""
WORDS = frozenset(
    {"token", "pin", "otp", "cookie", "cookies", "jwt", "pwd", "credential", "credentials",
     "authorization"}
)  # fmt: skip
"""Names that stand before a colon in ordinary prose, too: there only what looks like one is one."""

NAME = (
    r"(?<![A-Za-z0-9_\-])(?P<name>(?i:api|access|auth|secret|private|client|session|bot|account)"
    r" (?i:key|token|secret|password|code)|[A-Za-z][A-Za-z0-9_\-]{1,127})"
)
ASSIGNED = re.compile(
    rf"(?P<open>\\{{0,3}}[\"'])?{NAME}(?(open)(?P=open)\]?)"
    r"(?P<gap>\s{0,8}(?::=|:|=>|=(?!=))\s{0,8})"
)
"""Something that is given a value, in a setting, a URL, a header, JSON or Python."""
SAID = re.compile(
    r"(?i)\b(?P<name>passwor[dt]|passwd|passphrase|passcode|pin|otp|secret|token|api[ _\-]?key)"
    r"(?: code| number)? (?:is|was)(?: now)?:? [*_`\"'“]{0,3}"
    r"(?P<value>[^\s\"'\\,;&<>{}\[\]()|`*”]+)"
)
FLAG = re.compile(
    r"(?<![^\s\"'`(\[,=])-(?:-(?=[^=\s]{1,128}[ =])|(?=[^=\s]{1,128}=))"
    r"(?P<name>[A-Za-z][A-Za-z0-9_.\-]{1,127})(?: +(?![\-\[])|=)"
    r"(?P<value>\"[^\"\n]+\"|'[^'\n]+'|[^\s\"'`]+)"
)
"""--password hunter2, --password=hunter2, -Dpassword=hunter2."""
OPEN = re.compile(r"(\\{0,3})([\"'])")
WITHIN = {q: re.compile(rf"[^{q}\\\n]*(?:\\.[^{q}\\\n]*)*") for q in "\"'"}
BARE = re.compile(r"[^\s\"'\\,;&<>{}\[\]()|`]+")
SCHEME = re.compile(r"(?i)(?:bearer|basic|token|digest|apikey)\s{1,4}")
COOKIES = re.compile(r"(?:; ?[\w\-.]+=[^\s;,\"'\\]*)*")
NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?(?:[eE][+\-]?\d+)?|Infinity|NaN)")
LITERALS = frozenset({"true", "false", "null", "none", "undefined", "nil", "str", "bool", "int"})
PLACE = re.compile(r"\$(?:[A-Z0-9_]*|[a-z_]*)|%(?:[sdr]|[A-Z0-9_]+%)?|\*+|x{3,}|\.+")
"""What stands in code, or in a manual, where a value is to come."""
WORD = re.compile(r"[A-Za-z]{1,20}(?:['’\-][A-Za-z]{1,20})*")


class Found(NamedTuple):
    """Where a secret stands in a text, and what is to stand there."""

    start: int
    end: int
    instead: str = REDACTED


def is_secret(name: Any) -> bool:
    """Whether a field of this name holds a secret."""
    return isinstance(name, str) and len(name) <= LONGEST and _is_secret(name)


@lru_cache(maxsize=4_096)
def _is_secret(name: str) -> bool:
    folded = _folded(name)
    return bool(FIELDS.fullmatch(folded)) and not HARMLESS.fullmatch(folded)


def is_count(name: Any, value: Any) -> bool:
    """Whether this is a number of tokens, and no token."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < MOST_COUNT and _folded(str(name)).endswith("token")


def without_named(text: str) -> str:
    """The text without what stands behind a name of a secret. Linear in its length."""
    text = _replaced(text, _assigned(text))
    text = _replaced(text, _said(text))
    return _replaced(text, _flagged(text))


def _folded(name: str) -> str:
    return re.sub("[-_ ]", "", name.casefold())


def _replaced(text: str, found: Iterator[Found]) -> str:
    parts, done = [], 0
    for one in found:
        parts += [text[done : one.start], one.instead]
        done = one.end
    return "".join([*parts, text[done:]])


def _assigned(text: str) -> Iterator[Found]:
    done = 0
    for match in ASSIGNED.finditer(text):
        if match.start() >= done and is_secret(match["name"]) and (found := _value(text, match)):
            done = found.end
            yield found


def _value(text: str, match: re.Match[str]) -> Found | None:
    """The value that is given to a secret's name, if it is one."""
    start, name = match.end(), _folded(match["name"])
    if opened := OPEN.match(text, start):
        return _quoted(text, match, opened)
    if name.endswith("authorization") and (scheme := SCHEME.match(text, start)):
        start = scheme.end()
    bare = BARE.match(text, start)
    if bare is None or text[bare.end() : bare.end() + 1] in ("(", "["):
        return None
    value = bare[0].rstrip(".!?:")
    end = start + len(value)
    if match["open"]:  # JSON, or Python: there numbers are values, too
        instead = match["open"] + REDACTED + match["open"]
        return Found(start, end, instead) if _given(name, value, "=") else None
    if name.endswith(("cookie", "cookies")) and (more := COOKIES.match(text, end)):
        end = more.end()
    return Found(start, end) if _given(name, value, match["gap"], start > match.end()) else None


def _quoted(text: str, match: re.Match[str], opened: re.Match[str]) -> Found | None:
    start, quote = opened.end(), opened[0]
    inner = None if opened[1] else WITHIN[opened[2]].match(text, start)
    end = inner.end() if inner else text.find(quote, start)
    line = text.find("\n", start, None if end < 0 else end)
    end = line if line >= 0 else len(text) if end < 0 else end
    if text[start:end] in ("", REDACTED):
        return None
    if match["open"] and match["open"].endswith("'"):  # as Python spells it
        quote = match["open"]
    closed = text.startswith(opened[0], end)
    after = end + len(opened[0]) if closed else end
    return Found(opened.start(), after, quote + REDACTED + (quote if closed else ""))


def _given(name: str, value: str, gap: str, sure: bool = False) -> bool:
    """Whether what stands behind a name is its value, and no word of a sentence or of code."""
    folded = value.casefold()
    if not value or folded in LITERALS or folded == name or PLACE.fullmatch(value):
        return False
    if _is_count(name, value):
        return False
    if "=" in gap or sure:
        return not (name == "pwd" and value.startswith("/"))
    return len(value) >= LEAST and not (name in WORDS and WORD.fullmatch(value))


def _is_count(name: str, value: str) -> bool:
    return bool(NUMBER.fullmatch(value)) and is_count(name, float(value))


def _said(text: str) -> Iterator[Found]:
    """The password is hunter2; and not: the password is wrong."""
    for match in SAID.finditer(text):
        value, name = match["value"].rstrip(".!?:"), match["name"].casefold()
        digits = value.isdigit() and name != "token"
        mixed = (
            name not in ("pin", "otp")
            and re.search("[0-9]", value)
            and re.search("[A-Za-z]", value)
        )
        if len(value) >= LEAST and (digits or mixed):
            yield Found(match.start("value"), match.start("value") + len(value))


def _flagged(text: str) -> Iterator[Found]:
    """What a flag of a command line is given."""
    for match in FLAG.finditer(text):
        if is_secret(match["name"]) and not _is_count(match["name"], match["value"]):
            yield Found(match.start("value"), match.end("value"))
