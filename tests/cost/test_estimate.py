"""The most that a call can take, before it is made."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from lg_production.cost.estimate import IMAGE, MEDIA, is_bounded, most_output, upper_bound


@tool
def search(query: str) -> str:
    """Search the library."""
    return query


@given(st.text(max_size=300))
def test_a_token_is_at_least_a_byte(text):
    """No byte-level tokenizer makes more tokens than there are bytes."""
    assert upper_bound([HumanMessage(text)]) >= len(text.encode())


def test_every_part_of_a_message_counts():
    """Names, calls and their arguments, results, and what integrations keep beside the content."""
    plain = [
        HumanMessage("find it"),
        AIMessage(""),
        ToolMessage("x", tool_call_id="1"),
    ]
    call = {"name": "search", "args": {"query": "y" * 500}, "id": "call-1"}
    full = [
        HumanMessage("find it", name="n" * 50),
        AIMessage("", tool_calls=[call], additional_kwargs={"reasoning_content": "z" * 700}),
        ToolMessage("x", tool_call_id="i" * 40, name="search"),
    ]

    assert upper_bound(full) - upper_bound(plain) >= 50 + 500 + 700 + 39


def test_an_invalid_call_and_thoughts_count():
    """They are sent again like everything else."""
    wrong = {"name": "s", "args": "x" * 300, "id": "1", "error": None, "type": "invalid_tool_call"}
    blocks = [{"type": "thinking", "thinking": "t" * 200, "signature": "s" * 100}]

    assert upper_bound([AIMessage(blocks, invalid_tool_calls=[wrong])]) >= 600


def test_tools_count_with_their_schema_in_any_form():
    """A tool, a function or a schema; and the prompt that a provider writes for tools."""

    def lookup(name: str) -> str:
        """Look a name up."""
        return name

    schema = {"type": "function", "function": {"name": "f", "description": "d" * 400}}
    without = upper_bound([SystemMessage("s")])

    assert upper_bound([SystemMessage("s")], [schema]) >= without + 1024 + 400
    assert upper_bound([SystemMessage("s")], [search]) > without + 1024 + len("Search the library.")
    assert upper_bound([SystemMessage("s")], [lookup]) > without + 1024


def test_images_have_a_bound_and_media_their_size():
    """An image's bytes are no tokens; of a file nobody knows, so all of them may be."""
    data = base64.b64encode(b"x" * 200_000).decode()
    image = {"type": "image", "base64": data, "mime_type": "image/png"}
    link = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    file = {"type": "file", "base64": data, "mime_type": "application/pdf"}
    remote = {"type": "file", "file_id": "f1"}

    def alone(block):
        return upper_bound([HumanMessage([block])]) - upper_bound([HumanMessage("")])

    assert [IMAGE, IMAGE] == [alone(image), alone(link)]
    assert alone(file) >= len(data)
    assert MEDIA == alone(remote)


def test_a_result_with_an_image_in_it_counts_the_image():
    """Anthropic's results are lists of blocks."""
    block = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image"}]}

    assert upper_bound([HumanMessage([block])]) > IMAGE


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, 4096),
        ({"max_tokens": 100}, 100),
        ({"max_completion_tokens": 100}, 100),
        ({"max_output_tokens": 100}, 100),
        ({"num_predict": 100}, 100),
        ({"generation_config": {"max_output_tokens": 100}}, 100),
        ({"inferenceConfig": {"maxTokens": 100}}, 100),
        ({"max_tokens": 100, "max_completion_tokens": 300}, 300),
        ({"max_tokens": 100, "n": 3}, 300),
        ({"n": 3}, 3 * 4096),
        ({"candidate_count": 2, "max_output_tokens": 10}, 20),
        ({"max_tokens": None}, 4096),
        ({"max_tokens": -1}, 4096),
        ({"num_predict": -2}, 4096),
        ({"max_tokens": 0}, 4096),
        ({"max_tokens": "100"}, 4096),
        ({"max_tokens": True}, 4096),
        ({"n": None, "max_tokens": 7}, 7),
        ({"n": 0, "max_tokens": 7}, 7),
    ],
)
def test_the_most_of_an_answer_is_read_from_the_call(params, expected):
    """A bound that is none (None, -1 for no end) leaves the default."""
    assert expected == most_output(params, 4096)


def test_a_call_is_bounded_if_it_names_a_bound():
    """Only then the provider cuts it."""
    assert is_bounded({"max_tokens": 5})
    assert not is_bounded({"max_tokens": None, "n": 2})
