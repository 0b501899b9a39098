"""Where a text points to: URLs, e-mail addresses and IP addresses, however they are written.

`found` is made for hostile text. It takes any `str`, time linear in it, and where two programs
would read the same letters as two hosts it gives both. It does not resolve names, and does not
undo what a program has to be told to undo (base64, rot13).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from .hosts import FOLDED, canonical_host, decodings, named, readings
from .networks import ips_in
from .tlds import TLDS, WORDS

Kind: TypeAlias = Literal["url", "email", "ip"]

MOST = 64
"""Hosts of one URL."""
NESTED = 256
"""Characters of an address inside of another."""
SPECIAL = frozenset({"http", "https", "ws", "wss", "ftp"})

SCRIPT = "|".join(r"[\t\r\n]{0,9}".join(f"{who}script") for who in ("java", "vb", "live", "j"))
OPAQUE = re.compile(
    rf"""(?<![a-zA-Z0-9.+\-])(?:
      (data):(?:(?:text|image|audio|video|font|application|model|multipart|message|example)
        /[\w.+\-]{{1,90}})?(?:;[\w.+\-]{{1,40}}(?:=[^\s;,<>]{{0,90}})?){{0,9}},
    | ({SCRIPT}):(?:[\w$.%\\]{{0,64}}[(=`\[]|(?<!```javascript:)[/{{+!~'"%;])
    | (blob|filesystem):(?=https?:|null/|file:|[0-9a-f]{{8}}-))""",
    re.VERBOSE | re.IGNORECASE,
)
"""Schemes without slashes, before what a program takes for an URL and no sentence has."""
ROUTE = re.compile(r"(?:,@[^\s<>@,:]{1,64}){0,8}:[^\s<>@,:]{1,64}@[\w\[]")
"""Behind the first relay of a route, as in `@relay:ann@example.org`."""
NO_MAILTO = re.compile(r"[\s<>\"']")
SLASHES = re.compile(r":[/\\]*|[/\\]{2,}")
SCHEME = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.\-]{0,30})\Z")
STRICT = re.compile(r"[^\s/\\?#\x00-\x1f]*")
PROSE = re.compile(r"""[^\s/\\?#\x00-\x1f<>"'`{}|^(),;]*""")
TAIL = re.compile(r"""[^\s<>"'`\\\x00-\x1f]*""")
BROKEN = re.compile(r"(?:[^ /\\?#\x00-\x08\x0b\x0c\x0e-\x1f]){1,300}")
AT = re.compile(r"@")
NO_SCHEME = re.compile(r"[^a-zA-Z0-9+.\-]")
NEARBY = re.compile(r"(?<![\w.@/\\\-])localhost(?=[:/])", re.IGNORECASE)
SOLD = frozenset({"com", "net", "org", "edu", "gov"})
"""Domains that nobody calls a function."""
QUOTED = re.compile(r'"[^"\r\n]{0,64}"\Z')
NO_LOCAL = frozenset("<>()[],;:\\\"'@=&?/")
DOMAIN = re.compile(r"\[[0-9a-fA-F:.xIPvVi]{2,60}\]|[^\s<>()\[\],;:\\\"'@=&?/!#$*{}|`^+~]{1,256}")
WORD = re.compile(r"""[^\s<>()\[\]{},;:\\"'@=&?/!#$*|`^+~\x00-\x1f]+""")
PORT_OR_PATH = re.compile(r":[0-9]{1,5}(?![0-9.])|[/?#](?=[^\s\"'<>)\]])")
BRACKET = re.compile(r"[()\[\]{}]|[,;|](?=[a-zA-Z][a-zA-Z0-9+.\-]{0,30}:[/\\]{2}|www\.)")
"""What may end an address within: a bracket, or what stands between two addresses."""
CLOSES = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Address:
    """One address in a text.

    `value` is as it was written, or as it reads once decoded; `host` is in one spelling (see
    `canonical_host`), and "" where it has none or none that can be read; `scheme` is that of an
    URL, "" for one without. `start` and `end` are its place in the text, -1 if it was encoded.
    """

    kind: Kind
    value: str
    host: str
    scheme: str = ""
    start: int = -1
    end: int = -1


def found(text: str) -> tuple[Address, ...]:
    """Every address in a text, each once, in the order of its notation: plain first, then encoded.

    An address inside of another (a redirect) is one of its own. A name without a scheme is an
    URL if it starts with www, or ends in a top-level domain; one that is also a word of programs
    or an ending of files (`user.id`, `notes.md`) only with a port or a path behind it.
    """
    seen: dict[tuple[str, str, str], Address] = {}
    for turn, reading in enumerate(decodings(text)):
        for one in occurrences(reading):
            if turn:
                one = Address(one.kind, one.value, one.host, one.scheme)  # noqa: PLW2901
            seen.setdefault((one.kind, one.value, one.host), one)
    return tuple(seen.values())


def canonical_url(text: str) -> str:
    """An URL, a host or an IP address in one spelling, to compare it by.

    `http`, `https` and no scheme are one; so are a host in any notation, and its default port.
    What cannot be read is returned as it is, so that it equals nothing else. Never raises.
    """
    whole = text.strip()
    scheme, rest = _split_scheme(whole)
    authority = STRICT.match(rest)[0]  # type: ignore[index]
    tail = rest[len(authority) :]
    user, at, place = authority.rpartition("@")
    host, port = _split_port(place)
    name = canonical_host(host)
    if name is None and "]" not in place and place.count(":") > 1:
        name = canonical_host(f"[{place}]")
        port = ""
    if name is None or tail.startswith("\\"):
        return whole
    plain = scheme in ("", "http", "https")
    port = "" if plain and port in ("80", "443", "") else port
    start = "" if plain else f"{scheme}://"
    name = f"[{name}]" if ":" in name and port else name
    return f"{start}{user}{at}{name}{port and ':' + port}{'' if tail == '/' else tail}"


def _split_scheme(text: str) -> tuple[str, str]:
    head, colon, rest = text.partition(":")
    if colon and SCHEME.fullmatch(head) and rest[:2] == "//":
        return head.lower(), rest[2:]
    return "", text.removeprefix("//")


def _split_port(place: str) -> tuple[str, str]:
    if place.endswith("]"):
        return place, ""
    host, colon, port = place.rpartition(":")
    if colon and (port == "" or (port.isascii() and port.isdigit() and len(port) < 6)):
        return host, port
    return place, ""


# ------------------------------------------------------------------------------- scanning


def occurrences(text: str) -> Iterator[Address]:
    """Every place of every address that is written out, as often as it stands there."""
    if text.isascii():
        yield from _scan(text)
        return
    parts, at = [], array("L")
    for place, character in enumerate(text):
        folded = character if character < "\x80" else FOLDED[ord(character)]
        parts.append(folded)
        at.extend([place] * len(folded))
    at.append(len(text))
    for one in _scan("".join(parts)):
        start, end = at[one.start], at[one.end - 1] + 1
        yield Address(one.kind, text[start:end], one.host, one.scheme, start, end)


def _scan(text: str) -> Iterator[Address]:
    yield from _with_slashes(text)
    yield from _opaque(text)
    if "@" in text:
        yield from _emails(text)
    if "." in text:
        yield from _bare(text)
    for match in NEARBY.finditer(text):
        tail = TAIL.match(text, match.end(), match.end() + NESTED)
        stop = _trimmed(text, match.end(), tail.end() if tail else match.end())
        yield Address("url", text[match.start() : stop], "localhost", "", match.start(), stop)
    for start, end, host in ips_in(text):
        yield Address("ip", text[start:end], host, "", start, end)


def _with_slashes(text: str) -> Iterator[Address]:
    """What has a scheme, or begins with two slashes."""
    done = until = 0
    for match in SLASHES.finditer(text):
        start, scheme, slashes = match.start(), "", match.end() - match.start()
        if text[start] == ":":
            before = _scheme_before(text, start)
            scheme, slashes, start = before.lower(), slashes - 1, start - len(before)
        if match.end() > until:
            until = TAIL.match(text, match.end()).end()  # type: ignore[union-attr]
        if scheme == "file" and slashes:
            yield _address(text, start, match.end(), "", scheme, until if start >= done else 0)
            continue
        if slashes < 2 and scheme not in SPECIAL:
            continue
        if slashes and not scheme and start and text[start - 1] == ":":
            continue
        sure, several = bool(scheme) and slashes > 1, scheme not in SPECIAL
        for host in _hosts(text, match.end(), sure=sure, several=several):
            one = _address(text, start, match.end(), host, scheme, until if start >= done else 0)
            done = max(done, one.end)
            yield one


def _opaque(text: str) -> Iterator[Address]:
    """What has a scheme and no host: whoever opens it runs it, or reads what it holds."""
    done = 0
    for match in OPAQUE.finditer(text):
        start, place = match.span()
        limit = len(text) if start >= done else min(len(text), start + NESTED)
        done = max(done, end := TAIL.match(text, place, limit).end())  # type: ignore[union-attr]
        scheme = re.sub(r"\s", "", match[match.lastindex or 0]).lower()
        end = max(place, _trimmed(text, start, end))
        yield Address("url", text[start:end], "", scheme, start, end)


def _scheme_before(text: str, colon: int) -> str:
    """The scheme that stands before a colon."""
    backwards = text[max(0, colon - 31) : colon][::-1]
    end = NO_SCHEME.search(backwards)
    run = backwards[: end.start()] if end else backwards
    return run[::-1].lstrip("0123456789+.-")


def _hosts(text: str, place: int, *, sure: bool, several: bool) -> Iterator[str]:
    """The hosts that a program may read here; "" where it is surely one and cannot be read."""
    limit = len(text) if sure else place + 300
    strict = STRICT.match(text, place, limit)[0]  # type: ignore[index]
    if not strict or not (sure or _is_no_number(strict)):
        return
    prose = PROSE.match(strict)[0]  # type: ignore[index]
    seen: list[str] = []
    for authority in dict.fromkeys((prose, strict)):
        hosts = _hosts_of(authority)
        if authority == prose or not hosts:
            seen += [host for host in hosts if sure or _is_public(host)]
        else:
            seen += [host for host in hosts if _is_public(host)]
    if sure and several and "," in strict:  # clients of databases know more than one
        for one in strict.rpartition("@")[2].split(",", MOST):
            seen += _hosts_of(one)
    after = text[place + len(strict) : place + len(strict) + 300]
    seen += [host for host in _disputed(strict, after) if _is_public(host)]
    yield from dict.fromkeys(seen or ([""] if sure else []))


def _is_no_number(authority: str) -> bool:
    """Whether this may be a host, and is no second half of a time or a ratio."""
    return any(sign in authority.lower() for sign in (".", "[", "0x", "localhost"))


def _hosts_of(authority: str) -> tuple[str, ...]:
    """The hosts in what stands between the slashes and the path; punctuation behind it is none."""
    place = authority.rpartition("@")[2]
    hosts = readings(_split_port(place)[0])
    return hosts or readings(_split_port(place.rstrip(".,;:!?)]}*_'\""))[0])


def _disputed(strict: str, after: str) -> Iterator[str]:
    """Hosts that only some programs read: behind a backslash or a broken line."""
    if after[:1] in ("\\", "#") and "@" in after:
        rest = STRICT.match(after.lstrip("\\#"))[0]  # type: ignore[index]
        if "@" in rest:
            yield from _hosts_of(rest)
    if after[:1] in ("\t", "\n", "\r") and (broken := BROKEN.match(after)):
        joined = re.sub(r"[\t\r\n]", "", broken[0])
        yield from _hosts_of(strict[-300:] + joined)
        head = re.match(r"[^\s,;]*", joined)
        yield from _hosts_of(strict[-300:] + (head[0] if head else ""))


def _is_public(host: str) -> bool:
    """Whether this is surely a host: an address, localhost, or a name under a known domain."""
    last = host.rpartition(".")[2]
    return host == "localhost" or ":" in host or last.isdigit() or ("." in host and last in TLDS)


def _address(text: str, start: int, place: int, host: str, scheme: str, until: int) -> Address:
    """An URL that ends at `until`, or, inside of another, after as much as is looked at there."""
    end = until or TAIL.match(text, place, min(len(text), start + NESTED)).end()  # type: ignore[union-attr]
    end = _trimmed(text, place, max(end, place))
    return Address("url", text[start:end], host, scheme, start, end)


def _trimmed(text: str, start: int, end: int) -> int:
    """Where an address ends: before a bracket that it did not open, and not with punctuation."""
    if end - start <= NESTED:
        return start + _kept_of_short(text[start:end])
    return _kept(text, start, end)


def _kept(text: str, start: int, end: int) -> int:
    depth = {")": 0, "]": 0, "}": 0}
    for match in BRACKET.finditer(text, start, end):
        bracket = match[0]
        if bracket in CLOSES:
            depth[CLOSES[bracket]] += 1
        elif depth.get(bracket):
            depth[bracket] -= 1
        else:
            end = match.start()
            break
    while end > start and text[end - 1] in ".,;:!?*_":
        end -= 1
    return end


@lru_cache(4_096)
def _kept_of_short(text: str) -> int:
    return _kept(text, 0, len(text))


def _emails(text: str) -> Iterator[Address]:
    some = re.search(r"mailto:|git@", text, re.IGNORECASE) is not None
    for match in AT.finditer(text):
        at = match.start()
        start = _local_start(text, at)
        domain = DOMAIN.match(text, at + 1)
        if domain is None or (start == at and not ROUTE.match(text, domain.end())):
            continue
        written = domain[0].rstrip(".-_%")
        sure = start == at or (some and _is_written_to(text, at, domain.end()))
        for one in filter(None, (written, _without_sentence(written))):
            host = _mail_host(one, sure=sure)
            if host is not None:
                end = at + 1 + len(one)
                yield Address("email", text[start:end], host, "", start, end)
        relay = text[start:at].strip('"').rpartition("%")
        host = canonical_host(relay[2]) if relay[1] else None
        if host and host.rpartition(".")[2] in TLDS:
            yield Address("email", text[start : domain.end()], host, "", start, domain.end())


def _is_written_to(text: str, at: int, end: int) -> bool:
    """Whether any name behind this @ is a host: in `mailto:`, and in `git@name:path`."""
    before = text[max(0, at - 264) : at].lower()
    if before.endswith("git") and not re.match(r"[\w.+\-]", before[-4:-3]):
        return text[end : end + 1] == ":"
    _, mailto, inside = before.rpartition("mailto:")
    return bool(mailto) and NO_MAILTO.search(inside) is None


def _local_start(text: str, at: int) -> int:
    """Where the part before an @ begins; at its opening quote if it is quoted."""
    start = at
    while start and at - start < 256:
        letter = text[start - 1]
        if letter.isspace() or letter in NO_LOCAL:
            break
        start -= 1
    if start == at and text[max(0, at - 1) : at] == '"':
        quoted = QUOTED.search(text, max(0, at - 66), at)
        return quoted.start() if quoted else at - 1
    return start


def _mail_host(written: str, *, sure: bool) -> str | None:
    if written.startswith("["):
        inner = written[1:-1]
        return canonical_host(f"[{inner[5:]}]" if inner[:5].lower() == "ipv6:" else inner)
    host = canonical_host(written)
    if host is None or host.rpartition(".")[2].isdigit():
        return None
    return host if sure or "." in host or host == "localhost" else None


def _bare(text: str) -> Iterator[Address]:
    """Names without a scheme."""
    done = 0
    for match in WORD.finditer(text):
        start, end = match.span()
        before = text[start - 1] if start else ""
        if "." not in match[0] or before == "@" or len(match[0]) > 260:
            continue
        word = match[0].strip("._-%")
        start += match[0].index(word) if word else 0
        lead = word[:4].lower() == "www."
        if "." not in word or (before in ("/", "\\") and not lead):
            continue
        after = PORT_OR_PATH.match(text, end)
        called = text[end : end + 1] == "(" and word.rpartition(".")[2].lower() not in SOLD
        if text[end : end + 1] == "@" or (called and not lead):
            continue
        for one in filter(None, (word, _without_sentence(word))):
            followed = after is not None and one is word
            host = canonical_host(one) if _is_bare_host(one, lead, followed) else None
            if host is None or host.rpartition(".")[2].isdigit():
                continue
            stop = start + len(one)
            if followed:
                limit = len(text) if start >= done else min(len(text), stop + NESTED)
                stop = _trimmed(text, stop, TAIL.match(text, stop, limit).end())  # type: ignore[union-attr]
                done = max(done, stop)
            yield Address("url", text[start:stop], host, "", start, stop)


def _without_sentence(word: str) -> str:
    """A name without the first word of a sentence that follows it: `example.org.They`."""
    name, _, last = word.rpartition(".")
    begins = last.istitle() and last.lower() not in TLDS
    return name if begins and "." in name else ""


def _is_bare_host(word: str, lead: bool, followed: bool) -> bool:
    last = word.rpartition(".")[2].lower()
    if not last.isascii():
        last = named(last) or ""
    if last not in TLDS:
        return lead and "." in word[4:]
    return lead or followed or last not in WORDS
