"""What a filter has kept back: listed for a person, and released by him."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from ..core.events import Event, Observer, notify
from ..core.identity import messages_of
from ..errors import ReleaseRefused
from .channels import Channel, provenance_of
from .filtering import channel_found, is_kept_back, kept_text, note_of, released


@dataclass(frozen=True, slots=True)
class Withheld:
    """A text that the model has not read, and why.

    `text` is all of it, nothing in it invisible; `digest` names it, and belongs to a release.
    `waiting`: a person is asked about it by the graph itself.
    """

    message_id: str | None
    channel: Channel
    origin: str
    score: float
    reasons: tuple[str, ...]
    digest: str
    waiting: bool
    text: str


def withheld_in(messages: Iterable[Any]) -> tuple[Withheld, ...]:
    """What a filter has kept back in a thread's messages, in their order."""
    kept = (m for m in messages if isinstance(m, BaseMessage) and note_of(m) and is_kept_back(m))
    return tuple(_withheld(message) for message in kept)


def _withheld(message: BaseMessage) -> Withheld:
    note = note_of(message)
    return Withheld(
        message_id=message.id,
        channel=channel_found(message),
        origin=provenance_of(message).origin,
        score=float(note.get("score") or 0.0),
        reasons=tuple(map(str, note.get("reasons") or ())),
        digest=str(note.get("digest")),
        waiting=note.get("action") == "interrupt",
        text=kept_text(message),
    )


def release(
    graph: Any,
    config: Any,
    message_id: str,
    *,
    digest: str,
    by: str,
    text: str | None = None,
    messages_key: str = "messages",
    as_node: str | None = None,
    observers: Sequence[Observer] = (),
) -> Any:
    """Put a withheld text back into its thread, as it was or as `text`; the model reads it next.

    `digest` is that of the text that was looked at (`Withheld.digest`), `by` who did. The text
    stays what it is: a `tool_output` anchors nothing. A thread must be at rest. `as_node`: as for
    `update_state`, where the last step had several nodes. Returns the new configuration. Raises
    `ReleaseRefused`. Emits `injection.released`.
    """
    state = graph.get_state(config)
    if state.next:
        raise ReleaseRefused(f"(the thread goes on at {', '.join(state.next)})")
    found = [m for m in messages_of(state.values, messages_key) if m.id == message_id]
    if not found or not is_kept_back(found[0]):
        raise ReleaseRefused(f"(nothing is kept back in message {message_id!r})")
    message, note = found[0], note_of(found[0])
    if note.get("digest") != digest:
        raise ReleaseRefused("(another text is kept back there than the one that was looked at)")
    decision = "approve" if text is None else "edit"
    new = released(message, {**note, "action": "mark", "decision": decision, "by": by}, text)
    given = graph.update_state(config, {messages_key: [new]}, as_node=as_node)
    told = {"channel": channel_found(message), "digest": digest, "decision": decision, "by": by}
    notify(observers, Event("injection.released", told))
    return given
