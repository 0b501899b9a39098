"""The plan of a perfect planner: what no planner can do better, and few as well."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from lg_production.security.plan import Plan, Step
from lg_production.security.sinks import sinks

from . import suites


def perfect(case: suites.Case, *, sources: bool) -> Plan:
    """The tools that the task needs; with `sources`, from which results addresses are taken.

    A planner that has read nothing knows that, if the user said it: "her e-mail is on her page".
    """
    if not sources:
        return Plan.of(*(call.function for call in case.calls))
    taken = flows(case.suite, case.user)
    tools = dict.fromkeys(call.function for call in case.calls)
    return Plan(steps=tuple(Step(tool=tool, sources=taken.get(tool, {})) for tool in tools))


@lru_cache(128)
def flows(suite: str, user: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Of each tool's arguments, in whose results the addresses stand that the task uses."""
    case = suites.case(suite, user, None)
    runtime = suites.agentdojo().runtime(suites.suite_of(suite).tools)
    found: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    read: list[tuple[str, str]] = []
    for call in case.calls:
        for sink in sinks(call.function, call.args, reads=False):
            name = sink.argument.split("[")[0]
            origins = {tool for tool, text in read if sink.value in text}
            if sink.kind in ("url", "email") and sink.value not in case.prompt and origins:
                found[call.function][name] = tuple(sorted(origins))
        result, _ = runtime.run_function(case.environment, call.function, dict(call.args))
        read.append((call.function, suites.agentdojo().to_text(result)))
    return found
