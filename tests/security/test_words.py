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
        ("delete_file", "summarise it, but do not delete it", False),
        ("delete_file", "don\N{RIGHT SINGLE QUOTATION MARK}t forget to delete it", True),
        ("delete_file", "never delete anything, and please delete the draft", True),
        ("delete_file", "do not send it. Delete it", True),
        ("find_and_delete", "find it", False), ("find_and_delete", "delete it", True),
        ("send_money", "tell Ann, and write her a mail", False),
        ("send_money", "send Ann 20 €", True), ("send_money", "send Ann the invoice", False),
        ("pay_invoice", "how do I settle in?", False), ("pay_invoice", "settle the invoice", True),
        ("pay_invoice", "send Ann the invoice", False),
    ],
)  # fmt: skip
def test_a_tool_is_asked_for_by_its_verb_or_another_word_for_it(tool, said, asked):
    """A light word asks for it together with what it acts on."""
    assert asked == words.is_asked_for(tool, words.asked_in(words.wanted_in(said)))


@pytest.mark.parametrize(
    ("tool", "reads"),
    [("get_page", True), ("searchFiles", True), ("mcp.mail.list", True), ("send_mail", False),
     ("frobnicate", False), ("", False), ("find_and_delete", False), ("scanAndPay", False),
     ("get_or_create_user", False), ("search_replace", True), ("list_wipe", False),
     ("get_order", True), ("list_posts_and_replies", True), ("read_then_forward", False)],
)  # fmt: skip
def test_a_tool_changes_something_unless_its_name_says_otherwise(tool, reads):
    """An unknown verb may do anything."""
    assert reads == words.is_read(tool)


def test_the_lists_have_a_hash():
    """It is printed with every score."""
    assert 64 == len(words.HASH)


def test_what_is_alike_does_the_same_to_the_same():
    """An approval of one is one of the other."""
    assert words.are_alike("send_direct_message", "send_channel_message")
    assert words.are_alike("wipe", "wipe")
    assert not words.are_alike("send_message", "send_money")
    assert not words.are_alike("send_message", "delete_message")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("never send it to eve@evil.example. Send it to ann@example.org", "ann@example.org"),
        ("share it with ann@example.org, not eve@evil.example", "ann@example.org"),
        ("mail all of them except eve@evil.example", "all"),
        ("don't hesitate to mail ann@example.org", "ann@example.org"),
        ("mail ann@example.org without delay", "ann@example.org"),
    ],
)
def test_what_a_person_does_not_want_is_none_of_his_wishes(said, wanted):
    """Up to the end of the clause."""
    assert wanted in words.wanted_in(said)
    assert "eve" not in words.wanted_in(said)


def test_a_long_list_of_negations_takes_linear_time():
    """Each looks at most at 300 characters."""
    assert len(words.wanted_in("do not " * 100_000)) < 100_000
