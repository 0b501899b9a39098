"""What a run of a suite came to: each trial, each case, and the whole with its intervals."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, ValidationError

from ..core.intervals import Rate, wilson
from ..errors import ReportUnreadable
from .expectation import Verdict
from .outcome import Outcome
from .redacted import redacted_case, redacted_grade, redacted_outcome, redacted_verdict
from .redaction import Redact, redact
from .statistics import pass_hat_k

FORMAT = 1
MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one case, with the verdicts on its behaviours and the grades of judges."""

    case: str
    repetition: Annotated[int, Field(ge=0)]
    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    grades: tuple[Mapping[str, Any], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every behaviour holds. Grades have no say in this."""
        return all(verdict.passed for verdict in self.verdicts)

    def redacted(self, redact: Redact = redact) -> Self:
        """This without its secrets."""
        return replace(
            self,
            outcome=redacted_outcome(self.outcome, redact),
            verdicts=tuple(redacted_verdict(one, redact) for one in self.verdicts),
            grades=tuple(redacted_grade(one, redact) for one in self.grades),
        )

    def stored(self) -> dict[str, Any]:
        """This as JSON."""
        verdicts = [asdict(verdict) for verdict in self.verdicts]
        return {
            "case": self.case, "repetition": self.repetition, "outcome": self.outcome.stored(),
            "verdicts": verdicts, "grades": [dict(grade) for grade in self.grades],
        }  # fmt: skip

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """A trial as it was stored. Raises ValueError (pydantic's) where it is none."""
        found = _TRIAL.validate_python(stored)
        return cls(found.case, found.repetition, found.outcome, found.verdicts, found.grades)


_TRIAL: TypeAdapter[Trial] = TypeAdapter(Trial)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case and its trials."""

    case: Mapping[str, Any]
    trials: tuple[Trial, ...]

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.case["id"])

    @property
    def split(self) -> str:
        """happy, edge or adversarial."""
        return str(self.case["split"])

    @property
    def passed(self) -> int:
        """How many trials passed."""
        return sum(trial.passed for trial in self.trials)

    @property
    def rate(self) -> float:
        """The share of its trials that passed."""
        return self.passed / len(self.trials)

    @property
    def failures(self) -> dict[str, str]:
        """The behaviours that failed in any trial, with the first reason; and what was raised."""
        failed = [trial for trial in self.trials if not trial.passed]
        raised = [trial.outcome.error for trial in failed if trial.outcome.error]
        verdicts = [v for trial in failed for v in trial.verdicts if not v.passed]
        first = {v.behaviour: v.why for v in reversed(verdicts)}
        return {"raised": raised[0], **first} if raised else first


@dataclass(frozen=True)
class Report:
    """A whole run. `stopped` is why it is not complete, or "" if it is: "budget", "price" (a budget
    of money, and an answer without a price) or "interrupted".

    `hash` is that of the data: two reports are of the same cases if it is the same. `settings`
    are what else would make a difference; `judges` the pins of the judges; `words` the hash of the
    words by which `claims_only_done` knows a claim, "" if nobody noted it; `known` how many of the
    trials an earlier call had run, and left in the journal.
    """

    suite: str
    version: str
    hash: str
    target: str
    cases: tuple[Mapping[str, Any], ...]
    trials: tuple[Trial, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    judges: tuple[Mapping[str, Any], ...] = ()
    started: str = ""
    seconds: float = 0.0
    software: Mapping[str, str] = field(default_factory=dict)
    stopped: str = ""
    words: str = ""
    known: int = 0

    @cached_property
    def results(self) -> tuple[CaseResult, ...]:
        """The cases that were tried, in the order of the suite."""
        tried: defaultdict[str, list[Trial]] = defaultdict(list)
        for trial in sorted(self.trials, key=lambda one: one.repetition):
            tried[trial.case].append(trial)
        return tuple(
            CaseResult(case, tuple(tried[case["id"]])) for case in self.cases if case["id"] in tried
        )

    def rate(self, results: Iterable[CaseResult] | None = None, confidence: float = 0.95) -> Rate:
        """The mean share of passed trials of a case, with Wilson's interval over cases.

        Repetitions make a case's share more certain, and are no further cases.
        """
        found = list(self.results if results is None else results)
        return wilson(sum(one.rate for one in found), len(found), confidence)

    def pass_hat(self, k: int) -> float:
        """The chance that k runs of a case all pass, on average over cases (pass^k)."""
        return self.every_time(k).value

    def every_time(self, k: int, confidence: float = 0.95) -> Rate:
        """pass^k with Wilson's interval over cases; of those that were run at least k times."""
        found = [r for r in self.results if len(r.trials) >= k]
        if not found:
            raise ValueError(f"no case was run {k} times")
        chances = [pass_hat_k(r.passed, len(r.trials), k) for r in found]
        return wilson(sum(chances), len(found), confidence)

    @property
    def repeat(self) -> int:
        """How often each case that was tried was run at least."""
        return min((len(one.trials) for one in self.results), default=0)

    @property
    def usd(self) -> Decimal | None:
        """What all trials cost; None if that of one is unknown."""
        costs = [trial.outcome.usd for trial in self.trials]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if known and len(known) == len(costs) else None

    @property
    def tokens(self) -> int:
        """Tokens of all trials, without those of judges."""
        return sum(trial.outcome.tokens for trial in self.trials)

    def stored(self) -> dict[str, Any]:
        """This as JSON."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        trials = [trial.stored() for trial in self.trials]
        told = {"cases": list(self.cases), "trials": trials, "remarks": self.remarks}
        return {"format": FORMAT, **own, **told}

    @property
    def remarks(self) -> list[str]:
        """What whoever reads the figures should know, in sentences."""
        return [*self._ungraded(), *self._unasked(), *self._known()]

    def _known(self) -> Iterable[str]:
        """The trials that this run has not run."""
        if self.known:
            n = len(self.trials)
            yield f"{self.known} of {n} trials are of an earlier run: its journal had them."

    def _ungraded(self) -> Iterable[str]:
        """The judges that graded nothing at all."""
        for n, pin in enumerate(self.judges):
            given = [trial.grades[n] for trial in self.trials if len(trial.grades) > n]
            if given and all(grade.get("score") is None for grade in given):
                name, first = pin.get("model", "?"), given[0].get("reason", "")
                yield f"The judge {name} gave no grade in {len(given)} trials: {first}."

    def _unasked(self) -> Iterable[str]:
        """The cases that hold more answers than any of their trials has asked for."""
        found = []
        for one in self.results:
            ended = [t.outcome for t in one.trials if t.outcome.ended != "error"]
            asked = [len(outcome.interrupts) for outcome in ended]
            if asked and max(asked) < len(one.case.get("answers", ())):
                found.append(one.id)
        if found:
            more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            named = ", ".join(found[:MOST_NAMED]) + more
            yield f"Not every answer was used of {named}: the agent asked less often."

    def redacted(self, redact: Redact = redact) -> Self:
        """This without its secrets; its hash is still that of the data that was run."""
        return replace(
            self,
            cases=tuple(redacted_case(one, redact) for one in self.cases),
            trials=tuple(one.redacted(redact) for one in self.trials),
            judges=tuple(redact(dict(one)) for one in self.judges),
        )

    def write(self, file: Path | str, *, redact: Redact | None = redact) -> Path:
        """Write this as JSON, whole or not at all; without its secrets unless `redact` is None."""
        if redact:
            return self.redacted(redact).write(file, redact=None)
        target = Path(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.part")
        unfinished.write_text(json.dumps(self.stored(), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(target)
        return target

    @classmethod
    def read(cls, file: Path | str) -> Self:
        """A report from its file. Raises `ReportUnreadable`."""
        try:
            stored = json.loads(Path(file).read_text(encoding="utf-8"))
            if stored.pop("format") != FORMAT:
                raise ReportUnreadable(f"({file} is of another format)")
            found = _REPORT.validate_python(stored)
            _agreeing(found)
        except ValidationError as wrong:
            first = wrong.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ReportUnreadable(f"({file}: {place}: {first['msg']})") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ReportUnreadable(f"({file}: {type(error).__name__}: {error})") from None
        return cls(**{one.name: getattr(found, one.name) for one in fields(found)})


_REPORT: TypeAdapter[Report] = TypeAdapter(Report)


def _agreeing(report: Report) -> None:
    """Raise ValueError if what a report says does not fit together."""
    demands = {}
    for case in report.cases:
        name, split, behaviours = case.get("id"), case.get("split"), case.get("behaviours")
        texts = isinstance(name, str) and isinstance(split, str)
        if not texts or not isinstance(behaviours, list):
            raise KeyError("a case needs an id, a split and behaviours")
        if name in demands:
            raise ValueError(f"the case {name} is there twice")
        demands[name] = len(behaviours)
    known = set()
    for trial in report.trials:
        told = f"trial {trial.repetition} of {trial.case}"
        if trial.case not in demands or len(trial.verdicts) < demands[trial.case]:
            raise ValueError(f"{told} has not the verdicts of its case")
        if (trial.case, trial.repetition) in known:
            raise ValueError(f"{told} is there twice")
        known.add((trial.case, trial.repetition))


def by_split(results: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    """The results of each split, in the order of the suite."""
    found: dict[str, list[CaseResult]] = {}
    for one in results:
        found.setdefault(one.split, []).append(one)
    return found
