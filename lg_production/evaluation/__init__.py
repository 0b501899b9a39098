"""Capability 8, testing and evaluation: golden data, behaviours, pinned judges, drift."""

from .attribution import Attribution, attribute
from .behaviours import KINDS, Behaviour
from .cases import Case, Suite, case_of, load_suite
from .cassettes import Cassette
from .comparing import Comparison, compare
from .crashes import CrashHarness, crash_point
from .cusum import Monitor
from .drift import Baseline, JudgeDrift, PermutationTest, Regrades, baseline_of, regraded
from .expectation import Verdict
from .gates import Gate
from .judges import Grade, Judge, cross_grade
from .outcome import Outcome, ToolUse
from .pins import JudgePin
from .ppi import prediction_powered
from .promotion import promote
from .redaction import Redaction
from .results import CaseResult, Report, Trial, by_split
from .running import Runner
from .scripted import ScriptedChatModel

__all__ = [
    "KINDS",
    "Attribution",
    "Baseline",
    "Behaviour",
    "Case",
    "CaseResult",
    "Cassette",
    "Comparison",
    "CrashHarness",
    "Gate",
    "Grade",
    "Judge",
    "JudgeDrift",
    "JudgePin",
    "Monitor",
    "Outcome",
    "PermutationTest",
    "Redaction",
    "Regrades",
    "Report",
    "Runner",
    "ScriptedChatModel",
    "Suite",
    "ToolUse",
    "Trial",
    "Verdict",
    "attribute",
    "baseline_of",
    "by_split",
    "case_of",
    "compare",
    "crash_point",
    "cross_grade",
    "load_suite",
    "prediction_powered",
    "promote",
    "regraded",
]
