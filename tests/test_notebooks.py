"""Every notebook runs from its first cell to its last."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_notebook_runs(source):
    """The percent source is the notebook; its .ipynb is generated and not kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jupyter's own
        import jupytext
        from nbclient import NotebookClient

        notebook = jupytext.read(source)
        client = NotebookClient(notebook, timeout=180, resources={"metadata": {"path": ROOT}})
        client.execute()

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert any("image/png" in o.get("data", {}) for cell in code for o in cell.outputs)
