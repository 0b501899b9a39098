"""Where a text comes from: its channel and its origin, kept with the message.

A label lives in `additional_kwargs["lg_production"]`, so it is in every checkpoint, and goes
wherever the message goes. Without one, a `HumanMessage` is the user's, and everything that was
read is a `tool_output`; what a sub-agent says, what is recalled and what is a summary of other
text are labelled by the functions here. A label is as good as who may write the state: guard
that as you guard the checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from ..core.identity import messages_of
from ..errors import NotDurable

Channel: TypeAlias = Literal["user", "document", "tool_output"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
"""From the most trusted to the least."""

LABEL = "lg_production"
KEPT = "lg_production_withheld"
"""Under this key an artifact holds what `InjectionFilter` keeps from the model."""
SAID = frozenset({"text", "input_text"})
"""The blocks that a user writes himself. Whatever else stands in his message, he has attached."""
TEXTS = ("text", "title", "context")
"""Under these names a block has text, of what kind it may be."""
MOST_JSON = 4_000_000

M = TypeVar("M", bound=BaseMessage)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a message comes from. `origin` names a tool, an agent, a store or a file."""

    channel: Channel
    origin: str = ""
    message_id: str | None = None
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text with its channel and origin; `structured` is what it says as data, if it is."""

    text: str
    channel: Channel
    origin: str = ""
    structured: Any = None


def channel_of(message: Any) -> Channel:
    """The channel of a message. A label that makes no sense is `tool_output`.

    So is a message that LangChain has written in the user's place (`lc_source`: a summary).
    Without a label the user's words and the developer's (a system message) are `user`; a tool's
    result and the model's own words are `tool_output`: they are made of whatever was read.
    """
    label = label_of(message)
    if "channel" in label:
        told = label["channel"]
        return cast("Channel", told) if told in CHANNELS else "tool_output"
    if "lc_source" in (getattr(message, "additional_kwargs", None) or ()):
        return "tool_output"
    return "user" if isinstance(message, HumanMessage | SystemMessage) else "tool_output"


def is_own(message: Any) -> bool:
    """Whether this is what the agent itself or its developer said, and is labelled as nobody's."""
    return message.type in ("ai", "system") and "channel" not in label_of(message)


def provenance_of(message: Any) -> Provenance:
    """Where a message comes from."""
    label = label_of(message)
    name = getattr(message, "name", None) or ""
    origin = str(label.get("origin") or (name if isinstance(message, ToolMessage) else ""))
    call_id = getattr(message, "tool_call_id", None)
    return Provenance(channel_of(message), origin, getattr(message, "id", None), call_id)


def labelled(message: M, channel: Channel, origin: str = "", **more: Any) -> M:
    """The message with a label, beside what other guards have noted there."""
    if channel not in CHANNELS:
        raise ValueError(f"a channel is one of {', '.join(CHANNELS)}")
    named = {"origin": origin} if origin else {}
    return noted(message, channel=channel, **named, **more)


def noted(message: M, **notes: Any) -> M:
    """The message with these notes, beside what is noted there. A note is JSON."""
    extra = {**message.additional_kwargs, LABEL: {**label_of(message), **notes}}
    return message.model_copy(update={"additional_kwargs": extra})


def replaceable(message: M) -> M:
    """The message, if it can take the place of one in the state. Raises `NotDurable` if not."""
    if message.id is None:
        raise NotDurable("A message without id cannot be replaced: keep messages in the state "
                         "with add_messages.")  # fmt: skip
    return message


def label_of(message: Any) -> Mapping[str, Any]:
    """All that is noted at a message; empty if nothing is."""
    extra = getattr(message, "additional_kwargs", None)
    label = extra.get(LABEL) if isinstance(extra, Mapping) else None
    return label if isinstance(label, Mapping) else {}


def least(channels: Iterable[Channel]) -> Channel:
    """The least trusted of some channels: what a text made of them is."""
    return max(channels, key=CHANNELS.index, default="tool_output")


# ------------------------------------------------------------------- what is made of others


def summary(message: M, sources: Sequence[BaseMessage]) -> M:
    """A summary of other messages, labelled as the least trusted of them."""
    origins = dict.fromkeys(filter(None, (provenance_of(one).origin for one in sources)))
    return labelled(message, least(map(channel_of, sources)), ", ".join(origins) or "summary")


def recalled(text: str, origin: str = "store", channel: Channel = "tool_output") -> HumanMessage:
    """What a long-term memory gave back, for the model to read. Declare a channel if you know.

    A label that was stored beside it is no reason: whoever wrote the memory wrote that, too.
    """
    return labelled(HumanMessage(text), channel, origin)


def sub_agent(
    graph: Runnable[Any, Any],
    origin: str,
    *,
    channel: Channel = "tool_output",
    messages_key: str = "messages",
) -> Runnable[Any, Any]:
    """A graph as a node of another: what it says is labelled, and what it was told stays as it was.

    A message that it changes under its old id is its own, too.
    """

    def told(result: Any, state: Any) -> Any:
        if not isinstance(result, Mapping) or messages_key not in result:
            return result
        before = {(m.id, m.text) for m in messages_of(state, messages_key) if m.id}
        after = [
            m if (m.id, m.text) in before else labelled(m, channel, origin)
            for m in result[messages_key]
        ]
        return {**result, messages_key: after}

    def run(state: Any, config: RunnableConfig) -> Any:
        return told(graph.invoke(state, config), state)

    async def arun(state: Any, config: RunnableConfig) -> Any:
        return told(await graph.ainvoke(state, config), state)

    return RunnableLambda(run, arun, name=origin)


# ------------------------------------------------------------------------------- the texts


def texts(state: Any, messages_key: str = "messages") -> tuple[Labelled, ...]:
    """Every text that a state's messages hold, in their order; `state` may be a list of them.

    The model's own words are none, unless they are labelled (a sub-agent's are), and neither are
    the developer's. A document that the user attached is a `document`.
    """
    return tuple(text for m in messages_of(state, messages_key) for text in _texts(m))


def _texts(message: Any) -> Iterator[Labelled]:
    if not isinstance(message, BaseMessage) or is_own(message):
        return
    where, data = provenance_of(message), structured_of(message)
    found = False
    for channel, text in parts_of(message):
        within = channel != where.channel
        yield Labelled(text, channel, where.origin, None if within or found else data)
        found = True
    if data is not None and not found:
        yield Labelled("", where.channel, where.origin, data)


def parts_of(message: BaseMessage) -> Iterator[tuple[Channel, str]]:
    """Channel and text of every block: a document that the user has attached is a `document`."""
    own = channel_of(message)
    for kind, text in blocks_of(message):
        yield "document" if own == "user" and kind not in SAID else own, text


def has_attached(message: BaseMessage) -> bool:
    """Whether there is anything in a message beside its own words: a picture is, too."""
    return not isinstance(message.content, str) and any(
        kind_of(block) not in SAID for block in message.content
    )


def blocks_of(message: BaseMessage) -> Iterator[tuple[str, str]]:
    """Kind and text of every block of a message that has text."""
    if isinstance(message.content, str):
        yield "text", message.content
        return
    for block in message.content:
        for text in _within(block):
            yield kind_of(block), text


def kind_of(block: Any) -> str:
    """What a block says it is."""
    return str(block.get("type")) if isinstance(block, Mapping) else "text"


MOST_NESTED = 8


def inside(block: Mapping[str, Any]) -> dict[str, Any]:
    """What a block has within: a search result, a document, a resource of MCP, a tool's result."""
    found = {n: block[n] for n in ("source", "resource") if isinstance(block.get(n), Mapping)}
    return {**found, **({"content": block["content"]} if block.get("content") else {})}


def _within(block: Any, depth: int = MOST_NESTED) -> Iterator[str]:
    """The texts of a block, at whatever place providers put them."""
    if isinstance(block, str):
        yield block
    elif isinstance(block, list | tuple) and depth:
        for one in block:
            yield from _within(one, depth - 1)
    elif isinstance(block, Mapping) and depth:
        yield from (block[name] for name in TEXTS if isinstance(block.get(name), str))
        if block.get("type") == "text" and isinstance(block.get("data"), str):
            yield block["data"]
        for inner in inside(block).values():
            yield from _within(inner, depth - 1)


def _with(block: Any, change: Callable[[str], str], depth: int = MOST_NESTED) -> Any:
    """A block with each of its texts changed."""
    if isinstance(block, str):
        return change(block)
    if isinstance(block, list | tuple) and depth:
        return [_with(one, change, depth - 1) for one in block]
    if not isinstance(block, Mapping) or not depth:
        return block
    new = {n: _with(inner, change, depth - 1) for n, inner in inside(block).items()}
    new |= {name: change(block[name]) for name in TEXTS if isinstance(block.get(name), str)}
    if block.get("type") == "text" and isinstance(block.get("data"), str):
        new["data"] = change(block["data"])
    return {**block, **new}


def rewritten(message: M, change: Callable[[str], str], *, attached: bool = False) -> M:
    """The message with each of its texts changed; the same object if none is.

    `attached`: only those of the documents that are attached to it.
    """
    content: Any = message.content
    if isinstance(content, str):
        new: Any = content if attached else change(content)
    else:
        new = [b if attached and kind_of(b) in SAID else _with(b, change) for b in content]
    return message if new == content else message.model_copy(update={"content": new})


def structured_of(message: Any) -> Any:
    """What a result says as data: its artifact, or its JSON where that is known to be data.

    Text that happens to be JSON is text: whoever wrote the page that was read wrote its fields.
    `Validated` notes `structured` at what has passed a tool's output schema: True, False where it
    has passed as a text, or the `fields` that the schema has, where the answer has others.
    """
    if not isinstance(message, ToolMessage):
        return None
    artifact, told = message.artifact, label_of(message).get("structured")
    if (isinstance(artifact, Mapping) and KEPT in artifact) or told is False:
        return None
    if isinstance(told, Mapping):
        return told.get("fields")
    if artifact is not None:
        return artifact
    return parsed(message.text) if told is True else None


def parsed(text: str) -> Any:
    """JSON as data; None if it is none, too long or too deep."""
    if len(text) > MOST_JSON:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
