"""Fixtures for tests of agents.

In the conftest.py at the root: `pytest_plugins = ["lg_production.evaluation.pytest_plugin"]`.

| | |
|---|---|
| `scripted_model(script, **fields)` | makes a `ScriptedChatModel` |
| `cassette` | a `Cassette` beside the test's file, in the mode of `--lg-cassette` |
| `crash_harness` | runs a function in a process of its own, and kills it at a `crash_point` |
| `@pytest.mark.golden("evals/golden/booking")` | the test for each case, as its argument `case` |
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from typing import Any

import pytest

from .cases import load_suite
from .cassettes import Cassette
from .crashes import CrashHarness
from .scripted import ScriptedChatModel

MARK = "golden(folder, version=None, **only): the test runs for every case of a suite, as `case`"
FAILED = pytest.StashKey[bool]()


class UnusedRecordings(UserWarning):
    """A cassette holds what its test has not asked for: record it anew."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """How cassettes are used."""
    parser.addoption(
        "--lg-cassette", choices=("replay", "record", "auto"), default="replay",
        help="replay cassettes (never calling anything), record them anew, or record what is new",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """The mark is known."""
    config.addinivalue_line("markers", MARK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each case of its suite; a folder is looked for from the root of the tests.

    `version` is the suite's; `split`, `tags` and `ids` are those of `Suite.only`.
    """
    mark = metafunc.definition.get_closest_marker("golden")
    if mark is None:
        return
    if len(mark.args) != 1 or "case" not in metafunc.fixturenames:
        told = "golden takes one folder, and its test the argument case"
        pytest.fail(f"{metafunc.definition.nodeid}: {told}", pytrace=False)
    only = dict(mark.kwargs)
    suite = load_suite(metafunc.config.rootpath / mark.args[0], only.pop("version", None))
    cases = suite.only(**only).cases if only else suite.cases
    metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A cassette must know whether its test has failed."""
    report = yield
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def scripted_model() -> Callable[..., ScriptedChatModel]:
    """Makes models whose answers are written down."""
    return ScriptedChatModel


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """The cassette of this test: `cassettes/<file>/<test>.jsonl` beside its file.

    A test that passes although something was missing fails here; one that leaves recordings
    unused warns of it.
    """
    file = request.path.parent / "cassettes" / request.path.stem / _file(request.node.nodeid)
    tape = Cassette(file, request.config.getoption("--lg-cassette"))
    yield tape
    tape.save()
    if request.node.stash.get(FAILED, True):
        return
    if tape.missed:
        raise tape.missed
    if unused := tape.unused():
        told = ", ".join(sorted({f"{one.kind} {one.name}" for one in unused}))
        warnings.warn(UnusedRecordings(f"{file}: {len(unused)} of {told}"), stacklevel=1)


def _file(nodeid: str) -> str:
    """The name of a file for a test, whatever its parameters are called."""
    name = nodeid.partition("::")[2]
    plain = re.sub(r"[^\w.-]+", "-", name.replace("::", "-")).strip("-")
    if plain == name:
        return f"{plain}.jsonl"
    return f"{plain[:80]}-{sha256(name.encode()).hexdigest()[:6]}.jsonl"


@pytest.fixture
def crash_harness() -> CrashHarness:
    """Kills processes where they pass a point."""
    return CrashHarness()
