"""Short tests that keep promises: exported names, files the documents name, the import rules."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from documents import PAGES, ROOT

import kontext_lab as kl


def named(pattern: str) -> list[ParameterSet]:
    """What a pattern finds in the documents, each with its page."""
    return [
        pytest.param(page, found, id=f"{page.relative_to(ROOT)}-{found}")
        for page in PAGES
        for found in dict.fromkeys(re.findall(pattern, page.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize("name", kl.__all__)
def test_exported_names_exist(name: str) -> None:
    """Every name in `__all__` can be had."""
    assert getattr(kl, name) is not None


@pytest.mark.parametrize(
    ("page", "path"), named(r"`((?:kontext_lab|tests|notebooks|\.ci|\.github|\.importlinter)[\w./-]*)`")
)
def test_paths_in_documents_exist(page: Path, path: str) -> None:
    """Every path that a document names is in the repository."""
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("page", "link"), named(r"\]\(((?!http)[^)]+)\)"))
def test_links_in_documents_lead_somewhere(page: Path, link: str) -> None:
    """Every picture and link inside the repository is there, and so is the heading that it names."""
    path, _, heading = link.partition("#")
    target = page.parent / path
    assert target.exists()
    if heading:
        titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]


def test_top_level_holds_what_it_should() -> None:
    """Nothing but the agreed files and folders lies at the top."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in listed.splitlines()}
    expected = {"pyproject.toml", "README.md", "LICENSE", "kontext_lab", "notebooks", "tests"}
    assert expected == {name for name in top if not name.startswith(".")}


def test_every_module_says_what_it_is_for() -> None:
    """A module opens with a paragraph."""
    missing = [
        path.relative_to(ROOT)
        for path in (ROOT / "kontext_lab").rglob("*.py")
        if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert [] == missing


def test_no_module_outgrows_its_room() -> None:
    """A file past 450 lines is a room missing."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "kontext_lab").rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert {} == long


def test_no_logger_tells_a_secret() -> None:
    """Every module's logger redacts; the sandbox's, which knows no secret, and other packages' are left alone."""
    modules = [path for path in (ROOT / "kontext_lab").rglob("*.py") if "sandbox" not in path.parts]
    plain = [path.name for path in modules if "logging.getLogger(__name__)" in path.read_text("utf-8")]
    assert [] == plain
