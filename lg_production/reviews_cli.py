"""`lg-production reviews`: decide about calls that wait, and stop what must not go on."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .core.answers import Action, Answer, Unreadable
from .core.database import Database
from .core.events import log_events
from .core.intervals import Rate
from .core.steps import drive
from .effects_cli import database_of
from .oversight import people, queries, stops
from .oversight.answers import coerce
from .oversight.asking import Asker, blind, cast, reasons
from .oversight.canaries import Canary, seed_steps
from .oversight.decay import Alarm, Recommendation, queue
from .oversight.records import Recorded, State
from .oversight.stops import Stop
from .oversight.watching import Watcher
from .terminal import only

reviews = typer.Typer(no_args_is_help=True, help="Calls that wait for a person, and the stops.")
console = Console()
Key = Annotated[str, typer.Argument(help="A key, or its beginning.")]
Version = Annotated[int, typer.Option(help="The version you saw (reviews show).")]
By = Annotated[str, typer.Option(help="Who decides.")]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant.")]
Message = Annotated[str, typer.Option(help="Why; the model is told, and it is kept.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
Scope = Annotated[
    str, typer.Argument(help="all, or thread:…, agent:…, tool:…, tenant:… with the name.")
]


@reviews.command("list")
def list_(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Instead of those that wait: decided …")] = None,
    thread: Annotated[str | None, typer.Option(help="Only this thread.")] = None,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List what waits for a person, longest first, after denying what is overdue."""
    if state is not None and state not in get_args(State):
        raise typer.BadParameter(f"{state!r} is not one of {', '.join(get_args(State))}")
    database = database_of(context)
    drive(people.sweep_steps(tenant=tenant), database, [log_events])
    found = database.execute(queries.listed(state, thread, tenant, limit))
    if as_json:
        for row in found:
            typer.echo(json.dumps(_plain(row), default=str))
        return
    table = Table(Column("key", no_wrap=True), "tool", "why", "state", box=None)
    for heading in ("version", "agreed", "assigned", "claimed", "until", "thread"):
        table.add_column(heading)
    for row in found:
        table.add_row(
            row.key.hex()[:12], escape(row.tool), ", ".join(reasons(row)),
            row.outcome or row.state, str(row.version),
            f"{len(row.voters)}/{row.quorum}", escape(row.assigned_to),
            escape(row.claimed_by or ""), _at(row.expires_at), escape(row.thread_id),
        )  # fmt: skip
    console.print(table if found else "No reviews.")


@reviews.command()
def show(context: typer.Context, key: Key, as_json: AsJson = False) -> None:
    """Show one review whole, and who said what about it."""
    database = database_of(context)
    row = _one(database, key)
    said = database.execute(queries.votes(row.key))
    if as_json:
        votes = [vote._asdict() for vote in said]
        typer.echo(json.dumps({**_plain(row), "votes": votes}, default=str))
        return
    told = _plain(row)
    for name, value in told.items():
        text = json.dumps(value) if isinstance(value, dict | list) else str(value)
        console.print(f"[bold]{name:>14}[/]  {escape(text)}", highlight=False)
    if told.get("canary"):
        console.print("[bold]        canary[/]  it was known to be wrong, and never ran")
    for vote in said:
        counted = "" if vote.counted else " (too late)"
        console.print(
            f"[bold]          vote[/]  {vote.at:%Y-%m-%d %H:%M:%S} {vote.action} by "
            f"{escape(vote.reviewer)}{counted} after {vote.seconds:.0f} s: {escape(vote.message)}",
            highlight=False,
        )


@reviews.command()
def claim(
    context: typer.Context,
    key: Key,
    by: By = "",
    minutes: Annotated[float, typer.Option(min=0.1, max=100_000, help="How long.")] = 30,
    take_over: Annotated[bool, typer.Option(help="Out of somebody else's hands.")] = False,
) -> None:
    """Keep others from deciding about it meanwhile."""
    database, who = database_of(context), by or getpass.getuser()
    row = _one(database, key)
    lease = timedelta(minutes=minutes)
    held = database.execute(people.claim(row.key, who, lease, take_over=take_over))
    if held is None:
        owner = f" by {row.claimed_by}" if row.claimed_by else ""
        raise typer.BadParameter(
            f"it is {row.state}, claimed{owner}, or not for you: look at it (reviews show)"
        )
    console.print(f"claimed until {_at(held.claim_until)}", highlight=False)


@reviews.command()
def approve(context: typer.Context, key: Key, version: Version, by: By = "") -> None:
    """Let the call run as it is shown. It runs when its thread is resumed."""
    _decide(context, key, version, by, "approve")


@reviews.command()
def edit(
    context: typer.Context,
    key: Key,
    arguments: Annotated[str, typer.Argument(help="All arguments, as JSON.")],
    version: Version,
    by: By = "",
    message: Message = "",
) -> None:
    """Let the call run with these arguments instead."""
    try:
        edited = json.loads(arguments)
    except ValueError as error:
        raise typer.BadParameter("ARGUMENTS is not JSON") from error
    if not isinstance(edited, dict):
        raise typer.BadParameter("ARGUMENTS must be a JSON object")
    _decide(context, key, version, by, "edit", message, edited)


@reviews.command()
def reject(
    context: typer.Context, key: Key, version: Version, by: By = "", message: Message = ""
) -> None:
    """Do not let the call run. One is enough."""
    _decide(context, key, version, by, "reject", message)


@reviews.command()
def respond(
    context: typer.Context, key: Key, version: Version, message: Message, by: By = ""
) -> None:
    """Answer instead of the tool: --message is its result."""
    if not message.strip():
        raise typer.BadParameter("--message is what the tool would have said")
    _decide(context, key, version, by, "respond", message)


@reviews.command()
def stop(
    context: typer.Context,
    scope: Scope,
    reason: Annotated[str, typer.Option(help="Why; kept with the stop.")],
    by: By = "",
) -> None:
    """Stop it: before the next model or tool call of every run that has a StopButton."""
    if not reason.strip():
        raise typer.BadParameter("--reason must say why")
    try:
        steps = stops.press(scope, by=by or getpass.getuser(), reason=reason)
        pressed = drive(steps, database_of(context))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(f"{escape(pressed.scope)} is stopped (stop {pressed.id}).", highlight=False)


@reviews.command()
def lift(context: typer.Context, scope: Scope, by: By = "") -> None:
    """Let it go on. Threads that were stopped go on when they are resumed."""
    try:
        lifted = database_of(context).execute(stops.lift(scope, by=by or getpass.getuser()))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not lifted:
        raise typer.BadParameter(f"nothing stops {scope!r}")
    console.print(f"{escape(scope)} goes on.", highlight=False)


@reviews.command()
def incident(
    context: typer.Context,
    key: Key,
    note: Annotated[str, typer.Option(help="What went wrong.")],
    by: By = "",
) -> None:
    """Report that something went wrong although people had approved it; `stats` counts it."""
    if not note.strip():
        raise typer.BadParameter("--note must say what went wrong")
    database = database_of(context)
    row = _one(database, key)
    if not database.execute(queries.report(row.key, note, by or getpass.getuser())):
        raise typer.BadParameter(
            "only of what people decided, and what then ran, can anything have come"
        )
    console.print(f"noted for {row.tool} {row.key.hex()[:12]}", highlight=False, markup=False)


@reviews.command()
def seed(
    context: typer.Context,
    file: Annotated[
        typer.FileText,
        typer.Argument(encoding="utf-8-sig", help='JSON lines: {"tool": …, "arguments": {…}}.'),
    ],
    rate: Annotated[float, typer.Option(min=0, max=1, help="Of the cases that wait.")] = 0.05,
    tenant: Tenant = None,
) -> None:
    """Put canaries, known to be wrong, beside a share of what waits. They never run."""
    database = database_of(context)
    try:
        lines = list(file)
    except UnicodeDecodeError as error:
        raise typer.BadParameter("FILE is not UTF-8") from error
    canaries = [_canary(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    watcher = Watcher(tenant=tenant)
    steps = seed_steps(canaries, rate, tenant=tenant, watcher=watcher)
    try:
        planted = drive(steps, database, [log_events])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(f"{len(planted)} canaries wait among the rest.", highlight=False)


def _canary(line: str, number: int) -> Canary:
    try:
        read = json.loads(line)
        return Canary(str(read["tool"]), dict(read["arguments"]), dict(read.get("evidence", {})))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = 'is not like {"tool": "pay", "arguments": {"euros": 99000}}'
        raise typer.BadParameter(f"line {number} {problem}") from error


@reviews.command()
def stats(
    context: typer.Context,
    days: Annotated[float, typer.Option(min=0.01, max=36_500, help="How far back.")] = 30,
    agreed_hours: Annotated[float, typer.Option(min=0.01, help="Within which to decide.")] = 4,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Show how the queue fares, how people decide, and who has begun to wave things through."""
    database, age, now = database_of(context), timedelta(days=days), datetime.now(UTC)
    cases = database.execute(queries.cases(age, tenant))
    found = queue(cases, now, timedelta(hours=agreed_hours))
    watcher = Watcher(tenant=tenant)
    seen = database.execute(queries.decided(max(age, watcher.age), tenant))
    habits = watcher.watch.habits(vote for vote in seen if vote.at > now - age)
    alarms, asked = watcher.watch.alarms(seen), watcher.judged(seen, now)
    standing = database.execute(stops.standing())
    if as_json:
        told = {
            "queue": asdict(found),
            "habits": [asdict(one) for one in habits],
            "alarms": [asdict(alarm) for alarm in alarms],
            "recommended": {tool: asdict(one) for tool, one in asked.items()},
            "stops": [asdict(one) for one in standing],
        }
        typer.echo(json.dumps(told, default=str))
        return
    console.print(
        f"{found.routed} routed, {found.escalated.value:.0%} to people, {found.waiting} wait "
        f"(half of them {found.age_p50:.0f} s or more); decided in {found.decided_p50:.0f} s, "
        f"{found.late.value:.0%} late, {found.timeouts.value:.0%} ended by their deadline, "
        f"{found.overridden.value:.0%} edited or rejected; of what was approved "
        f"{found.incidents.value:.0%} went wrong.",
        highlight=False,
    )
    table = Table("reviewer", "tool", "week", box=None)
    for heading in (
        "cases",
        "approved",
        "edited",
        "too fast",
        "median s",
        "agrees",
        "canaries missed",
    ):
        table.add_column(heading, justify="right")
    for one in habits:
        table.add_row(
            escape(one.reviewer), escape(one.tool), str(one.week), str(one.n),
            _share(one.approval), _share(one.edits), _share(one.fast), f"{one.p50:.0f}",
            f"{_share(one.agreement)}{'' if one.kappa is None else f' κ {one.kappa:.2f}'}",
            f"{one.missed}/{one.canaries}",
        )  # fmt: skip
    if habits:
        console.print(table)
    _warn(alarms, asked, standing)


def _warn(
    alarms: list[Alarm], asked: dict[str, Recommendation], standing: tuple[Stop, ...]
) -> None:
    for alarm in alarms:
        console.print(f"[red]{escape(alarm.reviewer)} {alarm.week}: {escape(alarm.reason)}[/]")
    for tool, one_asked in asked.items():
        console.print(f"[yellow]{escape(tool)}: {_remedy(one_asked)}[/]")
    for one_stop in standing:
        console.print(f"[red]stopped: {escape(one_stop.scope)} by {escape(one_stop.stopped_by)}[/]")


def _share(rate: Rate) -> str:
    """A share with its interval; nothing where there was no case."""
    return f"{rate.value:.0%} ({rate.low:.0%}–{rate.high:.0%})" if rate.n else ""


def _remedy(asked: Recommendation) -> str:
    more = f"sample {asked.review_rate:g} times as many" if asked.review_rate > 1 else ""
    share = "" if asked.second_person == 1 else f" in {asked.second_person:.0%} of the cases"
    second = f"ask a second person{share}" if asked.second_person else ""
    return " and ".join(part for part in (more, second) if part) + " (a Watcher does)"


# ------------------------------------------------------------------------------------ one vote


def _decide(
    context: typer.Context, key: str, version: int, by: str, action: Action, message: str = "",
    edited: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    database, who = database_of(context), by or getpass.getuser()
    row = _one(database, key)
    if row.waits and row.version != version:
        raise typer.BadParameter(f"it is at version {row.version}: look at what it shows now")
    arguments = None if edited is None else coerce(edited, row.proposed, None)
    assert not isinstance(arguments, Unreadable)  # noqa: S101 - only a tool's schema says so
    answer, was_over = Answer(action, message, arguments), not row.waits
    row, problem = drive(cast(row, answer, Asker("", who)), database, [log_events])
    if problem:
        raise typer.BadParameter(problem)
    if was_over or (row.state == "decided" and who not in row.decided_by):
        raise typer.BadParameter(f"too late: it is {_outcome(row)}")
    if row.canary and row.state == "decided":
        caught = "You caught it." if row.outcome != "approve" else "You missed it."
        console.print(f"This was a canary: known to be wrong, and never to run. {caught}")
        return
    left = row.quorum - len(row.voters)
    console.print(
        f"{row.tool}: {_outcome(row)}. Resume its thread {row.thread_id} (with None as the input)."
        if row.state == "decided"
        else f"{row.tool}: {left} more must agree.",
        highlight=False, markup=False,
    )  # fmt: skip


def _outcome(row: Recorded) -> str:
    by = f" by {', '.join(row.decided_by)}" if row.decided_by else ""
    return f"{row.outcome or row.state}{by}"


def _one(database: Database, key: str) -> Recorded:
    return only(lambda: database.execute(queries.find(key)), key, "review")


def _plain(row: Recorded) -> dict[str, Any]:
    """A row as its reviewer may see it: a sample, and a canary while it is open, look like any."""
    hidden = {"stratum", "probability", "asked_task", "asked_slot", "asked_version"}
    hidden |= {"canary"} if row.state in ("routed", "open") else set()
    told = {name: value for name, value in asdict(row).items() if name not in hidden}
    seen = {"verdict": blind(row), "reasons": reasons(row)}
    return {**told, **seen, "key": row.key.hex(), "digest": row.digest.hex()}


def _at(when: datetime | None) -> str:
    return f"{when:%m-%d %H:%M}" if when else ""
