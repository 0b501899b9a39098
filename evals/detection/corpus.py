"""The texts to train on and to judge by, each with its source, in folds of whole sources."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from .generators import FAMILIES, attack, hard, listing, mail, order, record, request

DEV = Path("../shared/data/injection/dev.jsonl")
SEED = 20_260_501
LONGEST = 6_000
FOLD_OF = {
    "deepset": 0, "yanismiraoui": 0, "AgentSecurityBench": 0, "langchain-ai": 0,
    "S-Labs": 1, "garak": 1, "UKGovernmentBEIS": 1,
    "neuralchemy": 2, "agent-injection-bench": 2, "microsoft": 2,
    "bastioncorpus": 3, "inspect_evals": 3, "protectai": 3, "pydantic": 3,
}  # fmt: skip
WITHIN = re.compile(r"(?:wra|obf)[^(]*\((.*?)(?:\(core\))?\)(?: in .*)?$")
KINDS = {"security_doc": "docs", "doc": "docs", "code": "code", "json_record": "json"}


@dataclass(frozen=True, slots=True)
class Example:
    """A text, whether it is an attack, where it was found, and the fold that leaves it out."""

    text: str
    attack: bool
    channel: str
    source: str
    kind: str
    fold: int


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def dev(path: Path = DEV) -> Iterator[Example]:
    """The rows of `dev.jsonl`. A wrapped or obfuscated attack belongs to the attack's source."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        source = origin(row["source"])
        fold = next((f for name, f in FOLD_OF.items() if name in source), None)
        if "INJECTION_MARKER" in row["text"]:
            continue
        if fold is None:
            fold = spread(row["text"])
        kind = KINDS.get(row["category"], row["category"])
        yield Example(row["text"], row["label"] == 1, row["channel"], row["source"], kind, fold)


def origin(source: str) -> str:
    """Where a text comes from in the end: of one that is wrapped or disguised, the source in it."""
    found = WITHIN.match(source)
    name = (found[1] if found else source).removesuffix("(core)")
    return re.sub(r"^(own|MIT package) .*", r"\1", name)


def spread(text: str) -> int:
    """A fold by the text itself, for sources that cannot be left out whole."""
    keys = re.sub(r"[^a-z]", "", text.lower())[:12]
    return hashlib.sha256(keys.encode()).digest()[0] % FAMILIES


def own(count: int = 500) -> Iterator[Example]:
    """Generated texts: a family of each kind a fold."""
    rng = random.Random(SEED)
    for family in range(FAMILIES):
        name = f"own {family}"
        for _ in range(count):
            yield Example(mail(family, rng), False, "document", f"{name} e-mail", "e-mail", family)
            yield Example(
                record(family, rng), False, "tool_output", f"{name} record", "json", family
            )
        for _ in range(count):
            yield Example(attack(family, rng), True, "user", f"{name} attack", "attack", family)
            yield Example(request(family, rng), False, "user", f"{name} request", "request", family)
        for _ in range(count):
            yield Example(order(family, rng), True, "order", f"{name} order", "order", family)
    for number in range(count):
        text = hard(rng)
        yield Example(text, False, "user", "own prompts", "hard", number % FAMILIES)
    for number in range(count):
        yield Example(listing(rng), False, "tool_output", "own lists", "listing", number % FAMILIES)


def installed(count: int = 900, size: int = 1_200) -> Iterator[Example]:
    """Documentation and code of the installed packages under the MIT licence, in pieces."""
    rng = random.Random(SEED)
    pieces: list[Example] = []
    for package in sorted(distributions(), key=lambda d: d.metadata["Name"].lower()):
        meta: Any = package.metadata
        classifiers = " ".join(meta.get_all("Classifier") or [])
        licence = f"{meta.get('License-Expression') or ''} {meta.get('License') or ''}"[:60]
        if "MIT" not in licence + classifiers or meta["Name"] == "lg_production":
            continue
        name = meta["Name"]
        fold = hashlib.sha256(name.encode()).digest()[0] % FAMILIES
        texts = [("docs", str(meta.get_payload() or ""))]
        for file in rng.sample(
            sorted(package.files or [], key=str), k=min(6, len(package.files or []))
        ):
            path = Path(str(package.locate_file(file)))
            if path.suffix in (".py", ".md", ".rst") and path.is_file():
                kind = "code" if path.suffix == ".py" else "docs"
                texts.append((kind, path.read_text(encoding="utf-8", errors="ignore")[:60_000]))
        for kind, text in texts:
            starts = list(range(0, len(text), size))
            pieces += [
                Example(text[s : s + size], False, "document", f"MIT package {name}", kind, fold)
                for s in rng.sample(starts, k=min(8, len(starts)))
                if len(text[s : s + size].split()) > 20
            ]
    yield from rng.sample(pieces, k=min(count, len(pieces)))


def everything() -> list[Example]:
    """All texts, cut to a length that a detector is to bear, without repetitions."""
    found = {e.text[:LONGEST]: e for e in [*dev(), *own(), *installed()]}
    return list(found.values())
