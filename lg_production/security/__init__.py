"""Capability 7: three channels, six layers, and a gate that holds when the model does not."""

from .allow import ToolAllowList
from .channels import labelled, recalled, sub_agent, summary
from .detectors import Detector, Finding, Highest, Judged, Layered, Service
from .egress import Egress, EgressPolicy
from .filter import InjectionFilter
from .filtering import FilterPolicy, Threshold, suspicion
from .gate import GatePolicy, ProvenanceGate
from .leaks import Canary, planted
from .output import OutputFilter, OutputPolicy
from .pins import Pins, pins_of
from .plan import Plan, Step, seal, spoken
from .policy import Guards, RuleOfTwoBroken, SecurityPolicy
from .releasing import Withheld, release, withheld_in
from .resolving import PinnedTransport
from .rule_of_two import RuleOfTwo
from .schemas import Validated
from .spotlight import Spotlight

__all__ = [
    "Canary",
    "Detector",
    "Egress",
    "EgressPolicy",
    "FilterPolicy",
    "Finding",
    "GatePolicy",
    "Guards",
    "Highest",
    "InjectionFilter",
    "Judged",
    "Layered",
    "OutputFilter",
    "OutputPolicy",
    "PinnedTransport",
    "Pins",
    "Plan",
    "ProvenanceGate",
    "RuleOfTwo",
    "RuleOfTwoBroken",
    "SecurityPolicy",
    "Service",
    "Spotlight",
    "Step",
    "Threshold",
    "ToolAllowList",
    "Validated",
    "Withheld",
    "labelled",
    "pins_of",
    "planted",
    "recalled",
    "release",
    "seal",
    "spoken",
    "sub_agent",
    "summary",
    "suspicion",
    "withheld_in",
]
