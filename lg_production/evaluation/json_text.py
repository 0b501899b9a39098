"""JSON within a text: read as what it is, and changed without another spelling of the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

TOKEN = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:\d[\d.eE+\-]*|Infinity)|NaN|true|false|null', re.DOTALL
)
"""A text, a number or a literal of JSON that is known to be JSON."""
NOTHING = object()


def json_in(text: str) -> Any:
    """The object, array or text that the whole of a text is as JSON; `NOTHING` if it is none."""
    plain = text.strip()
    if plain[:1] not in ("{", "[", '"') or plain[-1:] not in ("}", "]", '"'):
        return NOTHING
    try:
        return json.loads(plain, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return NOTHING


def respelled(text: str, old: Any, new: Any) -> str:
    """The text that was `old` as JSON, and is to be `new`; what is the same keeps its spelling."""
    tokens, before, after = list(TOKEN.finditer(text)), [*leaves(old)], [*leaves(new)]
    if not len(tokens) == len(before) == len(after):  # two names became one, or it is too deep
        return json.dumps(new, ensure_ascii=text.isascii())
    parts, done = [], 0
    for token, was, now in zip(tokens, before, after, strict=True):
        if type(was) is not type(now) or was != now:
            spelled = json.dumps(now, ensure_ascii=token[0].isascii())
            parts += [text[done : token.start()], spelled]
            done = token.end()
    return "".join([*parts, text[done:]])


def leaves(value: Any) -> Iterator[Any]:
    """Names, texts, numbers and literals of a JSON value, in the order of their spelling."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            stack += [part for pair in reversed(one.items()) for part in reversed(pair)]
        elif isinstance(one, list):
            stack += reversed(one)
        else:
            yield one


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found
