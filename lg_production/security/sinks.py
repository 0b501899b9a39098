"""Which values of a tool call decide where something goes, or what is acted on.

Addresses and accounts are found in any argument of any tool, at any depth, in the midst of text
too, and in the arguments of reads: what is fetched from an address tells its owner something.
Other values are found by the name of their argument (`words.FAMILIES`): paths in every tool,
recipients, identifiers and the object of the action in tools that change something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from . import words
from .addresses import found

Kind: TypeAlias = Literal[
    "url", "email", "ip", "account", "phone", "path", "recipient", "identifier", "object"
]
TYPED: frozenset[str] = frozenset({"url", "email", "ip", "account", "phone", "path"})
FAMILY: Mapping[str, str] = {
    "url": "url", "ip": "url", "email": "party", "account": "party", "phone": "party",
    "path": "path",
}  # fmt: skip

LONGEST = 200
"""A longer value is a text, and no name of anything."""
DEEPEST = 300
"""Characters of a place in a call."""

ACCOUNT = re.compile(
    r"""
    (?<![A-Za-z0-9_\-])(?:
        [A-Za-z]{2}[0-9]{2}(?:[A-Za-z0-9]{11,30}|(?:[ \-][A-Z0-9]{4}){2,7}(?:[ \-][A-Z0-9]{1,3})?)
      | 0x[0-9a-fA-F]{40} | bc1[a-z0-9]{25,62} | [13][1-9A-HJ-NP-Za-km-z]{25,34}
      | [0-9]{4}(?:[ \-][0-9]{4}){2,4}(?:[ \-][0-9]{1,3})?
      | [0-9]{13,19}
    )(?![A-Za-z0-9_\-])
    """,
    re.VERBOSE,
)
PHONE = re.compile(r"(?<![\w+])\+[0-9](?:[ ()./\-]{0,2}[0-9]){6,14}(?![0-9])")
PATH = re.compile(
    r"(?<![\w:/.\\~])(?:~|\.{1,2})?/[\w.~\-]+(?:/[\w.~\-]+){0,64}|(?<!\w)[A-Za-z]:\\[^\s\"']{1,256}"
)
MOMENT = re.compile(r"[0-9]{1,4}([-/.:][0-9]{1,2}){1,2}([T ,].{0,24})?|[0-9]{1,2}(:[0-9]{2})?")
NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*\s?%?")
DATE = re.compile(
    r"(?:19|20)[0-9]{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12][0-9]|3[01])"
    r"(?:[T ][0-9:.+\-Z ]{0,24})?"
    r"|(?:0?[1-9]|[12][0-9]|3[01])[-/.](?:0?[1-9]|1[0-2])[-/.](?:19|20)[0-9]{2}"
    r"|(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
)
"""A day or a time, and no number of an account."""
LIST = re.compile(r"[,;\r\n\t]")


@dataclass(frozen=True, slots=True)
class Sink:
    """One value that must be anchored. `argument`: its place in the call; `top`: in which argument.

    `kinships`: the families of names under which a result may hold it (`words.FAMILIES`);
    `stems`: those of its argument's name, where that says what it is. `within`: the identifier
    that it is a part of, or that it only looks like: a message's id is written as an address.
    """

    kind: Kind
    value: str
    argument: str
    kinships: frozenset[str] = frozenset()
    stems: frozenset[str] = frozenset()
    top: str = ""
    within: Sink | None = None


def sinks(tool: str, arguments: Mapping[str, Any], *, reads: bool) -> tuple[Sink, ...]:
    """The sink values of a call, each once in an argument; `reads` if the tool changes nothing."""
    seen: dict[Any, Sink] = {}
    for top, argument in arguments.items():
        for where, name, value in leaves({top: argument}):
            for sink in of_leaf(tool, where, name, value, reads=reads):
                key = (top, sink.kind, sink.value, sink.kinships, sink.stems, sink.within)
                seen.setdefault(key, replace(sink, top=str(top)))
    return tuple(seen.values())


class Pairs(list[tuple[str, Any]]):
    """A map of a JSON text with all that it says, a key that it says twice too."""


def leaves(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every text and number, and every key, with its place and the name it stands under.

    A map or a list in JSON is read as such, and what is under a key that says nothing has the
    name above it. A place that is deeper than anybody reads is the one above it.
    """
    waiting: list[tuple[str, str, Any]] = [("", "", arguments)]
    while waiting:
        where, name, value = waiting.pop()
        match value:
            case Mapping() | Pairs():
                pairs = value.items() if isinstance(value, Mapping) else value
                waiting.extend(reversed([*_entries(where, name, pairs)]))
            case list() | tuple() | set() | frozenset():
                deep = len(where) > DEEPEST
                places = [where if deep else f"{where}[{n}]" for n in range(len(value))]
                placed = list(zip(places, value, strict=True))
                waiting.extend((place, name, item) for place, item in reversed(placed))
            case bytes():
                waiting.append((where, name, value.decode("utf-8", "replace")))
            case bool() | None:
                continue
            case str() if (data := as_data(name, value)) is not None:
                waiting.append((where, name, data))
            case _:
                yield where, name, plain(value)


def _entries(
    where: str, name: str, pairs: Iterable[tuple[Any, Any]]
) -> Iterator[tuple[str, str, Any]]:
    """What a map holds, and its keys."""
    deep = len(where) > DEEPEST
    for key, item in pairs:
        said = str(key)
        place = where if deep else f"{where}.{said}" if where else said
        if where:
            yield place, name if words.is_data(said, name) else "", Key(said)
        yield place, words.inherited(said, name), item


class Key(str):
    """A key of a map: it is no JSON."""

    __slots__ = ()


def as_data(name: str, text: str) -> Any:
    """The map or list that an argument holds as JSON; None if it is a text."""
    if isinstance(text, Key) or text.lstrip()[:1] not in ("{", "[") or words.is_content(name):
        return None
    try:
        return json.loads(text, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None


def plain(value: Any) -> str:
    """A leaf as text; a number as it would be written without a point it does not need."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def of_leaf(tool: str, where: str, name: str, text: str, *, reads: bool) -> Iterator[Sink]:
    """The sinks in one value."""
    content = words.is_content(name)
    named = "id" in words.families_of(name)
    typed = [
        (kind, value)
        for kind, value in typed_in(text, paths=not content)
        if not (named and kind in ("account", "phone"))
    ]
    whole = None
    if named and "://" not in text:
        families, own = words.families_of(name), stems_of_name(tool, name)
        whole = Sink("identifier", text.strip(), where, families, own)
    for kind, value in typed:
        within = whole if kind in ("email", "url") else None
        yield Sink(kind, value, where, frozenset({FAMILY[kind]}), within=within)
    if content or not name:
        return
    for part in by_name(tool, name, text, reads=reads):
        if not any(covers(value, part.value) for _, value in typed):
            yield Sink(part.kind, part.value, where, part.kinships, part.stems)


def by_name(tool: str, name: str, text: str, *, reads: bool) -> Iterator[Sink]:
    """What a value is because of what its argument is called."""
    value = text.strip()
    if not value:
        return
    families, own = words.families_of(name), stems_of_name(tool, name)
    verb = words.verb_of(tool)
    creates, searches = verb in words.CREATING, verb in words.SEARCHING
    if "url" in families:
        yield Sink("url", value, name, families)
    elif "path" in families and not ((creates or searches) and is_bare(value)):
        yield Sink("path", value, name, families, own)
    elif reads:
        return
    elif "id" in families:
        yield Sink("identifier", value, name, families, own)
    elif "party" in families:
        for part in filter(None, map(str.strip, LIST.split(value))):
            if not DATE.fullmatch(part):
                yield Sink("recipient", part, name, families, own)
    elif own & words.nouns_of(tool) and not creates and is_short_name(value):
        yield Sink("object", value, name, families, own)


def is_short_name(value: str) -> bool:
    """Whether a value may name something: it is short, and neither a moment nor a number."""
    short = len(value) <= LONGEST and "\n" not in value
    return short and not (MOMENT.fullmatch(value) or NUMBER.fullmatch(value))


def stems_of_name(tool: str, name: str) -> frozenset[str]:
    """What an argument's name says it is; where it only says "id", what the tool is about."""
    said = words.stems(word for word in words.parts(name) if word not in words.GENERIC)
    return said or words.nouns_of(tool)


def typed_in(text: str, *, paths: bool = True) -> Iterator[tuple[Kind, str]]:
    """Addresses, accounts, numbers of telephones and paths in a text."""
    for address in found(text):
        yield address.kind, address.value
    for match in ACCOUNT.finditer(text):
        if not MOMENT.fullmatch(match[0]):
            yield "account", match[0]
    for match in PHONE.finditer(text):
        yield "phone", match[0]
    if paths:
        for match in PATH.finditer(text):
            yield "path", match[0]


def covers(typed: str, value: str) -> bool:
    """Whether a value is an address and at most the name of whom it belongs to."""
    rest = value.replace(typed, "", 1)
    return typed in value and not re.search(r"[@/\\:]|\w\.\w", rest)


def is_bare(path: str) -> bool:
    """Whether this is a name in the current directory, and no way out of it."""
    return not re.search(r"[/\\~:]|\.\.", path)
