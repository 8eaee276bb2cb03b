"""Verdicts on tiles: which marks, where they are drawn, what the line below says of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from figures_making import show
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kontext_lab.figures import LiveSheet, grid, plan_grid
from kontext_lab.figures.captions import verdicts_of, verdicts_words
from kontext_lab.results import Results

Make = Callable[..., Results]
AXES = {"guidance_scale": [2, 5], "seed": [1, 2]}


def judged(results: Results, at: int, **verdicts: float) -> Results:
    """The same with verdicts on one cell; `rest_kept=1` is a pass on `rest kept`."""
    output = list(results)[at].outputs[0]
    output.metrics = output.metrics | {f"verdict/{name}": value for name, value in verdicts.items()}
    return results


@pytest.mark.parametrize(
    ("verdicts", "criterion", "expected"),
    [
        ({}, None, ""),
        ({"rest_kept": 1.0}, None, "✓"),
        ({"rest_kept": 1.0, "follows_prompt": 0.0}, None, "✗"),
        ({"rest_kept": 1.0, "follows_prompt": 0.0}, "rest kept", "✓"),
        ({"rest_kept": 1.0}, "follows prompt", ""),
        ({"favourite": 1.0}, "follows prompt", "★"),
        ({"favourite": 0.0, "rest_kept": 0.0}, None, "✗"),
        ({"favourite": 1.0, "rest_kept": 1.0}, None, "✓★"),
    ],
)
def test_the_marks_of_an_output(
    results: Make, verdicts: dict[str, float], criterion: str | None, expected: str
) -> None:
    """One criterion counts, or all of them; a favourite is one besides."""
    output = next(iter(judged(results(**AXES), 0, **verdicts))).outputs[0]
    assert expected == verdicts_of(output, criterion)


def test_the_line_below_counts_the_marks() -> None:
    """In words, for whoever doesn't know the signs."""
    assert "✓ passed on rest kept: 2 · ★ favourite: 1" == verdicts_words(["✓", "", "✓★"], "rest kept")


def test_a_plan_says_what_its_marks_mean(results: Make) -> None:
    """In a line below the tiles."""
    plan = plan_grid(judged(results(**AXES), 1, rest_kept=0.0))
    assert "✗ failed: 1" == plan.labels[-1].lines[0]


def test_without_verdicts_nothing_is_said_of_them(results: Make) -> None:
    """A grid that nobody judged has no legend of signs."""
    said = [line for label in plan_grid(results(**AXES)).labels for line in label.lines]
    assert [] == [line for line in said if "passed" in line or "failed" in line]


def test_the_first_verdict_moves_nothing_on_a_live_sheet(results: Make) -> None:
    """Its line was kept free: buttons below stay under the pointer."""
    made = results(**AXES)
    before = plan_grid(made, live=True)
    assert before.height == plan_grid(judged(made, 0, rest_kept=1.0), live=True).height


def test_a_live_sheet_shows_a_verdict_that_alone_is_new(results: Make) -> None:
    """Pictures and words around them are the same as before."""
    figure = Figure(dpi=100)
    FigureCanvasAgg(figure)
    sheet, made = LiveSheet(figure), results(**AXES)
    show(sheet, plan_grid(made, live=True))
    count = len(figure.axes[0].get_children())
    assert show(sheet, plan_grid(judged(made, 0, favourite=1.0), live=True))
    assert count + 2 == len(figure.axes[0].get_children())


def test_a_verdict_that_is_withdrawn_leaves_no_mark(results: Make) -> None:
    """On a live sheet."""
    figure = Figure(dpi=100)
    FigureCanvasAgg(figure)
    sheet, made = LiveSheet(figure), results(**AXES)
    show(sheet, plan_grid(made, live=True))
    count = len(figure.axes[0].get_children())
    show(sheet, plan_grid(judged(made, 0, rest_kept=1.0), live=True))
    made[0].outputs[0].metrics = {}
    show(sheet, plan_grid(made, live=True))
    assert count == len(figure.axes[0].get_children())


def test_marks_lie_within_their_tiles(results: Make) -> None:
    """At the foot of the picture, on a page of many as well."""
    made = results(seed=list(range(1, 13)), guidance_scale=list(range(1, 13)))
    for at in range(len(made)):
        judged(made, at, rest_kept=float(at % 2), favourite=1.0)
    figure = grid(made)
    plan = plan_grid(made)
    for line in figure.axes[0].lines:
        radius = line.get_markersize() / 72 / 2
        for x, y in line.get_xydata():
            tile = plan.at(x, y)
            assert tile is not None
            assert tile.rect.left <= x - radius
            assert y + radius <= tile.rect.bottom
