"""How wide a picture is for its height: as received, else as asked for, so that waiting tiles don't jump."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from kontext_lab.figures.cards import card_of
from kontext_lab.figures.geometry import Crop
from kontext_lab.figures.table import Content
from kontext_lab.figures.values import Shot
from kontext_lab.figures.views import View
from kontext_lab.images import Reference
from kontext_lab.request import SIZES

__all__ = ["Ratios"]

_STRIP = 4.0


class Ratios:
    """Width by height of what a table shows, after cropping."""

    def __init__(self, contents: Iterable[Content], crop: Crop, view: View | None = None) -> None:
        self._view = view or View()
        self._factor = (crop[2] - crop[0]) / (crop[3] - crop[1])
        known = [
            ratio
            for content in contents
            if isinstance(content, Shot) and (ratio := _known(content, self._view))
        ]
        # What nothing is known of yet is most likely like the rest.
        self._usual = median(known) if known else 1.0

    def of(self, content: Content) -> float:
        """The ratio of one picture."""
        if isinstance(content, Reference):
            width, height = content.sent_size
            ratio = width / height if height else self._usual
        else:
            ratio = _known(content, self._view) or self._usual
        return ratio * self._factor

    def of_box(self, content: Content) -> float:
        """The ratio of the room a tile gets: a sliver of a picture gets more than it fills."""
        return min(max(self.of(content), 1 / _STRIP), _STRIP)


def _known(shot: Shot, view: View) -> float:
    # What moderation leaves has a size of its own: such a tile keeps the place of the picture asked for.
    if card_of(shot.cell, shot.output) is not None:
        return _asked(shot) or _received(shot)
    width, height = view.size_of(shot.cell, _received_size(shot))
    return width / height if width and height else _asked(shot)


def _received(shot: Shot) -> float:
    width, height = _received_size(shot)
    return width / height if width and height else 0.0


def _received_size(shot: Shot) -> tuple[int, int]:
    found = (output for output in shot.cell.outputs if output.number == shot.output)
    return next(((output.width, output.height) for output in found), (0, 0))


def _asked(shot: Shot) -> float:
    width, height = SIZES.get(str(shot.cell.params.get("aspect_ratio")), (0, 0))
    if not height and shot.cell.request is not None:
        width, height = shot.cell.request.expected_size
    return width / height if height else 0.0
