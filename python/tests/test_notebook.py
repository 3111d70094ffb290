"""The notebook runs from its first cell to its last, and draws."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")
pytest.importorskip("polars")

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def test_the_first_plot_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("ANNALS_DIR", str(tmp_path / "data"))
    notebook = nbformat.read(NOTEBOOKS / "first_plot.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    data = [output["data"] for output in outputs if "data" in output]
    assert any("image/png" in one for one in data)
    # Statistics and the answer of SQL are tables.
    assert sum("<table" in one.get("text/html", "") for one in data) >= 3
