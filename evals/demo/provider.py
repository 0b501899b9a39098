"""A provider that keeps its own bill, on file, and writes a call down before it answers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult

from graphs.research_model import Restless


class Unplugged(Exception):
    """The demo pulled the plug: it would have gone on."""


class Billed(Restless):
    """A model that never stops, at a provider that bills first. `plug` is in tokens."""

    bill: Path
    payer: str
    plug: int
    latency: float = 0.02

    def _generate(self, messages: list[BaseMessage], *given: Any, **named: Any) -> ChatResult:
        result = super()._generate(messages, *given, **named)
        said = result.generations[0].message
        assert isinstance(said, AIMessage)
        assert said.usage_metadata is not None
        if total(self.bill) >= self.plug:
            raise Unplugged
        charge(self.bill, self.payer, said.usage_metadata["total_tokens"])
        time.sleep(self.latency)
        return result


def charge(bill: Path, payer: str, tokens: int) -> None:
    """One line, in one write: processes share the file."""
    file = os.open(bill, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, (json.dumps({"payer": payer, "tokens": tokens}) + "\n").encode())
    finally:
        os.close(file)


def billed(bill: Path) -> list[dict[str, Any]]:
    """Every call that was answered, or would have been."""
    return [json.loads(line) for line in bill.read_text().splitlines()] if bill.exists() else []


def total(bill: Path) -> int:
    """All tokens on the bill."""
    return sum(line["tokens"] for line in billed(bill))
