"""Every tool of the inbox by itself, on a maildir and a real SMTP server, without a model."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from pydantic import ValidationError

from graphs.inbox_policy import POLICIES, READS, suspicious
from graphs.inbox_tools import inbox_tools
from graphs.mail import Mail, Post, mail, seed

DANA = "dana@northwind.example"
LETTER = {"to": DANA, "subject": "Hello", "body": "Thursday is fine.", "key": "k"}


@pytest.fixture
def own(tmp_path: Path) -> Mail:
    """The mail, and no server: nobody sends."""
    seed(tmp_path)
    return Mail(tmp_path, Post(1, tmp_path / "sent.jsonl"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Mail]:
    """The mail with its server."""
    with mail(tmp_path, timeout=1) as own:
        yield own


def using(own: Mail, tool_name: str, /, **arguments: Any) -> ToolMessage:
    """What the model is told, and the artifact that it is not."""
    (tool,) = [one for one in inbox_tools(own, suspicious) if one.name == tool_name]
    said = tool.invoke({"name": tool_name, "args": arguments, "id": "1", "type": "tool_call"})
    assert isinstance(said, ToolMessage)
    return said


def ids(own: Mail, folder: str = "INBOX") -> list[str]:
    return [letter.id for letter in own.box.letters(folder)]


def test_every_tool_has_a_policy_for_its_effect(own):
    """And those that only read say so themselves."""
    tools = {
        tool.name: (tool.metadata or {}).get("readOnlyHint", False) for tool in inbox_tools(own)
    }

    assert set(POLICIES) == set(tools)
    assert set(READS) == {name for name, reads in tools.items() if reads}


# ------------------------------------------------------------------------- what only reads


def test_a_folder_is_listed_by_ids_names_and_subjects(own):
    """One line each, and the folders that there are."""
    said = using(own, "list_mails")

    assert "mail-02 from Ropeworks: Invoice INV-0231" in said.text.splitlines()
    assert "Folders: INBOX, Archive, Drafts, Invoices" == said.text.splitlines()[-1]
    assert ids(own) == [one["id"] for one in said.artifact["mails"]]


def test_an_empty_folder_is_listed_as_empty(own):
    """Only the folders are told."""
    said = using(own, "list_mails", folder="Archive")

    assert ("Folders: INBOX, Archive, Drafts, Invoices", []) == (said.text, said.artifact["mails"])


@pytest.mark.parametrize("folder", ["Nowhere", "../..", "", "inbox"])
def test_a_folder_that_there_is_not_is_told_to_the_model(own, folder):
    """An error that it can act on."""
    said = using(own, "list_mails", folder=folder)

    assert ("error", f"There is no folder {folder!r}.") == (said.status, said.content)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("invoice inv-", ["mail-02", "mail-03", "mail-04"]),
        ("880 EUROS", ["mail-03"]),
        ("smørebrød", ["mail-07"]),
        ("drawings yard", ["mail-01"]),
        ("nothing of the kind", []),
    ],
)
def test_mails_are_found_by_all_of_their_words(own, words, found):
    """In any case and order, in subjects, texts and files; and "None." says that there is none."""
    said = using(own, "search_mails", words=words)

    assert found == [one["id"] for one in said.artifact]
    assert bool(said.artifact) == (said.text != "None.")


def test_a_mail_is_read_with_its_files(own):
    """Head, text, and the text of what was sent with it."""
    said = using(own, "read_mail", mail_id="mail-02")

    assert "Subject: Invoice INV-0231" in said.text
    assert "Total: 1240 euros" in said.text
    assert {"id": "mail-02", "folder": "INBOX"} == said.artifact


@pytest.mark.parametrize("mail_id", ["mail-99", "", "../contacts.json", "mail-01:2,"])
@pytest.mark.parametrize("name", ["read_mail", "draft_reply", "file_mail"])
def test_a_mail_that_there_is_not_is_told_to_the_model(own, name, mail_id):
    """By every tool that takes an identity; and nothing was moved or written."""
    more = {"draft_reply": {"body": "hi"}, "file_mail": {"folder": "Archive"}}.get(name, {})
    before = ids(own)
    said = using(own, name, mail_id=mail_id, **more)

    assert ("error", f"There is no mail {mail_id!r}.") == (said.status, said.content)
    assert (before, [], []) == (ids(own), ids(own, "Drafts"), ids(own, "Archive"))


@pytest.mark.parametrize(
    ("name", "found"),
    [("dana", [DANA]), (" KEEL ", ["books@keel.example"]), ("Bob", []), ("@", [])],
)
def test_somebody_is_found_in_the_address_book_by_a_part_of_the_name(own, name, found):
    """Names, not addresses; "Nobody." where there is none."""
    said = using(own, "find_contact", name=name)

    assert (found != []) == (said.text != "Nobody.")
    assert [] == [address for address in found if address not in said.text]


# ------------------------------------------------------------- what changes the owner's mail


@pytest.mark.parametrize("body", ["Thursday is fine.", "", "Smørebrød\n\n.\nQUIT", "x" * 50_000])
def test_a_draft_is_written_and_sent_to_nobody(own, body):
    """To whoever wrote the mail, with its subject, under Drafts."""
    said = using(own, "draft_reply", mail_id="mail-01", body=body)
    (draft,) = own.box.letters("Drafts")

    assert ("success", f"Drafted {draft.id}.") == (said.status, said.content)
    assert (DANA, "Re: A visit on Thursday?") == (draft.to, draft.subject)
    assert body.split() == draft.text.split()
    assert [] == own.post.sent()


def test_a_mail_is_filed(own):
    """It is moved, and nothing else is."""
    said = using(own, "file_mail", mail_id="mail-02", folder="Invoices")

    assert "Filed mail-02 under Invoices." == said.content
    assert ["mail-02"] == ids(own, "Invoices")
    assert "mail-02" not in ids(own)


def test_a_mail_is_not_filed_where_there_is_no_folder(own):
    """No tool makes one."""
    before = ids(own)
    said = using(own, "file_mail", mail_id="mail-02", folder="Taxes")

    assert ("error", "There is no folder 'Taxes'.") == (said.status, said.content)
    assert before == ids(own)


def test_a_mail_is_not_filed_over_another(own):
    """The model is told, and both are where they were."""
    own.box.add(b"Subject: other\r\n\r\nhello", "mail-02", "Invoices")
    said = using(own, "file_mail", mail_id="mail-02", folder="Invoices")

    assert "error" == said.status
    assert "Invoices has another mail 'mail-02' already: it was not moved." == said.content
    assert ["other"] == [letter.subject for letter in own.box.letters("Invoices")]
    assert "mail-02" in ids(own)


def test_a_note_is_one_line_and_is_kept_once(own):
    """Whatever white space is in it, so that no note can look like two."""
    for note in ("call Dana\nDr Lind", "call  Dana Dr\tLind", "another"):
        using(own, "remember", note=note)

    assert ["call Dana Dr Lind", "another"] == own.notes


# ----------------------------------------------------------------------- what lets something out


def test_a_mail_is_sent_and_its_message_id_is_made_of_the_key(served):
    """So the server knows it again; the answer names who got it."""
    said = [using(served, "send_mail", **LETTER).content for _ in range(2)]
    (sent,) = served.post.sent()

    assert [f"Sent 'Hello' to {DANA}"] * 2 == said
    assert ("<k@harbour.example>", [DANA]) == (sent["message_id"], sent["to"])


@pytest.mark.parametrize(
    "changed",
    [
        {"to": ""},
        {"to": "Dana"},
        {"to": f"Dana <{DANA}>"},
        {"to": f"{DANA} eve@evil.com"},
        {"bcc": "eve@evil.com>"},
        {"cc": ", ".join(f"a{n}@b.example" for n in range(10))},
        {"subject": "Hello\nBcc: eve@evil.com"},
    ],
    ids=["nobody", "a name", "brackets", "two in one", "a copy", "too many", "two lines"],
)
def test_what_is_no_letter_is_not_sent_and_says_why(served, changed):
    """An error that the model can act on, and nothing left the house."""
    said = using(served, "send_mail", **{**LETTER, **changed})

    assert "error" == said.status
    assert [] == served.post.sent()


def test_a_letter_that_the_server_refused_is_sent_once_with_the_same_key(served):
    """The refusal is raised: whether to try again is not the model's to say."""
    served.post.fail("unavailable")
    with pytest.raises(smtplib.SMTPException):
        using(served, "send_mail", **LETTER)
    before = served.post.recipients()
    using(served, "send_mail", **LETTER)

    assert ([], [DANA]) == (before, served.post.recipients())


@pytest.mark.parametrize("missing", ["to", "subject", "body"])
def test_a_mail_needs_somebody_a_subject_and_a_text(own, missing):
    """Refused before anybody is called."""
    with pytest.raises(ValidationError):
        using(own, "send_mail", **{k: v for k, v in LETTER.items() if k != missing})
