"""Whether people still look: how often, how fast and how alike they decide, and what they miss.

Records in, values out. The habits of a reviewer with a tool in a week; alarms where an interval
leaves no doubt; a recommendation for the router; and how the queue fares.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeAlias, TypeVar

from ..core.answers import Action
from ..core.intervals import Rate, wilson
from .calibration import solve

Kind: TypeAlias = Literal["canaries", "too_fast", "approves_all", "disagrees"]
T = TypeVar("T")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision of one person. `seconds` since the case was opened or claimed.

    `payload_characters` is how much there was to read. A `canary` is a case that is known to be
    bad. `duplicate_of` is the `key` of a case that this one repeats; two people who decide one
    case have the same key.
    """

    reviewer: str
    tool: str
    at: datetime
    action: Action
    seconds: float
    payload_characters: int
    canary: bool = False
    key: str = ""
    duplicate_of: str | None = None

    @property
    def week(self) -> date:
        """The Monday of its week, in UTC."""
        day = self.at.astimezone(UTC).date()
        return day - timedelta(days=day.weekday())


@dataclass(frozen=True, slots=True)
class Habits:
    """How one reviewer decided one tool's cases in one week.

    Canaries count for `fast`, the times and `missed` (approved ones), not for the rates of
    approval and edits: those are of real cases. `agreement` is with whoever decided the same
    case, and `kappa` Cohen's, or None where nothing could have been but agreement.
    """

    reviewer: str
    tool: str
    week: date
    n: int
    approval: Rate
    edits: Rate
    fast: Rate
    p10: float
    p50: float
    canaries: int
    missed: int
    agreement: Rate
    kappa: float | None


@dataclass(frozen=True, slots=True)
class CanaryCusum:
    """Counts missed canaries: `weight` - 1 up for one missed, 1 down for one caught, not below 0.

    It alarms at `limit`, and starts anew. As it is, made to tell 1 miss in 20 from 3 in 10, a
    false alarm comes every 490 canaries where 1 in 20 is missed; the alarm comes after 12 where
    3 in 10 are, and after 3 where all are (`run_length`).
    """

    weight: int = 7
    limit: int = 13

    def alarms(self, missed: Iterable[bool]) -> list[tuple[int, int]]:
        """At which canaries it alarms, counted from 0, and with which count."""
        count, found = 0, []
        for at, miss in enumerate(missed):
            count = max(0, count + (self.weight - 1 if miss else -1))
            if count >= self.limit:
                found.append((at, count))
                count = 0
        return found

    def run_length(self, rate: float) -> float:
        """How many canaries there are until an alarm, on average, where so many are missed."""
        equations = [[float(i == j) for j in range(self.limit)] for i in range(self.limit)]
        for count, equation in enumerate(equations):
            equation[max(0, count - 1)] -= 1 - rate
            if count + self.weight - 1 < self.limit:
                equation[count + self.weight - 1] -= rate
        return solve(equations, [1.0] * self.limit)[0]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong with a reviewer's decisions, in words, and the limit that `value` is beyond.

    `tool` is `*` for canaries, which are too few to tell tools apart.
    """

    reviewer: str
    tool: str
    week: date
    kind: Kind
    value: float
    limit: float
    reason: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the router should do.

    `review_rate` multiplies the share of what passes that people see all the same; `second_person`
    is the share of what one person decides that a second one decides, too.
    """

    review_rate: float = 1.0
    second_person: float = 0.0
    reasons: tuple[str, ...] = ()


def recommend(alarms: Sequence[Alarm], factor: float = 2.0, second: float = 0.25) -> Recommendation:
    """The answer to alarms of one reviewer, or of one tool, as the caller groups them.

    Missed canaries and disagreement ask for a second person, always. Haste and approving all but
    everything ask for `factor` times as much review, and canaries with it; and, as there is no
    more than all of what people see anyway, for a second person in a share `second` of that.
    """
    kinds = {alarm.kind for alarm in alarms}
    hasty = bool(kinds & {"too_fast", "approves_all"})
    return Recommendation(
        factor if hasty else 1.0,
        1.0 if kinds & {"canaries", "disagrees"} else second * hasty,
        tuple(alarm.reason for alarm in alarms),
    )


@dataclass(frozen=True)
class Watch:
    """Computes habits, and alarms on them.

    The reading floor is `payload_characters` at `words_per_minute` and six characters a word;
    400 words is more than people read with understanding (238 on average: Brysbaert 2019).
    Alarms need `minimum` decisions, and an interval wholly beyond the limit: more than
    `fast_share` below the floor; more approval than in the reviewer's earlier weeks, or than
    others' of the same tool that week; agreement below `agreement`. `confidence` is of each.
    """

    words_per_minute: float = 400
    fast_share: float = 0.5
    agreement: float = 0.8
    minimum: int = 20
    confidence: float = 0.99
    cusum: CanaryCusum = field(default_factory=CanaryCusum)

    def floor(self, payload_characters: int) -> float:
        """How many seconds it takes at least to read so much."""
        return payload_characters / 6 / self.words_per_minute * 60

    def habits(self, decisions: Iterable[Decided]) -> list[Habits]:
        """One for every reviewer, tool and week, in this order."""
        every = list(decisions)
        cases = _grouped((d for d in every if _case(d)), _case)
        groups = _grouped(every, lambda d: (d.reviewer, d.tool, d.week))
        return [self._habits(*key, groups[key], cases) for key in sorted(groups)]

    def _habits(
        self,
        reviewer: str,
        tool: str,
        week: date,
        decisions: Sequence[Decided],
        cases: Mapping[str, Sequence[Decided]],
    ) -> Habits:
        real = [d for d in decisions if not d.canary]
        canaries = [d for d in decisions if d.canary]
        twice = [
            (stance(d.action), stance(other.action))
            for d in real
            for other in cases.get(_case(d), ())
            if other.reviewer != reviewer
        ]
        seconds = [d.seconds for d in decisions]
        return Habits(
            reviewer,
            tool,
            week,
            len(decisions),
            self._rate([d.action == "approve" for d in real]),
            self._rate([d.action == "edit" for d in real]),
            self._rate([d.seconds < self.floor(d.payload_characters) for d in decisions]),
            quantile(seconds, 0.1),
            quantile(seconds, 0.5),
            len(canaries),
            sum(d.action == "approve" for d in canaries),
            self._rate([one == other for one, other in twice]),
            kappa(twice),
        )

    def _rate(self, hits: Sequence[bool]) -> Rate:
        return wilson(sum(hits), len(hits), self.confidence)

    def alarms(self, decisions: Iterable[Decided]) -> list[Alarm]:
        """Everything that is beyond doubt and beyond a limit."""
        every = list(decisions)
        habits = self.habits(every)
        found = [alarm for h in habits for alarm in self._single(h)]
        found += [alarm for h in habits for alarm in self._compared(h, habits)]
        return found + self._canaries(every)

    def _single(self, h: Habits) -> list[Alarm]:
        found = []
        if h.fast.n >= self.minimum and h.fast.low > self.fast_share:
            reason = f"{h.fast.value:.0%} decided faster than the case can be read"
            found.append(_alarm(h, "too_fast", h.fast.value, self.fast_share, reason))
        if h.agreement.n >= self.minimum and h.agreement.high < self.agreement:
            reason = f"only {h.agreement.value:.0%} agreement on cases that others decided too"
            found.append(_alarm(h, "disagrees", h.agreement.value, self.agreement, reason))
        return found

    def _compared(self, h: Habits, habits: Sequence[Habits]) -> list[Alarm]:
        """More approval than one's own before, or than that of others."""
        alike = [other for other in habits if other.tool == h.tool]
        before = [o for o in alike if o.reviewer == h.reviewer and o.week < h.week]
        peers = [o for o in alike if o.reviewer != h.reviewer and o.week == h.week]
        found = []
        for others, whose in ((before, "in earlier weeks"), (peers, "by others that week")):
            usual = self._pooled(others)
            if min(h.approval.n, usual.n) >= self.minimum and h.approval.low > usual.high:
                reason = f"{h.approval.value:.0%} approved, {usual.value:.0%} {whose}"
                found.append(_alarm(h, "approves_all", h.approval.value, usual.high, reason))
        return found

    def _pooled(self, habits: Sequence[Habits]) -> Rate:
        hits = sum(h.approval.value * h.approval.n for h in habits)
        return wilson(hits, sum(h.approval.n for h in habits), self.confidence)

    def _canaries(self, decisions: Sequence[Decided]) -> list[Alarm]:
        found = []
        canaries = sorted((d for d in decisions if d.canary), key=lambda d: d.at)
        for reviewer, shown in sorted(_grouped(canaries, lambda d: d.reviewer).items()):
            missed = [d.action == "approve" for d in shown]
            for at, count in self.cusum.alarms(missed):
                reason = f"{sum(missed[: at + 1])} of {at + 1} canaries approved, lately too many"
                limit, week = float(self.cusum.limit), shown[at].week
                found.append(Alarm(reviewer, "*", week, "canaries", count, limit, reason))
        return found


def _alarm(h: Habits, kind: Kind, value: float, limit: float, reason: str) -> Alarm:
    return Alarm(h.reviewer, h.tool, h.week, kind, value, limit, reason)


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _case(decision: Decided) -> str:
    return decision.duplicate_of or decision.key


def stance(action: Action) -> Action:
    """An edit and an approval of one proposal agree: whoever edits has agreed to what it says."""
    return "approve" if action == "edit" else action


def kappa(pairs: Sequence[tuple[Action, Action]]) -> float | None:
    """Cohen's: 1 is full agreement, 0 that of chance; None where chance alone agrees fully."""
    n = len(pairs)
    ours, theirs = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(ours[action] * theirs[action] for action in ours)
    if chance == n * n:
        return None
    agreed = sum(one == other for one, other in pairs)
    return (agreed * n - chance) / (n * n - chance)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies, linear between two; 0 of nothing."""
    ordered = sorted(values) or [0.0]
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


# --------------------------------------------------------------------------------- the queue
@dataclass(frozen=True, slots=True)
class Case:
    """A case that was routed, and what became of it. An open one has no outcome yet."""

    verdict: Literal["auto", "sample", "review", "two_person", "deny"]
    opened_at: datetime
    decided_at: datetime | None = None
    outcome: Action | Literal["expired"] | None = None
    incident: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """How the queue fares. Ages and times are in seconds.

    `escalated`: for review, of all routed. `late`: longer than agreed, of those that are decided,
    expired, or late already. `timeouts`: expired, of those that are over. `overridden`: edited
    or rejected, of those that a person approved, edited or rejected. `incidents`: of those that
    ran after a person said so.
    """

    routed: int
    waiting: int
    escalated: Rate
    age_p50: float
    age_p95: float
    decided_p50: float
    decided_p95: float
    late: Rate
    timeouts: Rate
    overridden: Rate
    incidents: Rate


def queue(
    cases: Iterable[Case], now: datetime, agreed: timedelta, confidence: float = 0.95
) -> Queue:
    """Measure it. `agreed`: within which time a case is to be decided."""
    every = list(cases)
    asked = [c for c in every if c.verdict in ("sample", "review", "two_person")]
    ages = [(now - c.opened_at).total_seconds() for c in asked if c.outcome is None]
    over = [c for c in asked if c.outcome is not None]
    times = [_took(c, now) for c in over if c.outcome != "expired"]
    late = [_took(c, now) > agreed.total_seconds() for c in asked]
    known = [is_late for c, is_late in zip(asked, late, strict=True) if c.outcome or is_late]
    ruled = [c.outcome for c in asked if c.outcome in ("approve", "edit", "reject")]
    ran = [c for c in asked if c.outcome in ("approve", "edit")]

    def rate(hits: Sequence[bool]) -> Rate:
        return wilson(sum(hits), len(hits), confidence)

    return Queue(
        len(every),
        len(ages),
        rate([c.verdict in ("review", "two_person") for c in every]),
        quantile(ages, 0.5),
        quantile(ages, 0.95),
        quantile(times, 0.5),
        quantile(times, 0.95),
        rate(known),
        rate([c.outcome == "expired" for c in over]),
        rate([outcome != "approve" for outcome in ruled]),
        rate([c.incident for c in ran]),
    )


def _took(case: Case, now: datetime) -> float:
    return ((case.decided_at or now) - case.opened_at).total_seconds()
