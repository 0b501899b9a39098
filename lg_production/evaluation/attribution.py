"""Was it the agent, or the judge? Two verdicts, each by a comparison that only the one can move.

The judge is held against itself: control items of the day of its pin, graded again today. The agent
is held against itself by one judge: old outputs and new ones, all graded today. To compare today's
grades with last month's blames the agent for a stricter judge in half of the runs and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import RunsDiffer
from .drift import Baseline, JudgeDrift, PermutationTest, Regrades, check_grades
from .scale import SCALE
from .statistics import Interval, paired

AGENT_ALPHA = 0.005


@dataclass(frozen=True, slots=True)
class AgentChange:
    """What one judge says of old and new outputs: the difference in levels, and its p.

    So few cases that no difference between them would be enough (8, at 0.005) show nothing.
    """

    difference: Interval
    p: float
    alpha: float

    @property
    def changed(self) -> bool:
        """Whether the agent is another one than it was."""
        return self.p <= self.alpha

    @property
    def too_few(self) -> bool:
        """Whether it could not have been said of so few cases, whatever their grades."""
        return 2.0 ** (1 - self.difference.n) > self.alpha


@dataclass(frozen=True, slots=True)
class Attribution:
    """Both verdicts, and what they mean."""

    judge: JudgeDrift
    agent: AgentChange

    @property
    def words(self) -> str:
        """Who changed, in a sentence."""
        judge = "The judge changed" if self.judge.drifted else "The judge did not change"
        value = self.agent.difference.value
        worse = "became worse" if value < 0 else "became better"
        agent = "there is no evidence that the agent did"
        if self.agent.changed:
            agent = f"the agent {worse} ({value:+.2f} levels)"
        elif self.agent.too_few:
            agent = f"{self.agent.difference.n} cases are too few to say whether the agent did"
        return f"{judge} (p = {self.judge.p:.2g}); {agent} (p = {self.agent.p:.2g})."


def attribute(
    baseline: Baseline,
    control: Mapping[str, int | None],
    old: Mapping[str, int | None],
    new: Mapping[str, int | None],
    *,
    test: PermutationTest | None = None,
    alpha: float = AGENT_ALPHA,
    seed: int = 0,
    pin: str | None = None,
) -> Attribution:
    """Who changed. `control`: today's grades of the control items; `old` and `new`: today's grades,
    by the same judge, of the stored outputs of the old agent and of those of the new one, by case.

    Cases that either could not be graded for are left out. `regraded` tells by which judge; of
    plain mappings, `pin` is the hash of its pin. Raises `RunsDiffer` if old and new are not of the
    same cases, or not all three of one judge; `BaselineUnusable` if too few control items were
    graded, by another judge than the baseline's, or for a grade that is none.
    """
    pin = one_pin(pin, control, old, new)
    if set(old) != set(new):
        raise RunsDiffer(f"({len(set(old) ^ set(new))} cases are only in one of old and new)")
    pairs = [(a, b) for name in sorted(old) if None not in (a := old[name], b := new[name])]
    check_grades("a case has", (score for pair in pairs for score in pair))
    known = [(float(a or 0), float(b or 0)) for a, b in pairs]
    if not known:
        raise RunsDiffer("(no case was graded in both)")
    before, after = zip(*known, strict=True)
    found, p = paired(before, after, seed=seed, most=SCALE - 1)
    judge = (test or PermutationTest()).test(baseline, control, pin=pin)
    return Attribution(judge, AgentChange(found, p, alpha))


def one_pin(pin: str | None, *graded: Mapping[str, int | None]) -> str | None:
    """The pin of all of these, None if none has one. Raises `RunsDiffer` if there are several."""
    for grades in graded:
        pin = Regrades.of(grades, pin).pin or None
    return pin
