"""What stood in the input is no work of the run, wherever the graph puts it."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, messages_from_dict
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages

from lg_production.evaluation.outcome import Outcome, outcome_of
from lg_production.evaluation.playing import identified, play
from lg_production.evaluation.scripted import ScriptedChatModel
from lg_production.evaluation.targets import target_of
from tests.evaluation.agent_for_tests import case

ASKED = [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a1"},
         {"role": "user", "content": "q2"}, {"role": "assistant", "content": "a2"},
         {"role": "user", "content": "what is it?"}]  # fmt: skip
TURNS = case("turns", "", input={"messages": ASKED})
ONE = case("one", "what is it?")
ANSWER = AIMessage("the answer is 42")


class Kept(TypedDict):
    messages: Annotated[list[Any], add_messages]


class Replaced(TypedDict):
    messages: list[Any]


def graph_of(state: Any, node: Any) -> StateGraph:
    return StateGraph(state).add_node("n", node).add_edge(START, "n")


def clears(_: Any) -> Any:
    first = [RemoveMessage(REMOVE_ALL_MESSAGES), HumanMessage("a summary")]
    return {"messages": [*first, AIMessage("the answer is 42")]}


def played(target: Any, given: Any = TURNS) -> Outcome:
    return play(target_of(target), given)


@pytest.mark.parametrize("given", [ONE, TURNS])
@pytest.mark.parametrize(
    "graph",
    [
        graph_of(Replaced, lambda _: {"messages": [ANSWER]}),
        graph_of(Replaced, lambda state: {"messages": [*state["messages"], ANSWER]}),
        graph_of(Replaced, lambda state: {"messages": [ANSWER, *state["messages"]]}),
        graph_of(Replaced, lambda state: {"messages": [*state["messages"][-1:], ANSWER]}),
        graph_of(Kept, lambda _: {"messages": [AIMessage("the answer is 42")]}),
        graph_of(Kept, clears),
        lambda case: {"messages": [*case.input["messages"], ANSWER]},
        lambda case: [ANSWER],
    ],
)
def test_an_answer_counts_wherever_it_stands(graph, given):
    """Behind the input, instead of it, before it, or behind a part of it."""
    outcome = played(graph, given)

    assert ("the answer is 42", 1) == (outcome.answer, outcome.steps)


def test_an_answer_behind_a_summary_is_the_answer():
    """And not the summary, which a model has said as well."""
    model = ScriptedChatModel(
        lambda seen: "summary" if len(seen) == 1 and "q1" in seen[0].text else "the answer is 42"
    )
    short = SummarizationMiddleware(model=model, trigger=("messages", 3), keep=("messages", 1))
    outcome = played(create_agent(model, [], middleware=[short]))

    assert ("the answer is 42", 2) == (outcome.answer, outcome.steps)


def test_an_input_without_an_answer_stays_without():
    """What the agent said before this run is no answer of it."""
    for state in (Kept, Replaced):
        outcome = played(graph_of(state, lambda _: {}))

        assert ("", 0, 5) == (outcome.answer, outcome.steps, len(outcome.messages))


def test_messages_without_ids_are_known_by_their_place():
    """Pairs cannot have any, and a graph may make messages of its own."""
    pairs = case("pairs", "", input={"messages": [["user", "q"], ["assistant", "a"]]})
    anew = graph_of(
        Replaced,
        lambda state: {"messages": [HumanMessage(m["content"]) if m["role"] == "user"
                                    else AIMessage(m["content"]) for m in state["messages"]]},
    )  # fmt: skip

    assert ("", 0) == ((seen := played(graph_of(Kept, lambda _: {}), pairs)).answer, seen.steps)
    assert ("", 0) == ((seen := played(anew)).answer, seen.steps)


def test_a_graph_sees_its_input_as_it_is_written_but_for_an_id():
    """No message becomes something else; one that has an id keeps it."""
    given = {"messages": [*ASKED[:1], {**ASKED[1], "id": "7"}, ["user", "q"], "text"], "more": 1}
    first, *rest = identified(given)["messages"]

    assert {**given, "messages": [{**ASKED[0], "id": first["id"]}, *rest]} == identified(given) | {
        "messages": [first, *rest]
    }
    assert [{**ASKED[1], "id": "7"}, ["user", "q"], "text"] == rest
    assert first["id"] != identified(given)["messages"][0]["id"]


def test_messages_stand_in_their_order():
    """What was given, what was seen beside the state, and the rest."""
    final = [HumanMessage("q", id="1"), AIMessage("42", id="3")]
    outcome = outcome_of({"messages": final}, known={"1"}, seen=[AIMessage("inner", id="2")])

    assert ["1", "2", "3"] == [one.id for one in messages_from_dict(list(outcome.messages))]
    assert ("42", 2) == (outcome.answer, outcome.steps)
