"""Any number of cells, of any ratios and labels, in pages that a screen shows and people can read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import kontext_lab as kl
from kontext_lab.errors import SweepError
from kontext_lab.figures import GridPlan, PageSize, plan_grid, text
from kontext_lab.figures.geometry import Label, Rect
from kontext_lab.request import SIZES
from kontext_lab.results import CellResult, Results
from kontext_lab.sweep import Sweep

Make = Callable[..., Results]

WIDEST, TALLEST = 14.5, 17.5
"""Inches of a whole page, with its title, caption and legend."""
LEGIBLE = 6.5
LONG = "a very small red crab with long thin legs that sits on the rim of the saucer " * 4


def place(label: Label) -> Rect:
    """Where a label is drawn."""
    wide = text.widest(label.lines, label.points)
    aside = {"left": 0.0, "center": wide / 2, "right": wide}[label.align]
    return Rect(label.x - aside, label.top, wide, label.height)


def meeting(ones: list[Rect], others: list[Rect]) -> Iterator[tuple[int, int]]:
    """The pairs that share space, by their places."""
    if ones and others:
        left, top, right, bottom = (
            [np.array([getattr(rect, side) for rect in rects]) for rects in (ones, others)]
            for side in ("left", "top", "right", "bottom")
        )
        across = np.minimum.outer(*right) - np.maximum.outer(*left)
        down = np.minimum.outer(*bottom) - np.maximum.outer(*top)
        yield from zip(*np.nonzero((across > 0.01) & (down > 0.01)), strict=True)


def faults(plan: GridPlan, widest: float = WIDEST, least: float = 0.35) -> Iterator[str]:
    """What a reader would stumble over on a page."""
    if plan.width > widest or plan.height > TALLEST:
        yield f"the page is {plan.width:.1f} × {plan.height:.1f} inches"
    places = [tile.rect for tile in plan.tiles]
    labels = [(place(label), label) for label in plan.labels if any(label.lines)]
    for rect in [*places, *(rect for rect, _ in labels)]:
        if (
            min(rect.left, rect.top) < -0.01
            or rect.right > plan.width + 0.01
            or rect.bottom > plan.height + 0.01
        ):
            yield f"{rect} leaves the page of {plan.width:.2f} × {plan.height:.2f}"
    for rect in places:
        if max(rect.width, rect.height) < least or min(rect.width, rect.height) < 0.05:
            yield f"a tile of {rect.width:.2f} × {rect.height:.2f}"
    for label in (label for _, label in labels if label.points < LEGIBLE):
        yield f"{label.lines} has {label.points} points"
    words = [rect for rect, _ in labels]
    for one, _ in meeting(words, places):
        yield f"{labels[one][1].lines} lies on a tile"
    for one, other in meeting(words, words):
        if one < other:
            yield f"{labels[one][1].lines} lies on {labels[other][1].lines}"


def pages(made: Results, **how: Any) -> list[GridPlan]:
    """The first page, the second and the last."""
    count = plan_grid(made, **how).pages
    return [plan_grid(made, page=page, **how) for page in sorted({1, min(2, count), count})]


def waiting(prompt: Any = "Add a bird.", **fields: Any) -> Results:
    """The cells of a sweep, nothing sent."""
    sweep = Sweep(prompt=prompt, image=None if "image" in fields.get("axes", {}) else PICTURE, **fields)
    cells = [CellResult.from_cell(cell, "sandbox", cell.title) for cell in sweep.cells]
    return Results(cells, name=sweep.name)


PICTURE = Image.new("RGB", (60, 40), "tan")


@pytest.mark.parametrize("count", [1, 2, 144, 199, 200, 201, 400, 462, 463, 601, 2000])
def test_one_axis_of_any_length(count: int) -> None:
    """A page is never larger than a screen, and each cell is on one page."""
    made = waiting(seed=list(range(1, count + 1)))
    every = pages(made)
    assert [] == [fault for plan in every for fault in faults(plan)]
    longest = max(len(plan.tiles) for plan in every)
    assert every[0].pages == math.ceil(count / longest)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["cat", LONG], ids=["3 characters", "300 characters"])
@pytest.mark.parametrize("count", [4, 200, 601])
def test_words_of_any_length(word: str, count: int) -> None:
    """Labels are cut, not the pictures."""
    made = waiting("Add {w}.", axes={"w": [f"{word} {at}" for at in range(count)]})
    assert [] == [fault for plan in pages(made) for fault in faults(plan)]


@pytest.mark.parametrize("count", [40, 300])
def test_prompts_of_any_number(count: int) -> None:
    """A page has no more prompts than its legend has room for."""
    made = waiting([f"{LONG} Number {at}." for at in range(count)])
    every = pages(made)
    assert [] == [fault for plan in every for fault in faults(plan)]
    assert len(every[0].tiles) == len(every[0].legend) <= 30


def test_a_long_legend_says_how_many_are_left_out() -> None:
    """Where a page has more prompts than a legend."""
    many = [
        f"Add a bird to {place}, {light}, and leave the rest." for place in "abcdefg" for light in "uvwxyz"
    ]
    made = waiting(None, axes={"prompt+seed": [[prompt, at % 6 + 1] for at, prompt in enumerate(many)]})
    for at, cell in enumerate(made):
        cell.params["row"] = str(at // 6)
    plan = plan_grid(made, rows="row", columns="seed")
    assert [] == list(faults(plan))
    assert ("and 13 more: results.to_frame() has them",) in [label.lines for label in plan.labels]


@pytest.mark.parametrize("reference", [False, True])
def test_three_hundred_rows_of_two(reference: bool) -> None:
    """A table that is long and narrow."""
    made = waiting(seed="1-300", guidance_scale=[2, 5])
    assert [] == [
        fault
        for plan in pages(made, rows="seed", columns="guidance_scale", reference=reference)
        for fault in faults(plan)
    ]


def test_extreme_ratios_side_by_side() -> None:
    """21:9 beside 9:21, as a sheet and as a table, in rows and in columns."""
    sheet = waiting(axes={"aspect_ratio+seed": [["21:9" if at % 2 else "9:21", at] for at in range(1, 151)]})
    table = waiting(seed="1-40", aspect_ratio=["21:9", "9:21"])
    plans = [
        *pages(sheet),
        *pages(table),
        *pages(table, rows="aspect_ratio", columns="seed"),
        *pages(table, rows=["seed", "aspect_ratio"], columns=[]),
    ]
    assert [] == [fault for plan in plans for fault in faults(plan)]


WORDS = st.text(st.sampled_from("abW 1_é人"), min_size=1, max_size=300).map(str.strip).filter(bool)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_grid_is_legible(data: st.DataObject) -> None:
    """Whatever the shape, ratios, labels and page: no exception, and nothing to stumble over."""
    words = data.draw(st.lists(WORDS, min_size=1, max_size=24, unique_by=text.clean))
    seeds = data.draw(st.integers(1, 30))
    axes: dict[str, Any] = {"w": words, "seed": list(range(10**9, 10**9 + seeds))}
    if data.draw(st.booleans()):
        axes["aspect_ratio"] = data.draw(st.lists(st.sampled_from(list(SIZES)), min_size=1, unique=True))
    if len(words) * seeds * len(axes.get("aspect_ratio", "1")) > 400:
        axes["seed"] = axes["seed"][:4]
    made = waiting("Add {w}.", axes=axes)
    sides = data.draw(st.permutations(list(axes)))
    cut = data.draw(st.integers(0, len(sides)))
    how: dict[str, Any] = {
        "reference": data.draw(st.booleans()),
        "per_page": data.draw(st.none() | st.integers(1, 500)),
        "cell_inches": data.draw(st.none() | st.floats(0.6, 12)),
        "rows": sides[:cut],
        "columns": sides[cut:],
    }
    if data.draw(st.booleans()):
        how |= {"rows": None, "columns": None}
    widest = WIDEST
    if data.draw(st.booleans()):
        widest = data.draw(st.floats(3.5, 14))
        how |= {"page_size": PageSize(width=widest, height=6.0, widest=widest), "live": True}
        widest = max(5.0, widest) + 0.5
    for plan in pages(made, **how):
        assert [] == list(faults(plan, widest, 0.2 if how["per_page"] else 0.35))


def test_the_caption_names_the_next_page() -> None:
    """All but the last page, which has none."""
    made = waiting(seed="1-25")
    notes = [plan_grid(made, per_page=10, page=page).notes for page in (1, 3)]
    assert [True, False] == ["next: kl.grid(…, page=2)" in notes[0], any("next" in note for note in notes[1])]


def test_pages_are_counted() -> None:
    """As `grid` takes them."""
    made = waiting(seed="1-25", guidance_scale=[2, 5])
    assert [2, 5] == [kl.grid_pages(made), kl.grid_pages(made, per_page=10)]


def test_resolution_that_pillow_does_not_read_is_refused() -> None:
    """Before anything is drawn, with what is allowed."""
    with pytest.raises(SweepError, match=r"dpi: 1200 makes this page more pixels than Pillow reads back"):
        kl.grid(waiting(seed="1-400"), dpi=1200)


ALIKE = [f"{LONG}with a {colour} hat" for colour in ("red", "blue", "green")] + [f"tiny {LONG}", "cat"]


@pytest.mark.parametrize(
    "how",
    [
        {"rows": "w", "columns": "seed"},
        {"rows": "seed", "columns": "w"},
        {"rows": ["w", "seed"], "columns": []},
        {"rows": [], "columns": ["w", "seed"]},
        {"rows": "w", "columns": "seed", "per_page": 2},
        {"where": {"seed": 1}},
        {"where": {"seed": 1}, "per_page": 2},
    ],
)
@pytest.mark.parametrize("inches", [None, 0.4])
def test_words_that_differ_have_labels_that_differ(how: dict[str, Any], inches: float | None) -> None:
    """On rows, columns and sheets, of any size, also on different pages."""
    made = waiting("Add {w}.", axes={"w": ALIKE, "seed": [1, 2]})
    found = [
        " ".join(label.lines)
        for page in range(1, plan_grid(made, cell_inches=inches, **how).pages + 1)
        for label in plan_grid(made, cell_inches=inches, page=page, **how).labels
        if label.role == "value" and not " ".join(label.lines).isdigit()
    ]
    assert len(ALIKE) == len(set(found))


def test_captions_tell_values_apart() -> None:
    """What is shown, and what there is besides."""
    made = waiting("Add {w}.", axes={"w": ALIKE[:3], "seed": [1, 2], "guidance_scale": [1, 2]})
    (said,) = (note for note in plan_grid(made).notes if note.startswith("shown: "))
    assert all(colour in said for colour in ("red", "blue", "green"))
