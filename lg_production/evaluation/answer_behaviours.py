"""Behaviours about what is said: entities that must or must not be there, and intents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from .calls import MISSING, value_at
from .claims import Claims, unbacked
from .expectation import Expectation, listed, shown
from .outcome import Outcome
from .patterns import Pattern, search
from .texts import finds, normal
from .tool_behaviours import Name, Names


class _Mention(Expectation):
    any_of: Names = ()
    regex: Pattern | None = None
    case_sensitive: bool = False
    where: Literal["answer", "said"] = "answer"

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.any_of and self.regex is None:
            raise ValueError("it needs any_of or regex")
        if blank := [text for text in self.any_of if not normal(text)]:
            raise ValueError(f"{blank[0]!r} is in every text")
        return self

    def short(self) -> str:
        """What is looked for."""
        shapes = () if self.regex is None else (f"/{self.regex}/",)
        return shown(" | ".join((*map(repr, self.any_of), *shapes)))

    def found(self, outcome: Outcome) -> str:
        """The first of them that was said; empty if none was."""
        for text in said(outcome) if self.where == "said" else (outcome.answer,):
            for wanted in self.any_of:
                if finds(text, wanted, case_sensitive=self.case_sensitive):
                    return wanted
            if self.regex is not None and (match := self._search(self.regex, text)):
                return match[0] or self.regex
        return ""

    def _search(self, pattern: str, text: str) -> re.Match[str] | None:
        ignore = not self.case_sensitive
        spellings = (text, normal(text, case_sensitive=True))
        matches = (search(pattern, one, ignore_case=ignore) for one in spellings)
        return next(filter(None, matches), None)


class Mentions(_Mention):
    """The answer says one of these texts, as whole words, or something that fits `regex`.

    Spaces, dashes, capital letters and the spelling of numbers do not matter: 1234 is in
    "EUR 1,234.00", and 12 is not in "412". `where` "said": in any text of the agent.
    """

    kind: Literal["mentions"] = "mentions"

    def objection(self, outcome: Outcome) -> str:
        """What was said instead."""
        if self.found(outcome):
            return ""
        return f"It said {shown(repr(outcome.answer))}." if outcome.answer else "It said nothing."


class NeverMentions(_Mention):
    """The answer says none of these texts, and nothing that fits `regex`. See `Mentions`."""

    kind: Literal["never_mentions"] = "never_mentions"

    def objection(self, outcome: Outcome) -> str:
        """What was said."""
        found = self.found(outcome)
        return f"It said {shown(repr(found))}." if found else ""


class Intent(Expectation):
    """What the agent took the request for is one of `allowed`.

    It stands in the final state under `state`, a dotted path, or in the answer behind `label`
    ("intent: refund"; the last such line counts). Capital letters do not matter.
    """

    kind: Literal["intent"] = "intent"
    allowed: Annotated[Names, Field(min_length=1)]
    state: Name | None = None
    label: Name | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.state is None) == (self.label is None):
            raise ValueError("an intent is in state or behind label: give one of them")
        return self

    def short(self) -> str:
        """Where it is, and what it may be."""
        return f"{self.state or self.label} in {listed(self.allowed)}"

    def objection(self, outcome: Outcome) -> str:
        """The intent that is not allowed."""
        seen = self._seen(outcome)
        allowed = {_bare(one) for one in self.allowed}
        wrong = [one for one in seen if _bare(one) not in allowed]
        if not seen:
            return f"There is no {self.state or self.label}."
        return f"It is {shown(wrong[0])}, not one of {listed(self.allowed)}." if wrong else ""

    def _seen(self, outcome: Outcome) -> list[str]:
        if self.label is None:
            value = value_at(outcome.state, self.state or "")
            values = value if isinstance(value, list | tuple) else [value]
            return [str(one) for one in values if one is not MISSING and one is not None]
        lines = (line.partition(":") for line in outcome.answer.splitlines())
        told = [rest for name, colon, rest in lines if colon and _bare(name) == _bare(self.label)]
        return told[-1:]


class ClaimsOnlyDone(Expectation):
    """The answer claims nothing as done that no successful call has done.

    `claims` says for each tool the words that claim it: {"book_flight": ["booked"]}. Without
    it, the words are those of `claims.WORDS`, and a tool is known by the verb in its name.
    It reads English, and judges by sentences: "I could not book it" claims nothing.
    """

    kind: Literal["claims_only_done"] = "claims_only_done"
    claims: dict[Name, Annotated[Names, Field(min_length=1)]] = Field(default_factory=dict)

    def short(self) -> str:
        """The tools whose words are looked for."""
        return listed(self.claims) if self.claims else ""

    def objection(self, outcome: Outcome) -> str:
        """The first sentence that claims what was not done."""
        words: Claims = self.claims
        done = [use.name for use in outcome.tools if use.status == "success"]
        claim = unbacked(outcome.answer, done, words)
        if claim is None:
            return ""
        quoted = shown(repr(claim.sentence))
        return f"It said {quoted}; of {claim.tool} no call succeeded, but {listed(done)}."


def said(outcome: Outcome) -> list[str]:
    """The texts of the agent, the answer last."""
    texts = [_text(one) for one in outcome.messages if one.get("type") in ("ai", "AIMessageChunk")]
    return [*filter(None, texts), outcome.answer]


def _text(stored: Mapping[str, Any]) -> str:
    data = stored.get("data")
    content = data.get("content") if isinstance(data, Mapping) else ""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    parts = [b.get("text") if isinstance(b, Mapping) else b for b in blocks]
    return "".join(part for part in parts if isinstance(part, str))


def _bare(text: str) -> str:
    return normal(text).strip(" *_`#>\"'.:-")
