"""Every model call below a graph: held before it is made, counted after it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import ensure_config
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs, var_child_runnable_config

from ..core.models import Handler, ModelWrapper
from ..core.steps import Steps
from ..errors import BudgetExceeded, IdempotencyConflict, PriceUnknown
from . import ledger
from .answers import (
    context_of,
    is_cached,
    is_unbilled,
    message_of,
    model_served,
    spent,
    spoken,
    usage_told,
)
from .budget import Budget, Exhausted
from .calls import Metered, StreamCut, held_for, key_of, reserve_anew
from .estimate import BOUNDS, TokenCounter, is_bounded, most_output, upper_bound
from .policy import Quantity
from .prices import PriceBook
from .scopes import lines
from .surfaces import surfaced
from .usage import Usage, as_amounts

SMALLEST_EXTENSION = 64
OFFERED = ("tools", "functions", "response_format", "tool_choice", "ls_structured_output_format")
"""Parameters of a call that are written into its prompt."""
CAPS = ("max_tokens", "max_output_tokens")
"""Settings that bound an answer, as chat models name them."""


class BudgetCallback(BaseCallbackHandler):
    """Counts every model call below whatever it is given to, hidden ones included.

    `graph.invoke(…, config={"callbacks": [BudgetCallback(budget)]})`, or once for all:
    `graph.with_config(callbacks=[…])`. A call that no budget has room for is not made: its
    caller gets `BudgetExceeded`. `counter` gives an upper bound of the input's tokens. A
    model whose price is unknown raises `PriceUnknown` where money is limited. A model that is
    called outside of any graph or chain needs its ids in `config["metadata"]`: LangChain hides
    `configurable` from callbacks there.

    Counted is what LangChain sees: `with_retry()` and `with_fallbacks()` count each attempt, but
    a client's own `max_retries` happens below and counts once: set it to 0 where that matters.
    What a call takes is what its `usage_metadata` says; without it, all that was held.

    A stream is counted as it comes, at one token for a chunk or for four characters,
    whichever is more (a chunk, where the call names its own bound); what it really took is
    recorded at its end. `stream_events(version="v3")` tells no tokens to callbacks: there a
    stream is neither extended nor cut, only recorded. A call of which LangChain tells no more,
    because it was cancelled or another callback refused it, counts at its worst case after the
    policy's `lease`: a lease must be longer than the longest call.

    LangChain says only after a call that its cache answered it. So such a call is held first like
    any other, and refused like any other once the budget is used up, though it would be free.

    Callbacks and `Budgeted` with one policy, counter and prices count a call once, however many
    of them see it; put all limits into one policy. A refusal is raised through LangChain, whose
    logger `langchain_core.callbacks.manager` writes a warning "Error in BudgetCallback…" for
    each: a `BudgetGuard(accounting=False)` before the model asks for room without that.
    """

    raise_error = True
    run_inline = True
    """LangChain forgets other handlers where an inline one watches a completion model."""

    def __init__(
        self,
        budget: Budget,
        *,
        prices: PriceBook | None = None,
        counter: TokenCounter = upper_bound,
    ) -> None:
        self.budget, self.counter = budget, counter
        self.prices = prices or PriceBook()
        self._limits = budget.policy.model_dump_json(include={"limits"})
        self._calls: dict[UUID, Metered] = {}

    # ------------------------------------------------------------- LangChain's callbacks

    @surfaced
    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,  # noqa: ARG002 - LangChain's signature
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Steps[None]:
        """Hold the most that this call can take. Raises `BudgetExceeded` and `PriceUnknown`."""
        params = {**(kwargs.get("invocation_params") or {}), **(kwargs.get("options") or {})}
        yield from self._start(run_id, messages, metadata or {}, params)

    @surfaced
    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,  # noqa: ARG002 - LangChain's signature
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Steps[None]:
        """A model that is no chat model: the same."""
        params = {**(kwargs.get("invocation_params") or {}), **(kwargs.get("options") or {})}
        asked: list[list[BaseMessage]] = [[HumanMessage(prompt)] for prompt in prompts]
        yield from self._start(run_id, asked, metadata or {}, params)

    @surfaced
    def on_llm_new_token(
        self, token: Any = "", *, chunk: Any = None, run_id: UUID, **_: Any
    ) -> Steps[None]:
        """Count the stream; hold more for it, or cut it: `StreamCut`, a `BudgetExceeded`."""
        call, text = self._calls.get(run_id), spoken(token, chunk)
        if call is None or not text:
            return
        call.heard = time.monotonic()
        call.chunks += 1
        call.streamed += max(1, math.ceil(len(text) / 4))
        if (call.chunks if call.bounded else call.streamed) > call.output_tokens:
            yield from self._extend(call)

    @surfaced
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> Steps[None]:
        """Record what it took."""
        call, message = self._calls.pop(run_id, None), message_of(response)
        if call is None:
            return
        if self.budget.policy.cached == "free" and is_cached(message):
            yield from self._release(call)
            return
        told = context_of(getattr(message, "response_metadata", None))
        call.context = {**call.context, **told}
        yield from self._settle(call, usage_told(response), model_served(response))

    @surfaced
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> Steps[None]:
        """Free what was held only if the call certainly cost nothing; else it counts."""
        call = self._calls.pop(run_id, None)
        if call is None:
            return
        if is_unbilled(error) and not call.streamed:
            yield from self._release(call)
        elif call.streamed > call.output_tokens and isinstance(error, BudgetExceeded):
            guess = Usage(call.input_tokens, call.streamed)
            yield from self._settle(call, guess, None, told=False)
        else:
            yield from self._settle(call, None, None)

    def close(self) -> Steps[None]:
        """Count every call that is still under way at its worst case."""
        for run_id in list(self._calls):
            yield from self._forget(run_id)

    # ------------------------------------------------------------------------ accounting

    def ceiling(
        self,
        model: str,
        provider: str,
        asked: int,
        answer: int,
        context: Mapping[str, str] | None = None,
    ) -> dict[Quantity, int]:
        """The most that a call with so many tokens in and out can take."""
        amounts: dict[Quantity, int] = {
            "input_tokens": asked,
            "output_tokens": answer,
            "total_tokens": asked + answer,
            "model_calls": 1,
        }
        if "micro_usd" in self.budget.policy.quantities:
            amounts["micro_usd"] = self.prices.ceiling(
                model, input_tokens=asked, output_tokens=answer, provider=provider, context=context
            )
        return amounts

    def measured(
        self,
        usage: Usage,
        models: Sequence[str],
        provider: str,
        context: Mapping[str, str] | None = None,
    ) -> dict[Quantity, int]:
        """What a call took, by the first of these models that is declared or has a price.

        Without a price money is not among it, and so counts as all that was held.
        """
        amounts: dict[Quantity, int] = {**as_amounts(usage), "model_calls": 1}
        for model in sorted(models, key=lambda name: name not in self.prices.declared):
            with suppress(PriceUnknown):
                amounts["micro_usd"] = self.prices.cost(
                    model, usage, provider=provider, context=context
                )
                break
        return amounts

    def _start(
        self,
        run_id: UUID,
        prompts: Sequence[Sequence[BaseMessage]],
        told: Mapping[str, Any],
        params: dict[str, Any],
    ) -> Steps[None]:
        yield from self._forget_abandoned()
        yield from self._forget(run_id)
        last = prompts[0][-1].id if prompts and prompts[0] else None
        who = replace(self.budget.who(ensure_config(), told), message_id=last)
        named = told.get("ls_model_name") or params.get("model") or params.get("model_name")
        model, provider = str(named or ""), str(told.get("ls_provider") or "")
        offered = [*_offered(params)]
        asked = sum(self.counter(messages, offered) for messages in prompts)
        if not is_bounded(params):
            params["max_tokens"] = told.get("ls_max_tokens")
        answer = len(prompts) * most_output(params, self.budget.policy.max_tokens)
        context = context_of(params)
        amounts = self.ceiling(model, provider, asked, answer, context)
        parts = ("call", self.budget.tenant, self._limits, str(run_id))
        held = yield from reserve_anew(self.budget, parts, who, amounts, requested=model or None)
        self._calls[run_id] = Metered(
            held, who, model, provider, asked, answer, is_bounded(params), context, time.monotonic()
        )

    def _extend(self, call: Metered) -> Steps[None]:
        """Hold more: for what came, and a quarter beyond if there is room. Else cut it."""
        if self.budget.policy.stream == "cut":
            raise StreamCut(f"({call.output_tokens} tokens were held for it)")
        passed = call.streamed - call.output_tokens
        wanted = max(SMALLEST_EXTENSION, call.output_tokens // 4, passed)
        left = yield from self._room(call, wanted)
        try:
            yield from self._hold_more(call, max(passed, left))
        except IdempotencyConflict:  # another callback sees this call, and held this part of it
            call.output_tokens += wanted
        except Exhausted as refused:
            if left <= passed:
                raise StreamCut("; ".join(map(str, refused.refusals))) from None
            return (yield from self._extend(call))  # others were faster
        call.extended += 1

    def _room(self, call: Metered, more: int) -> Steps[int]:
        """How many of so many tokens beyond there is room for now."""
        found = lines(self.budget.policy, call.who, self._beyond(call, more))
        stand = (yield from ledger.standing(found)) if found else []
        shares = [
            more * max(0, one.limit - one.used - one.reserved) // one.asked
            for one in stand
            if not one.has_room
        ]
        return min(shares, default=more)

    def _hold_more(self, call: Metered, more: int) -> Steps[None]:
        key = key_of("extend", call.reservation.key.hex(), str(call.extended))
        amounts = self._beyond(call, more)
        held = held_for(call)
        more_held = yield from self.budget.reserve_steps(key, call.who, amounts, own=held)
        call.extensions.append(more_held)
        call.output_tokens += more

    def _beyond(self, call: Metered, more: int) -> dict[Quantity, int]:
        """What an answer of so many more tokens can take beyond what is held for it."""
        place = (call.model, call.provider, call.input_tokens)
        before = self.ceiling(*place, call.output_tokens, call.context)
        after = self.ceiling(*place, call.output_tokens + more, call.context)
        return {quantity: after[quantity] - before[quantity] for quantity in after}

    def _settle(
        self, call: Metered, usage: Usage | None, served: str | None, *, told: bool = True
    ) -> Steps[None]:
        """Count the usage, or all that was held; what was not `told` is not recorded as spent."""
        if call.reservation.replayed:
            return
        models, held = [name for name in (served, call.model) if name], held_for(call)
        amounts, measured = held, usage is not None and told
        if usage is not None:
            amounts = self.measured(usage, models, call.provider, call.context)
        yield from self.budget.settle_steps(
            call.reservation, {**held, **amounts}, extensions=call.extensions,
            served=served or (call.model if measured else None),
            spent=spent(amounts, usage) if measured else None,
            price_version=self.prices.version,
        )  # fmt: skip

    def _release(self, call: Metered) -> Steps[None]:
        if call.reservation.replayed:
            return
        for held in (call.reservation, *call.extensions):
            yield from self.budget.release_steps(held)

    def _forget(self, run_id: UUID) -> Steps[None]:
        call = self._calls.pop(run_id, None)
        if call is not None:
            yield from self._settle(call, None, None)

    def _forget_abandoned(self) -> Steps[None]:
        since = time.monotonic() - self.budget.policy.lease.total_seconds()
        for run_id, call in list(self._calls.items()):
            if call.heard < since:
                yield from self._forget(run_id)


class Budgeted(ModelWrapper):
    """A model call that is held and counted: `wrapped_model(model, Budgeted(budget))`.

    The same accounting as `BudgetCallback`, for the calls inside of this wrapper; a call that
    both see is counted once, and one that is cancelled is counted at once.

    A call that names no bound of its answer is given the policy's `max_tokens`, so that what is
    held is also the most that the provider generates: a longer answer ends there, with finish
    reason `length`. `cap=False` leaves the call as it is: then a longer answer is billed, and
    told as `budget.overspent`. Only chat models with a field `max_tokens` or
    `max_output_tokens` are capped; a binding or `with_retry()` of one is, and one that this wraps
    before its `with_structured_output`; fallbacks are not, and what is structured already is not.
    """

    def __init__(self, budget: Budget, *, cap: bool = True, **options: Any) -> None:
        self.database, self.observers = budget.database, budget.observers
        self.budget, self.cap, self.options = budget, cap, options

    def steps(self, request: Any, handler: Handler) -> Steps[Any]:
        """Call the model with the callback among those that it inherits."""
        callback = BudgetCallback(self.budget, **self.options)
        asked = capped(request, self.budget.policy.max_tokens) if self.cap else request
        try:
            with watching(callback):
                return (yield from handler(asked))
        except GeneratorExit:
            raise
        except BaseException:
            yield from callback.close()
            raise


def capped(request: Any, bound: int) -> Any:
    """The request with a bound on its answer, where it has none and its model knows one."""
    model, given = request.model, dict(request.model_settings)
    while isinstance(model, RunnableBindingBase):
        given = {**model.kwargs, **given}
        model = model.bound
    if not isinstance(model, BaseChatModel) or is_bounded(given):
        return request
    names = type(model).model_fields
    name = next((cap for cap in CAPS if cap in names), None)
    if name is None or any(getattr(model, b, None) is not None for b in BOUNDS if b in names):
        return request
    return request.override(model_settings={**request.model_settings, name: bound})


@contextmanager
def watching(callback: BaseCallbackHandler) -> Iterator[None]:
    """Give `callback` to every model called inside of this block, on this thread or task."""
    config = merge_configs(ensure_config(), {"callbacks": [callback]})
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        with suppress(ValueError):  # a generator that was dropped ends in another context
            var_child_runnable_config.reset(token)


def _offered(params: Mapping[str, Any]) -> Iterator[Any]:
    """What a call sends beside its messages: tools, and the form that the answer must have."""
    for name in OFFERED:
        value = params.get(name)
        if isinstance(value, Sequence) and not isinstance(value, str):
            yield from value
        elif value:
            yield value
