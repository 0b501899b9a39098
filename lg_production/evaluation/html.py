"""A report as one HTML page that needs nothing else: no network, no script, no other file.

All that comes from cases, models and tools is escaped; the page's policy runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ..core.intervals import Rate, wilson
from . import svg
from .casebook import case_map, cases
from .comparing import Change, Comparison
from .page import CSS, POLICY, said
from .redaction import Redact, redact
from .results import Report, by_split

MOST_CURVE, MOST_CHANGES = 8, 20
STOPPED = {
    "budget": "its budget was used up",
    "price": "an answer has no price, so its budget of money could not be kept",
    "interrupted": "it was interrupted",
}


def html(
    report: Report,
    comparison: Comparison | None = None,
    *,
    objections: Sequence[str] | None = None,
    redact: Redact | None = redact,
) -> str:
    """The report, and what has changed since another, as a page.

    `objections` are a gate's; an empty one says that the gate was passed, None that there is none.
    Secrets are left out unless `redact` is None.
    """
    report = report.redacted(redact) if redact else report
    parts = [heading(report), banners(report, objections), headline(report)]
    parts += [changes(comparison)] if comparison else []
    parts += [case_map(report.results), plots(report), judges(report), cases(report)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{said(report.suite)} {said(report.version)}, evaluated</title>"
        '<meta name="viewport" content="width=device-width"><meta http-equiv='
        f'"Content-Security-Policy" content="{POLICY}"><style>{CSS}</style></head>'
        f"<body><main>{''.join(parts)}{footer(report)}</main></body></html>\n"
    )


def heading(report: Report) -> str:
    """What was evaluated."""
    about = f"{report.target} · data {report.hash[:12]} · {report.started or 'no date'}"
    name = f"<h1>{said(report.suite)} <small>{said(report.version)}</small></h1>"
    return f"<header>{name}<p>{said(about)}</p></header>"


def banners(report: Report, objections: Sequence[str] | None) -> str:
    """What nobody must overlook: a run that is not complete, and what the gate says."""
    found = ""
    if report.stopped:
        why = STOPPED.get(report.stopped, report.stopped)
        found = f"<div class='banner mixed'><b>This run is not complete</b>: {said(why)}.</div>"
    elif objections == []:
        found = "<div class='banner good'><b>The gate is passed.</b></div>"
    if objections:
        listed = "".join(f"<li>{said(one)}</li>" for one in objections)
        found += f"<div class='banner'><b>The gate is not passed.</b><ul>{listed}</ul></div>"
    return found + "".join(f"<div class='banner mixed'>{said(r)}</div>" for r in report.remarks)


def headline(report: Report) -> str:
    """The figures that most people read."""
    rate, results = report.rate(), report.results
    whole = sum(one.rate == 1 for one in results)
    figures = [(f"{whole}/{len(results)}", "cases passed every time"), *every_time(report)]
    figures += [spending(report), (duration(report.seconds), f"for {len(report.trials)} trials")]
    cells = "".join(f"<div><b>{said(a)}</b><span>{said(b)}</span></div>" for a, b in figures)
    told = f"pass rate, 95 % sure that it is {rate.low:.1%} to {rate.high:.1%}"
    main = f"<b>{rate.value:.1%}</b>{svg.meter(rate, told)}<span>{told}</span>"
    return f'<section class="figures"><div class="main">{main}</div>{cells}</section>'


def every_time(report: Report) -> list[tuple[str, str]]:
    """pass^k, where cases were repeated."""
    k = report.repeat
    return [(f"{report.pass_hat(k):.1%}", f"pass^{k}: all {k} runs of a case")] if k > 1 else []


def spending(report: Report) -> tuple[str, str]:
    """Money if its amount is known, else tokens if a model tells them."""
    if report.usd is not None:
        return f"${report.usd:,.{2 if report.usd >= 1 else 4}f}", f"{report.tokens:,} tokens"
    if report.tokens:
        return f"{report.tokens:,}", "tokens, at an unknown price"
    return "–", "no model told of tokens"


def duration(seconds: float) -> str:
    """A time for a reader."""
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.1f} min"


# ------------------------------------------------------------------------------ pictures


def plots(report: Report) -> str:
    """Shares by split, passing every time, and what it took."""
    rows = [("all", report.rate())]
    rows += [(name, report.rate(found)) for name, found in by_split(report.results).items()]
    words = "A case counts by the share of its trials that passed; Wilson's 95 % interval."
    parts = [figure("Pass rate", svg.rates(rows, "Pass rate by split, 95 % intervals"), words)]
    words = "Each behaviour of each case counts by the share of trials that showed it."
    demands = svg.rates(demanded(report), "Demands met, by kind")
    parts.append(figure("Demands met", demands, words))
    if report.repeat > 1:
        most = min(report.repeat, MOST_CURVE)
        chances = [report.every_time(k) for k in range(1, most + 1)]
        words = "The chance that k runs of a case all pass. It falls where luck has helped."
        parts.append(figure("Every time (pass^k)", svg.curve(chances, "pass^k by k"), words))
    parts.append(figure("What a trial took", "".join(taken(report)), "How many trials, by amount."))
    return f'<section class="plots">{"".join(parts)}</section>'


def demanded(report: Report) -> list[tuple[str, Rate]]:
    """How often each kind of behaviour was shown, the worst first; over demands, not trials."""
    found: dict[str, list[float]] = {}
    for result in report.results:
        for each in zip(*(trial.verdicts for trial in result.trials), strict=False):
            kind = each[0].behaviour.split(" ")[0]
            found.setdefault(kind, []).append(fmean(verdict.passed for verdict in each))
    shares = [(name, wilson(sum(held), len(held))) for name, held in found.items()]
    return sorted(shares, key=lambda one: one[1].value)


def taken(report: Report) -> list[str]:
    """How seconds, answers, calls, tokens and money are spread over the trials."""
    outcomes = [trial.outcome for trial in report.trials]
    found: list[tuple[str, str, list[float]]] = [
        ("time", "s", [o.seconds for o in outcomes]),
        ("answers", "", [o.steps for o in outcomes]),
        ("tool calls", "", [len(o.tools) for o in outcomes]),
        ("tokens", "", [o.tokens for o in outcomes]),
        ("cost", "$", [float(o.usd or 0) for o in outcomes]),
    ]
    return [svg.histogram(values, unit, name) for name, unit, values in found if any(values)]


def figure(title: str, picture: str, words: str) -> str:
    """A picture with its title and a sentence."""
    below = f"<figcaption>{said(words)}</figcaption>" if words else ""
    return f"<figure><h2>{said(title)}</h2>{picture}{below}</figure>"


def changes(comparison: Comparison) -> str:
    """What has changed since the run before."""
    found = comparison.difference
    words = {"better": "Better", "worse": "Worse", "no evidence": "No evidence of a change"}
    told = (
        f"The pass rate changed by {points(found.value)}; with 95 % confidence by "
        f"{points(found.low)} to {points(found.high)} ({found.n} cases in pairs, "
        f"sign-flip test p = {comparison.p:.2g})."
    )
    rows = [("all", found), *comparison.by_split().items()]
    forest = svg.forest(rows, "Difference by split")
    parts = [figure("Difference in points", forest, "New less old, paired by case.")]
    parts += moved(comparison.changes)
    left = ", ".join(comparison.left_out)
    notes = [f"Not compared, since the data differ: {left}"] if left else []
    note = "".join(f"<p>{said(one)}</p>" for one in (*notes, *comparison.notes))
    return (
        f"<section class='compared {comparison.verdict.replace(' ', '-')}'>"
        f"<h2>{words[comparison.verdict]}</h2><p>{said(told)}</p>{note}"
        f"<div class='plots'>{''.join(parts)}</div></section>"
    )


def moved(changes: Sequence[Change]) -> list[str]:
    """How many cases got worse or better, and which."""
    worse = sorted((c for c in changes if c.difference < 0), key=lambda c: c.difference)
    better = sorted((c for c in changes if c.difference > 0), key=lambda c: -c.difference)
    same = len(changes) - len(worse) - len(better)
    counts = [("worse", len(worse), "worse"), ("as before", same, ""),
              ("better", len(better), "better")]  # fmt: skip
    parts = [
        figure(
            "What became of the cases", svg.stacked(counts, "Cases worse, as before, better"), ""
        )
    ]
    for name, found in (("Better", better), ("Worse", worse)):
        shown = [(c.id, c.before, c.after) for c in found[:MOST_CHANGES]]
        more = f"{len(found) - len(shown)} more. " if len(found) > len(shown) else ""
        words = f"{more}From the hollow point, before, to the full one."
        parts += [figure(name, svg.slopes(shown, f"{name}: cases"), words)] if shown else []
    return parts


def points(share: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{100 * share:+.1f} points"


# ------------------------------------------------------------------------------ provenance


def judges(report: Report) -> str:
    """Who graded, and what they gave."""
    rows = []
    for n, pin in enumerate(report.judges):
        given = [t.grades[n].get("score") for t in report.trials if len(t.grades) > n]
        known = [score for score in given if score is not None]
        mean = f"{sum(known) / len(known):.2f}" if known else "–"
        cells = [pin.get("provider"), pin.get("model"), pin.get("version"),
                 str(pin.get("prompt_hash", ""))[:12], mean, len(given) - len(known)]  # fmt: skip
        rows.append(f"<tr>{''.join(f'<td>{said(cell)}</td>' for cell in cells)}</tr>")
    head = "<tr><th>provider<th>model<th>version<th>prompt<th>mean of 10<th>no grade</tr>"
    table = f"<table>{head}{''.join(rows)}</table>"
    return f"<section><h2>Judges, pinned</h2>{table}</section>" if rows else ""


def footer(report: Report) -> str:
    """What was run: enough to run it again."""
    software = ", ".join(f"{name} {number}" for name, number in report.software.items())
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    return (
        f"<footer><p>Data {said(report.hash)}<br>Words of claims "
        f"{said(report.words or 'unknown')}<br>Target {said(report.target)}; {said(settings)}"
        f"<br>Begun {said(report.started)}; {said(software)}</p></footer>"
    )
