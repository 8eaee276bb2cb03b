"""What a matrix and a contact sheet have in common: a piece of a page, and how a content becomes a tile."""

from __future__ import annotations

from dataclasses import dataclass

from kontext_lab.figures.cards import card_of, fitted
from kontext_lab.figures.geometry import Label, Line, Rect, Tile
from kontext_lab.figures.table import Content
from kontext_lab.images import Reference

__all__ = ["Block", "tile_of"]


@dataclass(frozen=True)
class Block:
    """Tiles with their headings, measured from their own top left."""

    width: float
    height: float
    tiles: tuple[Tile, ...] = ()
    labels: tuple[Label, ...] = ()
    lines: tuple[Line, ...] = ()


def tile_of(content: Content, row: int, column: int, rect: Rect) -> Tile:
    """The tile of a shot or a reference, its words broken to fit."""
    if isinstance(content, Reference):
        return Tile(row, column, rect, reference=content)
    card = card_of(content.cell, content.output)
    return Tile(
        row,
        column,
        rect,
        content.cell,
        content.output,
        card=fitted(card, rect.width, rect.height) if card else None,
        reused=card is None and bool(content.cell.reused_from),
    )
