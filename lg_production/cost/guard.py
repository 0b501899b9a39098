"""BudgetGuard: a node before the model that lets the run go on, or ends it well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.config import get_config
from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command

from ..core.database import Database
from ..core.events import Event, Observer, notify
from ..core.identity import messages_of, task_of
from ..core.steps import Steps, drive
from . import asking, ledger
from .answers import context_of, served_by, spent
from .budget import Budget, Exhausted, Reservation
from .calls import key_of, reserve_anew
from .estimate import TokenCounter, upper_bound
from .metering import BudgetCallback
from .partial import ending, so_far
from .policy import BudgetPolicy, Quantity
from .prices import PriceBook
from .scopes import Spender
from .usage import usage_of


class BudgetGuard:
    """A node before the model: holds what the next call can take, and counts the last one.

    On its way in it settles the model call before (by its `usage_metadata`) and reserves the
    next: one step, one model call, and the tokens and money that it can take. The last answer
    of a run is settled by `settle`, a node after the model; without it, it counts at its
    worst case. An answer belongs to the call that was shown the message before it: by that
    message's id, or by its place where messages have none (a reducer like `operator.add`); so
    what trims such a history leaves calls at their worst case. Where there is no room,
    `policy.on_exhausted` decides: `end` with a message that says what was done so far, `error`
    (`BudgetExceeded`), `interrupt` to ask a person for more, or `route` to another node. An
    answer to that question that makes no sense is asked for again.

    A routed run counts a step, too; once there are no more steps it ends instead. Limit the steps
    where a way leads back from that node to this one: else only LangGraph's `recursion_limit`
    ends it. What that node itself spends, this guard does not see: give it a budget of its own,
    `Budgeted(Budget(…))`.

    With `accounting=False` the node counts nothing but the step, and only asks whether there is
    room: for graphs whose model calls are counted by `BudgetCallback` or `Budgeted`, which see
    every call, retries and hidden ones included.

    `then` is the model's node; `model` is its name in the price table, needed where money is
    limited; `tools` are those it is given, for `counter`; `partial(state)` writes the text of a
    partial result. In `create_agent` use `as_middleware` and `then="model"`: there `route` ends the
    run. A run that LangGraph starts again from the same checkpoint counts its call again if that
    was settled: its model is called again.
    """

    def __init__(
        self,
        database: Database,
        policy: BudgetPolicy,
        *,
        then: str,
        model: str = "",
        provider: str = "",
        tools: Sequence[Any] = (),
        tenant: str = "default",
        user: str | None = None,
        prices: PriceBook | None = None,
        counter: TokenCounter = upper_bound,
        accounting: bool = True,
        partial: Callable[[Any], str] | None = None,
        messages_key: str = "messages",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.budget = Budget(database, policy, tenant=tenant, user=user, observers=observers)
        self.policy, self.then, self.tools = policy, then, tuple(tools)
        self.model, self.provider = model, provider
        self.accounting, self.partial = accounting, partial
        self.messages_key = messages_key
        self.meter = BudgetCallback(self.budget, prices=prices, counter=counter)
        if "micro_usd" in policy.quantities:
            self.meter.ceiling(model, provider, 1, 1)  # an unknown price is refused now

    def __call__(self, state: Any, runtime: Runtime[Any]) -> Command[Any]:
        """Go on to the model, or do what the policy says. LangGraph runs this node."""
        refused, action = self.check(state, runtime), self.policy.on_exhausted
        if refused is None:
            return Command(goto=self.then)
        if action == "route" and self.admit(state, runtime, routes=True) is None:
            self._tell(refused, "route")
            return Command(goto=str(self.policy.route_to))
        self._tell(refused, "end")
        return Command(goto=END, update={self.messages_key: [self.ending(state, refused)]})

    def before_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """The same for `create_agent`, where there is no other node to route to."""
        refused = self.check(state, runtime)
        if refused is None:
            return None
        self._tell(refused, "end")
        return {"jump_to": "end", self.messages_key: [self.ending(state, refused)]}

    def check(self, state: Any, runtime: Runtime[Any]) -> Exhausted | None:
        """Settle the last call and hold the next; what refuses it, once nobody gives more.

        Raises it where the policy says `error`, and interrupts where it says so.
        """
        task = task_of(runtime.execution_info, get_config())
        refused, asked, action = self.admit(state, runtime), 0, self.policy.on_exhausted
        while refused is not None and action == "interrupt":
            who = self.budget.who(get_config())
            database = self.budget.database
            if not asking.ask(database, task, who.tenant, refused.refusals, asked):
                break
            refused, asked = self.admit(state, runtime), asked + 1
        if refused is not None and action == "error":
            self._tell(refused, action)
            raise refused
        return refused

    def admit(self, state: Any, runtime: Runtime[Any], *, routes: bool = False) -> Exhausted | None:
        """Settle the last call and hold the next; what refused it, or None.

        With `routes` only count a step, of a run that goes elsewhere.
        """
        steps = self._count_step(state, runtime) if routes else self._admit(state, runtime)
        return drive(steps, self.budget.database, self.budget.observers)

    def settle(self, state: Any) -> None:
        """A node after the model: record what its answer took."""
        steps = self._settle_last(state)
        drive(steps, self.budget.database, self.budget.observers)

    def ending(self, state: Any, refused: Exhausted) -> AIMessage:
        """The last message of a run that ran out: what is done, and what stopped it."""
        said = self.partial or (lambda s: so_far(messages_of(s, self.messages_key)))
        return ending(said(state), str(refused), type(refused).__name__)

    # -------------------------------------------------------------------------- as steps

    def _admit(self, state: Any, runtime: Runtime[Any]) -> Steps[Exhausted | None]:
        who, budget = self._who(state), self.budget
        yield from self._settle_last(state)
        name, model, amounts = self._name(runtime), self.model or None, self._amounts(state)
        try:
            if self.accounting:
                asked: dict[Quantity, int] = {"steps": 1, **amounts}
                yield from reserve_anew(budget, name, who, asked, requested=model, adopt=True)
                return None
            yield from budget.room_steps(who, amounts)
        except Exhausted as refused:
            return refused
        return (yield from self._count_step(state, runtime))

    def _count_step(self, state: Any, runtime: Runtime[Any]) -> Steps[Exhausted | None]:
        """Count a step, however often it is begun again; what refused it, or None."""
        who, key = self._who(state), key_of(*self._name(runtime))
        try:
            held = yield from self.budget.reserve_steps(key, who, {"steps": 1})
        except Exhausted as refused:
            return refused
        if not held.replayed:
            yield from self.budget.settle_steps(held)
        return None

    def _name(self, runtime: Runtime[Any]) -> tuple[str, ...]:
        """What names this step in every run of it."""
        task = task_of(runtime.execution_info, get_config())
        return ("guard", self.budget.tenant, task.thread_id, task.parent_ns, task.task_id)

    def _settle_last(self, state: Any) -> Steps[None]:
        """Settle what was held for the latest answer: the call that was shown what precedes it."""
        messages = messages_of(state, self.messages_key)
        answers = [n for n, m in enumerate(messages) if n and isinstance(m, AIMessage)]
        if not self.accounting or not answers:
            return
        answer, shown = messages[answers[-1]], last_of(messages[: answers[-1]])
        found = yield from ledger.held_for(self._who(state), self.then, shown)
        if found is None:
            return
        usage, context = usage_of(answer), context_of(answer.response_metadata)
        models = [name for name in (served_by(answer), self.model) if name]
        took = self.meter.measured(usage, models, self.provider, context) if usage else None
        yield from self.budget.settle_steps(
            Reservation(found.key, False, found.amounts, self._who(state), found.requested),
            took,
            served=models[0] if models else None,
            spent=spent(took, usage) if took else None,
            price_version=self.meter.prices.version,
        )

    def _amounts(self, state: Any) -> dict[Quantity, int]:
        messages = messages_of(state, self.messages_key)
        asked = self.meter.counter(messages, self.tools)
        return self.meter.ceiling(self.model, self.provider, asked, self.policy.max_tokens)

    def _who(self, state: Any) -> Spender:
        messages = messages_of(state, self.messages_key)
        return replace(self.budget.who(get_config()), node=self.then, message_id=last_of(messages))

    def _tell(self, refused: Exhausted, action: str) -> None:
        notify(self.budget.observers, exhausted(refused, action))


def last_of(messages: Sequence[Any]) -> str:
    """The id of the last message, or its place where it has none."""
    last = getattr(messages[-1], "id", None) if messages else None
    return last or f"#{len(messages)}"


def exhausted(refused: Exhausted, action: str) -> Event:
    """`budget.exhausted`: which budget, and what was done about it."""
    first = refused.refusals[0]
    return Event(
        "budget.exhausted",
        {"scope": first.scope, "quantity": first.quantity, "limit": first.limit, "action": action},
    )
