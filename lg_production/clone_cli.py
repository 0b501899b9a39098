"""What the Makefile offers, for people without make: it runs in a clone of the repository."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

COMMANDS: dict[str, tuple[str, Sequence[str]]] = {
    "test": ("Run the test suite.", ("-m", "pytest", "-q", "-n", "auto")),
    "torture": ("Random kill -9, until all work is done.", ("-m", "tests.torture")),
    "bench": ("What idempotency costs, beside others.", ("-m", "evals.benchmarks")),
    "evals-tau2": ("tau2-bench, every write delivered twice.", ("-m", "evals.tau2")),
    "studio": (
        "The booking graph in LangGraph Studio.",
        ("-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"),
    ),
}


def register(app: typer.Typer) -> None:
    """Add the commands; what stands behind them is passed on."""
    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    for name, (text, words) in COMMANDS.items():
        app.command(name, help=text, context_settings=settings)(_runs(words))


def _runs(words: Sequence[str]) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        if not Path("evals", "demo").is_dir():
            typer.echo("This is not part of the installed package.", err=True)
            typer.echo("Clone the repository, go into it, and run it there.", err=True)
            raise typer.Exit(1)
        command = [sys.executable, *words, *context.args]
        ended = subprocess.run(command, check=False)  # noqa: S603 - ourselves
        raise typer.Exit(ended.returncode)

    return run
