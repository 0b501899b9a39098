"""The rules of DESIGN sections 3 and 9, kept by a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lg_production"
FILES = sorted(PACKAGE.rglob("*.py"))
OUTER = sorted(f for d in ("graphs", "evals", "notebooks") for f in (ROOT / d).rglob("*.py"))
CAPABILITIES = {
    "idempotency", "persistence", "oversight", "cost", "observability", "durability", "security",
    "evaluation",
}  # fmt: skip
COMPOSERS = {
    "eval_cli.py",
    "eval_shown.py",
    "middleware.py",
    "cli.py",
    "clone_cli.py",
    "effects_cli.py",
    "budgets_cli.py",
    "prices_cli.py",
    "reviews_cli.py",
    "run_cli.py",
    "terminal.py",
    "__init__.py",
    "__main__.py",
}
MAX_FUNCTION, MAX_FILE = 60, 400


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def imports(file: Path) -> set[str]:
    """The modules that a file imports, absolute."""
    here = [*file.relative_to(ROOT).with_suffix("").parts]
    found = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: -node.level], node.module or ""] if node.level else [node.module or ""]
            stem = ".".join(part for part in base if part)
            found |= {stem, *(f"{stem}.{alias.name}" for alias in node.names)}
    return found


def home(file: Path) -> str:
    """The folder of the package that a file is in; '' for the top."""
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_capability_imports_core_errors_and_itself(file):
    """errors, core <- capabilities <- middleware, cli; and nothing imports graphs or evals."""
    own = home(file)
    allowed = {"core", "errors", own, "__version__"}
    if own == "":
        allowed |= CAPABILITIES | {file.removesuffix(".py") for file in COMPOSERS}
        if file.name not in COMPOSERS:
            allowed = {"errors"}
    if own == "core":
        allowed -= CAPABILITIES
    reached = {
        m.split(".")[1] for m in imports(file) if m.startswith("lg_production.") and "." in m
    }

    assert set() == reached - allowed
    assert set() == {m for m in imports(file) if m.split(".")[0] in ("graphs", "evals", "tests")}


@pytest.mark.parametrize("file", FILES + OUTER, ids=name)
def test_nobody_reaches_into_langgraph(file):
    """No langgraph._internal: it changes without notice."""
    assert set() == {m for m in imports(file) if m.startswith("langgraph._internal")}


@pytest.mark.parametrize("file", FILES, ids=name)
def test_imports_stand_at_the_top(file):
    """No import inside a function, except for an optional extra, which says so."""
    lines = file.read_text().splitlines()
    inside = [
        node.lineno
        for function in ast.walk(tree(file))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and "optional" not in lines[node.lineno - 1]
        and "heavy" not in lines[node.lineno - 1]
    ]

    assert [] == inside


def test_there_are_no_cycles():
    """Modules form layers."""
    modules = {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in FILES}
    graph = {
        m: {i for i in imports(f) if i in modules}
        for m, f in modules.items()
        if "__init__" not in m
    }

    while leaves := {m for m, reached in graph.items() if not reached & graph.keys()}:
        graph = {m: reached for m, reached in graph.items() if m not in leaves}

    assert {} == graph


@pytest.mark.parametrize("file", FILES + OUTER, ids=name)
def test_files_and_functions_stay_small(file):
    """A file of at most 400 lines, a function of at most 60."""
    functions = [
        (node.name, node.end_lineno - node.lineno + 1)
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert len(file.read_text().splitlines()) <= MAX_FILE
    assert [] == [f for f in functions if f[1] > MAX_FUNCTION]


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_public_name_has_a_docstring(file):
    """What it does, in a sentence at least."""
    public = [
        node
        for node in tree(file).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
    ]

    assert [] == [node.name for node in public if not ast.get_docstring(node)]


@pytest.mark.parametrize("file", FILES, ids=name)
def test_the_library_reads_no_environment(file):
    """Configuration is a constructor argument; only the command line knows DATABASE_URL."""
    if file.name in ("cli.py", "run_cli.py"):
        return
    names = {n.attr for n in ast.walk(tree(file)) if isinstance(n, ast.Attribute)}

    assert set() == names & {"environ", "getenv"}


@pytest.mark.parametrize("file", sorted((ROOT / "graphs").glob("*.py")), ids=name)
def test_a_reference_graph_fits_in_150_lines(file):
    """Five minutes are enough to read one."""
    assert len(file.read_text().splitlines()) <= 150
