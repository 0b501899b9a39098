"""Everything lg_production raises. The docstring is the message; `retryable`: trying helps."""

from __future__ import annotations

from inspect import cleandoc
from typing import ClassVar

from langgraph.errors import GraphDrained


class LgProductionError(Exception):
    """Something in lg_production went wrong."""

    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        message = " ".join(cleandoc(self.__doc__ or "").split())
        super().__init__(f"{message} {detail}".strip())


class DatabaseUnavailable(LgProductionError):
    """PostgreSQL cannot be reached. Check the URL and the server, then try again."""

    retryable = True


class PoolExhausted(DatabaseUnavailable):
    """
    Every connection of the pool is busy. Raise max_connections of Database, or look for
    a transaction that is held open.
    """


class SchemaOutdated(LgProductionError):
    """The schema in the database and this version of lg_production do not fit each other."""


class ExtraMissing(LgProductionError):
    """A feature needs an optional extra that is not installed."""


class NotDurable(LgProductionError):
    """
    The checkpoint that asked for this effect is not in the database, so a crash could
    ask for it again under another identity. Nothing was done.
    """


class IdempotencyConflict(LgProductionError):
    """
    The same idempotency key was used with other arguments. Nothing was done. Use a new
    key, or record who changed the arguments and why: `lg-production effects edit`.
    """


class IdempotencyInProgress(LgProductionError):
    """Another worker is carrying out this effect. Try again later; it is never run beside it."""

    retryable = True


class OutcomeUnknown(LgProductionError):
    """
    Nobody can know yet whether this effect happened. Look it up at the provider, then
    settle it: `lg-production effects resolve`.
    """


class EffectFailed(LgProductionError):
    """This effect failed for good when it was first tried; the recorded failure is replayed."""


class BudgetExceeded(LgProductionError):
    """
    A budget has no room for this call, so it was not made. Raise the budget
    (`lg-production budgets extend`) or do with what there is.
    """


class StepLimitExceeded(BudgetExceeded):
    """
    A limit on steps or calls is reached, so this one was not made. The limit lasts: a resume
    does not reset it. Raise it (`lg-production budgets extend`) if the work is worth it.
    """


class LoopDetected(LgProductionError):
    """The agent repeats itself without getting further, and was stopped."""


class PriceUnknown(LgProductionError):
    """
    There is no price for this model, so no money can be set aside for it, and it was not
    called. Declare one: PriceBook(declared={"model": Price(...)}).
    """


class CircuitOpen(LgProductionError):
    """A dependency fails too often and is not called for a while. Nothing was done."""

    retryable = True

    def __init__(self, detail: str = "", *, retry_after: float) -> None:
        super().__init__(f"{detail} Try again in {retry_after:.1f} s.".strip())
        self.retry_after = retry_after


class ReviewExpired(LgProductionError):
    """
    Nobody decided about this call in time, so it was not made. Ask for it again, and look at
    who was to decide: `lg-production reviews list --state expired`.
    """


class ReviewInSharedTask(LgProductionError):
    """
    A person must decide about one of several calls of a tool node, and there an answer could
    be taken for the answer to another. Nothing was done. Put the node Review before the tools,
    or send each call to a task of its own: Send("tools", [call]).
    """


class Stopped(LgProductionError, GraphDrained):
    """
    A person stopped this, so nothing was called. Once the stop is lifted
    (`lg-production reviews lift`), invoke the thread with None to go on where it stood.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.args = (self.reason,)


class InjectionBlocked(LgProductionError):
    """
    A text reads like an attack on the assistant, and the policy lets nobody read it. Look at
    where it came from; where it is harmless, let a person decide: action="interrupt".
    """

    def __init__(
        self, detail: str = "", *, channel: str = "", reasons: tuple[str, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.channel, self.reasons = channel, reasons


class EgressDenied(LgProductionError):
    """
    A call would reach an address that is not allowed, so it was not made. If it may be reached,
    add it to the EgressPolicy: hosts, emails or networks.
    """

    def __init__(
        self, detail: str = "", *, tool: str = "", argument: str = "", reason: str = ""
    ) -> None:
        super().__init__(detail)
        self.tool, self.argument, self.reason = tool, argument, reason


class OutputRejected(LgProductionError):
    """
    What a tool or the model gave out does not fit what was declared for it, or holds what must
    not leave. It was not passed on. Look at the tool, or at its declaration.
    """

    def __init__(
        self, detail: str = "", *, source: str = "", reasons: tuple[str, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.source, self.reasons = source, reasons


class PlanRefused(LgProductionError):
    """
    This plan was made or changed after something untrusted had been read, so it proves nothing.
    Make it first, from the user's words alone: seal(plan, messages).
    """


class ReleaseRefused(LgProductionError):
    """
    This text was not released. Let the run end, or answer what it asks, then look again at what is
    kept back: withheld_in(messages).
    """


class CaseInvalid(LgProductionError):
    """A case of the golden data cannot be used. Mend the line, or take it out."""

    def __init__(self, problem: str, *, file: str = "", line: int = 0, field: str = "") -> None:
        place = ":".join(str(part) for part in (file, line or "") if part)
        named = ", ".join(part for part in (place, f"field {field!r}" if field else "") if part)
        super().__init__(f"({named}: {problem})" if named else f"({problem})")
        self.problem, self.file, self.line, self.field = problem, file, line, field


class SuiteEmpty(LgProductionError):
    """There is no case to run. Look at the folder, the version and the filters."""


class CassetteMiss(LgProductionError):
    """
    The recording does not have this request, and replay never calls the real thing. Record it
    again (mode="record"; with the fixture: pytest --lg-cassette=record), or look at what changed.
    """

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.field = field


class JudgeRefused(LgProductionError):
    """
    This judge could change without anybody noticing, or is no second opinion. Pin a provider,
    a model and a dated version, or the hash of its weights.
    """


class JudgeUnreadable(LgProductionError):
    """A judge answered twice with no score that can be read. Its grade is missing, and not 0."""


class RunsDiffer(LgProductionError):
    """
    These runs are not of the same thing, so no difference between them means anything. Run both
    on the same data and settings.
    """


class TargetUnknown(LgProductionError):
    """
    There is nothing here that can be evaluated. Give module:attribute of a graph, or of a
    function that makes one.
    """


class ReportUnreadable(LgProductionError):
    """This is no report of an evaluation. Give the JSON file that `eval run --json` wrote."""


class ScriptExhausted(LgProductionError):
    """The script of a scripted model has no answer for this place of the conversation. Add one."""


class BaselineUnusable(LgProductionError):
    """
    These grades cannot show whether the judge changed. Pin the judge again with more control items,
    each graded five times.
    """
