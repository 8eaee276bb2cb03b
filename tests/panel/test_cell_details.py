"""What the inspector says of an output's measured values."""

from __future__ import annotations

import pytest

from kontext_lab.panel.cell_details import details_html, measured_text
from kontext_lab.results import CellResult, Output, State


def output(**values: float) -> Output:
    """An output with these values."""
    cell = CellResult(title="a", params={}, service="sandbox", state=State.DONE)
    return Output(cell, 1, metrics={name.replace("__", "/"): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ""),
        ({"verdict__good": 1.0}, ""),
        (
            {"change__area": 0.0512, "preserve__ssim": 0.9813, "preserve__delta_e": 1.36},
            "measured: 5.1% changed · the rest kept: similarity 0.981 · colour off by 1.4",
        ),
        (
            {
                "change__area": 0.05,
                "preserve__ssim": 0.98,
                "preserve__face": 0.99321,
                "first__change__area": 0.2,
            },
            "measured: 5.0% changed · the rest kept: similarity 0.980 · face kept: 0.993 · "
            "against the first picture of the chain 20.0% changed",
        ),
        ({"change__area": 0.0, "flag__no_op": 1.0, "flag__blank": 0.0}, "measured: 0.0% changed · no op"),
        (
            {"change__area": 1.0, "align__registered": 0.0, "flag__new_picture": 1.0},
            "measured: a new picture that does not line up with the reference",
        ),
    ],
    ids=["nothing", "verdict", "edit", "boxes and chain", "no-op", "new"],
)
def test_measured_text(values: dict[str, float], words: str) -> None:
    """How much changed and how well the rest was kept stand together; what was not measured is not mentioned."""
    assert words == measured_text(output(**values))


def test_everything_that_was_measured_is_there_to_be_looked_up() -> None:
    """By its name, own values too."""
    made = output(change__area=0.05, mine__width=3.0)
    made.cell.outputs = [made]
    shown = details_html(made.cell)
    assert ("<th>change/area</th><td>0.05</td>" in shown, "<th>mine/width</th><td>3</td>" in shown) == (
        True,
        True,
    )
