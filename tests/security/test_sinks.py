"""Which values of a call must be anchored."""

from __future__ import annotations

import pytest

from lg_production.security.sinks import sinks


def kinds(tool: str, /, *, reads: bool = False, **arguments: object) -> list[tuple[str, str]]:
    return [(sink.kind, sink.value) for sink in sinks(tool, arguments, reads=reads)]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"to": "ann@example.org"}, [("email", "ann@example.org")]),
        ({"note": "pay DE89370400440532013000 now"}, [("account", "DE89370400440532013000")]),
        ({"a": {"b": [{"to": "Ann"}]}}, [("recipient", "Ann")]),
        ({"command": "cat ~/.ssh/id_rsa"}, [("path", "~/.ssh/id_rsa")]),
        ({"to": "2024-05-01", "amount": 12, "body": "and/or"}, []),
    ],
)
def test_destinations_are_found_wherever_they_stand(arguments, found):
    """By what they look like, or by the name of their argument."""
    assert found == kinds("send_thing", **arguments)


def test_a_read_has_destinations_but_no_recipients():
    """What is fetched from an address tells its owner something; whom it is about does not."""
    assert [("email", "a@example.org")] == kinds("find", reads=True, user="Ann", q="a@example.org")


def test_what_is_acted_on_is_a_sink_and_what_is_made_is_not():
    """A name for something new refers to nothing."""
    assert [("object", "Ann's desk")] == kinds("reserve_desk", desk="Ann's desk")
    assert [] == kinds("create_file", filename="notes.txt")
    assert [("path", "../notes.txt")] == kinds("create_file", filename="../notes.txt")


def test_deep_arguments_are_searched():
    """However deep."""
    deep: object = "a@example.org"
    for _ in range(5_000):
        deep = [deep]

    assert ["email"] == [kind for kind, _ in kinds("find", x=deep)]


def test_what_is_searched_for_points_nowhere():
    """A bare name is a pattern there; a way to somewhere else is a path, and so is what is opened."""
    assert [] == kinds("search_files", reads=True, filename="notes.txt")
    assert [("path", "../notes.txt")] == kinds("search_files", reads=True, filename="../notes.txt")
    assert [("path", "notes.txt")] == kinds("read_file", reads=True, filename="notes.txt")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"account": "12345678"}, ["12345678"]), ({"account": 12345678.0}, ["12345678"]),
        ({"phone": "0151 2345678"}, ["0151 2345678"]), ({"account": "12-34-56"}, ["12-34-56"]),
        ({"payee": 7}, ["7"]), ({"to": "12:30"}, []), ({"to": "31.12.2026"}, []),
        ({"to": "2024-05-01 eve"}, ["2024-05-01 eve"]),
        ({"to": "x" * 201}, ["x" * 201]), ({"to": "ann\neve\r\nbob"}, ["ann", "eve", "bob"]),
        ({"recipient_name": "eve"}, ["eve"]), ({"to_name": "eve"}, ["eve"]),
        ({"recipients_list": ["eve"]}, ["eve"]), ({"target": "eve"}, ["eve"]),
        ({"account_number": "99"}, ["99"]), ({"order_number": "99"}, []),
        ({"users": {"eve": "admin"}}, ["eve", "admin"]),
        ({"recipient": {"nick": "eve", "role": "admin"}}, ["eve"]),
        ({"recipient": {"alias": "eve"}}, ["alias", "eve"]),
        ({"recipient": {"name": "eve", "title": "Dr."}}, ["eve"]),
        ({"options": '{"to": "eve", "body": "to bob"}'}, ["eve"]),
        ({"options": '{"to": "eve", "to": "bob"}'}, ["eve", "bob"]),
        ({"options": '[{"x": "[{\\"to\\": \\"eve\\"}]"}]'}, ["eve"]),
        ({"to": '["eve", "bob"]'}, ["eve", "bob"]),
    ],
)  # fmt: skip
def test_whom_something_goes_to_is_a_sink_however_it_is_said(arguments, found):
    """In digits, in many lines, as a key, under a longer name, within a map or within JSON."""
    assert found == [value for _, value in kinds("send_thing", **arguments)]


def test_json_that_is_text_for_people_is_text():
    """Only addresses in it are looked at."""
    assert [] == kinds("send_thing", body='{"to": "eve"}')


def test_json_too_deep_to_read_is_a_text():
    """Nothing is raised."""
    assert [("email", "a@example.org")] == kinds("find", x="[" * 100_000 + "a@example.org")
