"""What is on the paper: boxes of texts, places of points, and the words in place of a plot."""

from __future__ import annotations

import io
import itertools
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from effects_making import noise, study
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import kontext_lab as kl
from kontext_lab.figures import effects, effects_view
from kontext_lab.figures.painter import plain_settings, settings
from kontext_lab.results import Results
from kontext_lab.statistics import effects_of

LONG = [
    f"Add a bird to the foreground of the photo and keep everything else exactly as it is, number {n}"
    for n in range(30)
]
WILD = [
    "Costs $100 and $x_1^2$, \\alpha_{{i}} #5 % & ~ {{x}}",
    "日本語のプロンプト 🦀 👩\u200d🚀 العربية and a lot of other text behind it",
    "<b>bold</b> \u202e line",
]


def small(params: Mapping[str, Any]) -> float:
    """A value like a share of area."""
    return 0.1 + noise(params, 0.02)


def pixels(figure: Figure) -> np.ndarray:
    """The figure as rows x columns x red, green, blue."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return np.asarray(Image.open(buffer).convert("RGB"))


def texts(figure: Figure) -> list[Text]:
    """Everything that is written on the figure; an axis keeps ticks beyond its ends, and doesn't draw them."""
    hidden = [
        tick.label1
        for axes in figure.axes
        for tick in axes.yaxis.get_major_ticks()
        if not min(axes.get_ylim()) <= tick.get_loc() <= max(axes.get_ylim())
    ]
    return [one for one in figure.findobj(Text) if one.get_visible() and one.get_text() and one not in hidden]


def words(figure: Figure) -> list[str]:
    """The same as strings."""
    return [one.get_text() for one in texts(figure)]


def clashes(figure: Figure) -> list[tuple[str, str]]:
    """Texts that overlap each other by more than a pixel, and those that leave the sheet."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(one.get_text(), one.get_window_extent(canvas.get_renderer())) for one in texts(figure)]
    across, down = figure.get_size_inches() * figure.dpi
    out = [
        (words, "the edge")
        for words, box in boxes
        if min(box.x0, box.y0) < -1 or box.x1 > across + 1 or box.y1 > down + 1
    ]
    return out + [
        (one[0], other[0])
        for one, other in itertools.combinations(boxes, 2)
        if min(one[1].x1, other[1].x1) - max(one[1].x0, other[1].x0) > 1
        and min(one[1].y1, other[1].y1) - max(one[1].y0, other[1].y0) > 1
    ]


def drawn(figure: Figure, label: str) -> list[Artist]:
    """What is drawn under a label: `outputs`, `blocks`, `means`, `heat map`."""
    return figure.findobj(lambda one: one.get_label() == label)


def panel(figure: Figure, axis: str) -> Axes:
    """The panel of an axis."""
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == axis)


def shares(figure: Figure) -> np.ma.MaskedArray:
    """Where each field of the heat map stands between the ends of its colours, 0 to 1."""
    (image,) = drawn(figure, "heat map")
    return image.get_array()  # type: ignore[attr-defined, no-any-return]


def fields_of(figure: Figure) -> list[str]:
    """Words on the fields of the heat map."""
    (image,) = drawn(figure, "heat map")
    return [one.get_text() for one in image.axes.texts]  # type: ignore[union-attr]


STUDIES: dict[str, tuple[dict[str, Any], tuple[str, str] | None]] = {
    "3": ({"guidance_scale": [2, 5, 8], "seed": "1-3"}, ("guidance_scale", "seed")),
    "30": ({"guidance_scale": [1 + n / 2 for n in range(30)], "seed": "1-30"}, ("guidance_scale", "seed")),
    "uneven": ({"guidance_scale": [1, 1.1, 1.2, 2, 20], "seed": "1-2"}, None),
    "ratios": (
        {"aspect_ratio": ["21:9", "16:9", "1:1", "9:16", "9:21"], "seed": "1-3"},
        ("seed", "aspect_ratio"),
    ),
    "long seeds": (
        {"seed": [100_000_000 + n for n in range(30)], "guidance_scale": [2, 5]},
        ("seed", "guidance_scale"),
    ),
    "3 prompts": ({"prompt": LONG[:3], "seed": "1-3"}, ("prompt", "seed")),
    "30 prompts": ({"prompt": LONG, "seed": "1-2"}, ("seed", "prompt")),
    "30 words": (
        {
            "prompt": "Add {w}.",
            "axes": {"w": [f"word number {n} of thirty" for n in range(30)], "seed": [1, 2]},
        },
        ("w", "seed"),
    ),
    "long words": (
        {"prompt": "Add {w}.", "axes": {"w": ["x" * 60, "a b c " * 12, "short"], "seed": [1, 2]}},
        ("seed", "w"),
    ),
    "wild": ({"prompt": WILD, "seed": "1-3"}, ("prompt", "seed")),
    "many axes": (
        {
            "prompt": "Add a {animal}.",
            "axes": {
                "animal": ["bird", "crab"],
                "guidance_scale": [2, 5],
                "aspect_ratio": ["1:1", "16:9"],
                "safety_tolerance": [1, 2],
                "output_format": ["png", "jpeg"],
                "seed": [1, 2],
            },
        },
        None,
    ),
}


@pytest.mark.parametrize("name", STUDIES)
def test_texts_do_not_overlap(name: str) -> None:
    """No two texts overlap and none leaves the sheet."""
    fields, both = STUDIES[name]
    assert [] == clashes(effects(study(small, **fields), "change/area", interaction=both).figure)


def test_a_rate_has_no_overlaps_either() -> None:
    """Its ticks are per cent."""
    made = study(
        lambda p: float(p["seed"] % 2), metric="verdict/rest_kept", seed="1-5", guidance_scale=[2, 5, 8]
    )
    found = effects(made, "verdict/rest_kept", interaction=("guidance_scale", "seed"))
    assert [] == clashes(found.figure)
    assert {"0 %", "100 %"} <= set(words(found.figure))


def test_below_a_rate_stands_what_it_is_of() -> None:
    """3 of 4 and 30 of 40 are the same rate."""
    made = study(
        lambda p: float(p["seed"] < 4), metric="verdict/rest_kept", seed="1-4", guidance_scale=[2, 5]
    )
    labels = panel(effects(made, "verdict/rest_kept").figure, "guidance_scale").get_xticklabels()
    assert ["2\n3 of 4", "5\n3 of 4"] == [one.get_text() for one in labels]


def test_means_have_no_such_words() -> None:
    """Their outputs are dots that can be counted."""
    shown = words(effects(study(small, seed="1-4"), "change/area").figure)
    assert not any(" of 4" in text or " of 1" in text for text in shown)


def test_a_view_knows_where_its_points_are() -> None:
    """As parts of the figure's width and height, for whoever lets them be clicked."""
    view = effects(study(small, seed="1-4", guidance_scale=[2, 5]), "change/area")
    assert {("seed", 4), ("guidance_scale", 2)} == {
        (axis, sum(one.axis == axis for one in view.points)) for axis in ("seed", "guidance_scale")
    }
    assert all(0 < one.x < 1 and 0 < one.y < 1 for one in view.points)


@pytest.mark.parametrize("dark", [False, True])
def test_as_wide_as_a_notebook(dark: bool) -> None:
    """900 pixels, on light and on dark paper."""
    paper = pixels(effects(study(small, seed="1-3", guidance_scale=[2, 5]), "change/area", dark=dark).figure)
    assert (900, dark) == (paper.shape[1], bool(paper[2, 2].max() < 40))


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_narrow_sheet_has_no_overlaps(name: str) -> None:
    """Letters keep their size, panels stand below each other."""
    fields, both = STUDIES[name]
    numbers = effects_of(study(small, **fields), "change/area", interaction=both)
    view = effects_view(numbers, width=5.5)
    assert (550, []) == (pixels(view.figure).shape[1], clashes(view.figure))


def test_points_stand_on_the_scale_of_their_axis() -> None:
    """Halfway between 2 and 8 stands 5; 5 twice as far from 2 as 3.5."""
    made = study(small, guidance_scale=[2, 3.5, 5, 8], seed="1-2")
    spots = [one.x for one in effects(made, "change/area").points if one.axis == "guidance_scale"]
    assert pytest.approx([0.25, 0.5]) == [(x - spots[0]) / (spots[3] - spots[0]) for x in spots[1:3]]


def test_all_panels_have_one_scale() -> None:
    """The same value is as high in each of them."""
    made = study(lambda p: 0.1 * p["seed"], guidance_scale=[2, 5], seed="1-3")
    spots = effects(made, "change/area").points
    middle = [spot.y for spot in spots if spot.axis == "seed"][1]
    assert {round(middle, 6)} == {round(spot.y, 6) for spot in spots if spot.axis == "guidance_scale"}


def test_every_output_is_a_dot_and_every_seed_a_line() -> None:
    """Where intervals are over seeds."""
    figure = effects(study(small, guidance_scale=[2, 5, 8], seed="1-4"), "change/area").figure
    assert [12, 12] == [len(dots.get_xdata()) for dots in drawn(figure, "outputs")]  # type: ignore[attr-defined]
    assert [4] == [len(lines.get_segments()) for lines in drawn(figure, "blocks")]  # type: ignore[attr-defined]


def test_a_heat_map_has_the_order_of_the_grid() -> None:
    """Rows down, columns across, numbers by size; what was not measured is a dash."""
    made = study(
        lambda p: 0.1 * p["guidance_scale"] + p["seed"],
        guidance_scale=[8, 2],
        seed=[3, 1],
        ends={0: "failed"},
    )
    figure = effects(made, "change/area", interaction=("guidance_scale", "seed")).figure
    assert ["1.20", "3.20", "1.80", "–"] == fields_of(figure)
    assert [[False, False], [False, True]] == np.ma.getmaskarray(shares(figure)).tolist()


def test_a_heat_map_tells_values_that_lie_near_each_other_apart() -> None:
    """Its numbers have the digits in which they differ."""
    made = study(
        lambda p: 0.997 + 0.0001 * p["guidance_scale"] + 0.00001 * p["seed"],
        guidance_scale=[1, 2],
        seed=[1, 2],
    )
    assert 4 == len(
        set(fields_of(effects(made, "change/area", interaction=("guidance_scale", "seed")).figure))
    )


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"seed": "1-3"}, "simulated pictures (sandbox)"),
        ({}, "simulated pictures (sandbox)"),
        ({"seed": "1-2", "ends": {0: "failed", 1: "failed"}}, "simulated pictures (sandbox)"),
    ],
    ids=["plot", "one cell", "all failed"],
)
def test_every_figure_says_simulated(fields: dict[str, Any], mark: str) -> None:
    """Also where there is nothing to draw."""
    found = effects(study(small, service="sandbox", **fields), "change/area").figure
    assert mark in words(found)


def test_real_pictures_are_not_called_simulated() -> None:
    """Nowhere in the figure."""
    found = effects(study(small, seed="1-3"), "change/area").figure
    assert not any("simulated" in one for one in words(found))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (study(small), "Nothing varies"),
        (study(seed="1-3"), "change/area was not measured yet"),
        (study(seed="1-3", ends=dict.fromkeys(range(3), "moderated")), "no cell has a value"),
        (study(small, guidance_scale=[2, 5], ends={0: "failed"}), "1 of 2 cells has no value: 1 failed."),
        (Results([]), "There are no cells"),
    ],
    ids=["one cell", "not measured", "all moderated", "one value", "no cells"],
)
def test_where_nothing_can_be_drawn_the_figure_says_why(made: Results, reason: str) -> None:
    """In place of a plot, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view = effects(made, "change/area")
        pixels(view.figure)
    shown = " ".join(words(view.figure)).replace("\n", " ")
    assert reason in shown
    assert "nan" not in shown.lower()


@pytest.mark.parametrize("value", [0.0, 1e-12, 1e12, -5.0])
def test_values_that_are_all_the_same_are_drawn(value: float) -> None:
    """On a scale around them."""
    view = effects(study(lambda _: value, seed="1-3", guidance_scale=[2, 5]), "change/area")
    assert pixels(view.figure).shape[0] > 250
    assert [] == clashes(view.figure)


def test_it_reads_in_a_notebook() -> None:
    """Sentences as text, the figure as a picture, everything escaped."""
    made = study(small, metric="<script>", prompt=WILD, seed="1-3")
    shown = effects(made, "<script>")._repr_html_()
    assert ("data:image/png;base64," in shown, "<script>" in shown, "&lt;script&gt;" in shown) == (
        True,
        False,
        True,
    )


def test_it_shows_itself_where_there_is_no_html() -> None:
    """As a PNG."""
    assert effects(study(small, seed="1-3"), "change/area")._repr_png_().startswith(b"\x89PNG")


def test_numbers_are_drawn_as_they_were_computed() -> None:
    """Computed elsewhere, drawn here."""
    numbers = effects_of(study(small, seed="1-3"), "change/area")
    assert numbers is effects_view(numbers).numbers


def test_the_settings_of_a_notebook_change_nothing() -> None:
    """And are as they were."""
    made = study(small, seed="1-3", guidance_scale=[2, 5])
    plain = pixels(effects(made, "change/area").figure)
    with mpl.rc_context(
        {"font.family": "serif", "font.size": 30, "figure.autolayout": True, "path.sketch": (9, 9, 9)}
    ):
        before = dict(mpl.rcParams)
        styled = pixels(effects(made, "change/area").figure)
        assert before == dict(mpl.rcParams)
    assert (plain == styled).all()


def test_it_is_kl_effects() -> None:
    """The function, also once the package of the numbers is imported."""
    assert kl.effects is effects


# --- of any size -----------------------------------------------------------------------------------------

SAME = "a very small red crab with long thin legs that sits on the rim of the saucer " * 3
MANY: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "400 seeds": ({"seed": "1-400", "guidance_scale": [2, 5]}, ("seed", "guidance_scale")),
    "200 words": (
        {"prompt": "Add {w}.", "axes": {"w": [f"{SAME}{at}" for at in range(200)], "seed": [1, 2]}},
        ("seed", "w"),
    ),
    "60 prompts": (
        {"prompt": [f"{SAME} and {at} hats" for at in range(60)], "seed": [1, 2]},
        ("prompt", "seed"),
    ),
}


@pytest.mark.parametrize("name", MANY)
def test_a_figure_of_many_values_is_no_scroll(name: str) -> None:
    """Labels are thinned, rows are as low as it takes; nothing overlaps."""
    fields, both = MANY[name]
    figure = effects(study(small, **fields), "change/area", interaction=both).figure
    assert figure.get_size_inches()[1] <= 20
    assert [] == clashes(figure)


def test_a_table_that_nobody_can_read_is_left_out() -> None:
    """A sentence in its place."""
    pairs = [[1 + at / 100, at + 1] for at in range(201)]
    made = study(small, axes={"guidance_scale+seed": pairs}) + study(
        small, axes={"guidance_scale+seed": [[one, 202 - other] for one, other in pairs]}
    )
    figure = effects(made, "change/area", interaction=("guidance_scale", "seed")).figure
    assert "201 × 201 values are too many for a table." in words(figure)


@pytest.mark.parametrize("name", ["200 words", "60 prompts"])
def test_labels_that_are_cut_differ(name: str) -> None:
    """On panels, on rows, on columns, and where names are spelled out."""
    fields, both = MANY[name]
    shown = [
        one
        for one in words(effects(study(small, **fields), "change/area", interaction=both).figure)
        if "…" in one and "more" not in one
    ]
    ends = [one.partition(": ")[2] or one for one in shown if not one.startswith("change/area")]
    half = len(ends) // 2 if name == "200 words" else len(ends)
    assert half == len(set(ends[:half])) > 25


def test_a_heat_map_is_not_stretched_over_noise() -> None:
    """Means that differ by less than what seeds do have nearly one tone."""
    made = study(
        lambda p: 0.5 + 0.1 * (-1) ** p["seed"] + 0.001 * p["guidance_scale"],
        guidance_scale=[1, 2, 3],
        aspect_ratio=["1:1", "3:2"],
        seed="1-4",
    )
    figure = effects(made, "change/area", interaction=("guidance_scale", "aspect_ratio")).figure
    assert np.ptp(shares(figure)) < 0.05


def test_two_threads_leave_the_settings_as_they_were() -> None:
    """What is drawn beside effects, as a grid at the end of a run, takes none of their settings for the user's."""
    before = mpl.rcParams["axes.grid"]
    entered, left = threading.Event(), threading.Event()

    def draw() -> None:
        with plain_settings():
            entered.set()
            assert left.wait(60)

    with ThreadPoolExecutor(1) as pool:
        with settings({"axes.grid": not before}):
            drawing = pool.submit(draw)
            entered.wait(0.5)  # in vain: it is the other's turn
        left.set()
        drawing.result(60)
    assert before == mpl.rcParams["axes.grid"]


def test_the_tones_of_rates_are_those_of_nothing_and_all() -> None:
    """Half is half."""
    made = study(
        lambda p: float(p["seed"] % 2),
        metric="verdict/rest_kept",
        seed="1-4",
        guidance_scale=[2, 5],
        aspect_ratio=["1:1", "3:2"],
    )
    both = ("guidance_scale", "aspect_ratio")
    assert {0.5} == set(shares(effects(made, "verdict/rest_kept", interaction=both).figure).ravel())
