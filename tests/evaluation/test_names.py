"""The names of `lg_production.evaluation`: all there, and nobody pays who does not ask."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lg_production import evaluation

LOADED = """
import sys, lg_production
print(*(name for name in sys.modules if name.startswith("lg_production.evaluation")))
import lg_production.evaluation
print(*({"pytest", "_pytest", "deepeval", "agentevals", "scipy", "matplotlib"} & {*sys.modules}))
"""


@pytest.mark.parametrize("name", evaluation.__all__)
def test_every_public_name_exists(name):
    """It is the thing itself, and no module of that name."""
    assert not isinstance(getattr(evaluation, name), ModuleType)


def test_no_public_name_hides_a_module():
    """`lg_production.evaluation.html` stays a module."""
    modules = {file.stem for file in Path(evaluation.__file__).parent.glob("*.py")}

    assert set() == modules & {*evaluation.__all__}


def test_nobody_imports_evaluation_who_does_not_ask_for_it():
    """Nor does evaluation import what only a test run or an extra needs."""
    found = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)

    assert ("\n\n", 0) == (found.stdout, found.returncode)
