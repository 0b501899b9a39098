"""Cases, and the files that they are read from."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lg_production.errors import CaseInvalid, SuiteEmpty
from lg_production.evaluation.behaviours import Trajectory
from lg_production.evaluation.cases import Case, Suite, case_of, load_suite
from lg_production.evaluation.lines import MOST_BYTES
from lg_production.evaluation.outcome import Outcome, ToolUse
from tests.evaluation.test_outcome import JSON, TEXT, USES

HERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
BEHAVIOURS = st.sampled_from([
    {"kind": "uses_only", "tools": []},
    {"kind": "uses", "tool": "book", "args": {"flight": "BA117", "n": 1.5}, "at_most": 1},
    {"kind": "never_uses", "tool": "cancel", "matches": {"reference": "^R\\d+$"}},
    {"kind": "in_order", "tools": ["search", "book"]},
    {"kind": "trajectory", "mode": "subset", "calls": [{"name": "book", "args": {"a": [1]}}]},
    {"kind": "mentions", "any_of": ["1,234.00", "BA117"]},
    {"kind": "never_mentions", "regex": "\\d{16}", "where": "said"},
    {"kind": "intent", "state": "plan.intent", "allowed": ["refund"]},
    {"kind": "claims_only_done", "claims": {"book": ["booked"]}},
    {"kind": "within", "usd": 0.1, "seconds": 2, "steps": 3},
    {"kind": "asks", "never": True},
    {"kind": "ends", "ended": "error", "error": "BudgetExceeded"},
])  # fmt: skip
CASES = st.fixed_dictionaries(
    {
        "id": st.from_regex("[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
        "split": st.sampled_from(["happy", "edge", "adversarial"]),
        "input": TEXT | st.dictionaries(TEXT.filter(lambda t: t != "messages"), JSON, max_size=2),
        "behaviours": st.lists(BEHAVIOURS, min_size=1, max_size=3),
    },
    optional={
        "context": st.dictionaries(TEXT, JSON, max_size=2),
        "answers": st.lists(JSON, max_size=2),
        "expected": TEXT,
        "tags": st.lists(TEXT, max_size=2),
        "note": TEXT,
        "trajectory": st.lists(
            USES.map(lambda use: {"name": use.name, "args": use.args}), max_size=2
        ),
    },
).map(Case.model_validate)
GOOD = {"id": "a", "input": "Hi", "behaviours": [{"kind": "ends"}]}


def folder(tmp_path, text: str | bytes, split: str = "happy"):
    file = tmp_path / "booking" / "v1" / f"{split}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path / "booking"


def line(**changes) -> str:
    data = {**GOOD, **changes}
    return json.dumps({key: value for key, value in data.items() if value is not ...})


def refusal(tmp_path, text) -> CaseInvalid:
    with pytest.raises(CaseInvalid) as caught:
        load_suite(folder(tmp_path, text))
    return caught.value


def attempt(tmp_path, text) -> CaseInvalid | None:
    try:
        load_suite(folder(tmp_path, text))
    except CaseInvalid as error:
        return error
    return None


# ------------------------------------------------------------------------------ round trips
@given(CASES)
def test_a_case_survives_being_stored_and_written(case):
    """As JSON, and as a line of its split's file, it is the same case with the same hash."""
    written = case_of({**json.loads(case.line()), "split": case.split})

    assert case == case_of(case.stored()) == written == case_of(case.model_dump(mode="json"))
    assert case.hash == written.hash


@given(CASES)
def test_a_case_is_one_line_that_shows_all_that_is_in_it(case):
    """No reader splits it in two, and nothing hides in it."""
    text = case.line()

    assert [text] == text.splitlines()
    assert not {*"\u202e\u200b\ufeff\x85"} & {*text}


@given(st.lists(CASES, min_size=1, max_size=4, unique_by=lambda case: case.id), st.randoms())
@HERE
def test_the_hash_does_not_depend_on_order_or_formatting(tmp_path_factory, cases, random):
    """Other key orders, spaces, escapes, line ends, blank lines, a BOM: the same data."""
    first, second = (tmp_path_factory.mktemp("suite") for _ in range(2))
    for case in cases:
        with (first / f"{case.split}.jsonl").open("a") as file:
            file.write(case.line() + "\n")
    random.shuffle(cases)
    for case in cases:
        pairs = [*case.model_dump(mode="json").items()]
        random.shuffle(pairs)
        text = json.dumps(dict(pairs), separators=(" ,  ", ": "), ensure_ascii=True)
        file = second / f"{case.split}.jsonl"
        start = file.read_bytes() if file.exists() else b"\xef\xbb\xbf"
        file.write_bytes(start + b"\r\n \r\n" + text.encode())
    for root in (first, second):
        (root / "v1").mkdir()
        for file in root.glob("*.jsonl"):
            file.rename(root / "v1" / file.name)
    one, other = load_suite(first), load_suite(second)

    assert (one.hash, one.cases) == (other.hash, other.cases)
    assert one.hash == Suite("x", "v9", tuple(cases)).hash


@given(CASES, CASES)
def test_other_content_has_another_hash(one, other):
    """Cases are the same if their hashes are, and not otherwise."""
    assert (one.stored() == other.stored()) == (one.hash == other.hash)


def test_the_hash_is_pinned():
    """Reports name it: it must not change with the version of this package."""
    assert case_of({**GOOD, "split": "happy"}).hash == PINNED


PINNED = "5055d88b4d275736b41bc2e9ab737dba359f7a619cc42bc8168cd119eb94da71"


# ------------------------------------------------------------------------------- what is bad
@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        (line(id="B 1"), "id", "should match pattern"),
        (line(id="a\n"), "id", "should match pattern"),
        (line(id="-a"), "id", "should match pattern"),
        (line(id="a" * 101), "id", "at most 100"),
        (line(id=5), "id", "not a string but a number"),
        (line(id=...), "id", "missing"),
        (line(input=...), "input", "missing"),
        (line(input=None), "input", "valid dictionary, not null"),
        (line(input=["Hi"]), "input", "valid dictionary, not an array"),
        (line(input={"messages": [{"role": "user", "content": "x"}, {"content": "x"}]}), "input", "messages.1 is no message"),
        (line(input={"messages": [{"role": "usr", "content": "x"}]}), "input", "messages.0 is no message"),
        (line(split="edge"), "split", "'edge' in a file of 'happy'"),
        (line(answers="yes"), "answers", "valid tuple, not a string"),
        (line(context=3), "context", "valid dictionary, not a number"),
        (line(expected=True), "expected", "valid string, not true or false"),
        (line(tags=[1]), "tags.0", "valid string, not a number"),
        (line(trajectory=[{"args": {}}]), "trajectory.0.name", "missing"),
        (line(behaviour=[]), "behaviour", "no such field: is it 'behaviours'?"),
        (line(behaviours=...), "behaviours", "missing"),
        (line(behaviours=[]), "behaviours", "at least 1 item"),
        (line(behaviours=[{}]), "behaviours.0.kind", "missing"),
        (line(behaviours=["ends"]), "behaviours.0", "not a string"),
        (line(behaviours=[{"kind": "use"}]), "behaviours.0.kind", "there is no 'use': is it 'uses'?"),
        (line(behaviours=[{"kind": "ends"}, {"kind": "uses"}]), "behaviours.1.tool", "missing"),
        (line(behaviours=[{"kind": "uses", "tool": "a", "arg": {}}]), "behaviours.0.arg", "is it 'args'?"),
        (line(behaviours=[{"kind": "uses", "tool": "a", "at_least": "2"}]), "behaviours.0.at_least", "valid integer, not a string"),
        (line(behaviours=[{"kind": "uses", "tool": "a", "at_least": True}]), "behaviours.0.at_least", "valid integer, not true or false"),
        (line(behaviours=[{"kind": "uses", "tool": "a", "at_least": 2, "at_most": 1}]), "behaviours.0", "at_most 1 is below"),
        (line(behaviours=[{"kind": "mentions", "regex": "("}]), "behaviours.0.regex", "no regular expression"),
        (line(behaviours=[{"kind": "mentions", "regex": "(a+)+"}]), "behaviours.0.regex", "for ever"),
        (line(behaviours=[{"kind": "mentions"}]), "behaviours.0", "any_of or regex"),
        (line(behaviours=[{"kind": "mentions", "any_of": [" \u200b"]}]), "behaviours.0", "is in every text"),
        (line(behaviours=[{"kind": "within"}]), "behaviours.0", "one of steps"),
        (line(behaviours=[{"kind": "within", "usd": -1}]), "behaviours.0.usd", "greater than or equal"),
        (line(behaviours=[{"kind": "intent", "allowed": ["a"]}]), "behaviours.0", "give one of them"),
        (line(behaviours=[{"kind": "ends", "error": "x"}]), "behaviours.0", "needs ended"),
        (line(behaviours=[{"kind": "trajectory"}]), "", "needs calls, or the case a trajectory"),
        (line(input={"x": float("nan")}), "input.x", "nan is no JSON number"),
        (line(input="x").replace('"x"', "1e999"), "input", "inf is no JSON number"),
        (line(context={"n": [2**64]}), "context.n.0", "more than 64 bits"),
        (line(input="x").replace('"x"', "9" * 5000), "", "more than 64 bits"),
        (line(note="\ud800"), "note", "half a surrogate"),
        (line(context={"\udfff": 1}), "context", "a name in it is no text"),
        (line(input="x").replace('"x"', '{"b": {"a": 1, "a": 2}}'), "input.b.a", "there twice"),
        (line().replace('"id"', '"id": "b", "id"'), "id", "there twice"),
        (line(input="x").replace('"x"', "[" * 150 + "]" * 150), "input" + ".0" * 47 + "…", "deeper than 100"),
        (line(input="x").replace('"x"', "[" * 99_999 + "]" * 99_999), "", "deeper than 100"),
        (line(input="x").replace('"x"', '{"a":' * 99_999 + "1" + "}" * 99_999), "", "deeper than 100"),
        ("[]", "", "not an array"),
        ("null", "", "not null"),
        ('{"id": "a"', "", "not JSON: Expecting ',' delimiter at column 11"),
        ("{} {}", "", "not JSON: Extra data"),
        (b'{"id": "\xff"}', "", "byte 9 is not UTF-8"),
        (line().encode("utf-16"), "", "byte 1 is not UTF-8"),
        (line(note="x" * MOST_BYTES), "", "longer than 1,000,000 bytes"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)  # fmt: skip
def test_a_bad_line_is_named_with_its_field(tmp_path, text, field, problem):
    """File, line and dotted path; and never another error."""
    good = line(id="before").encode() + b"\n"
    error = refusal(tmp_path, good + (text if isinstance(text, bytes) else text.encode()))

    assert problem in error.problem
    assert (2, field) == (error.line, error.field)
    assert error.file.endswith("v1/happy.jsonl")
    str(error).encode()


@given(st.binary(max_size=60) | TEXT.map(str.encode) | JSON.map(lambda v: json.dumps(v).encode()))
@HERE
def test_no_bytes_make_another_error(tmp_path, data):
    """A file of anything is a suite, empty, or a case that is named."""
    with pytest.raises((CaseInvalid, SuiteEmpty)):
        load_suite(folder(tmp_path, data))


FIELDS = [*Case.model_fields, "removed", "other"]


@given(st.sampled_from(FIELDS), JSON)
@HERE
def test_no_value_of_a_field_makes_another_error(tmp_path, field, value):
    """Where it is not good, the file and the line are named."""
    error = attempt(tmp_path, line(**{field: value}))

    assert error is None or (1, True) == (error.line, error.file.endswith("happy.jsonl"))


@given(BEHAVIOURS, st.data())
@HERE
def test_no_value_in_a_behaviour_makes_another_error(tmp_path, behaviour, data):
    """Where it is not good, the field is named within its behaviour; a missing reference is its
    case's."""
    field = data.draw(st.sampled_from([*behaviour, "other"]))
    value = data.draw(JSON)
    error = attempt(tmp_path, line(behaviours=[{**behaviour, field: value}]))
    named = "" if (field, value) == ("calls", None) else "behaviours.0"

    assert error is None or (1, named) == (error.line, error.field[:12])


def test_several_problems_are_counted(tmp_path):
    """The first is named, and one knows that there are more."""
    error = refusal(tmp_path, line(tags=3, note=4))

    assert "tags" == error.field
    assert error.problem.endswith("(and 1 more)")


def test_the_message_says_where_to_look(tmp_path):
    """In a form that an editor jumps to."""
    error = refusal(tmp_path, line() + "\n\n" + line(id="b", behaviours=[{"kind": "uses"}]))

    assert str(error).endswith("happy.jsonl:3, field 'behaviours.0.tool': missing)")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A folder, or one without permission."""
    (tmp_path / "v1" / "happy.jsonl").mkdir(parents=True)

    with pytest.raises(CaseInvalid, match=r"happy\.jsonl: it cannot be read: Is a directory"):
        load_suite(tmp_path)


def test_python_is_held_to_json_as_well():
    """What could not be written into a file is no case."""
    with pytest.raises(ValidationError, match=r"x: object is not JSON"):
        Case(id="a", split="happy", input={"x": object()}, behaviours=[{"kind": "ends"}])
    with pytest.raises(CaseInvalid, match="split"):
        case_of(GOOD)


# ----------------------------------------------------------------------------- what is good
def test_a_text_is_short_for_a_user_s_message():
    """As most inputs are."""
    case = case_of({**GOOD, "split": "happy"})

    assert {"messages": [{"role": "user", "content": "Hi"}]} == case.input
    assert GOOD == json.loads(case.line())


def test_a_trajectory_of_the_case_is_the_reference_of_its_behaviours():
    """It is said once, and behaviours can be checked by themselves."""
    calls = [{"name": "search"}, {"name": "book", "args": {"flight": "BA117"}}]
    behaviours = [{"kind": "trajectory", "mode": "superset"}, {"kind": "ends"}]
    case = case_of({**GOOD, "split": "happy", "trajectory": calls, "behaviours": behaviours})
    reference = (ToolUse("search"), ToolUse("book", {"flight": "BA117"}))

    assert Trajectory(mode="superset", calls=reference) == case.behaviours[0]
    assert [True, True] == [v.passed for v in case.check(Outcome("", reference))]
    assert [False, True] == [v.passed for v in case.check(Outcome("", reference[:1]))]


def test_a_suite_is_sorted_and_named(tmp_path):
    """By split, then by id; its name is its folder's."""
    folder(tmp_path, line(id="b") + "\n" + line(id="a"))
    suite = load_suite(str(folder(tmp_path, line(id="c"), "edge")))

    assert ("booking", "v1") == (suite.name, suite.version)
    assert ["a", "b", "c"] == [case.id for case in suite.cases]


def test_two_cases_of_one_id_are_no_suite():
    """Results are told apart by ids."""
    case = case_of({**GOOD, "split": "happy"})

    with pytest.raises(CaseInvalid, match="two cases are called 'a'"):
        Suite("x", "v1", (case, case))


def test_a_part_of_a_suite_is_a_suite_of_its_own(tmp_path):
    """It has its own hash, for what was run is what stands in a report."""
    folder(tmp_path, line(id="a", tags=["x", "y"]) + "\n" + line(id="b", tags=["z"]))
    suite = load_suite(folder(tmp_path, line(id="c"), "edge"))

    assert ["c"] == [case.id for case in suite.only(split="edge").cases]
    assert ["a", "b"] == [case.id for case in suite.only(tags=["y", "z"]).cases]
    assert ["b"] == [
        case.id for case in suite.only(split="happy", tags=["z"], ids=["a", "b"]).cases
    ]
    assert suite.hash == suite.only().hash
    assert suite.hash != suite.only(split="happy").hash
    with pytest.raises(SuiteEmpty, match="of that split and tag"):
        suite.only(split="adversarial")
    with pytest.raises(SuiteEmpty, match="has no case nope"):
        suite.only(ids=["a", "nope"])
