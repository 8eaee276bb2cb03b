"""Matplotlib artists for the parts of a sheet: cards, text, corners, brackets, frames, pixels.

Every method of `Painter` returns the artists that it added, so that a live sheet can remove them again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PatchCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.path import Path

from kontext_lab.figures import text
from kontext_lab.figures.geometry import ColourBar, Label, Line, PlaceholderCard, Rect, TileFrame
from kontext_lab.figures.pictures import Pixels
from kontext_lab.figures.theme import STATE_COLOURS, Font, Theme, mixed

__all__ = ["Painter", "PixelLayer", "card_pixels", "plain_settings", "settings", "sheet_axes", "whole_pixels"]

_BASELINE = 0.98
_TRIANGLE = 0.09
# Colour of a disc; its sign, the sign's size and the width of its strokes, in parts of the disc.
_TICK = Path([(-1.0, -0.05), (-0.35, -0.7), (1.0, 0.75)])
_SIGNS: dict[str, tuple[str, Any, float, float]] = {
    "✓": ("#00745a", _TICK, 0.5, 0.15),
    "✗": ("#b84a00", "x", 0.44, 0.15),
    "★": ("#1f2328", "*", 0.62, 0.0),
}
_QUIET = ("waiting", "cancelled", "skipped", "loading", "uncompared")
_FRAME = 2.8
"""Points of a measured value's frame."""
_WITHIN = 0.045
"""Inches from a tile's edge to a frame inside that of its value."""
_LEAST_BADGE = 4.5
"""Points below which a value in a corner can't be read, and is left out."""
_BADGE = "#000000b8"


_SETTINGS = threading.RLock()


@contextmanager
def settings(values: dict[Any, Any] | None = None) -> Iterator[None]:
    """Change matplotlib's settings for a while, one thread at a time: they are global, and leaving restores them all."""
    with _SETTINGS, mpl.rc_context(values):
        yield


def plain_settings() -> AbstractContextManager[None]:
    """Default values of the settings that artists read while they are made, in place of a notebook's."""
    return settings(
        {
            "path.sketch": None,
            "path.effects": [],
            "text.usetex": False,
            "figure.frameon": True,
            "figure.autolayout": False,
            "figure.constrained_layout.use": False,
        }
    )


def sheet_axes(figure: Figure, size: tuple[float, float], theme: Theme, dpi: float) -> Axes:
    """Give a figure a size and one Axes for everything, in inches from the top left."""
    # Whole pixels: otherwise every picture would lie between two rows of them, and blur.
    width, height = (math.ceil(round(side * dpi, 6)) / dpi for side in size)
    figure.set_size_inches(width, height)
    figure.set_facecolor(theme.paper)
    axes: Axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0.0, width)
    axes.set_ylim(height, 0.0)
    return axes


def whole_pixels(rect: Rect, dpi: float) -> tuple[int, int, int, int]:
    """Left, top, width and height of a rectangle in whole pixels: pictures are drawn as scaled, not scaled twice."""
    left, top = round(rect.left * dpi), round(rect.top * dpi)
    return left, top, max(1, round(rect.right * dpi) - left), max(1, round(rect.bottom * dpi) - top)


class Painter:
    """Adds artists to the Axes of a sheet, in the colours of a theme."""

    def __init__(self, axes: Axes, theme: Theme) -> None:
        self.axes, self.theme = axes, theme

    def card(self, rect: Rect, card: PlaceholderCard, font: Font | None = None) -> list[Artist]:
        """Text in place of a picture; the tone shows the kind of card."""
        theme = self.theme
        tone = STATE_COLOURS.get(card.kind, STATE_COLOURS["failed"])
        quiet = card.kind in _QUIET
        box = rect.inset(0.01)
        ground = FancyBboxPatch(
            (box.left, box.top),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.04",
            facecolor=mixed(theme.paper, tone, 0.06 if quiet else 0.12),
            edgecolor=mixed(theme.paper, tone, 0.45 if quiet else 0.8),
            linewidth=0.8,
            linestyle=(0, (3, 2)) if card.kind == "waiting" else "solid",
        )
        self.axes.add_patch(ground)
        heading = text.height(len(card.heading_lines), card.heading_points)
        note = text.height(len(card.note_lines), card.note_points) + (0.03 if card.note_lines else 0.0)
        top = rect.top + (rect.height - heading - note) / 2
        middle = rect.left + rect.width / 2
        below = top + heading + 0.03
        font = font or Font((*card.heading_lines, *card.note_lines))
        headings = Label(card.heading_lines, middle, top, card.heading_points, "value", "center")
        notes = Label(card.note_lines, middle, below, card.note_points, "note", "center")
        return [ground, *self.label(headings, font, mixed(theme.text, tone, 0.35)), *self.label(notes, font)]

    def label(
        self, label: Label, font: Font | None = None, colour: Any = None, zorder: float = 3.0
    ) -> list[Artist]:
        """Lines of text."""
        usual = {"mark": self.theme.mark, "note": self.theme.muted, "name": self.theme.muted}
        font = font or Font(label.lines)
        return [
            self.axes.text(
                label.x,
                label.top + text.height(at, label.points) + _BASELINE * label.points / 72,
                font.drawable(line),
                fontfamily=font.families,
                fontsize=label.points,
                color=colour or usual.get(label.role, self.theme.text),
                horizontalalignment=label.align,
                verticalalignment="baseline",
                parse_math=False,
                zorder=zorder,
            )
            for at, line in enumerate(label.lines)
        ]

    def corners(self, marks: Sequence[tuple[Rect, bool]]) -> list[Artist]:
        """A small corner on pictures that were reused."""
        rects = [rect for rect, reused in marks if reused]
        if not rects:
            return []
        parts: list[Artist] = []
        # A rim of paper around the mark: it is seen on any picture.
        for size, colour in ((_TRIANGLE * 1.6, self.theme.paper), (_TRIANGLE, self.theme.muted)):
            corners = [
                [(rect.right - size, rect.top), (rect.right, rect.top), (rect.right, rect.top + size)]
                for rect in rects
            ]
            triangles = PolyCollection(corners, facecolors=colour, edgecolors="none", zorder=3)
            parts.append(self.axes.add_collection(triangles, autolim=False))
        return parts

    def verdicts(self, marks: Sequence[tuple[Rect, str]]) -> list[Artist]:
        """Verdicts on pictures: small discs with a sign, at the foot of each."""
        found: dict[str, list[tuple[float, float]]] = {sign: [] for sign in _SIGNS}
        # Quiet on large tiles, still to be read on small ones.
        narrowest = min((min(rect.width, rect.height) for rect, signs in marks if signs), default=1.0)
        size = min(11.0, max(7.5, 72 * 0.1 * narrowest))
        step = size / 72
        for rect, signs in marks:
            for at, sign in enumerate(signs):
                found[sign].append((rect.left + (0.9 + 1.15 * at) * step, rect.bottom - 0.9 * step))
        parts: list[Artist] = []
        for sign, places in found.items():
            colour, marker, share, stroke = _SIGNS[sign]
            disc = {"marker": "o", "ms": size, "mfc": colour, "mew": 0.08 * size}
            fill = "#ffffff" if sign == "★" else "none"
            mark = {"marker": marker, "ms": size * share, "mfc": fill, "mew": stroke * size}
            for style in (disc, mark) if places else ():
                line = Line2D(*zip(*places, strict=True), ls="", mec="#ffffff", zorder=3.5, **style)
                parts.append(self.axes.add_artist(line))
        return parts

    def values(self, marks: Sequence[tuple[Rect, TileFrame]]) -> list[Artist]:
        """Measured values: a frame in the colour of each, and the value in its lower right corner."""
        if not marks:
            return []
        tones = [frame.colour for _, frame in marks]
        parts: list[Artist] = []
        for inset, thick, colours in ((0.022, 1.0, self.theme.paper), (0.003, _FRAME, tones)):
            edges = [_rectangle(rect.inset(inset)) for rect, _ in marks]
            frames = PatchCollection(
                edges, facecolors="none", edgecolors=colours, linewidths=thick, zorder=3.2, joinstyle="miter"
            )
            parts.append(self.axes.add_collection(frames, autolim=False))
        return parts + self._badges(marks)

    def _badges(self, marks: Sequence[tuple[Rect, TileFrame]]) -> list[Artist]:
        """The values themselves, all in one size, if tiles are large enough; over the frame of a selected tile."""
        widest = max(text.width(frame.words, 1.0) for _, frame in marks)
        narrowest = min(rect.width for rect, _ in marks)
        points = min(8.0, max(5.2, 6.8 * narrowest), 0.62 * narrowest / widest)
        if points < _LEAST_BADGE or min(rect.height for rect, _ in marks) < 3 * points / 72:
            return []
        boxes: list[Any] = []
        words: list[Artist] = []
        for rect, frame in marks:
            wide, high = text.width(frame.words, points) + 0.07, 1.35 * points / 72
            left, top = rect.right - wide - 0.02, rect.bottom - high - 0.02
            boxes.append(Rectangle((left, top), wide, high))
            label = Label((frame.words,), left + wide / 2, top + 0.02 * points / 8, points, "value", "center")
            words += self.label(label, colour="#ffffff", zorder=4.6)
        badges = PatchCollection(boxes, facecolors=_BADGE, edgecolors="none", zorder=4.5)
        return [self.axes.add_collection(badges, autolim=False), *words]

    def bars(self, bars: Sequence[ColourBar]) -> list[Artist]:
        """Strips of colours with a thin edge."""
        parts: list[Artist] = []
        for bar in bars:
            rect = bar.rect
            colours = bar.colours if len(bar.colours) > 1 else bar.colours * 2
            ramp = LinearSegmentedColormap.from_list("bar", list(colours))
            image = self._image(
                (rect.left, rect.right, rect.bottom, rect.top), cmap=ramp, interpolation="bilinear"
            )
            image.set_data([[step / 63 for step in range(64)]])
            image.set_clim(0, 1)
            edge = _rectangle(rect, fill=False, edgecolor=self.theme.line, lw=0.6)
            parts += [image, self.axes.add_patch(edge)]
        return parts

    def picture(self, rect: Rect, pixels: Pixels, dpi: float) -> AxesImage:
        """A picture on whole pixels."""
        left, top, width, height = whole_pixels(rect, dpi)
        extent = (left / dpi, (left + width) / dpi, (top + height) / dpi, top / dpi)
        image = self._image(extent, interpolation="auto", resample=True)
        image.set_data(pixels)
        return image

    def _image(self, extent: tuple[float, float, float, float], **style: Any) -> AxesImage:
        image = AxesImage(self.axes, extent=extent, origin="upper", **style)
        image.set_clip_path(None)
        return self.axes.add_image(image)

    def brackets(self, lines: Sequence[Line]) -> list[Artist]:
        """Thin lines beside and below the labels of groups."""
        segments = [[(line.x0, line.y0), (line.x1, line.y1)] for line in lines]
        brackets = LineCollection(segments, colors=self.theme.line, linewidths=0.9)
        return [self.axes.add_collection(brackets, autolim=False)] if segments else []

    def frames(self, marks: Sequence[tuple[Rect, tuple[str, str, bool]]]) -> list[Artist]:
        """Frames around selected tiles.

        Each has a colour, a letter on it or "", and whether it lies inside the frame of a measured value, whose colour
        must stay visible.
        """
        parts: list[Artist] = []
        for rect, (colour, name, within) in marks:
            place = rect.inset(_WITHIN) if within and min(rect.width, rect.height) > 6 * _WITHIN else rect
            # A rim of paper inside the colour: the frame is seen on any picture.
            for inset, tone, thick in ((0.022, self.theme.paper, 1.0), (0.0, colour, 2.4)):
                edge = _rectangle(place.inset(inset), fill=False, edgecolor=tone, linewidth=thick, zorder=4)
                parts.append(self.axes.add_patch(edge))
            if name:
                side = min(0.2, place.height, place.width)
                badge = _rectangle(Rect(place.left, place.top, side, side), fc=colour, lw=0, zorder=5)
                middle = place.left + side / 2
                letter = Label((name,), middle, place.top + side / 2 - 0.075, 8.0, "value", "center")
                parts += [self.axes.add_patch(badge), *self.label(letter, colour="#ffffff", zorder=6)]
        return parts


def _rectangle(rect: Rect, **style: Any) -> Rectangle:
    return Rectangle((rect.left, rect.top), rect.width, rect.height, **style)


@lru_cache(maxsize=64)
def card_pixels(card: PlaceholderCard, size: tuple[int, int], dpi: float, theme: Theme) -> Pixels:
    """A card of so many pixels, on the theme's paper; held, as most cards of a live sheet are the same."""
    inches = (size[0] / dpi, size[1] / dpi)
    figure = Figure(dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    Painter(sheet_axes(figure, inches, theme, dpi), theme).card(Rect(0.0, 0.0, *inches), card)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]  # type: ignore[no-untyped-call]


class PixelLayer(Artist):
    """Pixels of the whole sheet, transparent outside the tiles."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.pixels: Pixels = np.zeros((height, width, 4), dtype=np.uint8)

    def paste(self, left: int, top: int, pixels: Pixels) -> None:
        """Put a tile at a place."""
        height, width = (min(pixels.shape[0], len(self.pixels) - top), pixels.shape[1])
        part = self.pixels[top : top + height, left : left + width]
        part[..., :3] = pixels[:height, : part.shape[1]]
        part[..., 3] = 255

    def part(self, left: int, top: int, width: int, height: int) -> Pixels:
        """The pixels at a place, as far as the sheet reaches."""
        return self.pixels[top : top + height, left : left + width]

    def draw(self, renderer: Any) -> None:
        """Draw the pixels from the lower left, as renderers count."""
        context = renderer.new_gc()
        renderer.draw_image(context, 0, 0, self.pixels[::-1])
        context.restore()
        self.stale = False
