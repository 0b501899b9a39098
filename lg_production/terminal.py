"""What all commands share: where they print, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from .errors import LgProductionError

T = TypeVar("T")
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


def only(find: Callable[[], list[T]], key: str, kind: str) -> T:
    """The one thing whose key begins like this; a usage error where there is none, or more."""
    try:
        found = find()
    except ValueError as error:
        raise typer.BadParameter(f"{key!r} is not hexadecimal") from error
    if len(found) != 1:
        many = f"several {kind}s begin" if found else f"no {kind} begins"
        raise typer.BadParameter(f"{many} with {key!r}")
    return found[0]
