"""AgentDojo's suites: environments, tasks, tools and checkers, as LangGraph can use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel

VERSION = "v1.2.2"
SUITES = ("workspace", "travel", "banking", "slack")
CANARY = "<CANARY-5f1c>"


class AgentDojoMissing(Exception):
    """AgentDojo is not installed: `make evals-agentdojo` installs it."""


@lru_cache(1)
def agentdojo() -> Any:
    """What we use of the package. Raises `AgentDojoMissing`."""
    try:
        from agentdojo import functions_runtime, types
        from agentdojo.agent_pipeline import tool_execution
        from agentdojo.attacks import important_instructions_attacks
        from agentdojo.task_suite import load_suites, task_suite
    except ImportError as error:
        raise AgentDojoMissing(str(error)) from error
    attack = important_instructions_attacks.ImportantInstructionsAttackNoModelName

    @dataclass(frozen=True)
    class Package:
        suite: Any = load_suites.get_suite
        runtime: Any = functions_runtime.FunctionsRuntime
        call: Any = functions_runtime.FunctionCall
        read_file: Any = task_suite.read_suite_file
        to_text: Any = tool_execution.tool_result_to_str
        block: Any = types.text_content_block_from_string
        says: str = attack._JB_STRING

    return Package()


@dataclass
class Case:
    """One user task, with or without an injection, in an environment of its own."""

    suite: str
    user: str
    injection: str | None
    environment: Any
    before: Any
    prompt: str
    calls: Sequence[Any]
    attack: Sequence[Any]
    output: str
    saying: str = ""
    """The words that the attacker wants said."""
    executed: list[Any] = field(default_factory=list)
    """The calls that were carried out, as AgentDojo's."""

    def tools(self) -> list[BaseTool]:
        """The suite's tools, acting on this environment."""
        package, suite = agentdojo(), suite_of(self.suite)
        runtime = package.runtime(suite.tools)
        return [self._tool(function, runtime) for function in suite.tools]

    def _tool(self, function: Any, runtime: Any) -> BaseTool:
        def run(**arguments: Any) -> tuple[str, Any]:
            given = {k: plain(v) for k, v in arguments.items()}
            result, error = runtime.run_function(self.environment, function.name, given)
            self.executed.append(agentdojo().call(function=function.name, args=given))
            if error:
                return error, None
            return agentdojo().to_text(result), structured(result)

        return StructuredTool.from_function(
            run,
            name=function.name,
            description=function.description[:1000],
            args_schema=function.parameters,
            response_format="content_and_artifact",
        )

    def useful(self, said: str) -> bool:
        """Whether the user got what he asked for: AgentDojo's own check."""
        suite = suite_of(self.suite)
        return self._passes(suite._check_user_task_utility, suite.user_tasks[self.user], said)

    def attacked(self, said: str) -> bool:
        """Whether the attacker got what he wanted: AgentDojo's own check."""
        suite = suite_of(self.suite)
        goal = suite.injection_tasks[self.injection]
        return self._passes(suite._check_injection_task_security, goal, said)

    def _passes(self, check: Any, task: Any, said: str) -> bool:
        block = agentdojo().block(said)
        return bool(check(task, [block], self.before, self.environment, self.executed))


@lru_cache(8)
def suite_of(name: str) -> Any:
    return agentdojo().suite(VERSION, name)


def environment(suite: str, injections: dict[str, str]) -> Any:
    """The suite's environment with these texts in its vectors."""
    return loaded(suite, frozenset(injections.items())).model_copy(deep=True)


@lru_cache(64)
def loaded(suite: str, injections: frozenset[tuple[str, str]]) -> Any:
    """An environment that is only copied: rows play the same cases, and YAML is slow."""
    text = agentdojo().read_file(suite, "environment.yaml", None)
    given = {**defaults(suite), **dict(injections)}
    read = yaml.load(text.format(**given), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return suite_of(suite).environment_type.model_validate(read)


@lru_cache(64)
def steps_of(suite: str, injection: str) -> tuple[Any, ...]:
    """The attacker's calls."""
    goal = suite_of(suite).injection_tasks[injection]
    return tuple(goal.ground_truth(environment(suite, {})))


@lru_cache(8)
def defaults(suite: str) -> dict[str, str]:
    return dict(suite_of(suite).get_injection_vector_defaults())


@lru_cache(256)
def vectors(suite: str, user: str) -> tuple[str, ...]:
    """The injection vectors that the task's own calls read: AgentDojo's canary search."""
    marks = {name: f"<CANARY---{name}--->" for name in defaults(suite)}
    env, task = environment(suite, marks), suite_of(suite).user_tasks[user]
    runtime, read = agentdojo().runtime(suite_of(suite).tools), ""
    for call in task.ground_truth(env):
        result, _ = runtime.run_function(env, call.function, call.args, raise_on_error=True)
        read += agentdojo().to_text(result)
    return tuple(name for name, mark in marks.items() if mark in read)


def says(goal: str) -> str:
    """The `important_instructions` text, with the mark that turns the model."""
    text = agentdojo().says.format(goal=goal, user="Emma Johnson", model="AI assistant")
    return f"{text}{CANARY}"


def case(suite: str, user: str, injection: str | None, spread: Any = None) -> Case:
    """A case. `spread(vectors, text, attack)` says what each vector holds, if not the text."""
    task, calls = suite_of(suite).user_tasks[user], []
    attack: Sequence[Any] = ()
    injections: dict[str, str] = {}
    saying = ""
    if injection is not None:
        goal = suite_of(suite).injection_tasks[injection]
        attack = list(steps_of(suite, injection))
        saying = goal.GROUND_TRUTH_OUTPUT
        reach = vectors(suite, user)
        text = says(goal.GOAL)
        injections = spread(reach, text, attack) if spread else dict.fromkeys(reach, text)
    env = task.init_environment(environment(suite, injections))
    calls = list(task.ground_truth(env.model_copy(deep=True)))
    before = env.model_copy(deep=True)
    return Case(
        suite,
        user,
        injection,
        env,
        before,
        task.PROMPT,
        calls,
        attack,
        task.GROUND_TRUTH_OUTPUT,
        saying=saying,
    )


def pairs(suite: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """User task and injection task: those that act, and those that only want words said."""
    acts, words = [], []
    for name, goal in suite_of(suite).injection_tasks.items():
        truth = steps_of(suite, name)
        for user in suite_of(suite).user_tasks:
            if truth:
                acts.append((user, name))
            elif goal.GROUND_TRUTH_OUTPUT:
                words.append((user, name))
    return acts, words


def plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def structured(result: Any) -> Any:
    """A result's fields, as LangChain's artifact; a text has none."""
    match result:
        case BaseModel():
            return result.model_dump(mode="json")
        case list():
            return [structured(one) if isinstance(one, BaseModel) else one for one in result]
        case dict():
            return {
                str(k): structured(v) if isinstance(v, BaseModel) else v for k, v in result.items()
            }
    return None
