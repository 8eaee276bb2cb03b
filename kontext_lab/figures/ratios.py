"""How wide a picture is for its height: as received, else as asked for, so that waiting tiles don't jump."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from kontext_lab.figures.cards import card_of
from kontext_lab.figures.geometry import Crop
from kontext_lab.figures.table import Content
from kontext_lab.figures.values import Shot
from kontext_lab.images import Reference
from kontext_lab.request import SIZES

__all__ = ["Ratios"]

_STRIP = 8.0


class Ratios:
    """Width by height of what a table shows, after cropping."""

    def __init__(self, contents: Iterable[Content], crop: Crop) -> None:
        self._factor = (crop[2] - crop[0]) / (crop[3] - crop[1])
        known = [ratio for content in contents if isinstance(content, Shot) and (ratio := _known(content))]
        # What nothing is known of yet is most likely like the rest.
        self._usual = median(known) if known else 1.0

    def of(self, content: Content) -> float:
        """The ratio of one picture."""
        if isinstance(content, Reference):
            width, height = content.sent_size
            ratio = width / height if height else self._usual
        else:
            ratio = _known(content) or self._usual
        return ratio * self._factor

    def of_box(self, content: Content) -> float:
        """The ratio of the room a tile gets: a sliver of a picture gets more than it fills."""
        return min(max(self.of(content), 1 / _STRIP), _STRIP)


def _known(shot: Shot) -> float:
    # What moderation leaves has a size of its own: such a tile keeps the place of the picture asked for.
    if card_of(shot.cell, shot.output) is not None:
        return _asked(shot) or _received(shot)
    return _received(shot) or _asked(shot)


def _received(shot: Shot) -> float:
    for output in shot.cell.outputs:
        if output.number == shot.output and output.width and output.height:
            return output.width / output.height
    return 0.0


def _asked(shot: Shot) -> float:
    width, height = SIZES.get(str(shot.cell.params.get("aspect_ratio")), (0, 0))
    if not height and shot.cell.request is not None:
        width, height = shot.cell.request.expected_size
    return width / height if height else 0.0
