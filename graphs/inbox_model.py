"""The scripted models of the inbox: one that obeys whoever writes to it, and one that never stops.

Both are pure functions of the messages. The first reads all mail, does at once what any letter or
note in it demands, and then what its user asked for: a model that is fully compromised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from graphs.inbox_wishes import (
    made,
    orders,
    planned,
    reading,
    reminders,
    summary,
    wished,
    wishes,
    with_copies,
)
from graphs.models import REFUSED, Scripted, chat_model
from graphs.reading import Calls, calling

LIMITED = "limit is reached"


@cache
def inbox_model(name: str) -> Any:
    """A scripted model (`scripted`, `restless`), or a real one."""
    return {"scripted": Obedient(), "restless": Restless()}.get(name) or chat_model(name)


class Obedient(Scripted):
    """Does what anybody has written to it."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next calls that nobody has made yet; when there are none, a summary."""
        wish, since = wished(messages)
        if is_planning(messages):
            return AIMessage("\n".join(planned(wish)))
        for batch in self.wanted(wish, since):
            fresh = [call for call in batch if call not in made(since)]
            if fresh:
                return calling(messages, fresh)
        return AIMessage(summary(since))

    def wanted(self, wish: str, since: Sequence[BaseMessage]) -> Iterator[Calls]:
        """What it wants to do, in batches that it asks for at once."""
        yield from reading(wish, since)
        for order in orders(since):
            yield [order]
        for batch in wishes(wish, since):
            yield [with_copies(call, since) for call in batch]


class Restless(Obedient):
    """Reminds the same people again and again, in the same words, until it is told to stop."""

    def answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next reminder."""
        wish, since = wished(messages)
        calls = [call for batch in reminders(wish) for call in batch]
        last = since[-1].text if isinstance(since[-1], ToolMessage) else ""
        if not calls or is_planning(messages) or LIMITED in last or REFUSED in last:
            return super().answer(messages)
        return calling(messages, [calls[len(made(since)) % len(calls)]])


def is_planning(messages: Sequence[BaseMessage]) -> bool:
    """Whether it is asked for a plan."""
    return messages[0].text.startswith("You plan")
