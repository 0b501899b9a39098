"""Cassettes: what a model and tools said, recorded once and replayed strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool

from .taped_model import taped_model
from .taped_tool import taped_tool
from .tapes import Mode, Tape

__all__ = ["Cassette", "Mode"]


class Cassette(Tape):
    """Recordings in a file. `mode`: `replay` what is there and never call the real thing; `record`
    all anew, over what was there; `auto`: replay what is there and record the rest.

    A request is known by what was asked (messages without ids, tools, settings of the call and of
    the model; arguments of a tool) and by how often the same was asked before: the third asking
    gets the third recording. In replay any other raises `CassetteMiss`; a miss that something on
    the way has turned into a message is raised when the block ends.

    The file is JSON Lines, written whole or not at all when the block ends, or by `save`. Any
    thread may ask. `redact` takes out what must not be written, of requests before they are
    compared and of answers, so that a key that was changed since is no miss: a function of its
    value alone, that changes nothing more when it is applied twice. A run that is recorded sees
    what is real; one that is replayed sees what is written.
    """

    def model(self, model: BaseChatModel, name: str = "model") -> BaseChatModel:
        """The model behind this cassette; `name` tells several models apart."""
        return taped_model(self, model, name)

    def tool(self, tool: BaseTool | Callable[..., Any]) -> BaseTool:
        """The tool behind this cassette."""
        return taped_tool(self, tool)
