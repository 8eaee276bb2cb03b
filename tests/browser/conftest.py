"""A page in Debian's Chromium, and JupyterLab servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import running_chromium
from jupyter import Jupyter
from panel_page import Workbench, jupyter_server, workbench
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


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """One JupyterLab server for all tests: starting it takes longer than most tests with it."""
    with jupyter_server(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="module")
def bench(
    jupyter: Jupyter, migrated_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workbench]:
    """JupyterLab and a browser; every notebook opened on it has a kernel, a store and a home of its own.

    No page may have met an error of a script when it is done with.
    """
    with workbench(jupyter, tmp_path_factory.mktemp("bench"), migrated_store) as made:
        yield made
        assert [] == made.errors
