"""What a grid shows of its cells: their outputs, what changed, or their references. Pure, loads nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from kontext_lab.errors import ConfigError, shown
from kontext_lab.figures.cards import Card, fitted
from kontext_lab.figures.geometry import Over, Overlay, Tile
from kontext_lab.images import Reference
from kontext_lab.results import Beside, CellResult, Results

__all__ = ["SHOWS", "Show", "View", "no_reference", "view_of"]

Show = Literal["output", "change", "reference"]
SHOWS: tuple[Show, ...] = get_args(Show)
_OVERS: tuple[Over, ...] = get_args(Over)


@dataclass(frozen=True)
class View:
    """What is shown in the place of a cell.

    Attributes:
        show: its output, what changed, or its reference.
        over: what changes are laid over.
        beside: measures changes; None where that isn't wanted.
    """

    show: Show = "output"
    over: Over = "reference"
    beside: Beside | None = None

    def size_of(self, cell: CellResult, output: tuple[int, int]) -> tuple[int, int]:
        """Width and height of what is shown, as far as they are known; those of the output where it is that.

        Args:
            cell: of which.
            output: of its picture, in pixels.
        """
        first = _first(cell)
        if self.show == "output" or first is None or (self.show, self.over) == ("change", "output"):
            return output
        return first.sent_size

    def on(self, tile: Tile) -> Tile:
        """A tile with what is to be shown; one that says something goes on saying it."""
        if self.show == "output" or tile.cell is None or tile.card is not None:
            return tile
        reference = _first(tile.cell)
        if reference is None:
            return replace(tile, card=fitted(no_reference(tile.cell), tile.rect.width, tile.rect.height))
        if self.show == "reference" or self.beside is None:
            return replace(tile, reference=reference)
        return replace(tile, overlay=Overlay(self.beside.comparison, self.over))


def view_of(results: Results, show: Any, over: Any) -> View:
    """What was asked for.

    Raises:
        ConfigError: there is no such thing, or these results can't be compared; says which can.
    """
    _check("show", show, SHOWS)
    _check("over", over, _OVERS)
    if show == "change" and results.beside is None:
        raise ConfigError(
            "show: 'change' needs results that know their references, as lab.run and lab.load return them; "
            "these were made otherwise"
        )
    return View(show, over, results.beside if show == "change" else None)


def no_reference(cell: CellResult) -> Card:
    """What is said where a reference is to be shown and is not there."""
    named = cell.params.get("image")
    return Card(
        "uncompared", "no reference", f"its reference {named} is not at hand" if named else "it has none"
    )


def _check(name: str, given: Any, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ConfigError(f"{name}: {shown(given)}, allowed are {', '.join(map(repr, allowed))}")


def _first(cell: CellResult) -> Reference | None:
    images = cell.request.images if cell.request is not None else ()
    return images[0] if images and images[0].png else None
