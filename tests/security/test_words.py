"""What a person asks for, by the words of a tool's name and by what else people say."""

from __future__ import annotations

import pytest

from lg_production.security import words


@pytest.mark.parametrize(
    ("tool", "said", "asked"),
    [
        ("send_mail", "write Ann a mail", True), ("send_mail", "tell me the price", False),
        ("send_mail", "tell Ann the price", True), ("send_mail", "what does it cost?", False),
        ("post_message", "post it", True), ("send_message", "post it in #random", True),
        ("create_calendar_event", "create it", True),
        ("create_calendar_event", "set up a meeting", True),
        ("create_calendar_event", "make a reservation", False),
        ("create_calendar_event", "we plan a trip; is it open on Monday?", False),
        ("reserve_room", "please book one", True), ("UnlockDoor", "is it cold?", False),
        ("UnlockDoor", "unlock it", True), ("deleteFile", "get rid of it", True),
        ("wipe", "what is there?", False),
    ],
)  # fmt: skip
def test_a_tool_is_asked_for_by_its_verb_or_another_word_for_it(tool, said, asked):
    """A light word asks for it together with what it acts on."""
    assert asked == words.is_asked_for(tool, words.asked_in(said))


@pytest.mark.parametrize(
    ("tool", "reads"),
    [("get_page", True), ("searchFiles", True), ("mcp.mail.list", True), ("send_mail", False),
     ("frobnicate", False), ("", False)],
)  # fmt: skip
def test_a_tool_changes_something_unless_its_name_says_otherwise(tool, reads):
    """An unknown verb may do anything."""
    assert reads == words.is_read(tool)


def test_the_lists_have_a_hash():
    """It is printed with every score."""
    assert 64 == len(words.HASH)
