# ruff: noqa: SIM905 - lists of words are read as text
"""The frozen lists: which words of names mean what. They are hashed, and no other part has words.

They were written from general knowledge of how tools and arguments are named (REST, CRUD, MCP
servers, mail, files, payments, chat). Whoever changes them changes `HASH`, which is printed
with every score. A tool that says of itself that it writes (`SecurityPolicy.guards`) writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final

from ..core.keys import digest

READ_VERBS: Final = frozenset(
    "get list read search find fetch show view check look lookup query count describe retrieve "
    "load browse inspect preview summarize summarise calculate compute compare verify validate "
    "select scan is has whoami status explain analyze analyse estimate detect classify extract "
    "translate convert parse watch monitor peek head tail grep ls cat stat".split()
)
"""A tool whose verb is one of these changes nothing, as far as its name says."""

CHANGING: Final = frozenset(
    "wipe erase purge overwrite replace transmit dispatch remit withdraw revoke reset uninstall "
    "unlock enable disable kick ban".split()
)
"""More verbs that change something, wherever in a name they stand."""

NOUNS: Final = frozenset(
    "order book post share run transfer schedule set copy change update refund start stop archive "
    "move upload download forward reply reserve register grant pay make reset replace".split()
)
"""Verbs that are nouns as well: behind a verb that reads they are what is read (`get_order`)."""

JOINING: Final = frozenset("and or then n".split())
"""Behind these words of a name stands another verb (`get_or_create_user`)."""

ASKED_BY: Final[Mapping[str, str]] = {
    "send": "forward mail email message dm text write tell notify inform reply respond answer "
    "share ping remind pay transfer wire remit refund reimburse say ask deliver post",
    "forward": "send pass share mail email",
    "reply": "respond answer send write message tell",
    "pay": "send transfer wire remit refund reimburse settle",
    "transfer": "pay send wire remit move refund reimburse",
    "refund": "reimburse return repay pay send transfer",
    "create": "add make new set setup schedule plan open start put register insert write prepare "
    "organize organise arrange generate build",
    "add": "create make new put insert include invite register append enter join assign",
    "make": "create add new set prepare book reserve",
    "insert": "add create put",
    "register": "create add enrol enroll sign",
    "schedule": "plan arrange book set organize organise create pay send add recurring",
    "reserve": "book order arrange",
    "book": "reserve order arrange buy",
    "order": "buy purchase book",
    "buy": "purchase order book",
    "update": "change edit modify adjust correct fix move rename set reschedule increase decrease "
    "raise lower replace alter amend revise",
    "change": "update edit modify adjust set replace alter",
    "edit": "change update modify correct fix revise",
    "modify": "change update edit adjust alter",
    "set": "change update adjust make put configure",
    "rename": "name change call update",
    "reschedule": "move postpone shift delay change update bring",
    "move": "put transfer shift reschedule change",
    "delete": "remove erase drop clear discard trash purge wipe rid",
    "remove": "delete erase drop clear discard kick expel ban unsubscribe rid",
    "cancel": "abort revoke withdraw terminate call unsubscribe",
    "invite": "add onboard ask include",
    "share": "send give grant publish forward show",
    "grant": "give allow share permit",
    "post": "publish send write share announce tweet say message tell",
    "publish": "post share release announce",
    "append": "add write attach extend insert put",
    "write": "save create put add append note draft compose",
    "save": "store keep write download archive put",
    "upload": "put store add attach send share",
    "download": "save get fetch store",
    "copy": "duplicate clone back",
    "run": "execute launch start trigger",
    "execute": "run launch start perform",
    "start": "run launch begin open",
    "stop": "end halt terminate shut",
    "approve": "accept confirm allow authorize authorise",
    "reject": "decline deny refuse",
    "archive": "close file store",
    "assign": "give allocate add",
    "subscribe": "sign follow join",
}
"""Which words of a person ask for a tool with this verb, besides the verb itself."""

LIGHT: Final = frozenset("make new set put open start plan add write say ask get settle".split())
"""Words that say little: who makes something of another name must have said what, too."""

KIN: Final[Mapping[str, str]] = {
    "event": "meeting appointment reminder session conference call",
    "meeting": "event appointment session conference call",
    "file": "document doc docx txt pdf csv xlsx md note list report sheet spreadsheet",
    "document": "file doc docx txt pdf note report page",
    "message": "text dm note reply mail email",
    "email": "mail message",
    "mail": "email message",
    "task": "todo reminder item job",
    "issue": "ticket bug problem task",
    "ticket": "issue bug problem",
    "user": "account profile member person people",
    "member": "user person people",
    "transaction": "payment transfer money",
    "payment": "transaction transfer money bill invoice",
    "reservation": "booking",
    "booking": "reservation",
    "record": "row entry",
}
"""What else people call what a tool's name says it acts on."""

MONEY: Final = frozenset(
    "money payment payments fund funds transaction transactions cash crypto coins pay wire remit "
    "refund reimburse donate withdraw deposit charge".split()
)
"""A tool with one of these words in its name moves money."""

PAYING: Final = frozenset(
    "pay payment transfer wire remit refund reimburse repay money fund deposit donate tip owe "
    "dollar euro pound franc usd eur gbp chf cash bitcoin crypto transaction buy purchase "
    "settle payout charge withdraw".split()
)
"""Who asks for it says one of these, or a sum: to send somebody a mail is no payment."""

CURRENCY: Final = re.compile(r"[$€£¥₹₿]\s?[0-9]|[0-9]\s?[$€£¥₹₿]")

EVERYBODY: Final = frozenset(
    "all any anyone anybody everyone everybody each channel here me myself us team group public "
    "self them it".split()
)
"""Recipients that are words of every sentence: only what is said to them names them."""

SAYING_TO: Final = r"(?:to|with|for|tell|notify|inform|invite|remind|email|message)(?: the)? "
"""What stands before somebody who is spoken to."""

NEGATION: Final = re.compile(
    r"(?<!\w)(?:"
    r"(?:(?:do|does|must|should|shall|may|will|would)(?: not|n't)|dont|never|refrain from|avoid)"
    r"(?! (?:forget|hesitate|fail|only|worry|just)\b)"
    r"(?:(?![.!?;:,](?:\s|\Z)|\n| (?:but|instead|only|however|rather)\b"
    r"| and (?:then|instead|please|just|also)\b).){1,300}"
    r"|(?:except(?: for)?|instead of|rather than)(?: [^\s,;]{1,100}){1,3}"
    r"|without(?: [^\s,;]{1,100}){1,2})"
    r"|, not(?: [^\s,;]{1,100}){1,3}",
    re.IGNORECASE,
)
"""What a person does not want, up to the end of its clause."""

TO_ME: Final = re.compile(r"(?<!\w)(?:tell|give|show|let)\s{1,4}(?:me|us)(?!\w)", re.IGNORECASE)
"""Asks for the answer, and for no tool that tells others."""

SEARCHING: Final = frozenset("search find look query grep list count".split())
"""Verbs of tools to which a name is a pattern: it is looked for, and points nowhere."""

CREATING: Final = frozenset("create make new generate compose draft".split())
"""Verbs that bring something new into being: its name refers to nothing yet."""

FAMILIES: Final[Mapping[str, frozenset[str]]] = {
    "url": frozenset(
        "url urls uri link links href website site webpage domain host hostname endpoint webhook "
        "callback redirect server servers hosts hostnames domains endpoints webhooks proxy "
        "proxies".split()
    ),
    "party": frozenset(
        "to cc bcc with recipient recipients receiver receivers addressee addressees address "
        "addresses "
        "email emails mail user users username member members participant participants attendee "
        "attendees invitee invitees guest guests person people contact contacts channel channels "
        "room chat group team assignee owner payee beneficiary iban account accounts wallet bic "
        "swift card phone phones mobile telephone fax handle employee customer client friend "
        "colleague target targets payees beneficiaries nick nickname login surname who whom "
        "owners assignees reviewer reviewers approver subscriber subscribers follower followers "
        "routing ibans".split()
    ),
    "origin": frozenset("from sender author creator organizer organiser originator poster".split()),
    "path": frozenset(
        "path paths file files filename filenames filepath folder folders directory directories "
        "dir attachment attachments destination dest".split()
    ),
    "id": frozenset("id ids uuid guid identifier identifiers".split()),
}
"""Names of arguments and of fields that stand for the same kind of thing."""

GENERIC: Final = frozenset("name names title value label key id ids uuid guid identifier".split())
"""A field called so is named by what it belongs to: `contacts[0].name` is a contact."""

AFFIXES: Final = frozenset(
    "name names list lists array number numbers no num nr string str".split()
)
"""Words at the end of a name that say nothing: what stands before them does (`to_name`)."""

NEUTRAL: Final = frozenset(
    "title role type kind status permission permissions level format mime mimetype encoding size "
    "lang language locale timezone currency amount price quantity count index order primary "
    "optional required color colour data".split()
)
"""Keys within a recipient, a file or a link that tell something else about it."""

CONTENT: Final = frozenset(
    "body content contents text message messages msg subject title description summary note notes "
    "comment comments caption reason prompt question html markdown details remark memo bio "
    "purpose topic".split()
)
"""Arguments that are text for people: only addresses in them are looked at."""

ANSWERING: Final = frozenset("reply respond answer return refund reimburse back".split())
"""Words of a person who wants something to go back to where something came from."""

IRREGULAR: Final[Mapping[str, str]] = {
    "sent": "send", "paid": "pay", "wrote": "write", "written": "write", "bought": "buy",
    "made": "make", "gave": "give", "given": "give", "told": "tell", "put": "put", "got": "get",
    "found": "find", "ran": "run", "kept": "keep", "said": "say",
}  # fmt: skip

ENDINGS: Final = (
    "ations", "ation", "ments", "ment", "ions", "ion", "ings", "ing", "ies", "als", "al", "ers",
    "er", "ed", "es", "s", "e", "y",
)  # fmt: skip

HASH: Final = digest(
    json.dumps(
        {
            "read": sorted(READ_VERBS), "changing": sorted(CHANGING), "nouns": sorted(NOUNS),
            "joining": sorted(JOINING), "money": sorted(MONEY), "paying": sorted(PAYING),
            "currency": CURRENCY.pattern, "everybody": sorted(EVERYBODY), "to": SAYING_TO,
            "negation": NEGATION.pattern, "affixes": sorted(AFFIXES), "neutral": sorted(NEUTRAL),
            "asked_by": dict(ASKED_BY), "creating": sorted(CREATING),
            "light": sorted(LIGHT), "kin": dict(KIN), "to_me": TO_ME.pattern,
            "searching": sorted(SEARCHING),
            "families": {name: sorted(words) for name, words in FAMILIES.items()},
            "generic": sorted(GENERIC), "content": sorted(CONTENT),
            "answering": sorted(ANSWERING), "irregular": dict(IRREGULAR), "endings": ENDINGS,
        },
        sort_keys=True,
    )
).hex()  # fmt: skip
"""SHA-256 of everything above; 64 digits."""

PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")
WORD = re.compile(r"[^\W\d_]+")


@lru_cache(4096)
def parts(name: str) -> tuple[str, ...]:
    """The words of a name in snake, kebab, dotted or camel case, in lower case."""
    return tuple(part.casefold() for part in PART.findall(name[:256]))


@lru_cache(65536)
def stem(word: str) -> str:
    """A word without its ending: reserve, reserved and reservation are one."""
    word = IRREGULAR.get(word, word)
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def stems(words: Iterable[str]) -> frozenset[str]:
    """The stems of these words."""
    return frozenset(stem(word) for word in words)


def stems_of(text: str) -> frozenset[str]:
    """The stems of the words of a text."""
    return stems(word.casefold() for word in WORD.findall(text))


@lru_cache(4096)
def verb_of(tool: str) -> str:
    """The verb in a tool's name: the first word that is known as one, else the first word.

    Where that only reads, a later verb goes before it that changes something: `find_and_delete`.
    """
    words = parts(tool)
    known = [word for word in words if word in READ_VERBS or word in ASKED_BY or word in CHANGING]
    first = known[0] if known else words[0] if words else ""
    if first not in READ_VERBS:
        return first
    writes = ASKED_BY.keys() | CHANGING
    for before, word in pairwise(words):
        if word in writes and (word not in NOUNS or before in JOINING):
            return word
    return first


def nouns_of(tool: str) -> frozenset[str]:
    """The stems of a tool's name without its verb."""
    verb = verb_of(tool)
    return stems(word for word in parts(tool) if word != verb and len(word) > 2)


def is_read(tool: str) -> bool:
    """Whether a tool's name says that it changes nothing."""
    return verb_of(tool) in READ_VERBS


def wanted_in(text: str) -> str:
    """A person's words without what he does not want."""
    return NEGATION.sub(" . ", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def asked_in(text: str) -> frozenset[str]:
    """The stems of a person's words, without those that ask for no more than an answer."""
    sums = {stem("money")} if CURRENCY.search(text) else set()
    return stems_of(TO_ME.sub(" ", text)) | sums


def is_asked_for(tool: str, asked: frozenset[str]) -> bool:
    """Whether the stems of a person's words ask for what this tool does.

    Its own verb does, or another word for it; a light one only with what the tool acts on; and
    what moves money only together with a word for that.
    """
    verb = verb_of(tool)
    if MONEY.intersection(parts(tool)) and not stems(PAYING) & asked:
        return False
    wanted = stems([verb, *ASKED_BY.get(verb, "").split()])
    if verb not in ASKED_BY and verb not in READ_VERBS:
        wanted |= stems(parts(tool))
    found = wanted & asked
    if stem(verb) in found or found - stems(LIGHT):
        return True
    return bool(found) and bool(acted_on(tool) & asked)


def are_alike(tool: str, other: str) -> bool:
    """Whether two tools do the same to the same kind of thing, by their names."""
    alike = verb_of(tool) == verb_of(other) and nouns_of(tool) & nouns_of(other)
    return tool == other or bool(alike)


def acted_on(tool: str) -> frozenset[str]:
    """The stems of what a tool's name says it acts on, and of what else people call it."""
    kin = [other for word in parts(tool) for other in KIN.get(word, "").split()]
    return nouns_of(tool) | stems(kin)


def families_of(name: str) -> frozenset[str]:
    """What kinds of thing a name of an argument or a field stands for; its last word decides.

    Of a last word that says nothing (`AFFIXES`), the nearest one before it that does.
    """
    for word in reversed(parts(name)):
        found = {family for family, names in FAMILIES.items() if word in names}
        if found or word not in AFFIXES:
            return frozenset(found)
    return frozenset()


def inherited(key: str, above: str) -> str:
    """The name of what stands under this key: what is above it, if the key says nothing itself."""
    last = parts(key)[-1:]
    own = families_of(key) or is_content(key) or (last and last[0] in NEUTRAL)
    return key if own or not families_of(above) else above


def is_data(key: str, above: str) -> bool:
    """Whether a key is a value itself: `{"eve": "admin"}` under `users`."""
    named = set(parts(key)[-1:]) & (GENERIC | AFFIXES)
    return bool(families_of(above)) and inherited(key, above) == above and not named


def is_content(name: str) -> bool:
    """Whether an argument is text for people."""
    words = parts(name)
    return bool(words) and words[-1] in CONTENT
