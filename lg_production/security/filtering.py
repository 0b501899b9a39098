"""What is done about a suspected text: the policy, and each action as a change of a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeAlias

from langchain_core.messages import BaseMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core.keys import digest
from .canonical import canonical
from .channels import (
    KEPT,
    Channel,
    M,
    blocks_of,
    channel_of,
    label_of,
    noted,
    parts_of,
    rewritten,
)
from .detectors import Finding
from .unseen import visible

Action: TypeAlias = Literal["allow", "mark", "strip", "quarantine", "interrupt", "block"]
ACTIONS: tuple[Action, ...] = ("allow", "mark", "strip", "quarantine", "interrupt", "block")
"""From the mildest to the strictest."""
WITHHELD = "[Withheld: this {what} reads like an attack on the assistant. A person can release it.]"
WHAT: Mapping[str, str] = {"user": "request", "document": "document", "tool_output": "result"}


class Threshold(BaseModel):
    """From which score on something is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Annotated[float, Field(ge=0, le=1)]
    action: Action


def _steps(*steps: tuple[float, Action]) -> tuple[Threshold, ...]:
    return tuple(Threshold(at=at, action=action) for at, action in steps)


class FilterPolicy(BaseModel):
    """What is done about a text, by its channel and its score; the strictest that it reaches.

    `mark` labels the message and leaves it as it is, `strip` takes out what carries hidden words
    (invisible characters, comments, hidden elements, encoded stretches), `quarantine` keeps the
    text from the model and in the checkpoint, `interrupt` does that until a person has decided,
    and `block` raises `InjectionBlocked`. `on_failure`: a detector that fails says nothing, so
    its text is treated as this says. A score is no proof: none of this replaces a gate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: tuple[Threshold, ...] = _steps((0.5, "mark"), (0.9, "interrupt"))
    document: tuple[Threshold, ...] = _steps((0.5, "strip"), (0.9, "quarantine"))
    tool_output: tuple[Threshold, ...] = _steps((0.5, "strip"), (0.9, "quarantine"))
    on_failure: Action = "quarantine"

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for steps in (self.user, self.document, self.tool_output):
            ranks = [ACTIONS.index(s.action) for s in sorted(steps, key=lambda s: s.at)]
            if ranks != sorted(ranks):
                raise ValueError("a higher score must not lead to a milder action")
        return self

    def decide(self, channel: Channel, score: float) -> Action:
        """What is done about a text with this score."""
        steps: tuple[Threshold, ...] = getattr(self, channel)
        reached = [step.action for step in steps if score >= step.at]
        return max(reached, key=ACTIONS.index, default="allow")


def stripped(text: str, finding: Finding) -> str:
    """The text without invisible characters, hidden stretches, and what was found encoded."""
    shape = canonical(text)
    origin = shape.origin()
    gone = [
        (origin(s.start), origin(s.end))
        for s in shape.segments
        if s.carrier in ("comment", "hidden")
    ]
    gone += [(s.start, s.end) for s in finding.spans if s.carrier not in ("text", "attribute")]
    gone = [(a, b) for a, b in gone if (a, b) != (0, len(text)) or not text]
    parts, done = [], 0
    for start, end in sorted(gone):
        parts.append(text[done : max(done, start)])
        done = max(done, end)
    return visible("".join([*parts, text[done:]]))


def labelled(message: M, note: Mapping[str, Any], **changes: Any) -> M:
    """The message with what was found about it, beside the labels that it has."""
    return noted(message, injection=dict(note)).model_copy(update=changes)


def note_of(message: Any) -> Mapping[str, Any]:
    """What was found about a message: action, score, reasons; empty where nothing was."""
    note = label_of(message).get("injection")
    return note if isinstance(note, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in a message of a channel, and what is done about it.

    `finding` is that of its worst text; `by_text` has each text's that is not simply allowed.
    """

    channel: Channel
    finding: Finding
    action: Action
    by_text: Mapping[str, Finding] = field(default_factory=dict)

    @property
    def strictness(self) -> tuple[int, float]:
        """How strict what is done is, and of what is alike how sure."""
        return ACTIONS.index(self.action), self.finding.score


def treated(message: BaseMessage, verdict: Verdict) -> BaseMessage:
    """The message after a verdict. `interrupt` keeps the text back, as `quarantine` does.

    A finding in a document that the user has attached leaves his own words as they are.
    """
    action, channel = verdict.action, verdict.channel
    if action == "allow":
        return message
    attached = channel_of(message) != channel
    note = {
        "action": action,
        "channel": channel,
        "score": round(verdict.finding.score, 4),
        "reasons": list(verdict.finding.reasons),
        "digest": mark_of(message),
        **({"attached": True} if attached else {}),
    }
    if action == "mark":
        return labelled(message, note)
    if action == "strip":
        return labelled(rewritten(message, partial(cleaned, verdict), attached=attached), note)
    return withheld(message, note, WITHHELD.format(what=WHAT[channel]), attached=attached)


def cleaned(verdict: Verdict, text: str) -> str:
    """A text without what was found in it; another text of the message stays as it is."""
    found = verdict.by_text.get(text)
    return text if found is None else stripped(text, found)


def withheld(
    message: BaseMessage, note: Mapping[str, Any], notice: str, *, attached: bool = False
) -> BaseMessage:
    """A notice in the place of the text, which stays in the checkpoint and out of the prompt."""
    if isinstance(message, ToolMessage):
        artifact = {KEPT: message.content, "artifact": message.artifact}
        return labelled(message, note, content=notice, artifact=artifact)
    content: Any = notice
    if attached:
        content = rewritten(message, lambda _: notice, attached=True).content
    return labelled(message, {**note, "withheld": message.content}, content=content)


def released(message: BaseMessage, note: Mapping[str, Any], text: str | None = None) -> BaseMessage:
    """A withheld message as it was, or with the text that a person wrote for it.

    Of a document that was attached, only the document becomes that text.
    """
    kept, attached = original(message), note.get("attached") is True
    note = {k: v for k, v in note.items() if k != "withheld"}
    if isinstance(message, ToolMessage) and isinstance(message.artifact, Mapping):
        changes: dict[str, Any] = {"artifact": message.artifact.get("artifact")}
    else:
        changes = {}
    if text is not None and attached:
        texts = iter([text])
        whole = message.model_copy(update={"content": kept})
        kept = rewritten(whole, lambda _: next(texts, ""), attached=True).content
    elif text is not None:
        kept = text
    return labelled(message, note, content=kept, **changes)


def original(message: BaseMessage) -> Any:
    """The content of a message before it was withheld."""
    if isinstance(message, ToolMessage) and isinstance(message.artifact, Mapping):
        return message.artifact.get(KEPT, message.content)
    return note_of(message).get("withheld", message.content)


def channel_found(message: BaseMessage) -> Channel:
    """The channel of what was found in a message: of a document attached to it, the document's."""
    found: Channel = note_of(message).get("channel") or channel_of(message)
    return found


def kept_text(message: BaseMessage) -> str:
    """What is kept back of a message as a person is shown it: nothing in it is invisible.

    Where it is of two channels, each text is under its own: a yes releases them all.
    """
    whole = message.model_copy(update={"content": original(message)})
    only = note_of(message).get("attached") is True
    parts = [(said, text) for said, text in parts_of(whole) if not only or said == "document"]
    several = len({said for said, _ in parts}) > 1
    shown = [f"[{said}]\n{text}" if several else text for said, text in parts]
    return "\n\n".join(shown).translate(SEEN)


class _Seen(dict[int, str]):
    """A letter as it is, or its number if nobody would see it."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        seen = letter == "\n" or (letter.isprintable() and visible(letter) == letter)
        self[code] = shown = letter if seen else letter.encode("unicode_escape").decode()
        return shown


SEEN = _Seen()


def is_kept_back(message: BaseMessage) -> bool:
    """Whether a notice stands in the place of the message's text."""
    return bool(original(message) != message.content)


def is_waiting(message: BaseMessage) -> bool:
    """Whether a person must still decide about what is kept back."""
    return note_of(message).get("action") == "interrupt" and is_kept_back(message)


def mark_of(message: BaseMessage) -> str:
    """What names a question about a message: a hash of its texts, 32 digits."""
    safe = (text.encode("utf-8", "replace").decode("utf-8") for _, text in blocks_of(message))
    return digest("injection", *safe).hex()[:32]


def suspicion(messages: Sequence[Any]) -> float:
    """The highest score among messages, for a router: what came from there is less sure."""
    return max((float(note_of(m).get("score") or 0.0) for m in messages), default=0.0)
