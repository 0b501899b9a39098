"""Hashes that name things: one spelling for keys, fingerprints and digests."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from pydantic_core import to_jsonable_python

NOT_UTF8 = "no UTF-8, such as half a surrogate pair; decode what was read with errors='replace'"
"""What is wrong with a text that cannot be written, and what to do about it."""


def digest(*parts: str) -> bytes:
    """SHA-256 over length-prefixed parts, so that no two lists of parts collide."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.digest()


def canonical(value: Any) -> str:
    """JSON in one spelling: sorted keys, no spaces, and 300.0 is 300 (after RFC 8785).

    Raises `UnicodeEncodeError` with a remedy where half a surrogate pair cannot be spelled.
    """
    try:
        jsonable = to_jsonable_python(value)
    except UnicodeEncodeError as wrong:
        place = wrong.encoding, wrong.object, wrong.start, wrong.end
        raise UnicodeEncodeError(*place, NOT_UTF8) from None
    return json.dumps(
        _integral(jsonable), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def _integral(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            return {"float": str(value)}  # JSON has no word for it
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {k: _integral(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_integral(v) for v in value]
    return value
