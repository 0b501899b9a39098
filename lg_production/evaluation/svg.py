"""Small plots as inline SVG. Colours are CSS variables of the page, so that dark is dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil

from ..core.intervals import Rate
from .statistics import Interval

WIDE, ROW, LEFT, RIGHT = 480, 28, 124, 104
INNER = WIDE - LEFT - RIGHT
BINS, HIGH = 24, 36
Point = tuple[float, float]


def svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """A picture with a name for who cannot see it."""
    head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def text(x: float, y: float, said: str, anchor: str = "start", kind: str = "") -> str:
    """A word in a picture."""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(said)}</text>'


def line(a: Point, b: Point, kind: str) -> str:
    """A line from one place to another."""
    ends = f'x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"'
    return f'<line {ends} class="{kind}"/>'


def bar(a: Point, b: Point, kind: str, round_by: float = 0) -> str:
    """A filled rectangle between two corners, the left upper one first."""
    size = f'width="{b[0] - a[0]:.1f}" height="{b[1] - a[1]:.1f}"'
    return f'<rect x="{a[0]:.1f}" y="{a[1]:.1f}" {size} rx="{round_by:g}" class="{kind}"/>'


def dot(x: float, y: float, kind: str, radius: float = 5) -> str:
    """A point."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>'


def axis(height: float, marks: Sequence[tuple[float, str]]) -> list[str]:
    """Lines at shares of the width, with their names below."""
    parts = []
    for share, name in marks:
        x = LEFT + INNER * share
        parts.append(line((x, 2), (x, height - 20), "grid"))
        parts.append(text(x, height - 5, name, "middle", "mark"))
    return parts


# ---------------------------------------------------------------------------- shares


def meter(rate: Rate, label: str) -> str:
    """One share on a rail from 0 to 100 %, with its interval as a band."""
    wide, y = 480, 10
    low, high, at = (wide * share for share in (rate.low, rate.high, rate.value))
    parts = [bar((0, y - 3), (wide, y + 3), "rail", 3), bar((low, y - 6), (high, y + 6), "band", 3)]
    parts.append(dot(min(max(at, 7), wide - 7), y, "point", 7))
    return svg(wide, 20, parts, label)


def rates(rows: Sequence[tuple[str, Rate]], label: str) -> str:
    """Shares with their intervals, one a row, on one axis from 0 to 100 %."""
    height = ROW * len(rows) + 24
    parts = axis(height, [(n / 4, f"{25 * n} %") for n in range(5)])
    for n, (name, rate) in enumerate(rows):
        told = f"{rate.value:.0%} of {rate.n:g}"
        parts += _row(n, name, (rate.low, rate.value, rate.high), told, "point")
    return svg(WIDE, height, parts, label)


def forest(rows: Sequence[tuple[str, Interval]], label: str) -> str:
    """Differences of shares with their intervals, one a row, about a line for no difference."""
    most = max((abs(end) for _, one in rows for end in (one.low, one.high)), default=0)
    edge = max(0.05, ceil(most * 20) / 20)
    height = ROW * len(rows) + 24
    parts = axis(height, [(0, f"{-100 * edge:+.0f}"), (0.5, "0"), (1, f"{100 * edge:+.0f}")])
    parts.append(line((LEFT + INNER / 2, 2), (LEFT + INNER / 2, height - 20), "zero"))
    for n, (name, one) in enumerate(rows):
        low, value, high = (0.5 + end / edge / 2 for end in (one.low, one.value, one.high))
        kind = "better" if one.low > 0 else "worse" if one.high < 0 else "point"
        parts += _row(n, name, (low, value, high), f"{100 * one.value:+.1f} of {one.n}", kind)
    return svg(WIDE, height, parts, label)


def _row(n: int, name: str, ends: tuple[float, float, float], told: str, kind: str) -> list[str]:
    """A point between two ends, at shares of the width."""
    y = ROW * n + 16
    low, at, high = (LEFT + INNER * share for share in ends)
    return [
        text(LEFT - 12, y + 4, cut(name, 16), "end"),
        line((low, y), (high, y), f"interval {kind}"),
        *(line((end, y - 5), (end, y + 5), f"interval {kind}") for end in (low, high)),
        dot(at, y, kind),
        text(WIDE - RIGHT + 12, y + 4, told, kind="strong"),
    ]


def slopes(rows: Sequence[tuple[str, float, float]], label: str) -> str:
    """Shares before and after, one a row: from the hollow point to the full one."""
    height, left, right = ROW * len(rows) + 24, 180, WIDE - 96
    parts = []
    for share, name in ((0, "0 %"), (1, "100 %")):
        x = left + (right - left) * share
        parts += [line((x, 2), (x, height - 20), "grid")]
        parts += [text(x, height - 5, name, "middle", "mark")]
    for n, (name, before, after) in enumerate(rows):
        y = ROW * n + 16
        a, b = (left + (right - left) * share for share in (before, after))
        kind = "better" if after > before else "worse"
        told = f"{100 * before:.0f} → {100 * after:.0f} %"
        parts += [
            text(left - 12, y + 4, cut(name, 23), "end"), line((a, y), (b, y), f"change {kind}"),
            dot(a, y, "hollow"), dot(b, y, kind),
            text(right + 12, y + 4, told, kind=f"strong {kind}"),
        ]  # fmt: skip
    return svg(WIDE, height, parts, label)


def stacked(parts: Sequence[tuple[str, int, str]], label: str) -> str:
    """Counts side by side on one bar, each with its name below: name, count, kind."""
    whole, x, drawn = sum(count for _, count, _ in parts) or 1, 0.0, []
    for _, count, kind in parts:
        wide = WIDE * count / whole
        drawn.append(bar((x + 1, 0), (max(x + 1, x + wide - 1), 26), f"part {kind}", 3))
        x += wide
    for place, anchor, (name, count, _) in zip(
        (0, WIDE / 2, WIDE), ("start", "middle", "end"), parts, strict=False
    ):
        drawn.append(text(place, 46, f"{count} {name}", anchor))
    return svg(WIDE, 54, drawn, label)


def cut(name: str, most: int) -> str:
    """A name that has room."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


# ---------------------------------------------------------------------------- curves


def curve(values: Sequence[Rate], label: str) -> str:
    """Shares for k = 1, 2, … with their intervals as a band."""
    height, top = 190.0, 22.0
    deep, left = height - 50, 40
    step = (WIDE - left - 24) / max(1, len(values) - 1)

    def at(n: int, share: float) -> Point:
        return left + step * n, top + deep * (1 - share)

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = at(0, share)[1]
        parts.append(line((left, y), (WIDE - 24, y), "grid"))
        parts.append(text(left - 8, y + 4, f"{share:.0%}", "end", "mark"))
    ends = [at(n, one.high) for n, one in enumerate(values)]
    ends += [at(n, one.low) for n, one in reversed([*enumerate(values)])]
    parts.append(f'<polygon points="{_spelled(ends)}" class="band"/>')
    places = [at(n, one.value) for n, one in enumerate(values)]
    parts.append(f'<polyline points="{_spelled(places)}" class="curve"/>')
    for n, ((x, y), one) in enumerate(zip(places, values, strict=True), 1):
        parts += [dot(x, y, "point"), text(x, height - 5, f"k = {n}", "middle", "mark")]
        parts.append(text(x, y - 10, f"{one.value:.0%}", "middle", "strong"))
    return svg(WIDE, height, parts, label)


def _spelled(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def histogram(values: Sequence[float], unit: str, label: str) -> str:
    """How often what was taken, from 0 to the most; the median is marked and named."""
    ordered, top = sorted(values), max(values, default=0)
    whole = all(value == int(value) for value in ordered) and top < BINS
    counts = _counts(ordered, 1.0 if whole else top / BINS or 1, int(top) + 1 if whole else BINS)
    step, most, base = INNER / len(counts), max(counts), HIGH + 4
    parts = [line((LEFT, base), (LEFT + INNER, base), "grid")]
    for n, count in enumerate(counts):
        x, wide = LEFT + step * (n + 0.5), min(step - 1, 26) / 2
        tall = max(2.0, HIGH * count / most) if count else 0
        parts.append(bar((x - wide, base - tall), (x + wide, base), "column", 1))
    middle = ordered[(len(ordered) - 1) // 2] if ordered else 0
    inset = step / 2 if whole else 0
    x = LEFT + inset + (INNER - 2 * inset) * middle / (top or 1)
    ends = [(LEFT + inset, "0"), (LEFT + INNER - inset, _short(top, unit))]
    parts += [text(place, HIGH + 18, name, "middle", "mark") for place, name in ends]
    parts += [line((x, 0), (x, base), "median"), text(LEFT - 12, 26, label, "end")]
    parts.append(text(WIDE - RIGHT + 12, 20, _short(middle, unit), kind="strong"))
    parts.append(text(WIDE - RIGHT + 12, 35, "median", kind="mark"))
    return svg(WIDE, HIGH + 24, parts, f"{label}: median {_short(middle, unit)}")


def _counts(values: Sequence[float], width: float, bins: int) -> list[int]:
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(value / width))] += 1
    return counts


def _short(value: float, unit: str) -> str:
    if unit == "$":
        return f"${value:.2g}"
    return f"{value:,.3g} {unit}".strip() if value < 1000 else f"{value:,.0f} {unit}".strip()
