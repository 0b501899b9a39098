"""One spelling for a host, whatever notation it is written in.

Two programs may read the same letters as two hosts (a leading zero is octal to one and decimal to
another, ß is ss to one and itself to another). `readings` gives every host that may be meant, so
that who checks one checks all.
"""

# ruff: noqa: SIM905 - lists of words are read as text

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

from .tlds import TLDS

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

ROUNDS = 3
"""How often percent-encoding and HTML entities are undone."""
LONGEST = 1_024
"""Characters of a host that are looked at; a name has at most 253."""
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?")
NUMBER = re.compile(r"0[xX][0-9a-fA-F]{0,16}|[0-9]{1,20}")
DOTS = dict.fromkeys(map(ord, "\u3002\uff0e\uff61"), ".")
DEVIATIONS = str.maketrans({"ß": "ss", "ς": "σ"})
IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that are not seen and that a name does not keep."""

ENTITY = re.compile(
    r"&(?:#(?:[xX]0{0,64}([0-9a-fA-F]{1,6})|0{0,64}([0-9]{1,7}))|([A-Za-z]{2,8}));?"
)
NAMED = {
    "period": ".", "sol": "/", "colon": ":", "commat": "@", "amp": "&", "num": "#", "quest": "?",
    "bsol": "\\", "equals": "=", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " ",
    "Tab": "\t", "NewLine": "\n", "shy": "", "lowbar": "_", "percnt": "%", "hyphen": "-",
}  # fmt: skip
ESCAPED = re.compile(r"\\(?:u00|x)([0-9a-fA-F]{2})")

SECOND = frozenset(
    "ac co com edu gen go gob gouv gov govt gv ltd mil ne net nom or org plc sch".split()
)
"""Second-level labels under which countries register names: `co.uk`, `com.au`."""
SHARED = frozenset(
    "me.uk id.au asn.au in.th uk.com us.com eu.com de.com gb.net br.com cn.com jp.net co.com "
    "com.de github.io gitlab.io bitbucket.io readthedocs.io vercel.app netlify.app web.app run.app "
    "firebaseapp.com appspot.com herokuapp.com onrender.com fly.dev pages.dev workers.dev "
    "cloudfront.net s3.amazonaws.com azurewebsites.net blob.core.windows.net cloudapp.net "
    "blogspot.com wordpress.com ngrok.io ngrok.app ngrok-free.app trycloudflare.com repl.co "
    "glitch.me surge.sh duckdns.org nip.io sslip.io ts.net hf.space streamlit.app".split()
)
"""Domains below which strangers have names."""
PRIVATE = frozenset(
    "alt corp example home internal intranet invalid lan local localhost private test".split()
)
"""Top-level domains that nobody registers names under."""


class _Folded(dict[int, str]):
    """What a host name makes of a character. Fills itself, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        if len(self) > 20_000:
            self.clear()
        character = chr(code)
        plain = unicodedata.normalize("NFKC", character).translate(DOTS)
        self[code] = folded = "" if IGNORED.match(character) else plain
        return folded


FOLDED = _Folded()


def canonical_host(text: str) -> str | None:
    """A host in one spelling: lower case, ASCII, an IP address as it is usually written.

    None if it is no host. Percent-encoding is undone, full-width and circled letters are plain
    ones, invisible characters go, other alphabets become punycode, `[::ffff:7f00:1]`, `0x7f.1`,
    `017700000001` and `2130706433` are `127.0.0.1`.
    """
    found = readings(text)
    return found[0] if found else None


@lru_cache(4_096)
def readings(text: str) -> tuple[str, ...]:
    """Every host that this may mean, the usual one first; none if it is no host."""
    if not text or len(text) > LONGEST:
        return ()
    if "%" in text and not text.startswith("["):
        text = unquote(text)
    name = text if text.isascii() else text.translate(FOLDED)
    if name.startswith("[") and name.endswith("]"):
        found = ipv6(name[1:-1])
        return (spelled_ip(found),) if found else ()
    name = name.lower().removesuffix(".")
    last = name.rpartition(".")[2]
    if last[:1].isdigit() and NUMBER.fullmatch(last):
        return tuple(dict.fromkeys(str(ip) for ip in ipv4s(name)))
    names = dict.fromkeys((named(name), named(name.translate(DEVIATIONS))))
    return tuple(one for one in names if one is not None)


def named(name: str) -> str | None:
    """A host name in ASCII; None if it is none."""
    labels = name.split(".")
    if len(labels) > 127:
        return None
    ascii_labels = [label if label.isascii() else punycode(label) for label in labels]
    whole = ".".join(ascii_labels)
    fits = all(LABEL.fullmatch(label) for label in ascii_labels)
    return whole if fits and len(whole) <= 253 else None


def punycode(label: str) -> str:
    """A label of another alphabet in ASCII; "" if it cannot be one."""
    if len(label) > 63 or any(unicodedata.category(c)[0] not in "LMN" and c != "-" for c in label):
        return ""
    return "xn--" + unicodedata.normalize("NFC", label).encode("punycode").decode("ascii")


def ipv4s(text: str) -> list[ipaddress.IPv4Address]:
    """An IPv4 address as `inet_aton` reads it, and as one reads it who knows no octal."""
    parts = text.split(".")
    if len(parts) > 4 or not all(NUMBER.fullmatch(part) for part in parts):
        return []
    found = []
    for octal in (True, False):
        try:
            numbers = [number(part, octal=octal) for part in parts]
        except ValueError:
            continue
        *heads, tail = numbers
        if all(n < 256 for n in heads) and tail < 256 ** (4 - len(heads)):
            value = sum(n << (24 - 8 * place) for place, n in enumerate(heads)) + tail
            found.append(ipaddress.IPv4Address(value))
    return found


def number(part: str, *, octal: bool) -> int:
    """One part of an IPv4 address. Raises `ValueError` for 09 in octal."""
    if part[:2] in ("0x", "0X"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if octal and len(part) > 1 and part.startswith("0") else 10)


def ipv6(text: str) -> IP | None:
    """An IPv6 address, or the IPv4 address that it maps; a zone is left out."""
    try:
        found = ipaddress.IPv6Address(text.partition("%")[0][:64])
    except ValueError:
        return None
    return found.ipv4_mapped or found


def spelled_ip(address: IP) -> str:
    """An IP address as a host is spelled."""
    return str(address)


def is_shared(name: str) -> bool:
    """Whether strangers can have names below this one: a top-level domain, or one like `co.uk`.

    It knows all of IANA's, and the usual ones of two labels. It is no full public suffix list:
    below a name that it does not know a star means what it says.
    """
    first, _, last = name.rpartition(".")
    if not first:
        return name in TLDS and name not in PRIVATE
    return name in SHARED or (len(last) == 2 and first in SECOND)


def ip_of(host: str) -> IP | None:
    """The address that a canonical host is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def decodings(text: str) -> Iterator[str]:
    """The text, and what it reads once what is encoded in it is decoded."""
    yield text
    for _ in range(ROUNDS):
        plain = text
        if "%" in plain:
            plain = unquote(plain)
        if "&" in plain:
            plain = ENTITY.sub(_entity, plain)
        if "\\" in plain:
            plain = ESCAPED.sub(lambda m: chr(int(m[1], 16)), plain)
        if plain == text:
            return
        text = plain
        yield text


def _entity(match: re.Match[str]) -> str:
    if match[3]:
        return NAMED.get(match[3], match[0])
    code = int(match[1], 16) if match[1] else int(match[2])
    return chr(code) if code < 0x110000 else match[0]
