"""A page in Debian's Chromium, and JupyterLab servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import running_chromium
from jupyter import Jupyter, running_jupyter
from panel_page import Workbench, working
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a whole file: starting it takes longer than most tests with it."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A blank page of 1700 x 1300 pixels, with no memory of other tests."""
    context = chromium.new_context(viewport={"width": 1700, "height": 1300})
    yield context.new_page()
    context.close()


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[Jupyter]:
    """A JupyterLab server of the test's own; its kernels see the test's environment."""
    yield from running_jupyter(tmp_path / "jupyter")


@pytest.fixture(scope="module")
def bench(migrated_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """JupyterLab and a browser; every notebook opened on it has a kernel, a store and a home of its own.

    No page may have met an error of a script when it is done with.
    """
    for made in working(tmp_path_factory.mktemp("bench"), migrated_store):
        yield made
        assert [] == made.errors
