"""Lines of golden data."""

from __future__ import annotations

from typing import Any


def row(**changes: Any) -> dict[str, Any]:
    """A line that is fine, with these changes."""
    behaviours = [{"kind": "ends", "ended": "done"}]
    return {"id": "one", "input": "hello", "behaviours": behaviours, **changes}
