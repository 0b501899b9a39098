"""Capability 3, human oversight: who decides, on what evidence, and with which promise."""

from .canaries import Canary, seed_steps
from .combined import Calibrated, Combined, Validators, fits_schema
from .drift import Armed, DriftTest
from .people import Reviewer, reviewer_of
from .policy import Facts, ReviewPolicy, Stakes
from .review import Review
from .router import ConfidenceRouter
from .sampling import Sampler
from .scorers import LogProbability, SelfConsistency, Verbalised
from .stop import StopButton
from .thresholds import EscapeRate, Label, SelectiveRisk, Threshold
from .watching import LearnedThreshold, Watcher

__all__ = [
    "Armed",
    "Calibrated",
    "Canary",
    "Combined",
    "ConfidenceRouter",
    "DriftTest",
    "EscapeRate",
    "Facts",
    "Label",
    "LearnedThreshold",
    "LogProbability",
    "Review",
    "ReviewPolicy",
    "Reviewer",
    "Sampler",
    "SelectiveRisk",
    "SelfConsistency",
    "Stakes",
    "StopButton",
    "Threshold",
    "Validators",
    "Verbalised",
    "Watcher",
    "fits_schema",
    "reviewer_of",
    "seed_steps",
]
