"""The most tokens that a call can take, known before it is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

TokenCounter: TypeAlias = Callable[[Sequence[BaseMessage], Sequence[Any]], int]
"""Messages, and what else is sent (tools, schemas), to an upper bound of the input's tokens."""

PER_CALL, PER_MESSAGE, PER_TOOL = 64, 16, 32
"""Marks around a prompt, a message and a tool, in tokens; generous."""
TOOL_PROMPT = 1024
"""What a provider writes into the prompt of a call with tools. Anthropic's longest is 804."""
IMAGE, MEDIA = 8192, 65_536
"""The most for an image, and the least set aside for audio, video and files."""
TEXTS = {"text", "input_text", "output_text"}
IMAGES = {"image", "image_url", "input_image"}
MEDIAS = {"audio", "input_audio", "video", "file", "input_file", "document", "media"}
BOUNDS = (
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict",
    "maxTokens", "max_tokens_to_sample", "maxOutputTokens",
)  # fmt: skip
NESTED = ("generation_config", "inferenceConfig", "options", "extra_body")
CHOICES = ("n", "best_of", "candidate_count")


def upper_bound(messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
    """An upper bound of the input's tokens: its UTF-8 bytes, and what is written around them.

    Assumed: the tokenizer is a byte-level one, so that a token is at least one byte (GPT,
    Claude, Llama 3, Qwen, Mistral's Tekken; SentencePiece with byte fallback adds one token);
    an image takes at most 8,192 tokens; audio, video and files take at most 65,536, or their
    bytes where they are sent along. Not bounded, because it is not known before the call: what
    a provider's own tools (web search, file search) read into the prompt, and files behind a
    link. For English text this is about four times the truth: give a `counter` where that
    matters.
    """
    texts = sum(_message(message) + PER_MESSAGE for message in messages)
    schemas = sum(_bytes(_schema(tool)) + PER_TOOL for tool in tools)
    return PER_CALL + texts + schemas + (TOOL_PROMPT if tools else 0)


def most_output(params: Mapping[str, Any], default: int) -> int:
    """The most tokens of an answer, all choices together, by a call's invocation parameters.

    Where the call names several bounds the largest holds, and where it names none, `default`
    for each choice. A bound includes reasoning, as with all providers known here.
    """
    choices = max([1, *_whole(params, CHOICES)])
    return choices * max(_whole(params, BOUNDS), default=default)


def is_bounded(params: Mapping[str, Any]) -> bool:
    """Whether a call names the most tokens of its answer, which the provider then enforces."""
    return bool(_whole(params, BOUNDS))


def _whole(params: Mapping[str, Any], names: Sequence[str]) -> list[int]:
    """The positive whole numbers among these parameters, nested ones included."""
    places = [params, *(params[name] for name in NESTED if isinstance(params.get(name), Mapping))]
    found = [place.get(name) for place in places for name in names]
    return [v for v in found if isinstance(v, int) and not isinstance(v, bool) and v > 0]


def _message(message: BaseMessage) -> int:
    """Everything of a message that may be sent: content, name, calls, what providers hide."""
    content = message.content
    size = _bytes(content) if isinstance(content, str) else sum(map(_block, content))
    extra = dict(message.additional_kwargs)
    if isinstance(message, AIMessage) and message.tool_calls:
        extra.pop("tool_calls", None)  # the same calls again, as OpenAI writes them
        size += sum(_bytes(call) for call in message.tool_calls)
    size += sum(_bytes(call) for call in getattr(message, "invalid_tool_calls", ()))
    size += _bytes(getattr(message, "tool_call_id", None) or "")
    return size + _bytes(message.name or "") + (_bytes(extra) if extra else 0)


def _block(block: Any) -> int:
    if not isinstance(block, Mapping):
        return _bytes(block)
    kind = block.get("type")
    if kind in TEXTS:
        return _bytes(block) if set(block) - {"type", "text"} else _bytes(block.get("text", ""))
    if kind in IMAGES or (kind == "image_url" or "image_url" in block):
        return IMAGE
    if kind in MEDIAS:
        return max(MEDIA, _bytes(block))
    if isinstance(nested := block.get("content"), list):  # a tool's result, with images in it
        rest = {name: value for name, value in block.items() if name != "content"}
        return _bytes(rest) + sum(map(_block, nested))
    return _bytes(block)


def _schema(tool: Any) -> Any:
    if isinstance(tool, BaseTool) or (callable(tool) and not isinstance(tool, Mapping)):
        return convert_to_openai_tool(tool)
    return tool


def _bytes(value: Any) -> int:
    """The bytes of a text, or of a value as JSON, whose escapes only make it longer."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return len(json.dumps(value, default=repr))
