"""A sheet that changes: shows one plan after the other on one figure and redraws only what differs.

Knows no canvas, no event and no thread: it is drawn on one thread, and says what may be loaded on others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image

from kontext_lab.errors import KontextLabError
from kontext_lab.figures import placeholder_cards
from kontext_lab.figures.geometry import GridPlan, Label, Rect, Tile, TileFrame
from kontext_lab.figures.painter import CardCache, Painter, PixelLayer, plain_settings, sheet_axes
from kontext_lab.figures.pictures import Pixels, Previews, cut, source_of
from kontext_lab.figures.placeholder_cards import PlaceholderCard
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
        cell: whose output it is; the same cell of a plan and of a run are one.
        number: which output, from 1.
        name: a letter shown on it, where there are two to tell apart.
    """

    cell: CellResult
    number: int = 1
    name: str = ""

    def is_on(self, tile: Tile) -> bool:
        """Whether a tile shows this output."""
        cell = tile.cell
        if cell is None or tile.number != self.number:
            return False
        if cell is self.cell:
            return True
        if cell.fingerprint and self.cell.fingerprint:
            return (cell.fingerprint, cell.title) == (self.cell.fingerprint, self.cell.title)
        return (cell.title, cell.params) == (self.cell.title, self.cell.params)


class LiveSheet:
    """A figure that follows the plans it is shown.

    Attributes:
        figure: drawn on; its canvas is the caller's.
        previews: decoded pictures; several sheets may share one.
        plan: what is shown, or None before the first.
    """

    def __init__(self, figure: Figure, previews: Previews | None = None) -> None:
        self.figure = figure
        self.previews = previews or Previews()
        self.plan: GridPlan | None = None
        self.marks: tuple[Mark, ...] = ()
        self._geometry: Hashable = None
        self._faces: list[Hashable] = []
        self._card_caches: dict[bool, CardCache] = {}
        self._labels: dict[Label, list[Artist]] = {}
        self._corners: tuple[tuple[Rect, ...], list[Artist]] = ((), [])
        self._verdicts: tuple[tuple[tuple[Rect, Any], ...], list[Artist]] = ((), [])
        self._values: tuple[tuple[tuple[Rect, TileFrame], ...], list[Artist]] = ((), [])
        self._frames: tuple[tuple[tuple[Rect, str, str, bool], ...], list[Artist]] = ((), [])
        self._pasted: set[tuple[int, int, int, int]] = set()
        self._drawn_over = True

    def show(self, plan: GridPlan, *, dark: bool = False, wait: bool = True) -> bool:
        """Show a plan; what is the same as before stays.

        Args:
            plan: what goes where.
            dark: on dark paper.
            wait: load what is missing now; else such tiles say that they are being loaded.

        Returns:
            Whether anything changed: only then the canvas needs to be drawn.
        """
        self.plan = plan
        with plain_settings():
            drawn_over = [
                self._rebuild(plan, dark),
                self._show_labels(plan.labels),
                self._show_corners(plan),
                self._show_verdicts(plan),
                self._show_values(plan),
                self._show_marks(),
            ]
            pasted = self._show_tiles(plan, wait)
        self._drawn_over |= any(drawn_over)
        return pasted or any(drawn_over)

    def patches(self) -> list[Patch] | None:
        """What became different since this was asked last: tiles whose pixels only have to be put in their places.

        Text is what takes long to draw, and while pictures arrive it stays. None: something else changed, or
        something lies on such a tile, and all is to be drawn.
        """
        pasted, drawn_over = self._pasted, self._drawn_over
        self._pasted, self._drawn_over = set(), False
        covered = [*self._corners[0], *(rect for rect, _ in self._verdicts[0])]
        covered += [rect for rect, *_ in self._frames[0]]
        covered += [rect for rect, _ in self._values[0]]
        if drawn_over or not pasted.isdisjoint(PixelLayer.place(rect, self.figure.dpi) for rect in covered):
            return None
        return [(left, top, self._pixels.part(left, top, *size)) for left, top, *size in pasted]

    def select(self, *marks: Mark) -> bool:
        """Frame these outputs, and no others; says whether anything changed."""
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
        """Load one of the missing; in any thread. What could not be loaded is said by a card."""
        return self.previews.load(tile, len(self.plan.tiles) if self.plan is not None else 1)

    def coarse(self) -> list[Tile]:
        """The tiles whose previews have too few pixels for what is shown of them."""
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
        """Put exact pixels in place, unless the sheet has moved on meanwhile.

        Args:
            tile: whose pixels they are.
            pixels: as `sharpen` returned them.
            crop: the part of the picture they show.

        Returns:
            Whether the sheet changed.
        """
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
        """Begin anew where anything lies elsewhere than before."""
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
        self._painter, self._accents, self._ink = Painter(axes, theme), theme.accents, theme.text
        self._cards = self._card_caches.setdefault(dark, CardCache(theme))
        self._painter.brackets(plan.lines)
        self._painter.bars(plan.bars)
        self._labels, self._faces = {}, [None for _ in plan.tiles]
        self._corners, self._verdicts, self._values, self._frames = ((), []), ((), []), ((), []), ((), [])
        return True

    def _show_labels(self, labels: Sequence[Label]) -> bool:
        gone = [label for label in self._labels if label not in labels]
        new = [label for label in dict.fromkeys(labels) if label not in self._labels]
        for label in gone:
            _remove(self._labels.pop(label))
        for label in new:
            self._labels[label] = self._painter.label(label)
        return bool(gone or new)

    def _show_tiles(self, plan: GridPlan, wait: bool) -> bool:
        changed = [self._show_tile(number, tile, plan, wait) for number, tile in enumerate(plan.tiles)]
        return any(changed)

    def _show_tile(self, number: int, tile: Tile, plan: GridPlan, wait: bool) -> bool:
        picture = tile.card or self._picture(tile, wait)
        if isinstance(picture, PlaceholderCard):
            if self._faces[number] == picture:
                return False
            pixels = self._cards.of(picture, self._size(tile), self.figure.dpi)
            self._paste(number, tile, pixels, picture)
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

    def _picture(self, tile: Tile, wait: bool) -> Image.Image | PlaceholderCard:
        found = self.load(tile) if wait else self.previews.get(tile)
        if found is None or isinstance(found, PlaceholderCard):
            waiting = _MEASURING if tile.overlay is not None else _LOADING
            return placeholder_cards.fitted(found or waiting, tile.rect.width, tile.rect.height)
        return found

    def _paste(self, number: int, tile: Tile, pixels: Pixels, face: Hashable) -> None:
        place = PixelLayer.place(tile.rect, self.figure.dpi)
        self._pixels.paste(*place[:2], pixels)
        self._pasted.add(place)
        self._faces[number] = face

    def _show_corners(self, plan: GridPlan) -> bool:
        reused = tuple(tile.rect for tile in plan.tiles if tile.reused)
        if reused == self._corners[0]:
            return False
        _remove(self._corners[1])
        self._corners = (reused, self._painter.corners(reused))
        return True

    def _show_verdicts(self, plan: GridPlan) -> bool:
        given = tuple((tile.rect, tile.verdicts) for tile in plan.tiles if tile.verdicts)
        if given == self._verdicts[0]:
            return False
        _remove(self._verdicts[1])
        self._verdicts = (given, self._painter.verdicts(given))
        return True

    def _show_values(self, plan: GridPlan) -> bool:
        given = tuple((tile.rect, tile.frame) for tile in plan.tiles if tile.frame is not None)
        if given == self._values[0]:
            return False
        _remove(self._values[1])
        self._values = (given, self._painter.values(given))
        return True

    def _show_marks(self) -> bool:
        if self.plan is None or self._geometry is None:
            return False
        tones = dict(zip(("", "A", "B"), self._accents, strict=True))
        wanted = tuple(
            # Among coloured frames, that of the picked one has no hue.
            (
                tile.rect,
                self._ink if tile.frame and not mark.name else tones.get(mark.name, self._accents[0]),
                mark.name,
                tile.frame is not None,
            )
            for mark in self.marks
            for tile in self.plan.tiles
            if mark.is_on(tile)
        )
        if wanted == self._frames[0]:
            return False
        _remove(self._frames[1])
        parts = [
            part
            for rect, tone, name, within in wanted
            for part in self._painter.frame(rect, tone, name, within=within)
        ]
        self._frames = (wanted, parts)
        return True

    def _size(self, tile: Tile) -> tuple[int, int]:
        *_, width, height = PixelLayer.place(tile.rect, self.figure.dpi)
        return width, height


def _faces(tile: Tile, plan: GridPlan) -> tuple[Hashable, Hashable]:
    """What a tile's picture is known by: from its preview, and sharp."""
    face = ("picture", source_of(tile), plan.crop)
    return (*face, "preview"), (*face, "sharp")


def _rounded(rect: Rect) -> tuple[float, ...]:
    return tuple(round(side, 3) for side in (rect.left, rect.top, rect.width, rect.height))


def _remove(parts: list[Artist]) -> None:
    for part in parts:
        part.remove()
    parts.clear()
