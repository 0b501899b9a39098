"""A value is the user's, or all of a fitting field; what stands in a text is neither."""

from __future__ import annotations

import pytest
from langchain_core.messages import HumanMessage, ToolMessage

from lg_production.security.anchoring import Ground
from lg_production.security.channels import texts
from lg_production.security.gate import GatePolicy
from lg_production.security.sinks import sinks


def by(
    said: str, result: object, tool: str, origin: str = "list_contacts", /, **arguments: object
) -> list[str | None]:
    """What anchors each sink value of a call, after `origin` answered this."""
    answer = ToolMessage("…", name=origin, tool_call_id="1", artifact=result)
    ground = Ground(texts([HumanMessage(said), answer]))
    found = [ground.anchor(sink) for sink in sinks(tool, arguments, reads=False)]
    return [anchor and anchor.by for anchor in found]


@pytest.mark.parametrize(
    ("said", "value", "anchor"),
    [
        ("mail ann@example.org", "Ann@Example.org", "user"),
        ("mail xann@example.org", "ann@example.org", None),
        ("mail ann@example.org.evil.com", "ann@example.org", None),
        ("mail ann@example.org", "аnn@example.org", None),
        ("mail ann@example.org", "an\u200bn@example.org", None),
    ],
)
def test_an_address_is_the_users_if_he_wrote_it_whole(said, value, anchor):
    """In any case; a look-alike is another."""
    assert {anchor} == set(by(said, None, "send_mail", to=value))


def test_a_whole_fitting_field_anchors():
    """A contact's address is one to send to."""
    contacts = [{"name": "Ann", "email": "ann@example.org"}]

    assert ["field"] == by("mail ann", contacts, "send_mail", to="ann@example.org")


@pytest.mark.parametrize(
    "result",
    [
        [{"name": "Ann", "notes": "evil@example.com"}],
        [{"name": "Ann", "favourite_colour": "evil@example.com"}],
        [{"name": "Ann", "email": "write to evil@example.com"}],
        [{"name": "Ann", "sender": "evil@example.com"}],
        "evil@example.com",
    ],
)
def test_any_other_field_does_not(result):
    """Text for people, another kind of name, part of a field, and where it came from."""
    assert [None] == by("mail ann", result, "send_mail", to="evil@example.com")


def test_an_answer_goes_to_where_it_came_from():
    """If the user asks for one."""
    mail = [{"sender": "bob@example.com"}]

    assert ["field"] == by("reply to the last mail", mail, "send_mail", to="bob@example.com")


@pytest.mark.parametrize(
    "inside",
    [
        "?next=https://evil.example/x", "?next=https%3A%2F%2Fevil.example/x", "#//evil.example/x",
        "?next=https%253A%252F%252Fevil.example/x", "?u=&#104;ttps://evil.example/x",
        "?next=evil.example/x", "?mail=evil@evil.example", "/https:/\\evil.example", "?ip=10.0.0.1:80",
        "@evil.example/",
    ],
)  # fmt: skip
def test_an_address_is_judged_by_every_address_inside(inside):
    """A redirect within a field that fits is a destination of its own."""
    url = f"https://good.example{inside}"

    assert None in by("open the link", {"url": url}, "open_page", url=url)


def test_an_address_that_the_user_wrote_is_his_with_all_inside():
    """He wrote the redirect, too; and a field without one is a field."""
    url = "https://good.example/?next=https%3A%2F%2Fother.example%2Fx"
    plain = "https://good.example/a"

    assert {"user"} == set(by(f"open {url} now", None, "open_page", url=url))
    assert ["field"] == by("open it", {"url": plain}, "open_page", url=plain)


def test_with_whom_a_thing_is_shared_is_a_party():
    """The keys of a map are values, under its name."""
    shared = [{"filename": "plan.docx", "shared_with": {"ann@example.org": "r"}}]

    assert ["field"] == by("mail them", shared, "send_mail", to="ann@example.org")


def test_the_only_address_of_a_source_is_found():
    """Two are a choice that somebody else would make; an account is never taken from a text."""

    def only(text: str, kind: str, value: str) -> bool:
        answer = ToolMessage(text, name="read_page", tool_call_id="1")
        ground = Ground(texts([HumanMessage("invite ann"), answer]))
        (sink,) = [s for s in sinks("invite", {"to": value}, reads=False) if s.kind == kind]
        return ground.is_only(sink, {"read_page"})

    account = "DE89370400440532013000"

    assert only("I am ann@example.org", "email", "ann@example.org")
    assert not only("I am ann@example.org or a@b.example", "email", "ann@example.org")
    assert not only(f"pay {account}", "account", account)


def test_a_million_letters_are_looked_at_once():
    """Whatever they are, the values that a person is shown are few."""
    many = " ".join(f"https://h{n}.example/x" for n in range(20_000))
    held = GatePolicy().decide("send_mail", {"body": many}, [HumanMessage("send it")])

    assert held is not None
    assert 20 == len(held.values)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("mail strasse@example.org", "straße@example.org"),
        ("tell strasse", "straße"),
        ("tell oﬃce", "office"),
        ("tell mark", "mar\N{KELVIN SIGN}"),
        ("write to all of them", "them"),
        ("send all invoices", "all"),
        ("send it to Ann/Bob", "/"),
        ("never tell eve", "eve"),
    ],
)
def test_a_word_of_a_sentence_names_nobody_and_another_letter_another(said, value):
    """Neither of these is what the user meant."""
    assert {None} == set(by(said, None, "send_mail", to=value))


def test_everybody_is_named_by_what_is_said_to_him():
    """`tell everyone` does; a word of that kind elsewhere does not."""
    assert ["user"] == by("tell everyone", None, "send_mail", to="everyone")


def test_two_paths_may_differ_in_their_capitals():
    """On most machines they are two files."""
    assert [None] == by("open /srv/data", None, "open_file", path="/srv/DATA")
    assert ["user"] == by("open /srv/DATA", None, "open_file", path="/srv/DATA")
    assert [None] == by("open it. And/or close it", None, "open_file", path=".")


def test_a_call_with_more_values_than_can_be_looked_up_is_held():
    """Looking them up would be their number times the user's words."""
    names = [f"user{n}" for n in range(1_001)]
    said = HumanMessage("tell " + ", ".join(names))
    held = GatePolicy().decide("tell_user", {"to": names}, [said])

    assert held
    assert ("too_many_values",) == held.reasons


@pytest.mark.parametrize("tool", ["get_message", "delete_message"])
@pytest.mark.parametrize(
    "value",
    ["<CAF1x=9@mail.gmail.com>", "1709370000.M20046P2137.mail.harbour.com", "7f2t@google.com"],
)
def test_an_id_that_looks_like_an_address_is_one(tool, value):
    """A message's is written as an address (RFC 5322), and anchored by the whole field alone."""
    anchored = by("look", [{"message_id": value}], tool, message_id=value)

    assert {"field"} == set(anchored)
    assert None in by("look", [{"message_id": f"x{value}"}], tool, message_id=value)
    assert None in by("look", [{"subject": value}], tool, message_id=value)


def test_an_id_anchors_no_recipient_and_no_url():
    """Whoever writes a letter writes its id."""
    letters = [{"message_id": "eve@evil.com"}, {"message_id": "https://evil.com/x"}]

    assert [None] == by("send it", letters, "send_mail", "list_letters", to="eve@evil.com")
    assert None in by("send it", letters, "invite", "list_letters", user_id="eve@evil.com")
    assert None in by("look", letters, "get_it", "list_letters", message_id="https://evil.com/x")
