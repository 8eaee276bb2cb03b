"""A few cells as small pictures under their names, each of which leads to its place in the grid."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from functools import partial

from ipywidgets import HTML, VBox

from kontext_lab.errors import KontextLabError
from kontext_lab.panel.layouts import plain
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, closed, row
from kontext_lab.results import Output
from kontext_lab.sweep.wording import shortened

__all__ = ["ThumbnailStrip"]

_BOX = 128
_MOST = 24
_LONGEST = 40


class ThumbnailStrip(Section):
    """Cells in a line.

    Args:
        post: loads pictures elsewhere.
        show_cell: called with the output whose button is pressed.
    """

    def __init__(self, post: UiDispatcher, show_cell: Callable[[Output], None]) -> None:
        super().__init__()
        self._post, self._show_cell = post, show_cell
        self._places: list[HTML] = []

    def put(self, outputs: Sequence[Output]) -> None:
        """Show these in place of those before; pictures come when they are loaded."""
        gone, some = self.parts, outputs[:_MOST]
        self._places = [HTML(**plain(HTML)) for _ in some]
        names = shortened([_name(output) for output in outputs], _LONGEST)
        cells = [self._cell(*one) for one in zip(some, self._places, names, strict=False)]
        more = len(outputs) - len(some)
        rest = [TextLine(f"and {more} more in the tab Grid", "muted")] if more > 0 else []
        self.fill([row(*cells, *rest)] if cells else [])
        closed(*gone)
        places = self._places
        self._post.background(
            lambda: [_thumbnail(output) for output in some],
            lambda found: self._loaded(places, found),
            key=(id(self), "strip"),
        )

    def _cell(self, output: Output, place: HTML, name: str) -> VBox:
        leads = self.button(name, partial(self._show_cell, output), f"Show {name} in the grid", small=True)
        cell = VBox([place, leads], **plain(VBox, width="auto"))
        cell.add_class("kl-strip-cell")
        return cell

    def _loaded(self, places: Sequence[HTML], found: Sequence[str]) -> None:
        for place, markup in zip(places, found, strict=True):
            place.value = markup


def _thumbnail(output: Output) -> str:
    """A picture of a few kilobytes as markup, which is kept with the notebook; words where there is none."""
    try:
        picture = output.thumbnail(_BOX).convert("RGB")
    except KontextLabError as error:
        return f'<div class="kl-muted">{html.escape(str(error))}</div>'
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=70)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    simulated = ", simulated" if output.cell.simulated else ""
    name = html.escape(f"{output.cell.title}{simulated}")
    return f'<img alt="{name}" src="data:image/jpeg;base64,{data}">'


def _name(output: Output) -> str:
    several = f" · {output.number}" if len(output.cell.outputs) > 1 else ""
    return " ".join(f"{output.cell.title}{several}".split())
