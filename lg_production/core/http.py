"""What the exceptions of HTTP clients carry. The clients are the user's: none is imported here."""

from __future__ import annotations


def status_of(error: BaseException) -> int | None:
    """The HTTP status an exception carries, as httpx, requests, aiohttp and openai carry it."""
    for holder in (getattr(error, "response", None), error):
        for name in ("status_code", "status"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 100 <= value <= 599:
                return value
    return None
