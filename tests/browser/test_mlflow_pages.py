"""What a person sees in MLflow's own pages on our store."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import kontext_lab as kl

pytestmark = pytest.mark.browser


@pytest.fixture
def pages(store_uri: str, workdir: Path) -> Iterator[str]:
    """`kontext-lab ui` on the test's store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "kontext_lab", "ui", "--port", str(port)]
    with (workdir / "ui.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, (workdir / "ui.log").read_text()
            time.sleep(0.3)
    yield f"http://127.0.0.1:{port}"
    subprocess.run(["pkill", "-TERM", "-s", str(process.pid)], check=False)
    process.wait(30)


def test_image_grid_compares_the_outputs(page: Page, photo_file: Path, pages: str) -> None:
    """MLflow's image grid offers the picture `output` and shows one for every visible cell."""
    with kl.Lab("sandbox") as lab:
        results = lab.run(
            kl.Sweep("Add a bird.", photo_file, axes={"guidance_scale": [2, 5, 8]}, name="seen"),
            progress=False,
        )
        experiment = lab.context.tracker.store.experiment_id
    page.goto(f"{pages}/#/experiments/{experiment}/runs?compareRunsMode=CHART", timeout=90_000)
    expect(page.get_by_text("seen").first).to_be_visible(timeout=60_000)
    page.locator("[role=gridcell] button").first.click()
    for cell in results:
        expect(page.get_by_text(cell.title).first).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Add chart").first.click()
    page.get_by_role("menuitem", name="Image grid").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").nth(1).click()
    page.get_by_role("option", name="output").click()

    pictures = dialog.locator("img")
    expect(pictures).to_have_count(3, timeout=30_000)
    widths = pictures.evaluate_all("all => all.map(one => one.naturalWidth)")
    assert [True] * 3 == [width > 100 for width in widths]
