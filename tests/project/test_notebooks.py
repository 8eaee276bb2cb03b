"""The notebooks: committed clean, run on the sandbox from top to bottom, with their parameters and with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from documents import Execute
from papermill.iorw import load_notebook_node

import kontext_lab as kl

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL: dict[str, dict[str, Any]] = {
    "compare_in_mlflow": {"guidance": "3,6", "seeds": [7], "chosen": "6", "photograph": "chelsea"},
    "guidance_and_seeds": {"guidance": "3,6", "seeds": [7, 8], "animals": ["crab"]},
    "prompt_study": {
        "photographs": ["chelsea"],
        "seeds": "7-8",
        "wordings": {"a": "Add a crab.", "b": "Add a cup."},
    },
}
AXES = {
    "compare_in_mlflow": {"guidance_scale": [3, 6], "seed": [7]},
    "guidance_and_seeds": {"guidance_scale": [3, 6], "seed": [7, 8], "animal": ["crab"]},
    "prompt_study": {"prompt": ["Add a crab.", "Add a cup."], "image": ["chelsea"], "seed": [7, 8]},
}
WIDGET, PNG = "application/vnd.jupyter.widget-view+json", "image/png"

every = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def with_parameters(name: str, given: dict[str, Any]) -> nbformat.NotebookNode:
    """A notebook as papermill makes it of one of ours and other parameters."""
    content = load_notebook_node(str(ROOT / "notebooks" / f"{name}.ipynb"))
    return papermill.parameterize.parameterize_notebook(content, given)


def test_there_are_four() -> None:
    """One notebook for each question."""
    expected = ["compare_in_mlflow", "guidance_and_seeds", "prompt_study", "quickstart"]
    assert expected == [path.stem for path in NOTEBOOKS]


@every
def test_committed_without_outputs(notebook: Path) -> None:
    """A committed notebook has no outputs, no execution counts, and a kernelspec."""
    content = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in content.cells if cell.cell_type == "code"]
    assert [] == [cell for cell in cells if cell.outputs or cell.execution_count]
    assert "kernelspec" in content.metadata


@every
def test_begins_with_its_question(notebook: Path) -> None:
    """The title is what a reader wants to know, and the notebook is short."""
    content = nbformat.read(notebook, as_version=4)
    title = content.cells[0].source.splitlines()[0]
    assert ("# ", "?") == (title[:2], title[-1])
    assert len(content.cells) <= 15


@every
def test_papermill_finds_its_parameters(notebook: Path) -> None:
    """One cell is tagged `parameters`, the first code cell, and papermill can read what is in it."""
    content = nbformat.read(notebook, as_version=4)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert [0] == [at for at, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", ())]
    assert {"service", *SMALL.get(notebook.stem, ())} <= set(papermill.inspect_notebook(str(notebook)))


@pytest.mark.slow
@every
def test_runs_top_to_bottom(notebook: Path, execute: Execute) -> None:
    """A notebook runs on the sandbox, says so, prints nothing on stderr and shows pictures, or the panel they come in."""
    outputs = execute(nbformat.read(notebook, as_version=4))

    assert [] == [output["text"] for output in outputs if output.get("name") == "stderr"]
    # In the quickstart nothing runs before a person presses Run: what it shows is the panel.
    shown = WIDGET if notebook.stem == "quickstart" else PNG
    assert any(shown in output.get("data", {}) for output in outputs)
    assert any("simulated" in output.get("text", "") for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_parameters_take_effect(name: str, execute: Execute) -> None:
    """With papermill's parameters another sweep is run, and the notebook still reaches its end."""
    execute(with_parameters(name, {**SMALL[name], "service": "sandbox", "name": "with parameters"}))

    loaded = kl.Lab("sandbox").load("with parameters")
    assert AXES[name] == {key: loaded.values(key) for key in AXES[name]}


@pytest.mark.slow
def test_the_quickstart_begins_with_a_sweep(execute: Execute, workdir: Path, photo_file: Path) -> None:
    """Given a file, the form has the sweep that is in it."""
    kl.Sweep("Add a bird.", photo_file, name="from a file").to_yaml(workdir / "sweep.yaml")
    content = with_parameters("quickstart", {"service": "sandbox", "sweep_file": "sweep.yaml"})
    content.cells.append(nbformat.v4.new_code_cell("print(panel.sweep.name)"))
    outputs = execute(content)

    assert "from a file\n" == outputs[-1]["text"]


@pytest.mark.slow
def test_the_study_says_how_sure_it_is(execute: Execute) -> None:
    """The last words name the wordings that pass most often, and of each other one whether it can be told apart."""
    wordings = {"bird": "Add a bird to the foreground.", "vague": "Make the foreground more lively."}
    given = {"service": "sandbox", "seeds": "1-2", "photographs": ["coffee"], "wordings": wordings}
    outputs = execute(with_parameters("prompt_study", given))

    said = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    assert "simulated pictures, judged by a stand-in: bird" in said
    assert "verdict/rest_kept: bird and vague" in said
