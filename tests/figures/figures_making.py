"""Pictures made by hand: one flat colour per output, so that a figure's pixels say which picture they are."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from functools import cache

from PIL import Image

from kontext_lab.figures import GridPlan, LiveSheet
from kontext_lab.images import examine
from kontext_lab.request.attempt import Answer, Attempt, Picture, Reason
from kontext_lab.results import CellResult
from kontext_lab.sweep import Cell

Colour = tuple[int, int, int]
NOW = datetime(2025, 11, 1, tzinfo=UTC)


def colour_of(index: int, number: int = 1) -> Colour:
    """The colour of an output's picture: different for every cell and output."""
    return (40 + index * 37 % 180, 60 + index * 83 % 160, 50 * number)


@cache
def received(size: tuple[int, int], colour: Colour) -> Picture:
    """A JPEG as a service would send it, examined."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG", quality=90)
    found = examine(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Picture(buffer.getvalue(), digest, found.format, found.width, found.height, found.preview)


def moderated() -> Picture:
    """A black picture, as moderation leaves it."""
    black = received((256, 256), (0, 0, 0))
    return Picture(
        black.data, black.sha256, "jpeg", 256, 256, black.preview, Reason.MODERATED, "black picture"
    )


def finish(result: CellResult, cell: Cell) -> None:
    """Let a cell end well, a quarter of the real pictures' size."""
    width, height = cell.request.expected_size
    pictures = tuple(
        received((width // 4, height // 4), colour_of(cell.index, number))
        for number in range(1, cell.request.pictures + 1)
    )
    result.apply(Attempt("id", Answer(pictures, cost_usd=0.052)), NOW)


def show(sheet: LiveSheet, plan: GridPlan, *, dark: bool = False) -> bool:
    """Show a plan with all of its pictures, as a panel does that loads them; True if anything changed."""
    changed = sheet.show(plan, dark=dark)
    for tile in sheet.missing():
        sheet.load(tile)
    return sheet.show(plan, dark=dark) or changed
