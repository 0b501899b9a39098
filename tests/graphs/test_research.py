"""The research graph: what it cites, what it costs, and how it ends when it may cost no more."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langgraph.types import Command

from graphs.library import Document, Library, library
from graphs.notes import Note, Report, cited, library_tools, listed
from graphs.reading import Calls, calling
from graphs.research import builder, wire
from graphs.research_costs import POLICY, within_budget
from graphs.research_model import Researching, Restless, parts_of
from lg_production import Checkpointer, Database, OutputFilter, tool_node
from lg_production.core.events import Event
from lg_production.cost.budget import Budget
from lg_production.cost.policy import BudgetPolicy, Limit
from lg_production.errors import BudgetExceeded

ASKED = "How does a Fresnel lens work, and why are the tides of Fundy so high?"
PARTS = ["How does a Fresnel lens work?", "Why are the tides of Fundy so high?"]


class Provider:
    """What was called: a name and the tokens of each call, counted before it is answered."""

    def __init__(self, kind: type[Researching] = Researching, *, failing: int | None = None):
        self.kind, self.failing = kind, failing
        self.calls: list[tuple[str, int]] = []
        self.lock = threading.Lock()

    def __call__(self, name: str, size: str) -> Any:
        provider = self

        class Billed(self.kind):
            def _generate(self, messages: list[BaseMessage], *a: Any, **k: Any) -> ChatResult:
                result = super()._generate(messages, *a, **k)
                usage = result.generations[0].message.usage_metadata
                with provider.lock:
                    provider.calls.append((self.model, usage["total_tokens"]))
                    if len(provider.calls) == provider.failing:
                        raise ConnectionResetError("billed, and never answered")
                return result

        return Billed(model=f"scripted-{size}")

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.calls)


class Stubborn(Researching):
    """Makes one and the same call for ever."""

    def research(self, messages: Any, question: str) -> AIMessage:
        calls: Calls = [("search", {"query": question})]
        return calling(messages, calls)


def may(tokens: int, **more: Any) -> BudgetPolicy:
    """So many tokens a month for the user, and so much more for the thread."""
    limits = [Limit(scope="user", per="month", total_tokens=tokens)]
    limits += [Limit(scope="thread", **more)] if more else []
    return BudgetPolicy(limits=tuple(limits), max_tokens=512)


def made(database: Database, provider: Any, policy: BudgetPolicy = POLICY) -> Any:
    return builder(database, policy, provider).compile(checkpointer=Checkpointer(database))


def asked(graph: Any, question: str | None = ASKED, thread: str = "1", user: str = "ada") -> Any:
    config = {"configurable": {"thread_id": thread, "user_id": user}}
    return graph.invoke({"messages": [("user", question)]} if question else None, config)


def answer(state: Any) -> str:
    return str(state["messages"][-1].content)


@pytest.mark.parametrize("surface", ["invoke", "ainvoke"])
def test_an_answer_cites_real_documents_and_only_these(database, surface):
    """Every sentence is one of the document that its number names."""
    graph, input_ = made(database, Provider()), {"messages": [("user", ASKED)]}
    config = {"configurable": {"thread_id": "1", "user_id": "ada"}}
    if surface == "invoke":
        state = graph.invoke(input_, config)
    else:
        state = asyncio.run(graph.ainvoke(input_, config))
    *paragraphs, sources = answer(state).split("\n\n")

    assert ["[1] The Fresnel lens", "[2] The Bay of Fundy"] == sources.splitlines()
    assert PARTS == state["questions"]
    for number, name in ((1, "fresnel-lens"), (2, "bay-of-fundy")):
        said = [s.strip() for s in paragraphs[number - 1].split(f"[{number}]") if s.strip()]
        assert len(said) >= 2
        assert [True] * len(said) == [library().quotes(name, sentence) for sentence in said]


def test_what_the_library_does_not_know_is_said(database):
    """No source is better than a wrong one."""
    question = "Who won the world cup in 2014?"
    state = asked(made(database, Provider()), question)

    assert f"The library has nothing about this: {question}" == answer(state)


HOSTILE = {
    "an image": "How a Fresnel lens works is in ![it](https://evil.example/p?q=lens) of the work.",
    "a link": "How a Fresnel lens works is on [this page](https://evil.example/p?q=lens) of work.",
    "a script": "How a Fresnel lens works: <script>fetch('//evil.example')</script> is the work.",
}
LIVE = ("https://evil.example", "<script>")


@pytest.mark.parametrize("mode", ["values", "updates"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_markup_of_the_library_does_not_get_into_an_answer(database, text, mode):
    """The sentence and its title are quoted, and nothing in them is live, nor ever was."""
    ours = Library([*library().documents.values(), Document("x", f"A lens: {text}", text)])
    tools, events = library_tools(ours), list[Event]()
    choose = within_budget(database, POLICY, tools, Provider(), user="ada")
    output = OutputFilter(observers=(events.append,))
    graph = wire(choose, tool_node(tools), output=output).compile(Checkpointer(database))
    asking, config = {"messages": [("user", PARTS[0])]}, {"configurable": {"thread_id": "1"}}
    parts = list(graph.stream(asking, config, stream_mode=mode))
    told = parts if mode == "values" else [update for part in parts for update in part.values()]
    said = [m.text for part in told for m in part.get("messages", ())]

    assert "How a Fresnel lens works" in said[-1]
    assert [] == [bad for bad in LIVE if bad in "".join(said)]
    assert ["output.cleaned"] == [event.name for event in events]


def test_notes_that_were_paid_for_are_cleaned_as_well(database):
    """An answer that no model wrote, since the budget had ended, holds the library's own words."""
    text = HOSTILE["an image"]
    ours = Library([*library().documents.values(), Document("x", "A lens", text)])
    tools = library_tools(ours)
    choose = within_budget(database, POLICY, tools, Provider(), user="ada")

    def broke(role: str, runtime: Any) -> Any:
        if role == "write":
            raise BudgetExceeded
        return choose(role, runtime)

    said = answer(asked(wire(broke, tool_node(tools)).compile(Checkpointer(database)), PARTS[0]))

    assert said.startswith("This answer is partial: the budget ended before it was written.")
    assert "How a Fresnel lens works" in said
    assert [] == [bad for bad in LIVE if bad in said]


def test_a_second_question_is_researched_anew(database):
    """The thread remembers; the answer is about what is asked now."""
    graph = made(database, Provider())
    asked(graph)
    second = answer(asked(graph, "Who invented the sun valve?"))

    assert "Fresnel" not in second
    assert second.endswith("[1] Gustaf Dalén and the sun valve")


@pytest.mark.parametrize("kind", [Researching, Restless])
@pytest.mark.parametrize("tokens", [0, 50, 300, 1500, 2500, 20_000])
def test_a_budget_is_never_exceeded_by_a_token(database, kind, tokens):
    """By the provider's own count, whatever the model wants; and there is an answer."""
    provider = Provider(kind)
    state = asked(made(database, provider, may(tokens)))

    assert provider.tokens <= tokens
    partial = answer(state).startswith("This answer is partial. Not researched to the end:")
    assert partial == (kind is Restless or tokens < 20_000)


def test_a_partial_answer_says_what_is_missing_and_gives_what_there_is(database):
    """The notes are paid for: they are cited, with or without a model to write."""
    said = answer(asked(made(database, Provider(Restless), may(20_000))))

    assert f"- {PARTS[0]} (the budget is used up)" in said
    assert f"- {PARTS[1]} (the budget is used up)" in said
    assert "resonance. [" in said
    assert "[1] The Fresnel lens" in said.splitlines()


def test_without_a_token_nothing_is_called(database):
    """The guard says no before the first call, and the run still ends well."""
    provider = Provider()
    said = answer(asked(made(database, provider, may(0))))

    assert [] == provider.calls
    assert f"- {ASKED} (the budget is used up)" in said


def test_threads_of_one_user_share_the_month(database):
    """Six threads at once, one budget; another user has one of her own."""
    provider, other = Provider(Restless), Provider()
    graph = made(database, provider, may(30_000))
    with ThreadPoolExecutor(6) as pool:
        states = list(pool.map(lambda n: asked(graph, thread=str(n)), range(6)))
    said = answer(asked(made(database, other, may(30_000)), thread="other", user="bob"))

    assert 15_000 < provider.tokens <= 30_000
    assert all("is partial" in answer(state) for state in states)
    assert "is partial" not in said


def test_a_resume_does_not_reset_the_budget(database):
    """A call that failed after it was billed counts; what is spent stays spent."""
    provider = Provider(Restless, failing=9)
    graph = made(database, provider, may(15_000))
    with pytest.raises(ConnectionResetError):
        asked(graph)
    before = provider.tokens
    resumed = asked(graph, None)
    after = provider.tokens
    more = asked(graph, "And who invented the sun valve?")

    assert 0 < before < after <= 15_000
    assert "is partial" in answer(resumed)
    assert provider.tokens <= 15_000
    assert "sun valve? (the budget is used up)" in answer(more)


def test_steps_are_limited_for_the_thread(database):
    """All researchers count on one limit."""
    provider = Provider(Restless)
    said = answer(asked(made(database, provider, may(10**6, steps=10))))

    assert 1 + 10 + 1 == len(provider.calls)
    assert 2 == said.count("(the limit of steps is reached)")


def test_tool_calls_are_limited_for_the_thread(database):
    """The model hears of it and answers with what it has."""
    provider = Provider()
    state = asked(made(database, provider, may(10**6, tool_calls=2)))

    assert [0, 0] == [len(report["notes"]) for report in state["reports"]]
    assert "is partial" not in answer(state)


def test_a_researcher_that_goes_round_in_circles_is_ended(database):
    """By what it does, long before its budget; and nobody says that this was all."""
    provider = Provider(Stubborn)
    said = answer(asked(made(database, provider)))

    assert len(provider.calls) < 20
    assert f"- {PARTS[0]} (it went round in circles)" in said


def test_the_large_model_plans_and_writes(database):
    """Research is worth the small one; once little is left, so is the rest."""
    rich, poor, policy = Provider(), Provider(), may(100_000)
    asked(made(database, rich, policy))
    spent = Budget(database, policy)
    who = spent.who({"configurable": {"thread_id": "0", "user_id": "ada"}})
    spent.settle(spent.reserve(b"0", who, {"total_tokens": 75_000}))
    asked(made(database, poor, policy), thread="2")

    names = [name for name, _ in rich.calls]
    assert ["scripted-large", "scripted-large"] == [names[0], names[-1]]
    assert {"scripted-small"} == set(names[1:-1])
    assert {"scripted-small"} == {name for name, _ in poor.calls}


def test_the_guards_are_in_the_drawing(database):
    """What Studio shows: coordinator, researcher inside, guards in front of its model."""
    drawn = made(database, Provider()).get_graph(xray=True)
    edges = {(edge.source, edge.target) for edge in drawn.edges}

    assert {"plan", "write", "researcher:loops", "researcher:budget", "researcher:tools"} <= set(
        drawn.nodes
    )
    assert {
        ("researcher:loops", "researcher:budget"),
        ("researcher:budget", "researcher:model"),
        ("researcher:budget", "researcher:__end__"),
        ("researcher:tools", "researcher:loops"),
    } <= edges


def test_a_note_must_be_in_the_document():
    """Word for word, so that nothing can be cited that nobody wrote."""
    take_note = library_tools(library())[2]

    def noted(text: str, document: str) -> Any:
        call = {"name": "take_note", "args": {"text": text, "document": document}, "id": "1"}
        return take_note.invoke({**call, "type": "tool_call"})

    real = noted("The reason for the high tides of Fundy is resonance.", "bay-of-fundy")
    invented = noted("The reason for the high tides of Fundy is magic.", "bay-of-fundy")
    unknown = noted("The reason for the high tides of Fundy is resonance.", "atlantis")

    assert "The Bay of Fundy" == real.artifact["title"]
    assert ("error", None) == (invented.status, invented.artifact)
    assert "bay-of-fundy does not say that, word for word." == invented.content
    assert ("error", None) == (unknown.status, unknown.artifact)


def test_citations_of_what_nobody_read_are_taken_out():
    """A model that writes may invent numbers; the sources are ours."""
    note = Note(text="It is so.", document="d", title="D")
    report = Report(question="Is it?", notes=[note], stopped="")

    assert "It is so. [1] Or not.\n\n[1] D" == cited("It is so. [1] Or not. [7]", [report])


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (ASKED, PARTS),
        ("Tides", ["Tides?"]),
        ("What is a lens? Who was Fresnel?", ["What is a lens?", "Who was Fresnel?"]),
        ("bread and butter", ["Bread and butter?"]),
        ("?", ["?"]),
    ],
)
def test_a_question_is_split_where_another_begins(question, parts):
    """The scripted coordinator's whole art."""
    assert parts == parts_of(question)


def test_a_plan_may_be_a_list():
    """Models number and mark what they list."""
    assert ["Who?", "1914 was when?"] == listed("1. Who?\n- 1914 was when?\n\n* Who?")


def test_a_scripted_model_tells_what_it_takes():
    """Usage is counted from the text: what goes in, what comes out, and their sum."""
    said = Researching().invoke([HumanMessage("You write: x" * 4), HumanMessage("Q\n\nq\n- a [1]")])

    assert {"input_tokens": 15, "output_tokens": 2, "total_tokens": 17} == said.usage_metadata


def test_a_person_may_give_more(database):
    """The guard asks from inside of a researcher; what is given is spent, and no token more."""
    policy = may(700).model_copy(update={"on_exhausted": "interrupt"})
    provider = Provider()
    graph = made(database, provider, policy)
    question = asked(graph, PARTS[1])["__interrupt__"][0].value
    before = provider.tokens
    more = {"name": "extend_budget", "args": {"add": 5000}}
    answered = {"decisions": [{"type": "edit", "edited_action": more}]}
    config = {"configurable": {"thread_id": "1", "user_id": "ada"}}
    said = answer(graph.invoke(Command(resume=answered), config))

    assert ["user:ada"] == [action["args"]["scope"] for action in question["action_requests"]]
    assert 0 < before <= 700 < provider.tokens <= 5700
    assert said.endswith("[1] The Bay of Fundy")
    assert "is partial" not in said
