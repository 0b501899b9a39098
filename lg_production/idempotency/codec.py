"""Outcomes as bytes and back: messages, commands, artifacts, content blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

MAX_BYTES = 256 * 1024
MARK = "lg_production"


class Codec:
    """LangGraph's msgpack, with an allow-list: a row can never name a class to import."""

    def __init__(self, result_types: tuple[type, ...] = ()) -> None:
        self._serde = JsonPlusSerializer(
            pickle_fallback=False,
            allowed_json_modules=[],
            allowed_msgpack_modules=[(t.__module__, t.__qualname__) for t in result_types],
        )

    def dump(self, outcome: Any) -> tuple[str, bytes]:
        """Type and bytes. Raises whatever the serializer raises; see `pack`."""
        return self._serde.dumps_typed(outcome)

    def load(self, kind: str, data: bytes) -> Any:
        """The outcome of `dump`."""
        return self._serde.loads_typed((kind, data))

    def faithful(self, outcome: Any) -> tuple[str, bytes] | str:
        """Type and bytes of an outcome that reads back as it was, or why it cannot be kept."""
        try:
            kind, data = self.dump(outcome)
            same = _plain(outcome) or self._same(outcome, kind, data)
        except Exception as error:  # noqa: BLE001 - any: the effect has happened
            return f"it cannot be serialised ({type(error).__name__})"
        if not same:
            return "it contains a class that result_types of its EffectPolicy does not name"
        if len(data) > MAX_BYTES:
            return f"it is too large ({len(data)} bytes, at most {MAX_BYTES})"
        return kind, data

    def _same(self, outcome: Any, kind: str, data: bytes) -> bool:
        """Whether nothing is lost. A tuple may become a list, as it does in a checkpoint."""
        loaded = self.load(kind, data)
        return bool(loaded == outcome) or self.dump(loaded) == (kind, data)


def _plain(outcome: Any) -> bool:
    return isinstance(outcome, ToolMessage) and outcome.artifact is None


@dataclass(frozen=True, slots=True)
class Encoded:
    """What is written into the row, and why that is not all of the outcome, if it is not."""

    kind: str
    data: bytes
    problem: str | None = None


def placeholder(name: str, call_id: str, why: str) -> ToolMessage:
    """What is recorded in place of an outcome that cannot be kept: it happened, all the same."""
    return ToolMessage(
        f"{name} was carried out, but its result was not recorded: {why}.",
        name=name,
        tool_call_id=call_id,
        additional_kwargs={MARK: {"placeholder": True}},
    )


@dataclass(frozen=True, slots=True)
class Restamp:
    """Turns the outcome recorded for one tool call into the outcome of another."""

    recorded_id: str
    current_id: str
    mark: dict[str, Any]
    note: str = ""

    def __call__(self, outcome: Any) -> Any:
        """The outcome with the current id, marked in `additional_kwargs`; others as they are."""
        if isinstance(outcome, ToolMessage) and outcome.tool_call_id == self.recorded_id:
            return self._message(outcome)
        if isinstance(outcome, list):
            return [self(item) for item in outcome]
        if isinstance(outcome, Command):
            return replace(outcome, update=self._update(outcome.update))
        return outcome

    def _update(self, update: Any) -> Any:
        if isinstance(update, dict):
            return {k: self(v) if isinstance(v, list) else v for k, v in update.items()}
        return self(update) if isinstance(update, list) else update

    def _message(self, message: ToolMessage) -> ToolMessage:
        kwargs = {**message.additional_kwargs, MARK: self.mark}
        update: dict[str, Any] = {"tool_call_id": self.current_id, "additional_kwargs": kwargs}
        if self.current_id != self.recorded_id:
            update["id"] = None  # or LangGraph would put it in place of the other call's answer
        if self.note and isinstance(message.content, str):
            update["content"] = f"{self.note}\n{message.content}"
        return message.model_copy(update=update)
