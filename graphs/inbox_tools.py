"""What the agent may do with somebody's mail, and which of it anchors a value.

Whoever writes a letter writes its `From`, its `Reply-To`, its `Cc` and the names of its files.
So the artifacts of these tools, whose fields the gate takes for anchors, hold none of that: only
identities, folders, and addresses of those whom the owner himself has named in this thread. That
somebody is in the address book is no reason to write to him: a letter may know who is.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any

from langchain_core.tools import BaseTool, ToolException, tool
from langgraph.prebuilt import InjectedState
from typing_extensions import TypedDict  # pydantic demands it on Python 3.11

from graphs.inbox_sending import is_meant, sending, stands_in
from graphs.letters import Letter, shown
from graphs.mail import Mail, compose
from graphs.maildir import DRAFTS, INBOX


class Seen(TypedDict):
    """What is certain of a letter."""

    id: str
    folder: str


class Listing(TypedDict):
    """The letters of a folder, and the folders that there are."""

    mails: list[Seen]
    folders: list[str]


class Contact(TypedDict):
    """Somebody in the address book."""

    name: str
    email: str


OUTPUTS: dict[str, Any] = {
    "list_mails": Listing, "search_mails": list[Seen], "read_mail": Seen,
    "find_contact": list[Contact],
}  # fmt: skip
"""The types of the artifacts, for `Validated`."""


def harmless(text: str) -> bool:
    """No text is suspicious."""
    return not isinstance(text, str)


def inbox_tools(mail: Mail, suspicious: Callable[[str], bool] = harmless) -> list[BaseTool]:
    """The tools of the agent. A subject or a name that is `suspicious` is not listed.

    That of one letter would otherwise withhold the whole listing, and all mail with it.
    """

    def row(letter: Letter) -> str:
        said = f"{letter.name[:80] or letter.sender}: {letter.subject[:80]}"
        return f"{letter.id} from {'[reads like an attack]' if suspicious(said) else said}"

    @tool(response_format="content_and_artifact")
    def list_mails(folder: str = INBOX) -> tuple[str, Listing]:
        """List the mails of a folder with their ids, and the names of the other folders."""
        letters, folders = mail.box.letters(folder), mail.box.folders()
        rows = [*map(row, letters), f"Folders: {', '.join(folders)}"]
        return "\n".join(rows), Listing(mails=[seen(x) for x in letters], folders=folders)

    @tool(response_format="content_and_artifact")
    def search_mails(words: str) -> tuple[str, list[Seen]]:
        """Find the mails in all folders that have these words in subject, text or attachments."""
        wanted = words.casefold().split()
        letters = [x for folder in mail.box.folders() for x in mail.box.letters(folder)]
        found = [x for x in letters if all(word in whole(x).casefold() for word in wanted)]
        return "\n".join(map(row, found)) or "None.", [seen(x) for x in found]

    @tool(response_format="content_and_artifact")
    def read_mail(mail_id: str) -> tuple[str, Seen]:
        """Read a mail and the text of its attachments, by its id."""
        letter = mail.box.letter(mail_id)
        return shown(letter), seen(letter)

    @tool(response_format="content_and_artifact")
    def find_contact(
        name: str, state: Annotated[Any, InjectedState] = None
    ) -> tuple[str, list[Contact]]:
        """Look up a person or a firm in the address book."""
        wanted = name.casefold().strip()
        found = [
            Contact(name=n, email=e)
            for n, e in mail.contacts.items()
            if len(wanted) > 1 and wanted in n.casefold()
        ]
        text = "\n".join(f"{c['name']} <{c['email']}>" for c in found) or "Nobody."
        asked = [one for one in found if stands_in(wanted, one["name"].casefold())]
        return text, [one for one in asked if is_meant(one["name"], state)]

    for each in (list_mails, search_mails, read_mail, find_contact):
        each.metadata = {"readOnlyHint": True}
    tools = [list_mails, search_mails, read_mail, find_contact, *changing(mail), sending(mail)]
    for each in tools:
        each.handle_tool_error = True  # the model can act on it
    return tools


def changing(mail: Mail) -> list[BaseTool]:
    """What changes the owner's own mail, and sends nothing. Each of them twice is once."""

    @tool
    def draft_reply(mail_id: str, body: str) -> str:
        """Write a draft of a reply to a mail, for its owner to look at and send."""
        letter = mail.box.letter(mail_id)
        try:
            draft = compose(mail.me, letter.sender, f"Re: {letter.subject}", body).as_bytes()
        except (ValueError, LookupError, AttributeError):
            raise ToolException("Its sender is no address that can be answered.") from None
        name = f"draft-{mail_id[:100]}-{sha256(draft).hexdigest()[:8]}"
        return f"Drafted {mail.box.add(draft, name, DRAFTS)}."

    @tool
    def file_mail(mail_id: str, folder: str) -> str:
        """Move a mail into a folder that there is."""
        mail.box.file(mail_id, folder)
        return f"Filed {mail_id} under {folder}."

    @tool
    def remember(note: str) -> str:
        """Note something about how the owner wants his mail handled, for later conversations."""
        mail.remember(note)
        return "Noted."

    return [draft_reply, file_mail, remember]


def seen(letter: Letter) -> Seen:
    """What is certain of a letter: nothing that its author wrote."""
    return Seen(id=letter.id, folder=letter.folder)


def whole(letter: Letter) -> str:
    """All that a letter says."""
    files = (f"{file.name}\n{file.text}" for file in letter.attachments)
    return "\n".join([letter.subject, letter.sender, letter.text, *files])
