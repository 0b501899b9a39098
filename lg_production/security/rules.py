"""Strict rules: what they find is an attack nearly always, and they find few of them.

Each looks for words in their order with few others between, so time is linear. What merely
mentions an attack (in quotation marks, after "such as") is not found in documents.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from .canonical import Canonical, Segment
from .channels import Channel
from .tokens import END, Tokens

DATA: Final = frozenset({"document", "tool_output"})
EVERYWHERE: Final = DATA | {"user"}
INVISIBLE: Final = frozenset({"tags", "variation"})
LEAST_LETTERS = 12
GAP1, GAP2, GAP4, GAP6, GAP8 = (f"(?: [^ .]+){{0,{most}}}" for most in (1, 2, 4, 6, 8))
FORGET = (
    r"(?:ignore|ignoring|disregard|disregarding|forget|overlook|neglect|ignoriere|ignorieren|vergiss|"
    r"vergessen sie|missachte|ignora|ignorez|oublie|oubliez|olvida|olvide|dimentica|esqueca|"
    r"desconsidere|negeer|zignoruj|ignoruj)"
)
RULES = (
    r"(?:instructions?|directives?|prompts?|guidelines?|commands?|orders?|programming|training|"
    r"anweisung(?:en)?|vorgaben|regeln|instrucciones|directrices|ordenes|consignes|directives|"
    r"istruzioni|direttive|instrucoes|diretrizes|instrukcje)"
)
PRIOR = (
    r"(?:previous(?:ly)?|prior|above|earlier|preceding|former|foregoing|past|original|initial|"
    r"vorherigen|vorigen|bisherigen|obigen|anteriores|previas|precedentes|precedenti|poprzednie)"
)
MODEL = r"(?:ai|llms?|language models?|ai assistants?|ai agents?|chatbots?|chat ?gpt|gpt 0)"
FREED = (
    r"(?:unrestricted|uncensored|unfiltered|jailbroken|unbound|dan|amoral|"
    r"without(?: any)?(?: ethical| moral| safety| content)?(?: or [^ .]+)? "
    r"(?:restrictions|filters?|limits|limitations|guidelines|rules|constraints|censorship))"
)
CONFIDENTIAL = (
    r"(?:passwords?|credentials?|api keys?|secrets?|access tokens?|private keys?|"
    r"chat history|conversation history|system prompt|env(?:ironment)? variables?)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern over the words of a text, and the channels in which it means an attack."""

    name: str
    pattern: re.Pattern[str]
    needs: frozenset[str]
    channels: frozenset[str] = EVERYWHERE


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule, and the stretch of the segment that it found."""

    rule: str
    start: int
    end: int


def _rule(name: str, pattern: str, channels: frozenset[str] = EVERYWHERE) -> Rule:
    return Rule(name, re.compile(f"(?<![^ ]){pattern}(?![^ ])"), first_words(pattern), channels)


def first_words(pattern: str) -> frozenset[str]:
    """The words with which a match can begin: a text that has none of them is not searched."""
    head = re.match(r"\(\?:([^()]*)\)|(\w+)", pattern)
    if head is None:
        raise ValueError("a rule begins with words")
    firsts = [phrase.split()[0] for phrase in (head[1] or head[2]).split("|")]
    return frozenset(
        form for word in firsts for form in (word.replace("s?", ""), word.replace("?", ""))
    )


WORDED: Final[tuple[Rule, ...]] = (
    _rule("override", f"{FORGET}{GAP4} {PRIOR}{GAP1} {RULES}"),
    _rule("override", f"{FORGET}{GAP2} {RULES}{GAP4} {PRIOR}"),
    _rule("override", f"{FORGET} (?:all|any|every)(?: of)?(?: your| my| the| these)? {RULES}"),
    _rule(
        "override",
        f"{FORGET} (?:everything|all|anything)(?: that)?(?: you)?{GAP2} "
        "(?:told|said|before|above|know|learned|davor|taught)",
    ),
    _rule("override", f"vergiss alles{GAP2} (?:davor|vorher|bisher[^ .]*)"),
    _rule(
        "replaced",
        "your (?:new|real|true|actual|only|sole|updated) "
        "(?:instructions?|task|goal|objective|mission|directive|purpose)(?: now)? "
        "(?:is|are)(?: now)?(?: to)?",
    ),
    _rule(
        "replaced",
        f"{MODEL[:-1]}|assistant) (?:must|should|shall) (?:now )?"
        "(?:instead|immediately|ignore|disregard|forget|bypass)",
    ),
    _rule("persona", f"you are (?:now|no longer|going to be|to act as|an?){GAP8} {FREED}"),
    _rule(
        "persona",
        f"(?:act|behave|respond|answer|pretend|roleplay|continue) (?:as|like|to be){GAP6} {FREED}",
    ),
    _rule(
        "persona",
        "(?:developer|debug|god|jailbreak|dan) mode (?:is )?(?:now )?(?:enabled|activated|engaged)",
    ),
    _rule("persona", "do anything now"),
    _rule(
        "leak",
        "(?:reveal|show|print|output|repeat|display|leak|disclose|tell|give|share|recite|dump|expose|"
        f"reproduce){GAP4} your{GAP2} (?:system|initial|hidden|secret|original|internal) "
        "(?:prompts?|instructions?|messages?|directives?)",
    ),
    _rule("addressed", f"if you(?: are| re)(?: an?| the) {MODEL}", DATA),
    _rule(
        "addressed",
        "(?:attention|note to|notice to|message to|message for|instructions? to|instructions? for|"
        "important for)"
        f"(?: all| any| the| every)? {MODEL}{GAP6} (?:[.] )?{GAP6}"
        "(?: you| please| ignore| disregard| do not| must)",
        DATA,
    ),
    _rule(
        "theft",
        f"(?:send|forward|email|post|upload|transmit|exfiltrate|leak){GAP4} {CONFIDENTIAL}{GAP4} "
        "(?:to|at) (?:urltoken|emailtoken)",
    ),
    _rule(
        "conceal",
        "(?:do not|don t|never|without) (?:tell|mention|inform|informing|notify|notifying|alert|"
        "alerting|telling|mentioning)(?: this| it| that| anything)?(?: to)?(?: the| your)? "
        "(?:user|human|owner|victim)",
        DATA,
    ),
)
MARKUP: Final = re.compile(
    r"<\|im_start\|>\s{0,3}(?:system|user|assistant)|<\|start_header_id\|>\s{0,3}system"
    r"|\[/?INST\][^\n]{0,80}\[|<</?SYS>>|<\|(?:system|endofprompt)\|>|\[system\]\(#[a-z]+\)",
    re.IGNORECASE,
)
MENTION: Final = re.compile(
    r"(?:such as|e\.?g\.?|for example|example|like|attacks?|injections?|says?|phrases?|payload|"
    r"prompts?)"
    r"[\s:,(]{0,4}[\"'`*(]{0,3}$",
    re.IGNORECASE,
)
QUOTES: Final = frozenset("\"'`*")


def broken(shape: Canonical, segment: Segment, words: Tokens, channel: Channel) -> Iterator[Hit]:
    """The rules that a segment breaks."""
    if segment.carrier in INVISIBLE and sum(map(str.isalpha, segment.text)) >= LEAST_LETTERS:
        yield Hit("invisible", 0, len(segment.text))
    present = frozenset(words.words)
    rules = [r for r in WORDED if channel in r.channels and not r.needs.isdisjoint(present)]
    words = unbroken(words, segment.text) if rules else Tokens([], [], [])
    joined = " ".join(words.words)
    places: list[int] = []
    for rule in rules:
        for match in rule.pattern.finditer(joined):
            places = places or [0, *accumulate(len(word) + 1 for word in words.words)]
            first = bisect_left(places, match.start())
            last = max(first, bisect_right(places, match.end() - 1) - 1)
            start, end = words.starts[first], words.ends[last]
            if channel == "user" or not mentioned(shape, segment, start):
                yield Hit(rule.name, start, end)
    if channel != "document" and (markup := MARKUP.search(segment.text)):
        yield Hit("markup", *markup.span())


def unbroken(words: Tokens, text: str) -> Tokens:
    """The same words without the stops that are only the end of a line."""
    kept = [
        found
        for found in zip(words.words, words.starts, words.ends, strict=True)
        if found[0] != END or text[found[1] : found[2]] != "\n"
    ]
    return Tokens([f[0] for f in kept], [f[1] for f in kept], [f[2] for f in kept])


def mentioned(shape: Canonical, segment: Segment, start: int) -> bool:
    """Whether a text only speaks of the attack that begins here. JSON's own quotes do not count."""
    if segment.carrier != "text":
        return False
    before = segment.text[max(0, start - 40) : start].rstrip(" ")
    if MENTION.search(before):
        return True
    structured = shape.text.lstrip()[:1] in ("{", "[")
    return not structured and before[-1:] in QUOTES
