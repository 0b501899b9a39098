"""The plugin in a test run of its own."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from lg_production.evaluation.crashes import CrashHarness, crash_point

pytest_plugins = ["pytester"]

CASE = {"input": "hello", "behaviours": [{"kind": "ends", "ended": "done"}]}
SUITE = {"happy": ["a"], "edge": ["b", "c"], "adversarial": ["d"]}
PLUGIN = ("-p", "lg_production.evaluation.pytest_plugin", "-W", "error", "-p", "no:cacheprovider")


README = Path(__file__).parents[2] / "lg_production" / "evaluation" / "README.md"


@pytest.fixture
def run(pytester, monkeypatch) -> Any:
    """Runs a file of tests beside golden data."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    folder = pytester.path / "golden" / "s" / "v1"
    folder.mkdir(parents=True)
    for split, ids in SUITE.items():
        lines = [json.dumps({"id": one, "tags": [f"t{one}"], **CASE}) for one in ids]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    (pytester.path / "pytest.ini").write_text("[pytest]\n")

    def run(tests: str, *options: str) -> Any:
        pytester.makepyfile(test_it=tests)
        return pytester.runpytest_inprocess(*PLUGIN, *options)

    return run


# ------------------------------------------------------------------------------- golden cases


@pytest.mark.parametrize(
    ("mark", "ids"),
    [
        ('"golden/s"', "abcd"),
        ('"golden/s", split="edge"', "bc"),
        ('"golden/s", version="v1", tags=["ta", "td"]', "ad"),
        ('"golden/s", ids=["c"]', "c"),
    ],
)
def test_a_test_runs_for_every_case(run, mark, ids):
    """All of a suite, or those of a split, with a tag, or with an id; each has its name."""
    found = run(
        f"""
        import pytest

        @pytest.mark.golden({mark})
        def test_case(case):
            print("case", case.id)
            assert "done" == case.behaviours[0].ended
        """,
        "-v",
    )

    found.assert_outcomes(passed=len(ids))
    found.stdout.fnmatch_lines_random([f"*test_case?{one}? PASSED*" for one in ids])


@pytest.mark.parametrize(
    ("mark", "argument", "told"),
    [
        ('"golden/s"', "", "*takes one folder, and its test the argument case*"),
        ("", "case", "*takes one folder, and its test the argument case*"),
        ('"golden/none"', "case", "*none*"),
        ('"golden/s", ids=["x"]', "case", "*SuiteEmpty*has no case x*"),
        ('"golden/s", version="v9"', "case", "*v9*"),
    ],
)
def test_what_cannot_be_run_is_an_error_and_no_empty_run(run, mark, argument, told):
    """When tests are collected."""
    found = run(
        f"""
        import pytest

        @pytest.mark.golden({mark})
        def test_case({argument}):
            pass
        """
    )

    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines([told])


def test_a_case_that_is_wrong_names_its_line(run, pytester):
    """File, line and field."""
    (pytester.path / "golden" / "s" / "v1" / "edge.jsonl").write_text('{"id": "x", "inptu": "y"}\n')
    found = run(
        """
        import pytest

        @pytest.mark.golden("golden/s")
        def test_case(case):
            pass
        """
    )

    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*CaseInvalid*edge.jsonl:1*"])


# --------------------------------------------------------------------------------- cassettes

TAPED = """
import pytest
from lg_production.errors import CassetteMiss

class TestTalk:
    @pytest.mark.parametrize("name", ["a b/c", "Ann"])
    def test_it(self, cassette, scripted_model, name):
        model = cassette.model(scripted_model(lambda _: {answer}))
        assert "hello " + name == model.invoke(name).text
"""


def test_a_cassette_is_recorded_and_replayed(run, pytester):
    """Beside the test's file, one for each test, whatever its parameters are called."""
    first = run(TAPED.replace("{answer}", '"hello " + name'), "--lg-cassette=record")
    files = sorted(p.name for p in (pytester.path / "cassettes" / "test_it").iterdir())
    second = run(TAPED.replace("{answer}", "1 / 0"))
    third = run(TAPED.replace("{answer}", "1 / 0"), "--lg-cassette=auto")

    for found in (first, second, third):
        found.assert_outcomes(passed=2)
    assert 2 == len(files)
    assert "TestTalk-test_it-Ann-" in files[0]


def test_without_a_recording_a_test_fails_at_its_fixture(run):
    """And says what to do."""
    found = run(TAPED.replace("{answer}", "1 / 0"))

    found.assert_outcomes(errors=2)
    found.stdout.fnmatch_lines(["*CassetteMiss*Record it again*there is no *TestTalk-test_it*"])


def test_the_readme_says_how_to_turn_it_on_and_to_record(pytester, monkeypatch):
    """In the conftest at the root, word by word; then record, then replay."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (line,) = re.findall(r"`(pytest_plugins = .*?)`", README.read_text())
    (option,) = set(re.findall(r"pytest (--lg-cassette=\w+)", README.read_text()))
    pytester.makeini("[pytest]")
    pytester.makeconftest(line)
    pytester.makepyfile(test_it=TAPED.replace("{answer}", '"hello " + name'))
    ways = [
        pytester.runpytest_subprocess("-p", "no:cacheprovider", *more)
        for more in ([], [option], [])
    ]

    ways[0].assert_outcomes(errors=2)
    ways[0].stdout.fnmatch_lines([f"*Record it again*pytest {option}*"])
    ways[1].assert_outcomes(passed=2)
    ways[2].assert_outcomes(passed=2)


def test_what_is_missing_fails_a_test_once_and_though_it_was_swallowed(run):
    """In the test, or else after it."""
    tests = """
    import pytest

    def test_loud(cassette, scripted_model):
        cassette.model(scripted_model(["x", "y"])).invoke({text})

    def test_quiet(cassette, scripted_model):
        try:
            cassette.model(scripted_model(["x", "y"])).invoke({text})
        except Exception:
            pass
    """
    run(tests.replace("{text}", "'one'"), "--lg-cassette=record").assert_outcomes(passed=2)
    found = run(tests.replace("{text}", "'two'"), "-W", "default")

    found.assert_outcomes(passed=1, failed=1, errors=1)
    found.stdout.fnmatch_lines(['*CassetteMiss*messages?0?.content was "one", and is "two"*'])


def test_what_is_not_used_is_warned_of(run):
    """A cassette of which a part is not asked for is not of this test any more."""
    tests = """
    def test_it(cassette, scripted_model):
        model = cassette.model(scripted_model(["x"]))
        [model.invoke(text) for text in {texts}]
    """
    run(tests.replace("{texts}", "'abc'"), "--lg-cassette=record").assert_outcomes(passed=1)
    strict = run(tests.replace("{texts}", "'a'"))
    mild = run(tests.replace("{texts}", "'a'"), "-W", "default")

    strict.assert_outcomes(passed=1, errors=1)
    mild.assert_outcomes(passed=1, warnings=1)
    mild.stdout.fnmatch_lines(["*UnusedRecordings*test_it.jsonl: 2 of model model*"])


# ------------------------------------------------------------------------------------ crashes


def test_its_harness_kills_a_function_at_its_point(run):
    """And runs it again; from the function's own file."""
    run(
        """
        from pathlib import Path
        from lg_production.evaluation.crashes import crash_point

        def work(folder):
            Path(folder, "began").touch()
            crash_point("between")
            Path(folder, "ended").touch()
            return sorted(p.name for p in Path(folder).iterdir())

        def test_work(crash_harness, tmp_path):
            crash_harness.kill(work, tmp_path, at="between")
            assert ["began"] == [p.name for p in tmp_path.iterdir()]
            assert ["began", "ended"] == crash_harness.run(work, tmp_path)
        """
    ).assert_outcomes(passed=1)


def steps(names: str, file: Path | None = None) -> int:
    """Pass a point for each letter."""
    for name in names:
        crash_point(name)
        if file:
            file.write_text(name)
    return len(names)


def fail() -> None:
    crash_point("a")
    raise LookupError("no such flight")


def sleep() -> None:
    crash_point("a")
    time.sleep(60)


def unpicklable() -> Any:
    return lambda: None


@pytest.mark.slow
def test_a_process_dies_at_the_time_that_was_asked_for(tmp_path):
    """Not earlier, and nothing is done after it."""
    harness, file = CrashHarness(), tmp_path / "last"
    harness.kill(steps, "abab", file, at="b", times=2)

    assert (["a", "b", "a", "b"], "a") == (harness.passed, file.read_text())
    assert 4 == harness.run(steps, "abab", file)
    assert (["a", "b", "a", "b"], "b") == (harness.passed, file.read_text())


@pytest.mark.slow
def test_what_does_not_die_fails_the_test():
    """A point that is never passed would test nothing."""
    harness = CrashHarness()
    with pytest.raises(AssertionError, match="it returned before c, having passed a, b: 2"):
        harness.kill(steps, "ab", at="c")
    with pytest.raises(
        AssertionError, match=r"(?s)it raised before c, having passed a.*no such fl"
    ):
        harness.kill(fail, at="c")


@pytest.mark.slow
def test_what_fails_or_hangs_is_told():
    """With the traceback; and the process is gone."""
    harness = CrashHarness()
    with pytest.raises(RuntimeError, match=r"(?s)the process raised.*LookupError: no such flight"):
        harness.run(fail)
    with pytest.raises(TimeoutError, match="having passed"):
        harness.run(sleep, timeout=0.5)
    with pytest.raises(RuntimeError, match=r"(?s)the process raised.*[Pp]ickl"):
        harness.run(unpicklable)


def test_a_point_is_nothing_elsewhere():
    """The code that is tested may keep it."""
    assert 3 == steps("abc")
