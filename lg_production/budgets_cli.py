"""`lg-production budgets`: see what is spent, and give a budget more."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Literal
from uuid import uuid4

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .core.database import Database
from .core.steps import drive
from .cost import decisions
from .cost.budget import sweep_steps
from .cost.circuits import circuits as all_circuits
from .cost.decisions import Account, Place, SpentCall
from .cost.policy import MOST, QUANTITIES
from .effects_cli import database_of

budgets = typer.Typer(no_args_is_help=True, help="What may be spent, and what is.")
console = Console()
NUMBERS = {"ignore_unknown_options": True}
"""So that -5 is refused as an amount, not as an option."""
Amount = Annotated[int, typer.Argument(min=0, max=MOST, help="Tokens, calls, steps, micro-USD.")]
Scope = Annotated[str, typer.Argument(help="As listed: thread:42, user:ada, task:7/tool:search.")]
Which = Annotated[str, typer.Argument(help=f"One of {', '.join(QUANTITIES)}.")]
Period = Annotated[
    str | None,
    typer.Option(help="As listed, if there are several; 'ever' or '' is the lasting one."),
]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]
By = Annotated[str, typer.Option(help="Who decides.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@budgets.command("list")
def list_(
    context: typer.Context,
    scope: Annotated[str | None, typer.Option(help="Beginning of the scope: user:")] = None,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List budgets, newest first, after counting what dead workers held as used."""
    database = database_of(context)
    drive(sweep_steps(), database)
    found = database.execute(decisions.accounts(scope, tenant, limit))
    if as_json:
        for account in found:
            typer.echo(json.dumps(_plain(account), default=str))
        return
    table = Table(Column("scope", overflow="fold", ratio=1), "period", "quantity", box=None)
    for heading in ("used", "held", "limit", "%"):
        table.add_column(heading, justify="right", no_wrap=True)
    for account in found:
        place = account.place
        table.add_row(
            escape(place.scope), place.period, place.quantity, f"{account.used:,}",
            f"{account.reserved:,}", f"{account.limit:,}", _percent(account),
        )  # fmt: skip
    console.print(table if found else "No budgets.")


@budgets.command()
def show(
    context: typer.Context, scope: Scope, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Show the budgets of one scope, the calls that spent from it, and who changed it."""
    database = database_of(context)
    found = [
        account
        for account in database.execute(decisions.accounts(scope, tenant, 10_000))
        if account.place.scope == scope
    ]
    if not found:
        raise typer.BadParameter(f"no budget of {scope!r}; see `lg-production budgets list`")
    calls = database.execute(decisions.calls([account.id for account in found]))
    history = database.execute(decisions.history([account.id for account in found]))
    if as_json:
        typer.echo(json.dumps({
            "budgets": [_plain(account) for account in found],
            "calls": [call._asdict() for call in calls],
            "decisions": [decision._asdict() for decision in history],
        }, default=str))  # fmt: skip
        return
    for account in found:
        place = account.place
        console.print(
            f"[bold]{escape(place.scope)}[/] {place.period} {place.quantity}: "
            f"{account.used:,} used, "
            f"{account.reserved:,} held, of {account.limit:,} ({_percent(account)})",
            highlight=False,
        )
    table = Table("at", "state", "node", "model", box=None)
    for heading in ("in", "out", "USD"):
        table.add_column(heading, justify="right", no_wrap=True)
    for call in calls:
        models = " > ".join(dict.fromkeys(name for name in (call.requested, call.served) if name))
        table.add_row(
            f"{call.at:%m-%d %H:%M:%S}",
            call.state,
            escape(call.node or ""),
            escape(models),
            *_spent(call),
        )
    console.print(table if calls else "No calls.")
    for one in history:
        who, why = escape(one.by), escape(one.reason)
        when = f"{one.at:%Y-%m-%d %H:%M:%S}"
        console.print(f"{when} {one.action} {one.amount:,} by {who}: {why}", highlight=False)


@budgets.command("set", context_settings=NUMBERS)
def set_(
    context: typer.Context, scope: Scope, quantity: Which, amount: Amount, reason: Reason,
    period: Period = None, tenant: Tenant = None, by: By = "",
) -> None:  # fmt: skip
    """Set the limit of a budget, whatever the policy in the code says."""
    _decide(context, "set", scope, quantity, amount, reason, period, tenant, by)


@budgets.command(context_settings=NUMBERS)
def extend(
    context: typer.Context, scope: Scope, quantity: Which, amount: Amount, reason: Reason,
    period: Period = None, tenant: Tenant = None, by: By = "",
) -> None:  # fmt: skip
    """Add to the limit of a budget."""
    _decide(context, "extend", scope, quantity, amount, reason, period, tenant, by)


@budgets.command()
def prune(
    context: typer.Context,
    older_than_days: Annotated[float, typer.Option(min=0, max=100_000, help="Age of the call.")],
) -> None:
    """Forget closed calls and past periods. Never what is held, nor what still counts."""
    database, calls, periods = database_of(context), 0, 0
    while found := database.execute(decisions.prune(timedelta(days=older_than_days))):
        calls, periods = calls + found[0], periods + found[1]
        if not any(found):
            break
    console.print(f"{calls} calls and {periods} past periods forgotten.")


def _decide(
    context: typer.Context, action: Literal["set", "extend"], scope: str, quantity: str,
    amount: int, reason: str, period: str | None, tenant: str | None, by: str,
) -> None:  # fmt: skip
    if quantity not in QUANTITIES:
        raise typer.BadParameter(f"{quantity!r} is not one of {', '.join(QUANTITIES)}")
    if not reason.strip():
        raise typer.BadParameter("--reason must say why")
    database = database_of(context)
    place = _place(database, scope, quantity, period, tenant)
    changed = database.execute(decisions.decide(
        place, action, amount, key=uuid4().bytes, decided_by=by or getpass.getuser(),
        reason=reason,
    ))  # fmt: skip
    assert changed is not None  # noqa: S101 - it was there a moment ago
    if not changed[1]:
        raise typer.BadParameter(f"the limit is {changed[0]:,}; it can be {MOST:,} at most")
    console.print(f"{escape(scope)} {quantity}: the limit is {changed[0]:,} now.", highlight=False)


def _place(
    database: Database, scope: str, quantity: str, period: str | None, tenant: str | None
) -> Place:
    """The one budget that is meant. Raises a usage error that says which there are."""
    named = [
        account.place
        for account in database.execute(decisions.accounts(scope, tenant, 10_000))
        if account.place.scope == scope and account.place.quantity == quantity
    ]
    found = [place for place in named if period in (None, place.period, place.period or "ever")]
    if len(found) == 1:
        return found[0]
    told = "; ".join(f"{place.tenant} {place.period or 'ever'}" for place in found or named)
    raise typer.BadParameter(
        f"{len(found)} budgets match; name one by --period and --tenant ({told})"
        if named else f"no budget of {scope!r} for {quantity}; it is made by its first call"
    )  # fmt: skip


def _spent(call: SpentCall) -> tuple[str, str, str]:
    """Tokens in and out, and dollars; a dash where nobody measured."""
    took = call.spent or {}
    asked, answered = took.get("input_tokens"), took.get("output_tokens")
    dollars = took.get("micro_usd")
    into, out = ("-" if count is None else f"{count:,}" for count in (asked, answered))
    return into, out, "-" if dollars is None else f"{dollars / 1e6:.6f}"


def _percent(account: Account) -> str:
    return f"{account.share:.0%}"


def _plain(account: Account) -> dict[str, object]:
    rest = {name: value for name, value in asdict(account).items() if name != "place"}
    return {**asdict(account.place), **rest}


def circuits(context: typer.Context, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the circuits of tools and models; those that are not closed first."""
    found = database_of(context).execute(all_circuits(tenant))
    if as_json:
        for one in found:
            typer.echo(json.dumps(asdict(one), default=str))
        return
    table = Table(Column("of", overflow="fold", ratio=1), "state", "tenant", box=None)
    for heading in ("calls", "failed", "again in"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        wait = "" if one.retry_after is None else f"{one.retry_after:.0f} s"
        row = (escape(one.dependency), one.state, escape(one.tenant))
        table.add_row(*row, f"{one.calls:,}", f"{one.failures:,}", wait)
    console.print(table if found else "No circuits.")
