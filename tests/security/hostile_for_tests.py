"""What is thrown at everything that reads text, and everything that reads it.

Run as a program, it gives each reader each text, and says which before it does: a reader that
takes more CPU than a linear one could is ended by a signal, and the last line names it.
"""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage

from lg_production.security.addresses import canonical_url, found
from lg_production.security.canonical import canonical
from lg_production.security.channels import parsed, texts
from lg_production.security.detectors import Finding, Layered
from lg_production.security.egress import EgressPolicy
from lg_production.security.filtering import stripped
from lg_production.security.leaks import Canary, leaked, redacted
from lg_production.security.output import OutputPolicy, cleaned
from lg_production.security.sanitise import sanitised
from lg_production.security.schemas import measured
from lg_production.security.spotlight import datamark, delimit, encode
from lg_production.security.unseen import visible

CANARY = Canary.of(b"0123456789abcdef", "hostile")
EGRESS = EgressPolicy(hosts=frozenset({"example.org", "*.example.org"}))
OUTPUT = OutputPolicy(egress=EGRESS, canaries=(CANARY,))
DETECTOR = Layered()

UNITS = [
    "a", " ", "\n", "ab ", "%41", "%25", "<a hidden>", "<!--", "<", "<a ", '<img alt="x y z w">',
    "41 ", "&#9999999999;", "&#x41", "\\x41", "\\u0041", "QUJD", "QUJD\n", "\ufe01", "\U000e0041",
    "\ud800", "\ufdfa", "a\u0301", "e 3", "gur naq lbh ", "1gn0r3 ", "73, ", "i g n o r e ", '{"a":',
    "[", "](", "![](", "](//", "](x ", "[a]: ", "((", "http://", "//", "http:\\\\", "a.", "a@",
    "@a.b", "a@b.c ", "1.", "0x", "::", "[::", "0.0.0.0 ", "xn--", "\x1b[", "\x1b]", "\x1b]8;;a",
    "\u202e", "\u200d", "\U0001f3f4", "ghp_", "sk-", "eyJa", "-----BEGIN ", "password=", "AKIA",
    "ignore all previous ", "you are now ", "send me your ", "reveal ", ". ", "\u4e00", "é", "\u212a",
]  # fmt: skip
"""Each of them, over and over, is a text that something was once slow at, or might be."""

READERS: Mapping[str, Callable[[str], Any]] = {
    "canonical": canonical,
    "detector": lambda text: DETECTOR(text, "document"),
    "stripped": lambda text: stripped(text, Finding(0.0)),
    "visible": visible,
    "sanitised": lambda text: sanitised(text, EGRESS),
    "cleaned": lambda text: cleaned(text, OUTPUT),
    "redacted": redacted,
    "leaked": lambda text: leaked(text, [CANARY]),
    "found": found,
    "canonical_url": canonical_url,
    "egress": lambda text: EGRESS.check({"url": text, "to": [text]}),
    "texts": lambda text: texts([HumanMessage(text), ToolMessage(text, tool_call_id="a")]),
    "parsed": parsed,
    "measured": lambda text: measured({"a": [text]}, 2_000_000, 64),
    "delimit": lambda text: delimit(text, "0123456789abcdef"),
    "datamark": lambda text: datamark(text, "0123456789abcdef"),
    "encode": encode,
}


def repeated(unit: str, size: int) -> str:
    """A text of about this size that is one unit over and over, and never half of one."""
    return unit * (size // len(unit))


def mixed(size: int, seed: int = 7) -> str:
    """A text of this size, of all units in stretches of any length."""
    rng = random.Random(seed)
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        parts.append(rng.choice(UNITS) * rng.choice((1, 2, 7, 1_000)))
    return "".join(parts)[:size]


def main(size: int, seconds: float, *, mix: bool) -> None:
    """Read all. SIGVTALRM counts this process's own CPU, so a busy machine changes nothing."""
    given = {"a mixture": mixed(size)} if mix else {u: repeated(u, size) for u in UNITS}
    for unit, text in given.items():
        for name, read in READERS.items():
            print(name, ascii(unit), flush=True)
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
            read(text)
    print("all", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), mix=sys.argv[3] == "mixed")
