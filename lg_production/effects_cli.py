"""`lg-production effects`: see what is in doubt, and settle it as a person."""

from __future__ import annotations

import getpass
import json
from datetime import timedelta
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .core.database import Database
from .core.keys import digest
from .idempotency import decisions, ledger, maintenance
from .idempotency.decisions import ACTIONS, Decision
from .idempotency.key import canonical
from .idempotency.maintenance import Entry
from .idempotency.questions import outcome_of
from .terminal import only

effects = typer.Typer(no_args_is_help=True, help="The ledger of effects.")
console = Console()


def database_of(context: typer.Context) -> Database:
    """The database that the main command opened for this invocation."""
    database = context.find_root().obj
    if not isinstance(database, Database):
        raise typer.BadParameter("no database: set DATABASE_URL or pass --database-url")
    return database


@effects.command("list")
def list_(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="For example in_doubt.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only this thread.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List effects, newest first; those in doubt oldest first."""
    found = database_of(context).execute(
        maintenance.entries(state=_state(state), thread_id=thread, tenant=tenant, limit=limit)
    )
    if as_json:
        for entry in found:
            typer.echo(json.dumps(_plain(entry), default=str))
        return
    table = Table(Column("key", no_wrap=True), "tool", Column("state", no_wrap=True), box=None)
    for heading in ("version", "attempt", "age", "thread"):
        table.add_column(heading)
    for entry in found:
        effect = entry.effect
        age = str(timedelta(seconds=round(effect.age.total_seconds())))
        version, attempt = str(effect.version), str(effect.attempt)
        key = effect.key.hex()[:12]
        tool, thread_id = escape(effect.tool), escape(entry.thread_id or "")
        table.add_row(key, tool, effect.state, version, attempt, age, thread_id)
    console.print(table if found else "No effects.")


@effects.command()
def show(
    context: typer.Context, key: Annotated[str, typer.Argument(help="A key, or its beginning.")]
) -> None:
    """Show one effect whole, with the decisions about it."""
    database = database_of(context)
    entry = _one(database, key)
    for name, value in _plain(entry).items():
        console.print(f"[bold]{name:>14}[/]  {escape(_text(value))}", highlight=False)
    for at, action, by, reason, version in database.execute(maintenance.history(entry.effect.key)):
        console.print(f"[bold]      decision[/]  {at:%Y-%m-%d %H:%M:%S} {action} of version "
                      f"{version} by {escape(by)}: {escape(reason)}", highlight=False)  # fmt: skip


@effects.command()
def resolve(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A key, or its beginning.")],
    action: Annotated[str, typer.Argument(help="approve: run it again at the next resume. "
                      "respond: it happened. reject: it did not, and shall not run.")],
    version: Annotated[int, typer.Option(help="The version you saw (effects show).")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")],
    message: Annotated[str, typer.Option(help="For respond: what the tool would have said.")] = "",
    by: Annotated[str, typer.Option(help="Who decides.")] = "",
) -> None:  # fmt: skip
    """Settle an effect in doubt, or approve one that failed. Refused if it has changed."""
    if action not in ACTIONS:
        raise typer.BadParameter(f"{action!r} is not one of {', '.join(ACTIONS)}")
    if action == "respond" and not message:
        raise typer.BadParameter("respond needs --message: the result the agent shall see")
    if not reason.strip():
        raise typer.BadParameter("--reason must say why")
    database = database_of(context)
    effect = _one(database, key).effect
    if effect.state == "claimed" and effect.gone:
        database.execute(ledger.doubt(effect))
        raise typer.BadParameter("its worker is gone: it is in doubt now. Look again, then decide")
    again = effect.state == "failed_final" and action == "approve"
    if effect.version != version or not (again or effect.state == "in_doubt"):
        raise typer.BadParameter(
            f"it is {effect.state} at version {effect.version}, not in_doubt at {version}"
        )
    chosen: Any = action
    decision = Decision(chosen, message)
    statement = decisions.resolve(
        effect,
        decision,
        outcome=outcome_of(effect, decision, effect.tool),
        decided_by=by or getpass.getuser(),
        reason=reason,
    )
    if database.execute(statement) is None:
        raise typer.BadParameter("somebody else decided in the meantime: look again")
    console.print(f"{action}: {escape(effect.tool)} {effect.key.hex()[:16]}")


@effects.command()
def edit(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A key, or its beginning.")],
    arguments: Annotated[str, typer.Argument(help="The identity arguments, edited, as JSON.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")],
    by: Annotated[str, typer.Option(help="Who decides.")] = "",
) -> None:
    """Explain why a call that has run comes again with other arguments: they are a new action."""
    try:
        edited = json.loads(arguments)
    except ValueError as error:
        raise typer.BadParameter("ARGUMENTS is not JSON") from error
    if not isinstance(edited, dict) or not reason.strip():
        raise typer.BadParameter("ARGUMENTS must be a JSON object, and --reason must say why")
    database = database_of(context)
    effect = _one(database, key).effect
    statement = decisions.record_edit(
        effect.key,
        effect.version,
        digest(canonical(edited)),
        decision_id=uuid4(),
        by=by or getpass.getuser(),
        reason=reason,
    )
    database.execute(statement)
    console.print(f"edit: {escape(effect.tool)} {effect.key.hex()[:12]}")


@effects.command()
def prune(
    context: typer.Context,
    older_than_days: Annotated[
        float, typer.Option(min=0, max=36_500, help="Since the last change.")
    ],
) -> None:
    """Forget settled effects. Those in doubt always stay."""
    database, total = database_of(context), 0
    while count := database.execute(maintenance.prune(timedelta(days=older_than_days))):
        total += count
    console.print(f"{total} effects pruned.")


def _one(database: Database, key: str) -> Entry:
    return only(lambda: database.execute(maintenance.entry(key)), key, "effect")


def _state(state: str | None) -> Any:
    if state is not None and state not in ledger.STATES:
        raise typer.BadParameter(f"{state!r} is not one of {', '.join(ledger.STATES)}")
    return state


def _plain(entry: Entry) -> dict[str, Any]:
    effect = entry.effect
    return {
        "key": effect.key.hex(),
        "tool": effect.tool,
        "state": effect.state,
        "version": effect.version,
        "attempt": effect.attempt,
        "age_seconds": round(effect.age.total_seconds()),
        "native_key": effect.native_key,
        "error": effect.error,
        "tool_call_id": effect.tool_call_id,
        "tenant": entry.tenant,
        "recovery": entry.recovery,
        "thread_id": entry.thread_id,
        "arguments": entry.arguments,
        "evidence": entry.evidence,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
    }


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
