"""Texts made from the grammar, each the same for the same seed.

`grammar.json` was written for this project (CC0): ordinary e-mail, records, lists of mail,
harmless prompts with the words of an attack, and instructions to agents; four families of most, to
leave one out.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

GRAMMAR = Path(__file__).with_name("grammar.json")
DATA: dict[str, list[str]] = json.loads(GRAMMAR.read_text(encoding="utf-8"))
SLOT = re.compile(r"\{(\w+)\}")
FAMILIES = 4


def fill(name: str, rng: random.Random, **own: str) -> str:
    """One text of a rule of the grammar."""
    text = rng.choice(DATA[name])
    for _ in range(6):
        text = SLOT.sub(lambda m: own.get(m[1]) or rng.choice(DATA[m[1]]), text)
    return text.replace("{{", "{").replace("}}", "}")


def mail(family: int, rng: random.Random) -> str:
    """An ordinary e-mail."""
    return fill(f"mail{family}", rng)


def record(family: int, rng: random.Random) -> str:
    """What a tool may answer: a record, a list, a log, a page."""
    text = fill(f"json{family}", rng)
    return text if rng.random() < 0.7 else json.dumps({"result": text, "ok": True})


def listing(rng: random.Random) -> str:
    """A list of mail, from people and hosts whose names mean nothing, however they sound."""
    return fill("box", rng, one=rng.choice(DATA["listed"]))


def hard(rng: random.Random) -> str:
    """A harmless prompt with the words of an attack."""
    return fill("hard", rng)


def order(family: int, rng: random.Random) -> str:
    """An instruction to an agent, as an attacker would leave it in data."""
    orders = [fill(f"order{family}", rng, act=fill(f"act{family}", rng))]
    if rng.random() < 0.3:
        orders.append(fill(f"order{family}", rng, act=fill(f"act{family}", rng)))
    return sentence(" ".join(orders))


def attack(family: int, rng: random.Random) -> str:
    """A request that tries to turn the assistant against its developer."""
    return sentence(fill(f"attack{family}", rng))


def request(family: int, rng: random.Random) -> str:
    """An ordinary request."""
    return sentence(fill(f"request{family}", rng))


def sentence(text: str) -> str:
    """The text with a capital at its start."""
    return text[0].upper() + text[1:]
