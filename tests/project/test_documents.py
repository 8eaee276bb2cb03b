"""The README, the guide and the notes for contributors: every code block in them is executed, or listed here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import nbformat
import pytest
from documents import GUIDE, PAGES, README, ROOT, Block, Execute, blocks

import kontext_lab as kl
from kontext_lab.cli.main import cli, run_command
from kontext_lab.sandbox import Sandbox

SERVED = "http://127.0.0.1:8765"
EVERY = [block for page in PAGES for block in blocks(page)]
BY_PAGE = {str(page.relative_to(ROOT)): blocks(page) for page in PAGES}

PARSED: Mapping[str, str] = {
    "panel": "serves until it is stopped; tests/cli/test_cli_panel.py starts it",
    "sandbox": "serves until it is stopped; tests/sandbox/test_sandbox_server.py starts it",
    "ui": "serves until it is stopped",
}
"""Commands of `kontext-lab` whose lines are parsed and not run, with the reason."""

NOT_RUN: Mapping[str, str] = {
    "python3 -m venv": "`.ci/run` makes an environment by this line",
    ".venv/bin/pip install": "`.ci/run` installs by this line, from a package index",
    ".venv/bin/python -m pytest": "`.ci/run` runs all tests, this one among them",
    "bash .ci/run": "tests/project/test_ci.py runs it",
    "export AIMLAPI_API_KEY=…": "the key here is the one of the sandbox that stands in for the API",
    "curl": "tests/sandbox/test_sandbox_examples.py runs it and looks at the answer",
}
"""Beginnings of other commands that are not run, with the reason."""


def own_words(command: list[str]) -> list[str] | None:
    """The words after `kontext-lab`; None for another program."""
    return command[1:] if Path(command[0]).name == "kontext-lab" else None


def is_run(command: list[str]) -> bool:
    """True for a line of `kontext-lab` that ends by itself."""
    words = own_words(command)
    return words is not None and words[0] not in PARSED


def pages_with(wanted: Callable[[Block], bool]) -> pytest.MarkDecorator:
    """One test for each page that has such a block."""
    names = [name for name, found in BY_PAGE.items() if any(map(wanted, found))]
    return pytest.mark.parametrize("page", names)


@pytest.fixture
def folder(api: Sandbox, workdir: Path, photo_file: Path) -> Path:
    """A folder with what the pages name: a sweep that has run, its file, and a picture of it that came back."""
    shutil.copy(photo_file, workdir / "photo.jpg")
    sweep = "name: mine\nprompt: Add a bird.\nimage: photo.jpg\naxes:\n  seed: 1-3\n"
    (workdir / "my-sweep.yaml").write_text(sweep, encoding="utf-8")
    assert 0 == run_command(["run", "my-sweep.yaml", "--no-measure", "--out", "first"])
    shutil.copy(next((workdir / "first").glob("*.jpg")), workdir / "from-slack.jpg")
    return workdir


@pytest.mark.slow
@pages_with(lambda block: block.language == "python")
def test_python_runs(page: str, execute: Execute) -> None:
    """The Python blocks of a page run from top to bottom in one notebook, without a key and without a warning."""
    with Sandbox() as sandbox:
        cells = [
            nbformat.v4.new_code_cell(f"# {block}\n{block.text.replace(SERVED, sandbox.url)}")
            for block in BY_PAGE[page]
            if block.language == "python"
        ]
        outputs = execute(nbformat.v4.new_notebook(cells=cells))
    assert [] == [output["text"] for output in outputs if output.get("name") == "stderr"]


@pytest.mark.slow
@pages_with(lambda block: any(map(is_run, block.commands)))
def test_commands_run(page: str, folder: Path) -> None:
    """The commands of a page run one after the other and end with 0; a sandbox stands in for the API."""
    for block in BY_PAGE[page]:
        for command in filter(is_run, block.commands):
            assert (0, command) == (run_command(command[1:]), command), block


@pytest.mark.parametrize("block", [one for one in EVERY if one.commands], ids=str)
def test_commands_are_known(block: Block) -> None:
    """Every line is one of `kontext-lab` with its options, or of another program that is listed above."""
    for command in block.commands:
        words = own_words(command)
        if words is None:
            assert any(" ".join(command).startswith(known) for known in NOT_RUN), command
        else:
            parsed = cli.get_command(click.Context(cli), words[0])
            assert parsed is not None, command
            parsed.make_context(words[0], words[1:])


@pages_with(lambda block: block.language == "yaml")
def test_yaml_is_a_sweep(page: str, workdir: Path, photo_file: Path) -> None:
    """Every YAML block of a page is a sweep with more than one cell."""
    shutil.copy(photo_file, workdir / "photo.jpg")
    for block in BY_PAGE[page]:
        if block.language == "yaml":
            (workdir / "sweep.yaml").write_text(block.text, encoding="utf-8")
            assert len(kl.Sweep.from_yaml(workdir / "sweep.yaml")) > 1, block


def test_every_block_has_a_language_that_is_executed() -> None:
    """Or is marked as plain text."""
    assert {"python", "bash", "yaml", "text"} >= {block.language for block in EVERY}


def test_every_exception_is_needed() -> None:
    """The tables above list no command that stands nowhere."""
    commands = [command for block in EVERY for command in block.commands]
    own = {words[0] for words in map(own_words, commands) if words is not None}
    assert [] == [name for name in PARSED if name not in own]
    others = [" ".join(command) for command in commands if own_words(command) is None]
    assert [] == [known for known in NOT_RUN if not any(line.startswith(known) for line in others)]


def test_the_readme_is_short() -> None:
    """At most 900 words, code and tables included."""
    assert len(README.read_text(encoding="utf-8").split()) <= 900


def test_the_readme_links_every_page_of_the_guide() -> None:
    """And every page links back to this index."""
    links = re.findall(r"\]\((notebooks/guide/[^)#]+)", README.read_text(encoding="utf-8"))
    assert {page.relative_to(ROOT).as_posix() for page in GUIDE} <= set(links)
    back = "[Guide](../../README.md#guide)"
    assert [] == [page.name for page in GUIDE if back not in page.read_text(encoding="utf-8")]
