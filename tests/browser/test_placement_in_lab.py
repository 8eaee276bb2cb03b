"""Two pictures in one frame in JupyterLab: the inspector's divider and the tab Compare, at all nine ratios."""

from __future__ import annotations

import numpy as np
import pytest
from marks import RATIOS, TRUE_SPAN, marked, places, spans
from panel_page import PanelPage, Workbench, until
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def panel(bench: Workbench, tmp_path_factory: pytest.TempPathFactory) -> PanelPage:
    """A panel that shows a marked photograph of 3:2 at all nine ratios."""
    file = tmp_path_factory.mktemp("marked") / "marked.png"
    marked().save(file)
    made = bench.panel("placement")
    sweep = f"kl.Sweep('Add a bird.', {str(file)!r}, axes={{'aspect_ratio': {list(RATIOS)!r}}})"
    made.ask(f"(panel.load({sweep}), panel.run(), panel.wait(120), 0)[-1]")
    made.done(9)
    return made


def stages(panel: PanelPage, part: str, *ratios: str) -> Locator:
    """The stages of a part's viewer, once it shows the pictures of these ratios."""
    about = f"ui.{part}.viewer.alt"
    until(lambda: panel.ask(f"all(one in {about} for one in {list(ratios)!r})"), panel.page)
    found = panel.root.locator(".kl-viewer").filter(
        has=panel.page.get_by_alt_text(panel.ask(about), exact=True)
    )
    expect(found.locator(".kl-viewer-bar")).to_be_visible()
    return found.locator(".kl-viewer-stage")


def test_marks_coincide_under_the_divider(panel: PanelPage) -> None:
    """At every ratio a thing stands in one place in reference and output, and neither is out of shape."""
    viewer = "ui.inspector.viewer"
    for ratio in RATIOS:
        panel.ask(f"(panel.select(aspect_ratio={ratio!r}), 0)[1]")
        stage = stages(panel, "inspector", ratio).first
        found = []
        for position in (1.0, 0.0):
            panel.ask(f"{viewer}.set_trait('position', {position})")
            divider = panel.root.get_by_role("slider", name="divider between")
            expect(divider).to_have_attribute("aria-valuenow", str(round(100 * position)))
            found.append(places(stage.screenshot()))
        assert np.abs(found[0] - found[1]).max() < 0.02, ratio
        assert [TRUE_SPAN] * 2 == pytest.approx([spans(one) for one in found], rel=0.03), ratio


def test_marks_coincide_side_by_side(panel: PanelPage) -> None:
    """Compare shows the same part of the scene at the same place and size in both pictures, at every ratio."""
    panel.tab("Compare")
    panel.button("Add what is on show").click()
    until(lambda: panel.ask("ui.compare.results is not None"), panel.page)
    output = "ui.compare.results.cell(aspect_ratio={!r}).output"
    for ratio in RATIOS[1:]:
        for at, one in enumerate((RATIOS[0], ratio)):
            panel.ask(f"(ui.compare.pick({output.format(one)}, as_second={at == 1}), 0)[1]")
        both = stages(panel, "compare", RATIOS[0], ratio)
        found = [places(both.nth(at).screenshot()) for at in (0, 1)]
        assert np.abs(found[0] - found[1]).max() < 0.02, ratio
        assert [TRUE_SPAN] * 2 == pytest.approx([spans(one) for one in found], rel=0.03), ratio
