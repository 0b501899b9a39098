"""Which model answers: a table of rules, read before a call, never between a call and its tools."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from operator import ge, le
from typing import Any, Self, TypeAlias, cast

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable, RunnableBinding, ensure_config
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core.events import Event, Observer
from ..core.models import Handler, ModelWrapper, answer_of, model_name
from ..core.steps import Emit, Steps, off_loop
from .answers import served_by
from .loop_history import LOOP

ROUTE = "lg_production_route"
"""Where an answer's `response_metadata` says which model was asked, and which answered."""
FORMS = ("response_format", "ls_structured_output_format")
"""Where `with_structured_output` binds the form of the answer to a model."""
IMAGES = {"image", "image_url", "input_image"}
Names: TypeAlias = str | frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule may ask about. `remaining` is the share of the budget left, 0 to 1.

    `capabilities` are those that the call needs. None is unknown, and no rule that asks for
    what is unknown applies.
    """

    remaining: float | None = None
    task_class: str | None = None
    context_tokens: int = 0
    capabilities: frozenset[str] = frozenset()
    risk: str | None = None


class Rule(BaseModel):
    """Calls of which all that is said here holds go to `model`, a name in the router's table.

    `remaining_below` and `remaining_at_least` are shares of the budget, 0 to 1; `context_up_to`
    and `context_over` are tokens. `task_class` and `risk` are one name or several.
    `capabilities` are what the model offers: the rule applies if that is all the call needs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    remaining_below: float | None = Field(None, gt=0, le=1)
    remaining_at_least: float | None = Field(None, ge=0, le=1)
    task_class: Names = None
    risk: Names = None
    context_up_to: int | None = Field(None, ge=0)
    context_over: int | None = Field(None, ge=0)
    capabilities: frozenset[str] | None = None

    @model_validator(mode="after")
    def _can_apply(self) -> Self:
        below, least = self.remaining_below, self.remaining_at_least
        if below is not None and least is not None and least >= below:
            raise ValueError(f"no budget is at least {least} and below {below}: swap them")
        over, up_to = self.context_over, self.context_up_to
        if over is not None and up_to is not None and over >= up_to:
            raise ValueError(f"no context is over {over} and up to {up_to} tokens: swap them")
        if frozenset() in (self.task_class, self.risk):
            raise ValueError("an empty set of names never applies; leave it out")
        return self

    def applies(self, facts: Facts) -> bool:
        """Whether everything that the rule asks for holds."""
        left, size = facts.remaining, facts.context_tokens
        return (
            (self.remaining_below is None or (left is not None and left < self.remaining_below))
            and (
                self.remaining_at_least is None
                or (left is not None and left >= self.remaining_at_least)
            )
            and _among(facts.task_class, self.task_class)
            and _among(facts.risk, self.risk)
            and (self.context_up_to is None or size <= self.context_up_to)
            and (self.context_over is None or size > self.context_over)
            and (self.capabilities is None or facts.capabilities <= self.capabilities)
        )

    def covers(self, other: Rule) -> bool:
        """Whether this applies wherever `other` does."""
        return (
            _looser(self.remaining_below, other.remaining_below)
            and _looser(self.remaining_at_least, other.remaining_at_least, ge)
            and _looser(_names(self.task_class), _names(other.task_class))
            and _looser(_names(self.risk), _names(other.risk))
            and _looser(self.context_up_to, other.context_up_to)
            and _looser(self.context_over, other.context_over, ge)
            and _looser(self.capabilities, other.capabilities)
        )

    def __str__(self) -> str:
        told = self.model_dump(exclude={"model"}, exclude_none=True).items()
        shown = ((k, sorted(v) if isinstance(v, frozenset) else v) for k, v in told)
        return ", ".join(f"{name}={value}" for name, value in shown) or "always"


@dataclass(frozen=True, slots=True)
class Choice:
    """A model of the table, the rule that chose it (None: the default), and why, in words."""

    model: str
    rule_index: int | None
    why: str


class RoutingPolicy(BaseModel):
    """Rules, of which the first that applies chooses; else `default`, which must do for all.

    A rule that an earlier one leaves nothing to is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()
    default: str = Field(min_length=1)

    @model_validator(mode="after")
    def _every_rule_can_be_reached(self) -> Self:
        for later, rule in enumerate(self.rules):
            for earlier, before in enumerate(self.rules[:later]):
                if before.covers(rule):
                    raise ValueError(
                        f"rule {later} ({rule}) is never reached: rule {earlier} ({before}) "
                        "applies wherever it does; put it first, or take it out"
                    )
        return self

    @property
    def models(self) -> set[str]:
        """Every name that may be chosen."""
        return {self.default, *(rule.model for rule in self.rules)}

    def decide(self, facts: Facts) -> Choice:
        """The model for a call of which these facts are known."""
        for index, rule in enumerate(self.rules):
            if rule.applies(facts):
                return Choice(rule.model, index, f"rule {index}: {rule}")
        return Choice(self.default, None, "no rule applies")


@dataclass(frozen=True, slots=True)
class Route:
    """Where one call goes. `model` is a name in the table, None the request's own model."""

    model: str | None
    rule: int | None
    continued: bool


class ModelRouter(ModelWrapper):
    """Chooses the model of each call by `policy`, from the table `models`.

    Calls that follow on tool results stay with the model that asked for the tools, whatever
    the rules say by then: it is read from the history, where every answer carries
    `response_metadata["lg_production_route"]`, and so it outlives a crash. Without that, or if
    the table has lost that model, the request's own model continues.

    `remaining()` gives the share of the budget that is left, 0 to 1, or None; it may block,
    and if it fails, that is unknown and told as `model.remaining_unknown`. `facts(request)`
    gives any fields of `Facts`, and has the last word on them. Of itself the router knows the
    size of the context, by `counter`, and whether `tools`, `vision` (an image among the
    messages) or `json` (a response format) are needed.

    In `create_agent` LangChain binds the tools. For a node of your own bind them here too:
    `wrapped_model(model, router.bind_tools(tools)).bind_tools(tools)`. Every answer emits
    `model.routed`. Routing is about cost: whoever can write the history can name a model of
    the table. Raises `ValueError` where `policy` names a model that `models` does not have.
    """

    def __init__(
        self,
        models: Mapping[str, Runnable[Any, Any]],
        policy: RoutingPolicy,
        *,
        remaining: Callable[[], float | None] | None = None,
        facts: Callable[[Any], Mapping[str, Any]] | None = None,
        counter: Callable[[Sequence[BaseMessage]], int] = count_tokens_approximately,
        observers: Sequence[Observer] = (),
    ) -> None:
        if missing := sorted(policy.models - models.keys()):
            raise ValueError(f"the policy names models that are not given: {', '.join(missing)}")
        if any(inspect.iscoroutinefunction(given) for given in (remaining, facts, counter)):
            raise ValueError("remaining, facts and counter are plain functions, not async ones")
        self.models, self.policy = dict(models), policy
        self.remaining, self.facts, self.counter = remaining, facts, counter
        self.observers = tuple(observers)
        self.bound: dict[str, Any] | None = None

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Self:
        """This router with the tools bound to each of its models, each in its own format."""
        bound = copy.copy(self)
        bound.bound = {
            name: cast("Any", model).bind_tools(tools, **kwargs)
            for name, model in self.models.items()
        }
        return bound

    # ------------------------------------------------------------------------ the protocol

    def steps(self, request: Any, handler: Handler) -> Steps[Any]:
        """Choose or continue, call, and write down who was asked and who answered."""
        route = self._continued(request.messages)
        if route is None:
            facts = yield from self._facts(request)
            choice = self.policy.decide(facts)
            route = Route(choice.model, choice.rule_index, continued=False)
        model = self._model(request, route.model)
        response = yield from handler(request.override(model=model))
        answer = answer_of(response)
        requested = model_name(_base(model))[1] or route.model or ""
        told = {
            "requested": requested,
            "served": served_by(answer) or requested,
            "model": route.model,
            "rule": route.rule,
        }
        thread = ensure_config().get("configurable", {}).get("thread_id")
        named = {} if thread is None else {"thread_id": str(thread)}
        yield from Emit(Event("model.routed", {**told, "continued": route.continued, **named}))
        return response if answer is None else _stamped(response, answer, told)

    def _continued(self, messages: Sequence[AnyMessage]) -> Route | None:
        """The route of the answer whose tools were just run; None if none were.

        What a `LoopGuard` says behind their results is no new question.
        """
        last = next((m for m in reversed(messages) if not _is_of_a_guard(m)), None)
        if not isinstance(last, ToolMessage):
            return None
        told = next((m for m in reversed(messages) if isinstance(m, AIMessage)), None)
        stamp = told.response_metadata.get(ROUTE) if told is not None else None
        stamp = stamp if isinstance(stamp, Mapping) else {}
        name, rule = stamp.get("model"), stamp.get("rule")
        if not isinstance(name, str) or name not in self.models:
            return Route(None, None, continued=True)
        return Route(name, rule if isinstance(rule, int) else None, continued=True)

    def _model(self, request: Any, name: str | None) -> Any:
        """The model of that name, with the tools that the request's own model has."""
        own = request.model
        if name is None or _base(own) is self.models[name]:
            return own
        if _has(own, *FORMS) and not _has((self.bound or self.models)[name], *FORMS):
            raise ValueError(
                f"the model {name!r} was chosen, but the form of the answer is bound to another "
                "one only: give the router models that are model.with_structured_output(…) already"
            )
        if self.bound is not None:
            return self.bound[name]
        if _has(own, "tools") and not _has(self.models[name], "tools"):
            raise ValueError(
                f"the model {name!r} was chosen, but the tools are bound to another one only: "
                "write wrapped_model(model, router.bind_tools(tools)).bind_tools(tools)"
            )
        return self.models[name]

    # --------------------------------------------------------------------------- the facts

    def _facts(self, request: Any) -> Steps[Facts]:
        remaining = yield from self._remaining()
        system = getattr(request, "system_message", None)
        messages = [*([system] if system else []), *request.messages]
        own = Facts(
            remaining=remaining,
            context_tokens=self.counter(messages),
            capabilities=_needs(request, messages, bound=self.bound is not None),
        )
        told = dict(self.facts(request)) if self.facts else {}
        if unknown := told.keys() - {one.name for one in fields(Facts)}:
            raise ValueError(f"facts gave {sorted(unknown)}, which are no fields of Facts")
        if "capabilities" in told:
            told["capabilities"] = _names(told["capabilities"]) or frozenset()
        return replace(own, **told)

    def _remaining(self) -> Steps[float | None]:
        remaining = self.remaining
        if remaining is None:
            return None
        try:
            left = yield from off_loop(remaining)
            if left is None or math.isfinite(left):
                return left
            why = "NotFinite"
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - a budget that cannot be read is unknown
            why = type(error).__name__
        yield from Emit(Event("model.remaining_unknown", {"error": why}))
        return None


def _is_of_a_guard(message: BaseMessage) -> bool:
    return isinstance(message, HumanMessage) and LOOP in message.additional_kwargs


def _needs(request: Any, messages: Sequence[BaseMessage], *, bound: bool) -> frozenset[str]:
    """The capabilities that a call needs, as far as it shows."""
    blocks = (b for m in messages if isinstance(m.content, list) for b in m.content)
    needs = {
        "tools": bool(request.tools) or bound or _has(request.model, "tools"),
        "vision": any(isinstance(b, dict) and b.get("type") in IMAGES for b in blocks),
        "json": getattr(request, "response_format", None) is not None
        or _has(request.model, *FORMS),
    }
    return frozenset(name for name, needed in needs.items() if needed)


def _base(model: Any) -> Any:
    """The model inside of bindings."""
    while isinstance(model, RunnableBinding):
        model = model.bound
    return model


def _has(model: Any, *settings: str) -> bool:
    """Whether any of these is bound to the model."""
    while isinstance(model, RunnableBinding):
        if any(model.kwargs.get(name) for name in settings):
            return True
        model = model.bound
    return False


def _stamped(response: Any, answer: AIMessage, stamp: Mapping[str, Any]) -> Any:
    """A copy of a handler's response, in whichever shape, with the route in its answer."""
    if response is answer:
        metadata = {**answer.response_metadata, ROUTE: dict(stamp)}
        return answer.model_copy(update={"response_metadata": metadata})
    if isinstance(response, list | tuple):
        return [_stamped(one, answer, stamp) if one is answer else one for one in response]
    if is_dataclass(response) and not isinstance(response, type):
        name = "model_response" if hasattr(response, "model_response") else "result"
        return replace(response, **{name: _stamped(getattr(response, name), answer, stamp)})
    return response


def _names(names: str | Iterable[str] | None) -> frozenset[str] | None:
    if names is None:
        return None
    return frozenset({names}) if isinstance(names, str) else frozenset(names)


def _among(name: str | None, names: Names) -> bool:
    allowed = _names(names)
    return allowed is None or name in allowed


def _looser(mine: Any, theirs: Any, compare: Callable[[Any, Any], bool] = le) -> bool:
    """Whether a condition holds wherever another of its kind does; None always holds.

    Upper bounds and sets are looser if theirs <= mine, lower bounds if theirs >= mine.
    """
    return mine is None or (theirs is not None and compare(theirs, mine))
