"""What a person's answer to a question means: three shapes, one decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

Action: TypeAlias = Literal["approve", "edit", "reject", "respond"]
ACTIONS: tuple[Action, ...] = get_args(Action)
INBOX = {"accept": "approve", "response": "respond", "ignore": "reject"}
"""Agent Inbox's words; its `edit` is the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person says. `arguments` for edit."""

    action: Action
    message: str = ""
    arguments: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An answer that decides nothing, and what is wrong with it."""

    problem: str


def read_answer(answer: Any, tool: str, names: Mapping[str, str]) -> Answer | Unreadable:
    """The decision in a resume value: LangChain's, Agent Inbox's, or a bare decision.

    `names` are the fields by which an answer may name its question, with this question's values:
    an answer that says another one is not for this.
    """
    entries = answer.get("decisions") if isinstance(answer, Mapping) else None
    entries = answer if entries is None else entries
    listed = entries if isinstance(entries, list) else [entries]
    if len(listed) != 1:
        return Unreadable(f"{len(listed)} decisions for one question")
    entry, outer = listed[0], answer if isinstance(answer, Mapping) else {}
    if not isinstance(entry, Mapping):
        return Unreadable(f"a decision is {{'type': …}}, not {type(entry).__name__}")
    said = [(one.get(name), mine) for one in (entry, outer) for name, mine in names.items()]
    if any(value not in (None, mine) for value, mine in said):
        return Unreadable("it answers another question, or this one before it changed")
    return read_entry(entry, tool)


def read_entry(entry: Mapping[str, Any], tool: str) -> Answer | Unreadable:
    """One decision."""
    kind = str(entry.get("type"))
    action = INBOX.get(kind, kind)
    message = entry.get("message") or (entry.get("args") if action != "edit" else None)
    message = message if isinstance(message, str) else ""
    match action:
        case "approve" | "reject":
            return Answer("approve" if action == "approve" else "reject", message)
        case "respond" if message:
            return Answer("respond", message)
        case "respond":
            return Unreadable("respond needs a message: what the tool would have returned")
        case "edit":
            return read_edit(entry, tool, message)
    return Unreadable(f"{kind!r} is not one of {', '.join(ACTIONS)}")


def read_edit(entry: Mapping[str, Any], tool: str, message: str) -> Answer | Unreadable:
    """An edit: LangChain's `edited_action`, or Agent Inbox's `args` with an action in it."""
    action = entry.get("edited_action", entry.get("args"))
    if not isinstance(action, Mapping) or not isinstance(action.get("args"), Mapping):
        return Unreadable("edit needs edited_action: {'name': …, 'args': {…}}")
    if action.get("name", action.get("action", tool)) != tool:
        return Unreadable(f"an edit changes the arguments of {tool}, not the tool")
    return Answer("edit", message, dict(action["args"]))
