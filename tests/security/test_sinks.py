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
