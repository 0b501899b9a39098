"""The scripted models of the research graph: one that works, and one that never stops."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from graphs.library import terms
from graphs.models import Scripted, chat_model
from graphs.reading import Calls, calling, concluded, good, hits, noting, results

PLAN = """You coordinate researchers. Split the question into at most four questions that can be \
researched separately, one a line, and write nothing else. One is enough for a simple question."""
RESEARCH = """You are a researcher. Search the library, read what fits, and note with take_note \
the sentences that answer the question, word for word. Then say in a sentence what you found."""
WRITE = """You write the answer to the question from these notes alone. Put the number of the \
source, like [1], behind every sentence. If the notes do not answer a part, say so."""
UNWRITTEN = "This answer is partial: the budget ended before it was written. The notes:"
"""What the roles are told. The scripted model knows its role by how these begin."""
QUESTION_WORD = r"(?=who|what|when|where|why|how|which)"
Make: TypeAlias = Callable[[str, str], Any]
"""The name of a model and a size (large or small), to the model."""


@cache
def research_model(name: str, size: str = "large") -> Any:
    """A scripted model of this size (`scripted`, `restless`), or a real one."""
    if name == "scripted":
        return Researching(model=f"scripted-{size}")
    return Restless(model=f"scripted-{size}") if name == "restless" else chat_model(name)


class Researching(Scripted):
    """Plans, researches and writes as a pure function of the messages; needs no key.

    It counts what it takes as providers do, at four characters a token, and `max_tokens`
    bounds its answers.
    """

    model: str = "scripted-large"
    max_tokens: int = 512

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next message, cut at `max_tokens`, and what it took."""
        said = self.next(messages)
        said.content = str(said.content)[: 4 * self.max_tokens]
        asked, took = count_tokens(messages), min(count_tokens([said]), self.max_tokens)
        said.usage_metadata = {
            "input_tokens": asked, "output_tokens": took, "total_tokens": asked + took
        }  # fmt: skip
        said.response_metadata = {"model_name": self.model}
        return said

    def next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next message, in the role that the system message gives."""
        role, asked = messages[0].text, last_human(messages)
        if role.startswith("You coordinate"):
            return AIMessage("\n".join(parts_of(asked)))
        if role.startswith("You write"):
            return AIMessage(prose(asked))
        return self.research(messages, messages[1].text)

    def research(self, messages: Sequence[BaseMessage], question: str) -> AIMessage:
        """Search, read, note, answer."""
        calls = [c for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]
        if calls and isinstance(messages[-1], HumanMessage):  # it is told to come to an end
            return AIMessage(concluded(messages))
        match calls[-1]["name"] if calls else "":
            case "":
                return calling(messages, [("search", {"query": question})])
            case "search":
                names = [hit["document"] for hit in good(hits(messages))]
                following: Calls = [("read", {"document": name}) for name in names]
            case "read":
                following = noting(messages, question)
            case _:
                following = []
        return calling(messages, following) if following else AIMessage(concluded(messages))


class Restless(Researching):
    """Always searches once more, in other words, whatever it has found and is told."""

    def research(self, messages: Sequence[BaseMessage], question: str) -> AIMessage:
        """Search, read and note, and begin again."""
        said = [m for m in messages if isinstance(m, AIMessage)]
        done = [str(next(iter(c["args"].values()))) for m in said for c in m.tool_calls]
        following: Calls = []
        if len(said) % 3 == 1:
            following = [("read", {"document": hit["document"]}) for hit in hits(messages)]
        elif len(said) % 3 == 2:
            following = noting(messages, question)
        fresh = [call for call in following if next(iter(call[1].values())) not in done]
        other = [("search", {"query": f"{question} {other_words(messages, len(said))}".strip()})]
        return calling(messages, (fresh or other)[:1])


def other_words(messages: Sequence[BaseMessage], number: int) -> str:
    """Some words of what was read, others each time."""
    seen = sorted({t for m in results(messages, "read") for t in terms(m.text) if len(t) > 6})
    return " ".join(seen[number * 7 % len(seen) :][:3]) if seen else ""


def count_tokens(messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
    """How many tokens these messages are, at four characters a token."""
    del tools
    calls = [json.dumps(c["args"]) for m in messages for c in getattr(m, "tool_calls", ())]
    return math.ceil(sum(map(len, [*(m.text for m in messages), *calls])) / 4)


def parts_of(question: str) -> list[str]:
    """The questions inside of a question."""
    found = re.split(rf"(?i)[?;\n]+|,? and {QUESTION_WORD}|, {QUESTION_WORD}", question)
    parts = [part.strip(" ,.") for part in found if terms(part)]
    return [f"{part[0].upper()}{part[1:]}?" for part in parts] or [question]


def prose(notes: str) -> str:
    """The notes of each question as a paragraph."""
    blocks = [block.split("\n") for block in notes.split("\n\n")[1:]]
    return "\n\n".join(" ".join(n.removeprefix("- ") for n in lines[1:]) for lines in blocks)


def last_human(messages: Sequence[BaseMessage]) -> str:
    """What was asked last."""
    return next(m.text for m in reversed(messages) if isinstance(m, HumanMessage))
