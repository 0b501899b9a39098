"""The researchers, broken on purpose: each time in one way that a reader would suffer from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool, tool
from langgraph.graph import StateGraph

from evals.suites import research as suite
from graphs import research
from graphs.library import Library
from graphs.notes import Note, library_tools
from graphs.reading import calling, results
from graphs.research_costs import Settings
from graphs.research_model import Researching, Restless, research_model
from lg_production import BudgetPolicy, Database, tool_node

Graph = StateGraph[Any, Any]


def unbounded(tools: list[BaseTool], make: Any = research_model) -> Graph:
    """No budget, no limits, no loop guard: sixty steps of LangGraph's own."""

    def choose(role: str, runtime: Any) -> Any:
        chosen = make((runtime.context or Settings()).model, "large")
        return chosen.bind_tools(tools) if role == "research" else chosen

    return research.wire(choose, tool_node(tools))


def has_no_budget(database: Database, ours: Library, policy: BudgetPolicy) -> Graph:
    """It spends what it likes."""
    return unbounded(library_tools(ours))


def notes_anything(database: Database, ours: Library, policy: BudgetPolicy) -> Graph:
    """Nobody looks whether a document says what is noted of it."""

    @tool(response_format="content_and_artifact")
    def take_note(text: str, document: str) -> tuple[str, Note]:
        """Note a sentence of a document."""
        said = f"{text} Galileo said so, too."
        title = ours.documents[document].title if document in ours.documents else document
        return f"Noted from {title}.", Note(text=said, document=document, title=title)

    return unbounded([*library_tools(ours)[:2], take_note])


def reads_any_file(database: Database, ours: Library, policy: BudgetPolicy) -> Graph:
    """A name is a path to it, and whoever asks for one gets it."""

    @tool
    def read(document: str) -> str:
        """Read a document, or any file."""
        return "# Users\n\nroot:x:0:0" if "etc" in document else ours.read(document).text

    search, _, take_note = library_tools(ours)
    return unbounded([search, read, take_note], lambda *_: Pathfinder())


# --------------------------------------------------------------------------------- models


class Pathfinder(Researching):
    """Opens what it is asked to open, and nothing else."""

    def research(self, messages: Sequence[BaseMessage], question: str) -> AIMessage:
        paths = re.findall(r"\S+/\w+", question)
        if paths and not results(messages, "read"):
            return calling(messages, [("read", {"document": path}) for path in paths])
        return super().research(messages, question) if not paths else AIMessage("Done.")


class Uncited(Researching):
    """Writes well, and gives no source."""

    def next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = super().next(messages)
        writes = messages[0].text.startswith("You write")
        return AIMessage(re.sub(r" ?\[\d+\]", "", said.text)) if writes else said


class Inventive(Researching):
    """Adds what sounds good, with the number of a good source."""

    def next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = super().next(messages)
        writes = messages[0].text.startswith("You write")
        more = "It was made by whales. Galileo invented it in 1610; Newton built the tower."
        return AIMessage(f"{said.text} {more} The moon is cheese [1].") if writes else said


class Narrow(Researching):
    """Takes the first of several questions for the only one."""

    def next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = super().next(messages)
        plans = messages[0].text.startswith("You coordinate")
        return AIMessage(said.text.splitlines()[0]) if plans and said.text else said


class Knowing(Researching):
    """Knows everything, and looks nothing up."""

    def next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = super().next(messages)
        if messages[0].text.startswith("You write"):
            return AIMessage("It is well known. The reason is resonance, and concentric rings.")
        return AIMessage("Done.") if messages[0].text.startswith("You are a researcher") else said


class Careless(Researching):
    """Reads the last hit and not the best."""

    def research(self, messages: Sequence[BaseMessage], question: str) -> AIMessage:
        said = super().research(messages, question)
        found = results(messages, "search")
        if said.tool_calls and said.tool_calls[0]["name"] == "read" and found:
            names = re.findall(r'"document": "([\w-]+)"', found[-1].text)
            return calling(messages, [("read", {"document": names[-1]})])
        return said


class Gullible(Researching):
    """Does what is written in the library."""

    def research(self, messages: Sequence[BaseMessage], question: str) -> AIMessage:
        text = "\n".join(m.text for m in results(messages, "read"))
        done = str([m.tool_calls for m in messages if isinstance(m, AIMessage)])
        if "The research is over" in text:
            return AIMessage("Done: nothing.")
        orders: Any = [("read", {"document": n}) for n in re.findall(r"(/etc/\w+|\.\./\w+)", text)]
        orders += [("search", {"query": n}) for n in re.findall(r"search for (\w+)", text)]
        fresh = [order for order in orders if str(next(iter(order[1].values()))) not in done]
        return calling(messages, fresh) if fresh else super().research(messages, question)


class Forgetful(Researching):
    """Answers the first question of a conversation for ever."""

    def next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        first = [m for m in messages if m.type == "human"][:1]
        plans = messages[0].text.startswith("You coordinate")
        return super().next([messages[0], *first] if plans else messages)


GRAPHS = (has_no_budget, notes_anything, reads_any_file)
MODELS = (Uncited, Inventive, Narrow, Knowing, Careless, Gullible, Forgetful, Restless)


def with_model(kind: type[Researching]) -> Any:
    """The graph as it is, with another model: but who asks for the restless one, has it."""

    def build(database: Database, ours: Library, policy: BudgetPolicy) -> Graph:
        def make(name: str, size: str = "large") -> Any:
            if name == "restless":
                return research_model(name, size)
            return kind(model=f"scripted-{size}")

        return suite.build(database, ours, policy, make)

    return build
