"""The addresses in one argument of a call: those in its text, and what it is by its name.

An argument that is called a host, an URL or a recipient is one, whatever its value looks like.
"""

# ruff: noqa: SIM905 - lists of words are read as text

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from . import words
from .addresses import SPECIAL, Address, found
from .hosts import FOLDED, canonical_host, decodings, readings

PLACES = words.FAMILIES["url"] | frozenset(
    "hosts hostnames domains servers endpoints webhooks callbacks websites proxy proxies "
    "nameserver nameservers resolver upstream upstreams broker brokers bootstrap dsn mirror "
    "relay ip ips".split()
)
"""Arguments whose whole value is where something is."""
CONNECTIONS = frozenset("connection conn conninfo dsn database db".split())
"""Arguments that may be the settings of a connection, a host among them."""
HEADERS = frozenset(
    "subject to cc bcc from sender senders recipient recipients header headers cookie cookies "
    "referer referrer".split()
)
"""Arguments that become one line of a message's head."""
VAGUE = frozenset(
    "name names list lists string str address addresses addr email emails mail mails line lines "
    "field value values base root target targets alias".split()
)
"""Last words of a name that say nothing: what stands before them does."""
WITHOUT_HOST = frozenset(
    "about blob callto data filesystem geo javascript jscript livescript magnet mailto sip sips "
    "sms smsto tel urn vbscript view-source xmpp".split()
)
"""Schemes that are followed by no host, whatever is in it."""

MOST_LINES = 256
UNSEEN = "".join(map(chr, range(33)))
"""What a browser strips from the ends of an URL."""
CONTROLS = re.compile(r"[\t\r\n]")
BREAKS = re.compile("[\r\n\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""What some program or other takes for the end of a line."""
SPLIT = re.compile(
    r"(?:[\r\n]|%0[aAdD])[ \t]{0,9}(?:[A-Za-z][A-Za-z0-9\-]{0,40}:(?![/\\])|[A-Z]{3,7} /)"
)
"""A line of a request behind a line break within an URL."""
AUTHORITY = re.compile(
    r"(?:(?:[a-zA-Z][a-zA-Z0-9+.\-]{0,30}:(?=[/\\])|(?i:https?|wss?|ftp):))?[/\\]*([^/\\?#\s]{1,1024})"
)
SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]{0,30})\s{0,9}:")
PORT = re.compile(r"[0-9]{1,5}(?:[/?#,;|\s]|\Z)|\Z")
NO_SCHEME = re.compile(r"[^/?#]{0,300}@|[a-zA-Z0-9\-]{0,63}\.[^/:]{0,300}:")
"""A user or a host with a dot, and no scheme, before a colon."""
URL = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.\-]{0,30}://")
WEB = re.compile(r"\s*(?:https?|wss?|ftp):", re.IGNORECASE)
APART = re.compile(r"[,;|]\s{0,9}|\s{1,9}")
REMOTE = re.compile(
    r"(?<![\w@.+\-])[\w.+\-]{1,64}@(?!(?:sha|md|blake)[0-9])([A-Za-z][\w\-]{0,62}):"
    r"(?=[^\s:@]{0,256}[/~.])"
)
"""A file or a repository on another machine, as ssh and git write it."""
SHARE = re.compile(r"\\\\(?:\?\\UNC\\)?([^\\/\s?]{1,255})", re.IGNORECASE)
"""A directory on another machine, as Windows writes it."""
LOCAL = re.compile(r"""[^\s%!:@"()\[\]\\,;<>]{1,256}""")
"""What may stand before an @ of a recipient: anything else may be a route over another host."""
SETTING = re.compile(
    r"(?:\A|[\s;?&])(?:host|hostname|hostaddr|server|data ?source|addr|address|network ?address)"
    r"\s{0,9}=\s{0,9}['\"]?(?:tcp:|np:)?([^\s;&'\"]{1,300})",
    re.IGNORECASE,
)
"""A host among the settings of a connection to a database."""
DISPUTED = re.compile(r"[\\#][^/?#@\s]{0,300}@([^/\\?#\s]{1,1024})")
"""Behind an authority: what stands there is another one to some programs."""
TEXT = re.compile(r"[()\[\]{}<>\"'`=]")
"""Not in what any program takes for a host."""
WRAPPED = "\"'`<>()[]{}"


def addresses_of(name: str, text: str) -> Iterator[Address]:
    """The addresses in one argument; of one that is called an address, its whole value is one."""
    inside = found(text)
    yield from inside
    if words.is_content(name):
        return
    if is_place(name):
        yield from _in_place(text)
        return
    for match in REMOTE.finditer(text):
        yield Address("url", match[0], canonical_host(match[1]) or "")
    if share := SHARE.match(text.strip()):
        yield Address("url", share[0], canonical_host(share[1]) or "")
    if _last(words.parts(name)) in CONNECTIONS:
        yield from _settings(text)
    text = text if text.isascii() else text.translate(FOLDED)
    if words.families_of(name) & {"party", "origin"} and ("@" in text or "!" in text):
        known = {one.value for one in inside}
        for part in re.split(r"[,;\s<>]+", text):
            yield from _recipient(part.strip(WRAPPED).removeprefix("mailto:"), known)


def is_place(name: str) -> bool:
    """Whether an argument's name says that its value is a host or an URL."""
    said = words.parts(name)
    end = next((n for n, word in enumerate(said) if n and word in ("to", "of", "for")), len(said))
    return "ip" in said or _last(said) in PLACES or _last(said[:end]) in PLACES


def breaks_a_header(where: str, name: str, text: str) -> bool:
    """Whether a line break in this argument would begin another line of a message's head."""
    if is_place(name) and not words.is_content(name):
        return SPLIT.search(text.strip()) is not None
    above = {_last(words.parts(part)) for part in re.split(r"[.\[\]]+", where)}
    head = _last(words.parts(name)) in HEADERS or above & {"header", "headers"}
    return bool(head) and any(BREAKS.search(reading) for reading in decodings(text))


def _last(said: Sequence[str]) -> str:
    """The last word of a name that says something."""
    return next((word for word in reversed(said) if word not in VAGUE), "")


# ----------------------------------------------------------------------------- recipients


def _recipient(part: str, known: Collection[str]) -> Iterator[Address]:
    """One recipient, if it is written in any way but the plain one."""
    local, at, domain = part.rpartition("@")
    if at and local and not LOCAL.fullmatch(local):
        yield Address("email", part, "")
    elif at and local and part not in known:
        yield Address("email", part, canonical_host(domain) or "")
    elif not at and re.search(r"\w!\w", part):
        yield Address("email", part, "")


def _mailto(text: str) -> Iterator[Address]:
    """The recipients of a `mailto:`, in its parameters too."""
    parts = [part for part in re.split(r"[?&,;=\s]+", text) if "@" in part]
    for part in parts or [text]:
        yield Address("email", part, canonical_host(part.rpartition("@")[2]) or "")


# ------------------------------------------------------------------------- hosts and URLs


def _in_place(text: str) -> Iterator[Address]:
    """The addresses in the value of an argument that is called one."""
    plain = text.strip(UNSEEN + WRAPPED)
    lines = dict.fromkeys(filter(None, BREAKS.split(plain, MOST_LINES)))
    if len(lines) > MOST_LINES:
        yield Address("url", text, "")
    if not all(map(URL.match, lines)):
        lines[CONTROLS.sub("", plain)] = None
    for line in lines:
        for reading in decodings(line):
            if reading != text:
                yield from found(reading)
            if not WEB.match(reading):
                yield from _settings(reading)
            yield from _listed(CONTROLS.sub("", reading).strip(UNSEEN))


def _settings(text: str) -> Iterator[Address]:
    """The hosts among the settings of a connection."""
    for match in SETTING.finditer(text):
        parts = (part for part in match[1].split(",", MOST_LINES) if not _is_count(part))
        for host in dict.fromkeys(host for part in parts for host in hosts_at(part)):
            yield Address("url", match[0].strip(), host)


def _listed(text: str) -> Iterator[Address]:
    """A value that is a place, or a list of them."""
    yield from _whole(text)
    parts = [part for part in APART.split(text, MOST_LINES) if part]
    if len(parts) < 2:
        return
    if len(parts) > MOST_LINES:
        yield Address("url", text, "")
    if re.search(r"[,;|]", text) is None:
        dotted = [part for part in parts if re.search(r"\w[.:@]\w", part)]
        plain = re.fullmatch(r"[\w.\-:@/\[\]\s]*", text) and not URL.match(text)
        parts = parts if dotted and plain else dotted
    elif AUTHORITY.match(text) and not re.match(r"[^/?#]*[,;|]", text):
        parts = [part.strip() for part in re.split(r"[,;|]\s", text)[1:]]
    for part in parts:
        yield from _whole(part.strip(WRAPPED))


def _whole(text: str) -> Iterator[Address]:
    """A value that is a host, whatever it looks like: `localhost`, `2130706433`, `127.1`."""
    head = SCHEME.match(text)
    scheme = head[1].lower() if head else ""
    rest = text[head.end() :] if head else ""
    if scheme in WITHOUT_HOST and not PORT.match(rest):
        if scheme == "mailto":
            yield from _mailto(rest)
        else:
            yield Address("url", text, "", scheme)
        return
    match = AUTHORITY.match(text)
    relative = text.startswith(("/", "#", "?")) and not re.match(r"[/\\]{2}", text)
    if match is None or relative or text[match.end() : match.end() + 1].isspace():
        return
    if rest[:1].isspace() or PORT.match(rest) or NO_SCHEME.match(text):
        scheme = ""
    elif scheme not in SPECIAL and rest[0] not in "/\\":
        yield Address("url", text, "", scheme)
        return
    hosts = () if _is_count(text) else hosts_at(match[1].rpartition("@")[2])
    if other := DISPUTED.match(text, match.end()):
        hosts += hosts_at(other[1])
    for host in dict.fromkeys(hosts):
        yield Address("url", text, host, scheme)


def _is_count(text: str) -> bool:
    """Whether this is a number too small for an address that anything is at."""
    return text.isascii() and text.isdigit() and 0 < int(text[:20]) < 1 << 24


def hosts_at(place: str) -> tuple[str, ...]:
    """The hosts that may be meant by what stands between the slashes and the path, and its port.

    "" if there is something and no host can be read; none if there is nothing.
    """
    if place.count(":") > 1 and (six := readings(f"[{place}]")):
        return six
    host, _, port = place.rpartition(":")
    bare = host if host and (port.isdigit() or not port) and "]" not in port else place
    found = readings(bare)
    if ":" in bare and not bare.startswith("["):
        found += readings(bare.partition(":")[0])
    unreadable = any(map(str.isalnum, bare)) and not TEXT.search(bare)
    return found or (("",) if unreadable else ())
