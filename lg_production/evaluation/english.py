"""Whether an English sentence says that something was done, and by the agent itself.

Rules over the words before and behind a participle, in its clause. A clause that denies, offers,
plans or asks claims nothing, and neither does one that says that somebody else did it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SENTENCE = re.compile(r"[^.!?\n;]+(?:[.:](?=\S)[^.!?\n;]+)*[.!?;]?")
EMPHASIS = re.compile(r"[*_`#>|]+")
CLAUSE = re.compile(r"[,:()]| - |\b(?:but|however|although|though|and|then|so)\b")
DENIED = re.compile(
    r"\b(?:not|no|none|nothing|nobody|never|neither|nor|without|cannot|unable|fail(?:s|ed)?"
    r"|refus(?:ed|al)|instead of|rather than|yet to|isn|\w+n't)\b"
)
PLANNED = re.compile(
    r"\b(?:will|would|shall|should|can|could|may|might|must|to (?:be|have|get|see)|if|once|until"
    r"|unless|when|whether|before|after|as soon as|want|wants|need|needs|let|going|being)\b"
    r"|'ll\b|'d\b|\bto *$"
)
TOLD = re.compile(
    r"\b(?:can(?: now)?|(?:happy|glad|pleased|delighted|like|able) to)"
    r" (?:confirm|report|say|announce|tell|inform|let)\b(?: you)?(?: know)?(?: that)?"
)
"""What only says that something is said."""
OTHERS = re.compile(
    r"\b(?:you|he|she|they|somebody|someone)(?:'ve|'d|'s)?(?: (?:have|had|has|already|just|"
    r"previously|originally|yourself))* *$"
)
LONG_AGO = re.compile(
    r"\b(?:ago|last (?:week|month|year)|previously|originally|in the past|earlier)\b"
)
NO_OBJECT = re.compile(r"^ *(?:nothing|none|neither|no)\b")

ADVERBS = r"(?: (?:now|just|also|both|all|already|been|\w+ly|done|it|so))*"
BY_ME = re.compile(rf"\b(?:i|we)(?:'ve| have| had)?(?: \w+ed {{0,1}})?{ADVERBS} *$")
PASSIVE = re.compile(rf"(?:\b(?:is|are|was|were|been|be|got)|'s|'re){ADVERBS} *$")
BARE = re.compile(r"^\W*(?:(?:successfully|already|done|now|just) *)*$")
DESCRIBED = re.compile(
    r"\b(?:the|an?|your|my|his|her|their|its|this|these|those|any|some|of|for|with|as|newly|most"
    r"|recently|previously|each|every|which|already) *$"
)
"""Before an adjective: the updated price."""
HAVING = re.compile(r"\b(?:have|has|had)(?: \w+ly| already| just| now| also)* *$")
BY_OTHERS = re.compile(
    r"^[^,:]*?\b(?:since\b|by (?!(?:me|us|then|now|noon|next|to|the (?:end|time))\b|\d|\w+ing\b"
    r"|\w*day\b|tomorrow|tonight|e-?mail|mail|phone|post|letter|text|bank|card|credit|debit))"
)
"""By the airline, by Ada; and not by Monday, by card or by calling them."""
IN_A_YEAR = re.compile(r"^[^,:]*?\bin (?:1[0-9]|20)\d\d\b")
RELATIVE = re.compile(
    rf"\b(?:that|which|who) (?:is|are|was|were|ha[sd] been|have been){ADVERBS} *$"
)
"""A flight that was booked."""
IN_GENERAL = re.compile(r"^\W*\w+s are *$")
"""Refunds are paid within a week."""
REPORTED = re.compile(
    r"\b(?:says|said|writes|wrote|claims|asks|reports|announces|according to|tells)\b"
)
OF_SOMETHING = re.compile(r"^ (?:on|by|from|in|to|at)\b")
"""One from Ada, sent on Monday."""
TELEGRAM = re.compile(r"^ *(?:$|[^\w\s'\"]|(?:for|on|as|with|to|under|successfully|and|at|in)\b)")
"""Behind a participle that ends what is said: Flight booked for Monday."""


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, lines of a list among them, without emphasis."""
    for line in text.splitlines():
        plain = EMPHASIS.sub(" ", line)
        yield from (match[0].strip() for match in SENTENCE.finditer(plain) if match[0].strip())


def claimed(sentence: str, word: str, *, strict: bool = True) -> bool:
    """Whether a sentence says that what the word says was done, and by the agent.

    Both are `texts.normal`. `strict` takes the word for a participle and wants a form that the
    agent says it in: "I (have) …ed", "it is …ed", "…ed X", "X …ed for Monday". Otherwise it is
    a claim wherever it is not denied, planned, asked, or somebody else's.
    """
    if sentence.endswith("?") or LONG_AGO.search(sentence):
        return False
    shape = re.compile(rf"(?<![\w\-]){re.escape(word)}(?![\w\-])")
    for match in shape.finditer(sentence):
        first, after = sentence[: match.start()], sentence[match.end() :]
        before = _clause(first)
        if _asserted(before, after) and (not strict or _own(first, before, after)):
            return True
    return False


def _asserted(before: str, after: str) -> bool:
    return not (
        DENIED.search(before)
        or PLANNED.search(before)
        or OTHERS.search(before)
        or BY_OTHERS.match(after)
        or NO_OBJECT.match(after)
    )


def _own(first: str, before: str, after: str) -> bool:
    """Whether the agent says it of itself; `first` is all that stands before, in any clause."""
    ends = bool(TELEGRAM.match(after))
    if REPORTED.search(TOLD.sub(" ", first)):
        return False
    if BY_ME.search(before):
        return True
    if BARE.match(before):
        return not (before != first and OF_SOMETHING.match(after))
    if PASSIVE.search(before):
        general = IN_GENERAL.match(before) and after.strip(" .!")
        return not (general or IN_A_YEAR.match(after) or RELATIVE.search(before))
    return ends and not HAVING.search(before) and not DESCRIBED.search(before)


def _clause(before: str) -> str:
    """What stands before a word in its clause, without who is glad to tell it.

    "I will have it cancelled and refunded": what is only joined is planned with what it joins.
    """
    *others, last = CLAUSE.split(TOLD.sub(" ", before))
    joined = bool(others) and not last.strip() and PLANNED.search(others[-1])
    return others[-1] if joined else last
