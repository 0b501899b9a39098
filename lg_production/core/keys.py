"""Hashes that name things: one spelling for keys and fingerprints."""

from __future__ import annotations

import hashlib


def digest(*parts: str) -> bytes:
    """SHA-256 over length-prefixed parts, so that no two lists of parts collide."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.digest()
