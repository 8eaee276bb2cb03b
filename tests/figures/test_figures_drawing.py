"""What is on the paper: pixels of saved figures, and the boxes of their texts."""

from __future__ import annotations

import io
import itertools
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from figures_making import colour_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from kontext_lab.errors import NotFound, SweepError
from kontext_lab.figures import GridPlan, draw, grid, plan_grid, preview_png
from kontext_lab.figures.text import width as text_width
from kontext_lab.results import Results, State

Make = Callable[..., Results]
WILD = [
    "Costs $100 and $x_1^2$, \\alpha_{{i}} #5 % & ~ {{x}}",
    "日本語のプロンプト 🦀 👩\u200d🚀 العربية and a lot of other text behind it",
    "line one\nline two\tand ünïcödé – “quotes” as long as this to become a numbered one",
]


def pixels(figure: Figure) -> np.ndarray:
    """The saved figure as rows × columns × red, green, blue."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def middle(picture: np.ndarray, plan: GridPlan, row: int, column: int) -> list[int]:
    """The colour in the middle of a tile."""
    tile = plan.tile(row, column)
    assert tile is not None
    dpi = picture.shape[1] / plan.width
    x, y = tile.rect.left + tile.rect.width / 2, tile.rect.top + tile.rect.height / 2
    return [int(channel) for channel in picture[int(y * dpi), int(x * dpi)]]


def text_boxes(figure: Figure) -> list[tuple[str, float, float, float, float]]:
    """Every text with its box in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.axes[0].texts]
    return [(words, box.x0, box.y0, box.x1, box.y1) for words, box in boxes]


def clashes(figure: Figure) -> list[tuple[str, str]]:
    """Texts that overlap each other by more than a pixel, and those that leave the sheet."""
    boxes = text_boxes(figure)
    across, down = figure.get_size_inches() * figure.dpi
    out = [
        (words, "the edge") for words, x0, y0, x1, y1 in boxes if min(x0, y0) < 0 or x1 > across or y1 > down
    ]
    return out + [
        (one[0], other[0])
        for one, other in itertools.combinations(boxes, 2)
        if min(one[3], other[3]) - max(one[1], other[1]) > 1
        and min(one[4], other[4]) - max(one[2], other[2]) > 1
    ]


def test_each_place_shows_its_picture(results: Make) -> None:
    """The tile at a place has the colour of its cell's picture."""
    made = results(seed=[1, 2, 3], guidance_scale=[2, 5])
    plan, paper = plan_grid(made), pixels(grid(made))
    for number, cell in enumerate(made):
        row, column = [2, 5].index(cell.params["guidance_scale"]), cell.params["seed"] - 1
        assert middle(paper, plan, row, column) == pytest.approx(colour_of(number), abs=6)


def test_each_output_shows_its_picture(results: Make) -> None:
    """Outputs of one cell are different pictures in order."""
    made = results(num_images=3)
    plan, paper = plan_grid(made), pixels(grid(made))
    for number in (1, 2, 3):
        assert middle(paper, plan, 0, number - 1) == pytest.approx(colour_of(0, number), abs=6)


def test_crop_shows_the_part(results: Make) -> None:
    """A crop of the right bottom shows what is there."""
    made = results(aspect_ratio="1:1")
    picture = Image.new("RGB", (400, 400), "white")
    picture.paste((200, 30, 30), (300, 300, 400, 400))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    made[0].outputs[0].data, made[0].outputs[0].preview = buffer.getvalue(), b""
    crop = (0.75, 0.75, 1, 1)
    paper = pixels(grid(made, crop=crop))
    plan = plan_grid(made, crop=crop)
    assert middle(paper, plan, 0, 0) == pytest.approx((200, 30, 30), abs=4)
    tile = plan.tiles[0].rect
    corner = paper[int((tile.top + 0.1) * 110), int((tile.left + 0.1) * 110)].tolist()
    assert corner == pytest.approx((200, 30, 30), abs=4)


def test_reference_is_drawn(results: Make, coffee: Image.Image) -> None:
    """The reference's tile shows the reference."""
    made = results(seed=[1, 2], guidance_scale=[2, 5])
    paper = pixels(grid(made, reference=True))
    tile = plan_grid(made, reference=True).tile(1, -1)
    assert tile is not None
    box = [round(edge * 110) for edge in (tile.rect.left, tile.rect.top, tile.rect.right, tile.rect.bottom)]
    shown = paper[box[1] : box[3], box[0] : box[2]].astype(float)
    expected = np.asarray(coffee.resize((shown.shape[1], shown.shape[0])), dtype=float)
    assert np.abs(shown - expected).mean() < 3


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": [1, 2, 3]},
        {"seed": "1-30"},
        {"seed": "1-30", "guidance_scale": [2, 5]},
        {"seed": "1-20", "guidance_scale": "1-20", "aspect_ratio": "1:1"},
        {"seed": [100_000_000 + n for n in range(30)], "guidance_scale": [2, 5], "aspect_ratio": "9:21"},
        {"prompt": WILD, "seed": [1, 2]},
        {"prompt": WILD},
        {"prompt": "Add {w}.", "axes": {"w": ["x" * 60, "a b c " * 12, "short"], "seed": [1, 2, 3]}},
        {"prompt": "Add {w}.", "axes": {"w": [f"word number {n} of thirty" for n in range(30)]}},
        {"aspect_ratio": ["21:9", "16:9", "1:1", "9:16", "9:21"]},
    ],
    ids=["3", "30", "30x2", "20x20", "long seeds", "prompts", "sheet", "words", "30 words", "ratios"],
)
def test_texts_do_not_overlap(results: Make, fields: dict[str, object]) -> None:
    """No two texts overlap and none leaves the sheet."""
    made = results(run=False, **fields)
    assert clashes(grid(made, reference=True)) == []


@pytest.mark.parametrize(
    "words", ["AVATAR Type. To, Wave", "guidance_scale · 16:9 – “ok” …", "ünïcödé Ωмега", "iiilll|||''"]
)
def test_planned_widths_hold(words: str) -> None:
    """A line is never drawn wider than it was planned."""
    figure = Figure(dpi=110)
    drawn = figure.text(0, 0, words, fontfamily="DejaVu Sans", fontsize=9, parse_math=False)
    box = drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.width / 110 <= text_width(words, 9) + 0.005


@pytest.mark.parametrize("side", ["rows", "columns"])
def test_nested_texts_do_not_overlap(results: Make, side: str) -> None:
    """Labels of groups overlap neither each other nor those of the inner level."""
    made = results(
        "Add a {animal}.",
        run=False,
        axes={
            "animal": ["bird", "a hermit crab with a very long name"],
            "aspect_ratio": ["1:1", "9:21"],
            "guidance_scale": [2, 5, 8],
            "seed": [1, 2],
        },
    )
    nested = {side: ["animal", "aspect_ratio", "guidance_scale"]}
    assert clashes(grid(made, **nested)) == []  # type: ignore[arg-type]


def test_states_do_not_overlap(results: Make) -> None:
    """Notes stay in their tiles."""
    made = results(run=False, seed="1-14", guidance_scale=[2, 5], aspect_ratio="9:16")
    for cell in made:
        cell.end(
            State.FAILED, "unreachable", "connection refused by https://api.example.com/v1/images?a=b " * 3
        )
    assert clashes(grid(made)) == []


def test_wild_prompts_are_drawn_as_they_stand(results: Make) -> None:
    """Dollars and carets are no formulas, and unknown characters no warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = grid(results(WILD, seed=[1, 2]))
        pixels(figure)
    assert any("$x_1^2$" in text.get_text() for text in figure.axes[0].texts)


def test_unloadable_picture_is_said(results: Make) -> None:
    """A picture the store doesn't give is a tile with words, the others are drawn."""

    def fail() -> bytes:
        raise OSError("the disk is gone")

    made = results(seed=[1, 2])
    output = made[0].outputs[0]
    output.data, output.preview, output.load = b"", b"", fail
    figure = grid(made)
    assert any("not loaded" in text.get_text() for text in figure.axes[0].texts)
    assert len(figure.axes[0].images) == 1


def test_released_pictures_are_drawn_from_their_previews(results: Make) -> None:
    """A picture whose bytes were let go is drawn without loading them again."""

    def load() -> bytes:
        raise AssertionError("loaded")

    made = results(seed=[1, 2, 3])
    made[0].outputs[0].release(load)
    assert pytest.approx(colour_of(0), abs=6) == middle(pixels(grid(made)), plan_grid(made), 0, 0)


def test_dark_paper(results: Make) -> None:
    """On dark paper the sheet is dark and the text light."""
    paper = pixels(grid(results(seed=[1, 2]), dark=True))
    assert paper[2, 2].max() < 40
    assert paper[: paper.shape[0] // 10].max() > 200


def test_one_axes_for_everything(results: Make) -> None:
    """However many cells, there is one Axes."""
    assert len(grid(results(seed="1-30", guidance_scale=[2, 5])).axes) == 1


def test_pictures_are_small(results: Make) -> None:
    """The figure of 144 cells holds thumbnails, not pictures: under 40 MB."""
    figure = grid(results(seed="1-12", guidance_scale="2-13"))
    held = sum(image.get_array().nbytes for image in figure.axes[0].images)  # type: ignore[union-attr]
    assert held < 40_000_000


def test_settings_of_the_notebook_change_nothing(results: Make) -> None:
    """A notebook's own settings leave the figure as it is, and stay as they are."""
    made = results(seed=[1, 2])
    plain = pixels(grid(made))
    with mpl.rc_context(
        {"font.family": "serif", "font.size": 30, "figure.autolayout": True, "path.sketch": (9, 9, 9)}
    ):
        before = dict(mpl.rcParams)
        styled = pixels(grid(made))
        assert before == dict(mpl.rcParams)
    assert (plain == styled).all()


def test_same_results_same_bytes(results: Make) -> None:
    """Drawing twice gives the same pixels."""
    made = results(seed=[1, 2], guidance_scale=[2, 5])
    assert (pixels(grid(made)) == pixels(grid(made))).all()


def test_dpi(results: Make) -> None:
    """The figure has the resolution asked for."""
    made = results()
    assert pixels(grid(made, dpi=50)).shape[1] == pytest.approx(plan_grid(made).width * 50, abs=1)
    with pytest.raises(SweepError, match="dpi: "):
        grid(made, dpi=0)


def test_shows_itself_in_a_notebook(results: Make) -> None:
    """The figure is displayed where pyplot was never imported."""
    assert grid(results())._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_draws_on_any_figure(results: Make) -> None:
    """A plan can be drawn on a figure of somebody else, who gets its pictures by tile."""
    plan = plan_grid(results(seed=[1, 2]))
    images = draw(plan, Figure())
    assert list(images) == [0, 1]


def test_no_cells_is_a_figure() -> None:
    """Nothing to show is a small figure."""
    assert pixels(grid(Results([]))).shape[0] < 150


def test_unknown_rows(results: Make) -> None:
    """`grid` passes on what is wrong in one line."""
    with pytest.raises(NotFound) as caught:
        grid(results(), rows="nope")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields", [{}, {"seed": "1-30"}, {"seed": "1-20", "guidance_scale": "1-20", "aspect_ratio": "1:1"}]
)
def test_preview_is_small(noisy: Make, fields: dict[str, object]) -> None:
    """Whatever the pictures and their number, a preview has less than 150 kB."""
    assert len(preview_png(noisy(**fields))) < 150_000


def test_preview_is_no_wider_than_a_notebook(results: Make) -> None:
    """A preview is at most 1000 pixels wide."""
    made = results(seed="1-20", guidance_scale="1-20")
    assert Image.open(io.BytesIO(preview_png(made))).width <= 1000


def test_preview_says_what_is_left_out(results: Make) -> None:
    """A preview of a large sweep counts what it shows and says where the rest is."""
    from kontext_lab.figures.grid import _preview_plan

    notes = _preview_plan(results(run=False, seed="1-20", guidance_scale="1-20"), 1.0).notes
    assert any(note.endswith("of 400 pictures – kl.grid(results) shows all") for note in notes)


def test_preview_paper_is_white(results: Make) -> None:
    """The few colours of a preview leave the paper white."""
    picture = Image.open(io.BytesIO(preview_png(results(seed=[1, 2])))).convert("RGB")
    assert picture.getpixel((1, 1)) == (255, 255, 255)


def test_preview_can_be_sent_to_a_process() -> None:
    """The function pickles, as results that hold it do."""
    assert preview_png is pickle.loads(pickle.dumps(preview_png))


@pytest.mark.parametrize(
    "made",
    [
        "kl.grid(results)",
        "kl.effects(results, 'time/latency_s')",
        "kl.effects(results, 'time/latency_s').figure",
    ],
)
def test_a_cell_s_value_is_a_picture_without_pyplot(made: str) -> None:
    """As IPython asks for it, in a process that never imports pyplot."""
    code = (
        "import sys, kontext_lab as kl\nfrom IPython.core.formatters import DisplayFormatter\n"
        "results = kl.Results([])\n"
        f"found = DisplayFormatter().format({made})[0]\n"
        "print(sorted(found), 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    kinds = (
        ["image/png", "text/html", "text/plain"]
        if "effects" in made and "figure" not in made
        else [
            "image/png",
            "text/plain",
        ]
    )
    assert f"{kinds} False" == done.stdout.strip()


def test_what_a_notebook_has_set_for_its_files_is_no_matter(results: Make) -> None:
    """A cell's value has the size and the paper that the figure has."""
    made = grid(results())
    plain = made._repr_png_()  # type: ignore[attr-defined]
    with mpl.rc_context({"savefig.dpi": 30, "savefig.bbox": "tight", "savefig.facecolor": "red"}):
        assert plain == made._repr_png_()  # type: ignore[attr-defined]
