"""Notebooks, and pages read as notebooks, run in a kernel of their own."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from documents import Execute
from nbclient import NotebookClient


@pytest.fixture
def execute(store_uri: str, workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Run a notebook in an empty folder, with a store and a journal of its own; returns the outputs."""
    monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "journal"))

    def run(content: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
        NotebookClient(content, timeout=300, resources={"metadata": {"path": str(workdir)}}).execute()
        return [output for cell in content.cells if cell.cell_type == "code" for output in cell.outputs]

    return run
