"""A figure that shows one plan after the other and redraws only the differences.

It is drawn on one thread; `missing`, `load` and `sharpen` serve threads that load pictures. Canvas and events belong to
the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image

from kontext_lab.errors import KontextLabError
from kontext_lab.figures.geometry import GridPlan, Label, PlaceholderCard, Rect, Tile
from kontext_lab.figures.painter import (
    Painter,
    PixelLayer,
    card_pixels,
    plain_settings,
    sheet_axes,
    whole_pixels,
)
from kontext_lab.figures.pictures import Pixels, Previews, cut, source_of
from kontext_lab.figures.theme import DARK, LIGHT
from kontext_lab.results import CellResult

__all__ = ["LiveSheet", "Mark", "Patch"]

_LOADING = PlaceholderCard("loading", "loading")
_MEASURING = PlaceholderCard("loading", "measuring …")

Patch = tuple[int, int, Pixels]
"""Left and top in pixels from the sheet's upper left corner, and the pixels that belong there."""


@dataclass(frozen=True)
class Mark:
    """A frame around the tile of one output.

    Attributes:
        cell: the cell; the same cell of a plan and of a run are one.
        number: number of its output, from 1.
        name: a letter on it to distinguish two of them, or "".
    """

    cell: CellResult
    number: int = 1
    name: str = ""

    def is_on(self, tile: Tile) -> bool:
        """True if a tile shows this output."""
        cell = tile.cell
        if cell is None or tile.number != self.number:
            return False
        if cell is self.cell:
            return True
        if cell.fingerprint and self.cell.fingerprint:
            return (cell.fingerprint, cell.title) == (self.cell.fingerprint, self.cell.title)
        return (cell.title, cell.params) == (self.cell.title, self.cell.params)


_Layer = Sequence[tuple[Rect, Any]]
"""Rectangles of tiles, and the signs drawn over them."""


class LiveSheet:
    """A figure that follows the plans it is shown; its canvas is the caller's."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.previews = Previews()
        self.plan: GridPlan | None = None
        self.marks: tuple[Mark, ...] = ()
        self._geometry: Hashable = None
        self._faces: list[Hashable] = []
        self._labels: dict[Label, list[Artist]] = {}
        self._layers: dict[str, tuple[_Layer, list[Artist]]] = {}
        self._pasted: set[tuple[int, int, int, int]] = set()
        self._drawn_over = True

    def show(self, plan: GridPlan, *, dark: bool = False) -> bool:
        """Show a plan; parts that are the same as before stay, tiles of missing pictures say that they are being loaded.

        Returns True if anything changed: only then the canvas needs to be drawn.
        """
        self.plan = plan
        reused = [(tile.rect, tile.reused) for tile in plan.tiles if tile.reused]
        verdicts = [(tile.rect, tile.verdicts) for tile in plan.tiles if tile.verdicts]
        values = [(tile.rect, tile.frame) for tile in plan.tiles if tile.frame is not None]
        with plain_settings():
            drawn_over = [
                self._rebuild(plan, dark),
                self._show_labels(plan.labels),
                self._show_layer("corners", reused, self._painter.corners),
                self._show_layer("verdicts", verdicts, self._painter.verdicts),
                self._show_layer("values", values, self._painter.values),
                self._show_marks(),
            ]
            pasted = [self._show_tile(number, tile, plan) for number, tile in enumerate(plan.tiles)]
        self._drawn_over |= any(drawn_over)
        return any(pasted) or any(drawn_over)

    def patches(self) -> list[Patch] | None:
        """The tiles that changed since the last call: their pixels only have to be put in their places.

        Text takes long to draw, and while pictures arrive it stays. None: something else changed, or something lies on
        such a tile, and everything is to be drawn.
        """
        pasted, drawn_over = self._pasted, self._drawn_over
        self._pasted, self._drawn_over = set(), False
        covered = (rect for layer, _ in self._layers.values() for rect, _ in layer)
        if drawn_over or not pasted.isdisjoint(whole_pixels(rect, self.figure.dpi) for rect in covered):
            return None
        return [(left, top, self._pixels.part(left, top, *size)) for left, top, *size in pasted]

    def select(self, *marks: Mark) -> bool:
        """Frame these outputs, and no others; return True if anything changed."""
        self.marks = marks
        with plain_settings():
            changed = self._show_marks()
        self._drawn_over |= changed
        return changed

    def missing(self, plan: GridPlan | None = None) -> list[Tile]:
        """The tiles whose pictures have to be loaded before they can be shown."""
        plan = plan or self.plan
        found: dict[Hashable, Tile] = {}
        for tile in plan.tiles if plan is not None else ():
            source = source_of(tile)
            if source is not None and source not in found and self.previews.get(tile) is None:
                found[source] = tile
        return list(found.values())

    def load(self, tile: Tile) -> Image.Image | PlaceholderCard:
        """Load one of the missing tiles; in any thread. A card tells why a picture could not be loaded."""
        return self.previews.load(tile, len(self.plan.tiles) if self.plan is not None else 1)

    def coarse(self) -> list[Tile]:
        """The tiles whose previews have too few pixels for the part that is shown."""
        plan = self.plan
        if plan is None:
            return []
        return [
            tile
            for tile, face in zip(plan.tiles, self._faces, strict=True)
            if self._needs_whole(tile, plan) and face == _faces(tile, plan)[0]
        ]

    def sharpen(self, tiles: Iterable[Tile], plan: GridPlan) -> Iterator[tuple[Tile, Pixels]]:
        """Exact pixels for tiles of a plan, one by one, for `put`; in any thread.

        Tiles that cannot be loaded are left as they are.
        """
        jobs = [(tile, self._size(tile)) for tile in tiles]
        for tile, size in jobs:
            try:
                yield tile, cut(self.previews.sharp(tile), size, plan.crop)
            except KontextLabError:
                continue

    def put(self, tile: Tile, pixels: Pixels, crop: Sequence[float]) -> bool:
        """Put exact pixels of a crop in place, unless the sheet shows something else by now; return True if it changed."""
        plan = self.plan
        if plan is None or tuple(crop) != plan.crop:
            return False
        for number, there in enumerate(plan.tiles):
            same = _rounded(there.rect) == _rounded(tile.rect) and source_of(there) == source_of(tile)
            if same and self._size(there) == (pixels.shape[1], pixels.shape[0]):
                self._paste(number, there, pixels, _faces(tile, plan)[1])
                return True
        return False

    def _rebuild(self, plan: GridPlan, dark: bool) -> bool:
        """Clear the figure if anything lies elsewhere than before."""
        # Rounded: the last digits of a plan at another crop may differ.
        places = tuple(_rounded(tile.rect) for tile in plan.tiles)
        size = (round(plan.width, 3), round(plan.height, 3))
        geometry = (size, plan.lines, plan.bars, places, dark, self.figure.dpi, id(self.figure))
        if geometry == self._geometry:
            return False
        self._geometry = geometry
        theme = DARK if dark else LIGHT
        self.figure.clear()
        self.previews.forgive()
        dots = self.figure.dpi / getattr(self.figure.canvas, "device_pixel_ratio", 1)
        axes = sheet_axes(self.figure, (plan.width, plan.height), theme, dots)
        axes.set_navigate(False)
        width, height = (int(side) for side in self.figure.bbox.size)
        self._pixels = PixelLayer(width, height)
        axes.add_artist(self._pixels)
        self._pixels.set_clip_path(None)
        self._painter, self._theme = Painter(axes, theme), theme
        self._painter.brackets(plan.lines)
        self._painter.bars(plan.bars)
        self._labels, self._faces = {}, [None for _ in plan.tiles]
        self._layers = {}
        return True

    def _show_labels(self, labels: Sequence[Label]) -> bool:
        gone = [label for label in self._labels if label not in labels]
        new = [label for label in dict.fromkeys(labels) if label not in self._labels]
        for label in gone:
            _remove(self._labels.pop(label))
        for label in new:
            self._labels[label] = self._painter.label(label)
        return bool(gone or new)

    def _show_tile(self, number: int, tile: Tile, plan: GridPlan) -> bool:
        waiting = _MEASURING if tile.overlay is not None else _LOADING
        picture = tile.card or self.previews.get(tile) or waiting
        if isinstance(picture, PlaceholderCard):
            card = tile.card or picture.fitted(tile.rect)
            if self._faces[number] == card:
                return False
            pixels = card_pixels(card, self._size(tile), self.figure.dpi, self._theme)
            self._paste(number, tile, pixels, card)
            return True
        coarse, sharp = _faces(tile, plan)
        if self._faces[number] in (coarse, sharp):
            return False
        # A whole picture that is at hand is shown at once, without a blurred moment.
        whole = self.previews.whole(tile) if self._needs_whole(tile, plan) else None
        pixels = cut(whole or picture, self._size(tile), plan.crop)
        self._paste(number, tile, pixels, sharp if whole else coarse)
        return True

    def _needs_whole(self, tile: Tile, plan: GridPlan) -> bool:
        return self.previews.lacks(tile, self._size(tile), plan.crop)

    def _paste(self, number: int, tile: Tile, pixels: Pixels, face: Hashable) -> None:
        place = whole_pixels(tile.rect, self.figure.dpi)
        self._pixels.paste(*place[:2], pixels)
        self._pasted.add(place)
        self._faces[number] = face

    def _show_layer(self, name: str, layer: _Layer, paint: Callable[[Any], list[Artist]]) -> bool:
        """Draw a layer over the tiles; if it is the same as before, it stays."""
        before, artists = self._layers.get(name, ([], []))
        if layer == before:
            return False
        _remove(artists)
        self._layers[name] = (layer, paint(layer))
        return True

    def _show_marks(self) -> bool:
        if self.plan is None or self._geometry is None:
            return False
        theme = self._theme
        colours = {"A": theme.accents[1], "B": theme.accents[2]}
        frames = []
        for mark in self.marks:
            for tile in self.plan.tiles:
                if mark.is_on(tile):
                    # Among coloured frames, that of the selected tile has no hue.
                    hueless = tile.frame is not None and not mark.name
                    colour = theme.text if hueless else colours.get(mark.name, theme.accents[0])
                    frames.append((tile.rect, (colour, mark.name, tile.frame is not None)))
        return self._show_layer("marks", frames, self._painter.frames)

    def _size(self, tile: Tile) -> tuple[int, int]:
        *_, width, height = whole_pixels(tile.rect, self.figure.dpi)
        return width, height


def _faces(tile: Tile, plan: GridPlan) -> tuple[Hashable, Hashable]:
    """Keys of a tile's picture: made from its preview, and sharp."""
    face = ("picture", source_of(tile), plan.crop)
    return (*face, "preview"), (*face, "sharp")


def _rounded(rect: Rect) -> tuple[float, ...]:
    return tuple(round(side, 3) for side in (rect.left, rect.top, rect.width, rect.height))


def _remove(parts: list[Artist]) -> None:
    for part in parts:
        part.remove()
    parts.clear()
