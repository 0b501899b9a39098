"""Where a value comes from: the user's words, a field of a result, or only somebody's text.

A value is anchored when the user wrote it, whole, or when it is all that a field of an earlier
structured result holds, and that field's name fits the argument's. What stands in the midst of
a text that was read is never enough: whoever wrote the text chose it. Values are compared as
what they address (a host in any case, an IBAN with or without spaces) and never as what they
look like: a homoglyph is another letter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from langchain_core.messages import ToolMessage

from . import words
from .addresses import canonical_url
from .channels import Labelled, label_of
from .sinks import LONGEST, TYPED, Sink, plain, typed_in

MOST_FIELDS = 200_000
FIELD_NAME = re.compile(r"[a-z_][a-z0-9_]*|[a-z]+(?:[A-Z][a-z0-9]*)+|_?[A-Z][A-Z0-9_]+")
"""What a name of a field looks like. Any other key is data: `{"Ann Lee": "ann@…"}`."""

By: TypeAlias = Literal["user", "field", "person"]


@dataclass(frozen=True, slots=True)
class Field:
    """A whole field of a structured result: its value, and what its name says it is."""

    value: str
    name: str
    origin: str
    kinships: frozenset[str]
    stems: frozenset[str]


@dataclass(frozen=True, slots=True)
class Anchor:
    """Why a value may be used. `where` names the result and its field."""

    by: By
    where: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a value that is not anchored was seen: shown to the person who decides."""

    channel: str
    origin: str
    field: str = ""

    def __str__(self) -> str:
        named = f", field {self.field!r}" if self.field else ", in its text"
        return f"{self.channel} {self.origin}{named}" if self.origin else f"{self.channel}{named}"


class _Lower(dict[int, str]):
    """A letter in lower case, if it is the same letter: `ß` is not `ss`, the Kelvin sign no k."""

    def __missing__(self, code: int) -> str:
        letter, low = chr(code), chr(code).lower()
        self[code] = same = low if len(low) == 1 and low.upper() == letter else letter
        return same


LOWER = _Lower()


class Ground:
    """What the messages of a thread anchor.

    `texts` are theirs, labelled; `approved` the values that a person has approved before, as
    `spelled`; `trusted` the tools whose fields count, None for all.
    """

    def __init__(
        self,
        texts: Sequence[Labelled],
        *,
        approved: Collection[tuple[str, str]] = (),
        trusted: Collection[str] | None = None,
    ) -> None:
        self.texts, self.approved, self.trusted = tuple(texts), frozenset(approved), trusted

    @cached_property
    def said(self) -> str:
        """The user's words, without what he does not want."""
        said = "\n\n".join(one.text for one in self.texts if one.channel == "user")
        return words.wanted_in(said)

    @cached_property
    def asked(self) -> frozenset[str]:
        """The stems of the user's words; who names an account speaks of money."""
        account = any(kind == "account" for kind, _ in self.named)
        return words.asked_in(f"{self.said}\n\nmoney" if account else self.said)

    @cached_property
    def granted(self) -> frozenset[str]:
        """The tools that a person has let be used although the user had not asked for it."""
        return frozenset(value for kind, value in self.approved if kind == "action")

    @cached_property
    def named(self) -> frozenset[tuple[str, str]]:
        """The addresses and accounts in the user's words, as `spelled`."""
        return frozenset((kind, spelled(kind, value)) for kind, value in typed_in(self.said))

    @cached_property
    def flat(self) -> str:
        """The user's words in one line and one case."""
        return spelled("text", self.said)

    @cached_property
    def exact(self) -> str:
        """The same with its capitals: two paths may differ in nothing else."""
        return spelled("path", self.said)

    @cached_property
    def read(self) -> Sequence[tuple[Sighting, str]]:
        """Every text that is not the user's, by its letters and digits alone."""
        return [
            (Sighting(one.channel, one.origin), squashed(one.text))
            for one in self.texts
            if one.channel != "user"
        ]

    @cached_property
    def fields(self) -> Mapping[str, Sequence[Field]]:
        """Every field, by its letters and digits alone: a first sieve."""
        found: defaultdict[str, list[Field]] = defaultdict(list)
        for field in self._fields():
            found[squashed(field.value)].append(field)
        return found

    def anchor(self, sink: Sink) -> Anchor | None:
        """Why this value may be used; None if nothing says so."""
        key = spelled(sink.kind, sink.value)
        if (sink.kind, key) in self.approved:
            return Anchor("person")
        if self._is_said(sink, key):
            return Anchor("user")
        if sink.within and (anchor := self.anchor(sink.within)):
            return anchor
        for field in self.fields.get(squashed(sink.value), ()):
            if spelled(sink.kind, field.value) == key and self._fits(sink, field):
                return Anchor("field", f"{field.origin}: {field.name}")
        return None

    def asks_for(self, tool: str) -> bool:
        """Whether the user's words ask for what a tool does, or a person has let such be done."""
        granted = any(words.are_alike(tool, other) for other in self.granted)
        return granted or words.is_asked_for(tool, self.asked)

    def is_only(self, sink: Sink, origins: Collection[str]) -> bool:
        """Whether this is the only address of its kind in all that these tools have answered."""
        said = [one.text for one in self.texts if one.channel != "user" and one.origin in origins]
        found = {spelled(k, v) for text in said for k, v in typed_in(text) if k == sink.kind}
        return sink.kind in ("url", "email") and found == {spelled(sink.kind, sink.value)}

    def sightings(self, sink: Sink) -> tuple[Sighting, ...]:
        """Where else this value was seen, fields first."""
        letters = squashed(sink.value)
        fields = [
            Sighting("tool_output", field.origin, field.name)
            for field in self.fields.get(letters, ())
        ]
        inside = [where for where, text in self.read if letters and letters in text]
        return tuple(dict.fromkeys([*fields, *inside]))[:8]

    def _is_said(self, sink: Sink, key: str) -> bool:
        if (sink.kind, key) in self.named:
            return True
        if sink.kind in ("url", "email", "ip"):
            return False
        text = self.exact if sink.kind == "path" else self.flat
        value = spelled("path" if sink.kind == "path" else "text", sink.value)
        return value in text and re.search(_bounded(sink.kind, value), text) is not None

    def _fits(self, sink: Sink, field: Field) -> bool:
        """Whether a field's name fits what the value is for.

        What somebody fills in about himself, as `from`, is where an answer goes to, and no
        destination for anything else.
        """
        outward = sink.kind in TYPED and sink.kind != "path"
        if "origin" in field.kinships and "party" in sink.kinships:
            return not outward or bool(words.stems(words.ANSWERING) & self.asked)
        if (sink.kinships & field.kinships) - {"id"}:
            return True
        return bool(sink.stems & field.stems) and not outward

    def _fields(self) -> Iterator[Field]:
        left = MOST_FIELDS
        for one in self.texts:
            if one.channel == "user" or one.structured is None:
                continue
            if self.trusted is not None and one.origin not in self.trusted:
                continue
            for field in fields_of(one.structured, one.origin):
                yield field
                left -= 1
                if not left:
                    return


def fields_of(structured: Any, origin: str) -> Iterator[Field]:
    """The fields of a result, each under the nearest name above it; text for people is none."""
    whose = words.nouns_of(origin)
    waiting: list[tuple[str, frozenset[str], Any]] = [("", whose, structured)]
    while waiting:
        name, owner, value = waiting.pop()
        match value:
            case Mapping():
                inner = owner if not name else stems_of_field(name, owner)
                for key, item in value.items():
                    if FIELD_NAME.fullmatch(str(key)):
                        waiting.append((str(key), inner, item))
                    else:
                        yield field(str(key), name, origin, owner)
                        waiting.append((name, owner, item))
            case list() | tuple():
                waiting.extend((name, owner, item) for item in value)
            case bool() | None:
                continue
            case _ if len(text := plain(value)) <= LONGEST and not words.is_content(name):
                if value is not structured:
                    yield field(text, name, origin, owner)


def field(value: str, name: str, origin: str, owner: frozenset[str]) -> Field:
    """One field; a list or a map at the top is named by what its tool is about."""
    kinships = words.families_of(name)
    if not name or (words.parts(name)[-1:] and words.parts(name)[-1] in words.GENERIC):
        kinships |= families_of_stems(owner)
    return Field(value, name or "(whole)", origin, kinships, stems_of_field(name, owner))


def stems_of_field(name: str, owner: frozenset[str]) -> frozenset[str]:
    """What a field's name says it is; where it only says "id", what it belongs to."""
    said = words.stems(word for word in words.parts(name) if word not in words.GENERIC)
    return said or owner


def families_of_stems(owner: frozenset[str]) -> frozenset[str]:
    """The families of what an unnamed field belongs to."""
    return frozenset(
        family
        for family, names in words.FAMILIES.items()
        if family != "id" and words.stems(names) & owner
    )


def _bounded(kind: str, value: str) -> str:
    """What a person's words must have: the value, whole, and no mere word of a sentence."""
    if not any(map(str.isalnum, value)):
        return r"(?!)"
    said = words.SAYING_TO if kind == "recipient" and value in words.EVERYBODY else ""
    return rf"(?<![\w./\\:+\-])(?<!\w@){said}{re.escape(value)}(?![\w@\\]|[./:+\-]\w)"


def approved_in(messages: Sequence[Any]) -> frozenset[tuple[str, str]]:
    """The values that a person has approved in this thread, as the gate noted them."""
    noted = (label_of(m).get("approved") or () for m in messages if isinstance(m, ToolMessage))
    return frozenset((str(kind), str(value)) for pairs in noted for kind, value in pairs)


def spelled(kind: str, value: str) -> str:
    """A value in one spelling of what it addresses."""
    match kind:
        case "url" | "ip":
            return canonical_url(value)
        case "account" | "phone":
            return re.sub(r"[ ()./\-]", "", value).upper()
        case "path":
            return " ".join(value.removeprefix("./").split())
    return " ".join(value.split()).translate(LOWER)


def squashed(value: str) -> str:
    """Letters and digits alone, without the scheme of an address."""
    return re.sub(r"^https?:/*|[\W_]", "", value.casefold())
