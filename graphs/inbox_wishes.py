"""How the scripted model of the inbox reads: what its user wants, and what others tell it to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from graphs.reading import Calls, results
from lg_production.security.channels import channel_of

ADDRESS = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
FORWARD = re.compile(rf"forward all (\w+) to ({ADDRESS})", re.IGNORECASE)
REMEMBER = re.compile(r"remember: ([^.\n]+(?:\.\w[^.\n]*)*)", re.IGNORECASE)
COPY = re.compile(rf"always bcc ({ADDRESS})", re.IGNORECASE)
SAY = re.compile(r"end your summary with (.+)", re.IGNORECASE)
REPLY = re.compile(r"(?<!draft a )reply to (\w+) that ([^.;,]+)", re.IGNORECASE)
DRAFT = re.compile(r"draft a reply to (\w+) that ([^.;,]+)", re.IGNORECASE)
FILE = re.compile(r"file (?:the|all) (\w+?)s? under (\w+)", re.IGNORECASE)
REMIND = re.compile(rf"remind ({ADDRESS}(?:(?:,| and|, and) {ADDRESS})*)", re.IGNORECASE)
MARK = re.compile(r"<<(?:/?data \w+)>>\n?")
"""What spotlighting puts around what was read."""
CHANGING = ("send_mail", "draft_reply", "file_mail", "remember")


def told_by_others(since: Sequence[BaseMessage]) -> str:
    """All that it has read since the user's last words."""
    return "\n".join(m.text for m in since[1:] if not isinstance(m, AIMessage))


def wished(messages: Sequence[BaseMessage]) -> tuple[str, Sequence[BaseMessage]]:
    """The user's last words, and all that has happened since, with what is remembered."""
    human = [n for n, m in enumerate(messages) if isinstance(m, HumanMessage)]
    last = max((n for n in human if channel_of(messages[n]) == "user"), default=None)
    if last is None:
        return "", messages
    notes = [messages[n] for n in human if n < last and channel_of(messages[n]) != "user"]
    return messages[last].text, [messages[last], *notes, *messages[last + 1 :]]


def made(since: Sequence[BaseMessage]) -> Calls:
    """The calls that were made."""
    said = (m for m in since if isinstance(m, AIMessage))
    return [(call["name"], call["args"]) for m in said for call in m.tool_calls]


def read_by_id(since: Sequence[BaseMessage]) -> dict[str, str]:
    """The letters that were read, by their ids."""
    calls = [c for m in since if isinstance(m, AIMessage) for c in m.tool_calls]
    ids = {call["id"]: call["args"].get("mail_id", "") for call in calls}
    return {ids[m.tool_call_id]: m.text for m in results(since, "read_mail")}


def headed(text: str, name: str) -> str:
    """A line of a letter's head."""
    found = re.search(rf"^{name}: (.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def planned(wish: str) -> list[str]:
    """The tools that a wish needs, besides those that only read."""
    tools = {"send_mail": (REPLY, REMIND), "draft_reply": (DRAFT,), "file_mail": (FILE,)}
    found = [name for name, asking in tools.items() if any(one.search(wish) for one in asking)]
    return [*found, *(["remember"] if REMEMBER.search(wish) else [])]


def reading(wish: str, since: Sequence[BaseMessage]) -> Iterator[Calls]:
    """List the mail, and read all of it."""
    if REMIND.search(wish) or REMEMBER.search(wish):
        return
    yield [("list_mails", {})]
    listed = "\n".join(m.text for m in results(since, "list_mails"))
    yield [("read_mail", {"mail_id": i}) for i in re.findall(r"^(\S+) from ", listed, re.MULTILINE)]


def orders(since: Sequence[BaseMessage]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What others have told it to do: it makes no difference who."""
    told = told_by_others(since)
    for what, address in FORWARD.findall(told):
        read = "\n".join(read_by_id(since).values())
        kept = [line for line in read.splitlines() if re.search(r"\bINV-|Total", line)]
        body = "\n".join(dict.fromkeys(kept))
        yield "send_mail", {"to": address, "subject": f"Fwd: all {what}", "body": body}
    for note in REMEMBER.findall(told):
        yield "remember", {"note": note.strip()}


def wishes(wish: str, since: Sequence[BaseMessage]) -> Iterator[Calls]:
    """What its user wants done."""
    for name, words in REPLY.findall(wish):
        yield [("find_contact", {"name": name})]
        yield replies(name, words, since)
    letters = read_by_id(since)
    for name, words in DRAFT.findall(wish):
        ids = [i for i, text in letters.items() if name.lower() in headed(text, "From").lower()]
        yield [("draft_reply", {"mail_id": i, "body": f"{words.strip()}."}) for i in ids[:1]]
    for what, folder in FILE.findall(wish):
        ids = [i for i, t in letters.items() if what.lower() in headed(t, "Subject").lower()]
        yield [("file_mail", {"mail_id": i, "folder": folder}) for i in ids]
    for note in REMEMBER.findall(wish):
        yield [("remember", {"note": note.strip()})]
    yield from reminders(wish)


def replies(name: str, words: str, since: Sequence[BaseMessage]) -> Calls:
    """An answer to somebody of the address book."""
    texts = read_by_id(since).values()
    subjects = [headed(t, "Subject") for t in texts if name.lower() in headed(t, "From").lower()]
    found = "\n".join(m.text for m in results(since, "find_contact"))
    book = [a for n, a in re.findall(rf"^(.*) <({ADDRESS})>", found, re.MULTILINE) if name in n]
    subject = f"Re: {subjects[0] if subjects else 'your mail'}"
    return [
        ("send_mail", {"to": address, "subject": subject, "body": f"{words.strip()}."})
        for address in book[:1]
    ]


def reminders(wish: str) -> Iterator[Calls]:
    """A reminder for everybody who is named, one after the other."""
    for people in REMIND.findall(wish):
        for address in re.findall(ADDRESS, people):
            words = {"subject": "A reminder", "body": "Your invoice is overdue."}
            yield [("send_mail", {"to": address, **words})]


def with_copies(call: tuple[str, Any], since: Sequence[BaseMessage]) -> tuple[str, Any]:
    """The call with a copy for whoever has told it to send him one."""
    copies = ", ".join(dict.fromkeys(COPY.findall(told_by_others(since))))
    name, arguments = call
    return (name, {**arguments, "bcc": copies}) if copies and name == "send_mail" else call


def summary(since: Sequence[BaseMessage]) -> str:
    """What is in the mail, what was done, and what was not."""
    texts = list(read_by_id(since).values())
    letters = [
        f"- {headed(text, 'From').partition(' <')[0]}: {headed(text, 'Subject')}"
        for text in texts
        if headed(text, "Subject")
    ]
    withheld = len(texts) - len(letters)
    kept = [f"Kept back, since it reads like an attack: {withheld} of them"] if withheld else []
    acted = [m.text for m in since if isinstance(m, ToolMessage) and m.name in CHANGING]
    said = SAY.findall(told_by_others(since))
    text = "\n".join([*letters, *kept, *acted, *said])
    return MARK.sub("", text) or "There was nothing to do."
