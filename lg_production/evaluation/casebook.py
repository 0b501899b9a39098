"""The cases of a report as HTML: a map of all, and each with what it demanded and what was said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from .page import said
from .results import CaseResult, Report, Trial, by_split

MOST_SAID = 60
"""Messages of one trial on the page; the JSON report has all."""
LINE = 100
MARKS = {"passed": "✓", "failed": "✗", "mixed": "~"}
WHO = {"human": "user", "ai": "agent"}


def state(result: CaseResult) -> str:
    """passed, failed, or mixed: now and then."""
    return "passed" if result.rate == 1 else "failed" if result.rate == 0 else "mixed"


def case_map(results: Sequence[CaseResult]) -> str:
    """A square for each case, a row for each split: where the failures are."""
    rows = []
    for name, found in by_split(results).items():
        good = sum(one.rate == 1 for one in found)
        squares = "".join(map(square, found))
        rows.append(f"<i>{said(name)}</i><div>{squares}</div><em>{good}/{len(found)}</em>")
    return f"<section><h2>Every case</h2><div class='map'>{''.join(rows)}</div></section>"


def square(result: CaseResult) -> str:
    """A case as a square that leads to it."""
    told = said(f"{result.id}: {result.passed} of {len(result.trials)} passed")
    link = f"href='#{said(result.id)}' title='{told}' aria-label='{told}'"
    return f"<a class='{state(result)}' {link}></a>"


def cases(report: Report) -> str:
    """All cases, the worst first, each to be unfolded; what is shown can be narrowed."""
    ordered = sorted(report.results, key=lambda one: one.rate)
    failed = sum(one.rate < 1 for one in ordered)
    choices = [("all", f"All {len(ordered)}"), ("failed", f"Failed {failed}")]
    choices += [(name, f"{name} {len(found)}") for name, found in by_split(report.results).items()]
    narrowed = "".join(
        f"<input type='radio' name='only' id='only-{said(name)}'{' checked' if not n else ''}>"
        f"<label for='only-{said(name)}'>{said(told)}</label>"
        for n, (name, told) in enumerate(choices)
    )
    listed = "".join(detail(one, report.judges) for one in ordered)
    return f"<section><h2>Cases</h2><div class='filter'>{narrowed}</div>{listed}</section>"


# ------------------------------------------------------------------------------- a case


def detail(result: CaseResult, judges: Sequence[Mapping[str, Any]] = ()) -> str:
    """A case, folded: what it demanded, and the first trial that failed, or the first."""
    n, shown = next(((n, t) for n, t in enumerate(result.trials) if not t.passed), (0, None))
    trial = shown or result.trials[0]
    note = f"<p class='note'>{said(result.case['note'])}</p>" if result.case.get("note") else ""
    raised = f"<p class='raised'>{said(trial.outcome.error)}</p>" if trial.outcome.error else ""
    facts = f"<h3>Trial {n + 1} of {len(result.trials)}: {said(told(trial))}</h3>"
    return (
        f"<details class='case {state(result)} {said(result.split)}'>{summary(result)}"
        f"<div class='body' id='{said(result.id)}'>{note}{verdicts(result.trials)}{facts}{raised}"
        f"<ol class='talk'>{''.join(talk(trial))}</ol>{grades(trial, judges)}</div></details>"
    )


def summary(result: CaseResult) -> str:
    """A case in a line, and why it failed in another."""
    why = next((f"{name}: {reason}" for name, reason in result.failures.items()), "")
    kind, seconds = state(result), median(trial.outcome.seconds for trial in result.trials)
    cells = (result.split, f"{result.passed}/{len(result.trials)}", f"{seconds:.2f} s")
    return (
        f"<summary><i class='mark'>{MARKS[kind]}</i><b>{said(result.id)}</b>"
        f"{''.join(f'<em>{said(cell)}</em>' for cell in cells)}"
        f"{f'<small>{said(why, 300)}</small>' if why else ''}</summary>"
    )


def verdicts(trials: Sequence[Trial]) -> str:
    """What was demanded, and whether it held: a mark for each trial, and the first reason."""
    rows = []
    for each in zip(*(trial.verdicts for trial in trials), strict=False):
        marks = "".join("<i class='ok'>✓</i>" if v.passed else "<i class='no'>✗</i>" for v in each)
        why = next((f" <span>{said(v.why, 600)}</span>" for v in each if not v.passed), "")
        rows.append(f"<li>{marks} {said(each[0].behaviour, 300)}{why}</li>")
    return f"<ul class='verdicts'>{''.join(rows)}</ul>"


def told(trial: Trial) -> str:
    """What a trial took, in a line."""
    it = trial.outcome
    facts = [f"ended {it.ended}", f"{it.seconds:.2f} s", counted(it.steps, "answer")]
    facts += [counted(len(it.tools), "tool call"), counted(it.tokens, "token")]
    return ", ".join([*facts, *([f"${it.usd:.4f}"] if it.usd is not None else [])])


def counted(n: int, what: str) -> str:
    """So many of it."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def talk(trial: Trial) -> Iterator[str]:
    """The conversation, message by message; what a person was asked, and the rest of the state."""
    messages = trial.outcome.messages
    for message in messages[:MOST_SAID]:
        yield spoken(message)
    if len(messages) > MOST_SAID:
        yield entry("…", f"{len(messages) - MOST_SAID} more messages")
    if not messages and trial.outcome.answer:
        yield entry("agent", trial.outcome.answer, kind="ai")
    for question in trial.outcome.interrupts:
        yield folded("asked a person", question)
    if trial.outcome.state:
        yield folded("state at the end", trial.outcome.state)


def spoken(message: Any) -> str:
    """A message, as `message_to_dict` gives it; of one that is none, its JSON."""
    data = message.get("data") if isinstance(message, Mapping) else None
    if not isinstance(data, Mapping):
        return folded("no message", message)
    kind, calls = str(message.get("type", "")), data.get("tool_calls")
    who = f"{WHO.get(kind, kind)} {data.get('name') or ''}".strip()
    content = data.get("content")
    made = calls if isinstance(calls, list | tuple) else [calls] if calls else []
    return entry(who, "" if content is None else words(content), made, kind)


def entry(who: str, text: str, calls: Iterable[Any] = (), kind: str = "") -> str:
    """Something said, and by whom."""
    made = "".join(f"<code>{called(call)}</code>" for call in calls)
    shown = f"<pre>{said(text)}</pre>" if text else ""
    return f"<li class='{WHO.get(kind, '')}'><em>{said(who, 80)}</em><div>{shown}{made}</div></li>"


def called(call: Any) -> str:
    """A call of a tool; of what is none, its JSON."""
    if not isinstance(call, Mapping):
        return said(spelled(call, None), 600)
    return f"{said(call.get('name'))}({said(spelled(call.get('args'), None), 600)})"


def folded(what: str, value: Any) -> str:
    """A value in a line, and spelled out below when it is unfolded."""
    line, whole = spelled(value, None), spelled(value)
    shown = line if len(line) <= LINE else f"{line[: LINE - 1]}…"
    more = f"<details><summary>{said(shown)}</summary><pre>{said(whole)}</pre></details>"
    held = more if len(line) > LINE else f"<pre>{said(line)}</pre>"
    return f"<li><em>{said(what)}</em><div>{held}</div></li>"


def words(content: Any) -> str:
    """The text of a message; parts that are none as JSON."""
    if not isinstance(content, list):
        return str(content)
    return "\n".join(
        part["text"] if isinstance(part, dict) and isinstance(part.get("text"), str)
        else part if isinstance(part, str) else spelled(part, None)
        for part in content
    )  # fmt: skip


def spelled(value: Any, indent: int | None = 1) -> str:
    """JSON for a reader; of what is none, what Python calls it."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return repr(value)


def grades(trial: Trial, judges: Sequence[Mapping[str, Any]]) -> str:
    """What judges gave for a trial."""
    rows = "".join(
        f"<li>{said(judge.get('provider'))} {said(judge.get('model'))}: "
        f"{said('–' if grade.get('score') is None else grade['score'])} of 10 "
        f"<span>{said(grade.get('reason', ''), 600)}</span></li>"
        for judge, grade in zip(judges, trial.grades, strict=False)
    )
    return f"<h3>Judges</h3><ul class='verdicts'>{rows}</ul>" if rows else ""
