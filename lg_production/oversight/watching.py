"""The record watches the reviewers and the scores, and the routing heeds what it sees.

    watcher = Watcher(thresholds=[threshold])
    router = ConfidenceRouter(database, policy, scorers=scorers, watcher=watcher)

Nothing is kept but the ledger: every worker that looks at the same rows sees the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ..core.events import Event
from ..core.steps import Emit, Steps, off_loop
from . import queries
from .decay import Alarm, Decided, Recommendation, Watch, recommend
from .drift import Armed, DriftTest
from .queries import Scored
from .thresholds import Label, Rule, Threshold, uniform

UNFITTED = Threshold(None, "the record was not read yet", 0.0, 1.0, 0, None)


class LearnedThreshold:
    """A threshold that is fitted on logged reviews, and disarms itself when the scores drift.

    For `ReviewPolicy(threshold=…)`, or a tool's `Stakes`, together with a `Watcher` that reads the
    record for it; before it has, and whenever `rule` proves nothing, every case is reviewed.
    Labels are of the calls of `tool` and `agent` (None: of all) that were routed in the `age`
    before `until`, a moment of yours, as exact as the version of a model: all workers fit the
    same. What a person was to see and had not approved by then counts as wrong: an answer instead
    of the tool, a deadline that passed, a case that was still open. While some cases of that time
    could not be sampled at all nothing is proven. `status` says what is, or how many reviews are
    missing.

    The scores of every case after `until` are held against those before it, each `every` anew;
    `test` bounds the chance of a false alarm over all its looks. What has drifted stays disarmed
    until you set a later `until`, that is: until there are labels from after the drift.
    """

    def __init__(
        self,
        rule: Rule,
        *,
        until: datetime,
        tool: str | None = None,
        agent: str | None = None,
        age: timedelta = timedelta(days=180),
        every: timedelta = timedelta(days=7),
        test: DriftTest | None = None,
        tenant: str | None = None,
    ) -> None:
        if until.tzinfo is None:
            raise ValueError("until needs a time zone: datetime(2026, 3, 1, tzinfo=UTC)")
        if every <= timedelta(0) or age <= timedelta(0):
            raise ValueError("every and age must be positive")
        if until - datetime.min.replace(tzinfo=UTC) <= age:
            raise ValueError("age reaches back behind the year 1")
        self.rule, self.until, self.tool, self.tenant = rule, until, tool, tenant
        self.agent = agent
        self.age, self.every, self.test = age, every, test or DriftTest()
        self.fitted, self.is_fitted = UNFITTED, False
        self.armed = Armed(UNFITTED)
        self.looked = 0

    @property
    def value(self) -> float | None:
        """From which confidence on a case may go without a person; None: none may."""
        return self.armed.value

    @property
    def status(self) -> str:
        """What is guaranteed now, or why nothing is."""
        return "; ".join(self.armed.reasons) or self.fitted.guarantee

    def read(self, now: datetime) -> Steps[None]:
        """Fit it, unless it is, and look at the scores since. `now` is the database's."""
        if now < self.until:
            self.fitted = replace(UNFITTED, guarantee="`until` has not come yet")
            return
        if not self.is_fitted:
            start = self.until - self.age
            scored = yield from queries.scored(
                start, self.until, self.tool, self.agent, self.tenant
            )
            self.fitted = yield from off_loop(lambda: fitted(self.rule, scored))
            self.is_fitted = True
        was = self.armed if self.armed.threshold is self.fitted else Armed(self.fitted)
        self.armed = was if was.value is None else (yield from self._looked_at(was, now))
        if self.armed.reasons and not was.reasons:
            yield from Emit(Event("review.disarmed", {"tool": self.tool, "why": self.status}))

    def _looked_at(self, was: Armed, now: datetime) -> Steps[Armed]:
        """After the looks that are due. Each is made once: what one saw cannot change."""
        passed = (now - self.until) // self.every
        due, armed = min(passed, self.test.looks), was
        if due > self.looked:
            start = self.until - self.age
            scores = yield from queries.scores(start, self.tool, self.agent, self.tenant)
            armed = yield from off_loop(lambda: self._after(was, scores, due))
            self.looked = due
        if passed > self.test.looks and not armed.reasons:
            return armed.disarm("its looks for drift are used up: set a later `until`")
        return armed

    def _after(self, was: Armed, scores: Sequence[tuple[datetime, float]], due: int) -> Armed:
        """The same, or disarmed by the first look up to this one that finds a drift."""
        before = [score for at, score in scores if at < self.until]
        for number in range(self.looked + 1, due + 1):
            end = self.until + number * self.every
            recent = [score for at, score in scores if self.until <= at < end]
            armed = was.after(self.test.look(before, recent))
            if armed.reasons:
                return armed
        return was


def fitted(rule: Rule, cases: Sequence[Scored]) -> Threshold:
    """What the rule makes of the labels; labels that it cannot take prove nothing.

    The labels are thinned to a uniform sample of all cases: those that would have been reviewed had
    each had the chance of the least likely.
    """
    least = min((case.probability for case in cases), default=1.0)
    if least <= 0:
        rare = sum(case.probability <= 0 for case in cases)
        why = f"{rare} of {len(cases)} cases could not be sampled; set a sample_rate, and wait"
        return replace(UNFITTED, guarantee=f"nothing is automated: {why}")
    seen = [case for case in cases if case.reviewed]
    if least < 1 and any(case.draw is None for case in seen):
        return replace(UNFITTED, guarantee="nothing is automated: labels are without their draw")
    labels = [Label(c.score, c.correct, c.probability, c.stratum, c.draw) for c in seen]
    return rule.fit(uniform(labels, least))


class Watcher:
    """Lets the record change how strictly calls are routed: give it to router and `Review`.

    At most every `max_age` it reads the votes of the last `age` and what `watch` says of them.
    Haste and approving all but everything multiply the share of a tool's cases that people
    sample by `factor`, and ask for two people in a share `second` of those that go to one, drawn
    by keyed hash; missed canaries and disagreement ask for two wherever one would do, for every
    tool that the reviewer in question has decided about. An alarm counts for `lasting`.
    Emits `review.heightened` when what is asked for a tool changes, `review.disarmed` for a
    threshold. Verdicts that are frozen stay as they are.
    """

    def __init__(
        self,
        *,
        watch: Watch | None = None,
        thresholds: Sequence[LearnedThreshold] = (),
        age: timedelta = timedelta(days=90),
        lasting: timedelta = timedelta(days=28),
        factor: float = 4.0,
        second: float = 0.25,
        tenant: str | None = None,
        max_age: timedelta = timedelta(minutes=5),
    ) -> None:
        if not 1 <= factor < math.inf:
            raise ValueError("factor must be finite, and at least 1: an alarm asks for more")
        if not 0 <= second <= 1:
            raise ValueError("second is a share, from 0 to 1")
        if min(age, lasting) <= timedelta(0):
            raise ValueError("age and lasting must be positive")
        self.watch, self.thresholds = watch or Watch(), tuple(thresholds)
        self.factor, self.second = factor, second
        self.age, self.lasting, self.tenant = age, lasting, tenant
        self.max_age = max_age.total_seconds()
        self.recommendations: dict[str, Recommendation] = {}
        self._read_at = float("-inf")

    def of(self, tool: str) -> Recommendation:
        """What is asked for this tool now, as it was read last."""
        return self.recommendations.get(tool, Recommendation())

    def look(self) -> Steps[None]:
        """Read the record, unless it was read within `max_age`."""
        if time.monotonic() - self._read_at < self.max_age:
            return
        self._read_at = time.monotonic()
        try:
            yield from self._read()
        except BaseException:
            self._read_at = float("-inf")
            raise

    def _read(self) -> Steps[None]:
        now = yield from queries.now()
        for threshold in self.thresholds:
            yield from threshold.read(now)
        votes = yield from queries.decided(self.age, self.tenant)
        found = yield from off_loop(lambda: self.judged(votes, now))
        for tool in sorted(found.keys() | self.recommendations.keys()):
            asked = found.get(tool, Recommendation())
            if asked != self.of(tool):
                yield from Emit(Event("review.heightened", said(tool, asked)))
        self.recommendations = found

    def judged(self, votes: Sequence[Decided], now: datetime) -> dict[str, Recommendation]:
        """What these votes ask for, by tool; nothing for tools of which there is no alarm."""
        alarms = [a for a in self.watch.alarms(votes) if recent(a, now, self.lasting)]
        decides = {(vote.reviewer, vote.tool) for vote in votes}
        tools = sorted({tool for _, tool in decides})
        of = {tool: [a for a in alarms if concerns(a, tool, decides)] for tool in tools}
        return {
            tool: recommend(found, self.factor, self.second) for tool, found in of.items() if found
        }


def recent(alarm: Alarm, now: datetime, lasting: timedelta) -> bool:
    """Whether the week of an alarm ended at most `lasting` ago."""
    return now.date() - alarm.week <= lasting + timedelta(days=7)


def concerns(alarm: Alarm, tool: str, decides: Collection[tuple[str, str]]) -> bool:
    """Whether an alarm is about a tool: canaries are about all that the reviewer decides."""
    return alarm.tool == tool or (alarm.tool == "*" and (alarm.reviewer, tool) in decides)


def said(tool: str, asked: Recommendation) -> dict[str, str | int | float | bool | None]:
    """A recommendation, for an event."""
    return {
        "tool": tool,
        "review_rate": asked.review_rate,
        "second_person": asked.second_person,
        "reasons": "; ".join(asked.reasons),
    }
