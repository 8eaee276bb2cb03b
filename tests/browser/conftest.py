"""A page in Debian's Chromium; without it the tests are skipped, unless the switch for CI is set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter import Jupyter, running_jupyter
from panel_page import Workbench, working
from playwright.sync_api import Page, sync_playwright


@pytest.fixture
def page() -> Iterator[Page]:
    """A blank page of 1700 x 1300 pixels."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "no Chromium: apt-get install chromium"
        if os.environ.get("KONTEXT_LAB_TESTS_STRICT"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser.new_page(viewport={"width": 1700, "height": 1300})
        browser.close()


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
