"""Seven ways to go in circles, and one to wait too long; each watches the steps go by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque

from .loop_history import Turn
from .loop_steps import MOST_CALLS, Finding, Step, Thresholds, alike, found


class Watch(ABC):
    """Sees the steps go by."""

    def __init__(self, policy: Thresholds) -> None:
        self.policy = policy

    def __call__(self, step: Step) -> Finding | None:
        """The loop that this step goes on with, or None."""
        return self._see(step)

    @abstractmethod
    def _see(self, step: Step) -> Finding | None: ...


class RepeatedError(Watch):
    """The same tool fails in the same way, and nothing new works."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit = policy.repeated_error
        self.runs: dict[tuple[str, str], list[Turn]] = {}

    def _see(self, step: Step) -> Finding | None:
        if step.worked:
            self.runs.clear()
        longest: list[Turn] = []
        for turn in {(t.agent, t.tool): t for t in step.turns}.values():
            run = self.runs.setdefault((turn.agent, turn.tool), [])
            if turn.error is None or (run and run[-1].shape != turn.shape):
                run.clear()
            if turn.error is not None:
                run.append(turn)
                longest = max(longest, run, key=len)
        if not self.limit or len(longest) < self.limit:
            return None
        return found("repeated_error", step, len(longest), longest[-MOST_CALLS:], longest[0].index)


class SameResult(Watch):
    """The same calls with the same results, one step after another."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit = policy.same_result
        self.run: list[Step] = []

    def _see(self, step: Step) -> Finding | None:
        if not step.turns:
            return None
        if self.run and self.run[-1].signature != step.signature:
            self.run = []
        self.run.append(step)
        if not self.limit or len(self.run) < self.limit:
            return None
        return found("same_result", step, len(self.run), step.turns, self.run[0].index)


class Cycle(Watch):
    """Several steps come round again, results included. `runs[p]`: how long with period p."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit = policy.cycle
        self.past: list[Step] = []
        self.signatures: list[frozenset[tuple[str, str | None]]] = []
        self.runs = dict.fromkeys(range(2, policy.longest_cycle + 1), 0)

    def _see(self, step: Step) -> Finding | None:
        if not step.turns:
            return None
        signature = step.signature
        for period in self.runs:
            again = self.signatures[-period:][:1] == [signature] and len(self.past) >= period
            self.runs[period] = self.runs[period] + 1 if again else 0
        varied = self.signatures[-1:] != [signature]
        self.past.append(step)
        self.signatures.append(signature)
        for period, run in self.runs.items():
            if self.limit and varied and run >= period * (self.limit - 1):
                round_ = [turn for one in self.past[-period:] for turn in one.turns]
                since = self.past[-run - period].index
                return found("cycle", step, (run + period) // period, round_, since)
        return None


class NearDuplicate(Watch):
    """Nearly the same call, which brings the same or nothing, and nothing new in between."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit, self.similarity = policy.near_duplicate, policy.similarity
        self.past: deque[Step] = deque(maxlen=policy.window - 1)

    def _see(self, step: Step) -> Finding | None:
        if step.news:
            self.past.clear()
        if not step.turns or not self.limit:
            return None
        for turn in step.turns:
            near = [(one.index, other) for one in self.past if (other := self._near(turn, one))]
            calls = {turn.call, *(other.call for _, other in near)}
            if len(near) + 1 >= self.limit and len(calls) > 1:
                turns = [turn, *(other for _, other in near)]
                self.past.append(step)
                return found("near_duplicate", step, len(turns), turns, near[0][0])
        self.past.append(step)
        return None

    def _near(self, turn: Turn, step: Step) -> Turn | None:
        for other in step.turns:
            if turn.shape == other.shape and alike(turn, other, self.similarity):
                return other
        return None


class SameCall(Watch):
    """The same call in most steps, whatever it returns."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit, self.window = policy.same_call, policy.window
        self.past: deque[tuple[int, set[str]]] = deque()
        self.counts: Counter[str] = Counter()

    def _see(self, step: Step) -> Finding | None:
        if not step.turns:
            return None
        calls = {turn.call for turn in step.turns}
        self.past.append((step.index, calls))
        self.counts.update(calls)
        if len(self.past) > self.window:
            self.counts.subtract(self.past.popleft()[1])
        most = max(calls, key=lambda call: self.counts[call])
        if not self.limit or self.counts[most] < self.limit:
            return None
        turns = [turn for turn in step.turns if turn.call == most]
        since = next(index for index, made in self.past if most in made)
        return found("same_call", step, self.counts[most], turns, since)


class PingPong(Watch):
    """Agents hand over to each other and back, and nothing new comes of it."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit = policy.ping_pong
        self.had: set[str] = set()
        self.holder, self.returns, self.since = "", 0, 0
        self.handed: list[Turn] = []

    def _see(self, step: Step) -> Finding | None:
        if step.progress or step.said or not self.had:
            self.had, self.returns, self.since = {step.author}, 0, step.index
            self.holder, self.handed = step.author, []
        handed = step.handoffs or step.floor != self.holder
        returned = bool(handed) and step.floor in self.had
        self.returns += returned
        self.handed = [*self.handed[-self.limit :], *step.handoffs] if self.limit else []
        self.holder = step.floor
        self.had.add(step.floor)
        if not self.limit or not returned or self.returns < self.limit:
            return None
        return found("ping_pong", step, self.returns, self.handed, self.since)


class Polling(Watch):
    """A tool that may be asked again was asked too often."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit = policy.max_polls
        self.counts: Counter[str] = Counter()
        self.since: dict[str, int] = {}

    def _see(self, step: Step) -> Finding | None:
        calls = {turn.call: turn for turn in step.polls}
        self.counts.update(calls.keys())
        for call, turn in calls.items():
            first = self.since.setdefault(call, step.index)
            if self.counts[call] > self.limit:
                return found("polling", step, self.counts[call], [turn], first)
        return None


class NoProgress(Watch):
    """Step after step, and no new result."""

    def __init__(self, policy: Thresholds) -> None:
        super().__init__(policy)
        self.limit = policy.no_progress
        self.stale: list[Step] = []

    def _see(self, step: Step) -> Finding | None:
        if step.progress or step.news or step.said:
            self.stale = []
        elif step.turns:
            self.stale.append(step)
            over = len(self.stale) - (self.limit or 0)
            if self.limit and over >= 0 and over % (self.limit // 2) == 0:
                turns = [turn for one in self.stale[-MOST_CALLS:] for turn in one.turns]
                since = self.stale[0].index
                return found("no_progress", step, len(self.stale), turns, since)
        return None


WATCHES: tuple[type[Watch], ...] = (
    RepeatedError, SameResult, Cycle, NearDuplicate, SameCall, PingPong, Polling, NoProgress,
)  # fmt: skip
"""The most telling first: a step may be several."""
