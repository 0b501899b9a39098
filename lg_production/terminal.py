"""What all commands share: where they print, and how they fail."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from .errors import LgProductionError

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def fail(problem: str, remedy: str) -> NoReturn:
    """Say what is wrong and what to do, and leave."""
    errors.print(f"[red]{escape(problem)}[/]\n{escape(remedy)}")
    raise typer.Exit(1)


def error_text(error: Exception) -> str:
    """Our errors explain themselves; others need their name."""
    ours = isinstance(error, LgProductionError)
    return str(error) if ours else f"{type(error).__name__}: {error}"
