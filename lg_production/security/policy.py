"""SecurityPolicy: all six layers in one object, and the guards that keep to it, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from ..core.events import Observer
from ..core.keys import canonical, digest
from ..core.models import ModelWrapper
from ..core.wrappers import ToolWrapper
from .allow import ToolAllowList, name_of
from .detectors import Detector
from .egress import Egress, EgressPolicy
from .filter import InjectionFilter
from .filtering import FilterPolicy
from .gate import GatePolicy, ProvenanceGate
from .leaks import Canary
from .output import OutputFilter, OutputPolicy
from .pins import Pins
from .questions import OnHeld
from .results import Attributed
from .rule_of_two import Finding
from .schemas import Validated
from .spotlight import Method, Spotlight

Guard: TypeAlias = ToolWrapper | ModelWrapper
NAMED = ("reads", "writes", "fields_from", "labels_from")
LAYERS = ("filter", "spotlight", "tools", "gate", "egress", "output", "pins", "schemas")


class RuleOfTwoBroken(ValueError):
    """One agent would have untrusted input, sensitive data and the power to change something."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(
            f"{finding}. Take a leg away (tools=…, or another agent for these tools), declare what "
            "the tools bring, or let a person decide at run time: rule_of_two='hold'"
        )
        self.finding = finding


@dataclass(frozen=True)
class Guards:
    """What keeps to a policy, the first outermost; iterating gives all.

    `as_middleware(*guards, …)` for `create_agent`; for a graph of your own
    `tool_node(tools, *guards.tools, …)`, `wrapped_model(model, *guards.model)`, and `guards.filter`
    as the node in front of the model. Your own `Limits`, `Review` and `Idempotent` come behind.
    """

    all: tuple[Guard, ...]
    filter: InjectionFilter | None = None

    def __iter__(self) -> Iterator[Guard]:
        return iter(self.all)

    @property
    def tools(self) -> tuple[ToolWrapper, ...]:
        """Those around tools."""
        return tuple(guard for guard in self.all if isinstance(guard, ToolWrapper))

    @property
    def model(self) -> tuple[ModelWrapper, ...]:
        """Those around the model."""
        return tuple(guard for guard in self.all if isinstance(guard, ModelWrapper))


class SecurityPolicy(BaseModel):
    """The six layers. Each is on unless it is None, and each holds alone.

    1. `filter`: what is done about text that reads like an attack.
    2. `spotlight`: how the model is shown which text is not its user's.
    3. `tools`: the names of the tools that this agent, or this task, may call; None is all. The
       sealed plan and the Rule of Two are the gate's. `rule_of_two`: a set of tools with all three
       legs is refused when the guards are made; with `hold` it is accepted, since the gate holds
       the call that would make three.
    4. `gate`: where the values of a call must come from.
    5. `egress`: what may be reached; by default nothing. `output`: what may be given out.
       `schemas`: the types of what tools answer, by tool; an empty one validates only arguments.
       `pins`: tools as they were when somebody looked at them.
    6. `on_held`: `interrupt` asks a person about what the gate, egress and pins hold, `block`
       refuses it. Every guard tells the observers.

    A policy for a task is the agent's, `narrowed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    filter: FilterPolicy | None = Field(default_factory=FilterPolicy)
    spotlight: Method | None = "delimit"
    tools: frozenset[str] | None = None
    rule_of_two: Literal["refuse", "hold"] = "refuse"
    gate: GatePolicy | None = Field(default_factory=GatePolicy)
    egress: EgressPolicy | None = Field(default_factory=EgressPolicy)
    output: OutputPolicy | None = Field(default_factory=OutputPolicy)
    pins: Mapping[str, str] | None = None
    schemas: Mapping[str, Any] | None = Field(default_factory=dict)
    on_held: OnHeld = "interrupt"

    @field_validator("schemas")
    @classmethod
    def _types(cls, schemas: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        for declared in (schemas or {}).values():
            TypeAdapter(declared)
        return schemas

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of those that are on, in their order."""
        return tuple(name for name in LAYERS if getattr(self, name) is not None)

    @property
    def hash(self) -> str:
        """SHA-256 of all of it, of the frozen lists, and of no secret; 64 digits."""
        return digest("security", canonical(_plain(self))).hex()

    def narrowed(self, tools: Iterable[str]) -> SecurityPolicy:
        """The same with fewer tools: for a task, or a sub-agent. None can be added."""
        names = frozenset(tools)
        if self.tools is not None and not names <= self.tools:
            more = ", ".join(sorted(names - self.tools))
            raise ValueError(f"narrowing adds no tools: {more}. List them in the policy itself")
        kept = {name: getattr(self.gate, name, None) for name in NAMED}
        kept = {name: None if given is None else given & names for name, given in kept.items()}
        schemas = self.schemas and {k: v for k, v in self.schemas.items() if k in names}
        gate = self.gate and self.gate.model_copy(update=kept)
        return self.model_copy(update={"tools": names, "gate": gate, "schemas": schemas})

    def guards(
        self,
        tools: Sequence[BaseTool | Callable[..., Any]],
        *,
        then: str = "model",
        detector: Detector | None = None,
        seal_key: bytes = b"",
        secret: bytes = b"",
        plan_key: str = "plan",
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> Guards:
        """The guards for these tools. Raises `RuleOfTwoBroken`, and `ValueError` for unknown names.

        `then`: the node behind the filter. `detector` replaces the one of `InjectionFilter`,
        `seal_key` is what plans are sealed with, `secret` what the marks of spotlighting are made
        with.
        """
        self.check(map(name_of, tools))
        told: dict[str, Any] = {"messages_key": messages_key, "observers": observers}
        asks: dict[str, Any] = {**told, "on_held": self.on_held}
        made: list[Guard] = []
        found = None
        if self.output is not None:
            made.append(OutputFilter(self.output, **told))
        if self.filter is not None:
            found = InjectionFilter(self.filter, then=then, detector=detector, **told)
            made.append(found)
        if self.tools is not None:
            made.append(ToolAllowList(self.tools, observers=observers))
        if self.pins is not None:
            made.append(Pins(self.pins, **asks))
        if self.spotlight is not None:
            made.append(Spotlight(self.spotlight, secret=secret))
        if self.schemas is not None:
            made.append(Validated(self.schemas, **told))
        if self.gate is not None:
            gate = self.gate.model_copy(update={"writes": self.gate.writes | writing(tools)})
            made.append(ProvenanceGate(gate, plan_key=plan_key, seal_key=seal_key, **asks))
        elif self.filter is not None or self.spotlight is not None:
            made.append(Attributed(messages_key))
        if self.egress is not None:
            made.append(Egress(self.egress, **asks))
        return Guards(tuple(made), found)

    def check(self, tools: Iterable[str]) -> None:
        """Look at what one agent would be given. Raises as `guards` does."""
        names = frozenset(tools)
        said = [(what, getattr(self, what)) for what in ("tools", "schemas")]
        if self.gate is not None:
            said += [(f"gate.{what}", getattr(self.gate, what)) for what in NAMED]
        for what, given in said:
            unknown = sorted(frozenset(given or ()) - names)
            if unknown:
                raise ValueError(f"{what}: no tool is called {', '.join(unknown)}")
        usable = names if self.tools is None else self.tools
        if self.rule_of_two == "hold" or self.gate is None or self.gate.rule_of_two is None:
            return
        finding = self.gate.rule_of_two.lint(usable)
        if finding is not None:
            raise RuleOfTwoBroken(finding)


def writing(tools: Iterable[Any]) -> frozenset[str]:
    """The tools that say of themselves that they change something (MCP's annotations).

    That they do not is no reason to believe it: MCP calls annotations of a server that nobody
    trusts a hint.
    """
    said = ((name_of(tool), getattr(tool, "metadata", None) or {}) for tool in tools)
    return frozenset(
        name for name, told in said
        if told.get("readOnlyHint") is False or told.get("destructiveHint") is True
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """A value of the policy as JSON, sets in their order."""
    match value:
        case GatePolicy():
            return value.hash
        case Canary():
            return "canary"
        case SecurityPolicy():
            types = {k: TypeAdapter(v).json_schema() for k, v in (value.schemas or {}).items()}
            own = {name: _plain(getattr(value, name)) for name in type(value).model_fields}
            return {**own, "schemas": types if value.schemas is not None else None}
        case BaseModel():
            return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
        case frozenset():
            return sorted(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value
