"""The page: its content as plain values, and the HTML made of it. All text from outside is escaped.

Style and script stand in the page and are named by their hashes in its content security policy: whatever text might slip
through, the browser runs nothing else and connects nowhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kontext_lab.errors import visible
from kontext_lab.reports.album import PagePicture
from kontext_lab.sweep.wording import Piece

__all__ = ["Fact", "Page", "PageCard", "PagePrompt", "Plot", "render"]


Fact = tuple[str, str]
"""A line of a table: a name and its text."""


@dataclass(frozen=True)
class PagePrompt:
    """A prompt in full, with placeholders where words vary; its name is "" if there is only one.

    `pieces` is its difference from the first prompt; empty for the first one, and if they share too little.
    """

    name: str
    text: str
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class PageCard:
    """One output of one cell, or the reason why there is none.

    Attributes:
        at: for each axis of the page the index of its value; None if the cell has no such parameter.
        title: its values in words.
        kind: `done`, or the state that colours its tile: `failed`, `moderated`, `in_doubt` …
        said: the reason why there is no picture, "" if there is one.
        mark: verdicts as signs, for the tile.
        picture: its index in the album, or None; references and change map likewise.
        frames: the placement of each reference with the output as the page's script reads it, or None.
        facts: cost, seed, sizes …
        verdicts: criterion and `pass` or `fail`.
    """

    at: tuple[int | None, ...]
    title: str
    kind: str = "done"
    said: str = ""
    mark: str = ""
    simulated: bool = False
    picture: int | None = None
    references: tuple[int, ...] = ()
    frames: tuple[dict[str, Any] | None, ...] = ()
    change: int | None = None
    facts: tuple[Fact, ...] = ()
    params: tuple[Fact, ...] = ()
    measured: tuple[Fact, ...] = ()
    verdicts: tuple[Fact, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Plot:
    """A drawn figure as PNG or SVG, on light and dark paper if there is one, and its findings and their limits."""

    title: str
    picture: bytes = b""
    sentences: tuple[str, ...] = ()
    dark: bytes = b""


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        summary: counts and money in a line.
        simulated: a sentence about simulated pictures, "" if there are none.
        facts: when, which service, which parameters.
        notes: lines a person should read.
        axes: the values of each parameter that varies: label, and the whole text if the label only stands for it, else "".
        rows: the axis on the rows at first, or "".
        columns: the one on the columns, or "".
        change: caption of change maps.
    """

    title: str
    summary: str = ""
    simulated: str = ""
    facts: tuple[Fact, ...] = ()
    prompts: tuple[PagePrompt, ...] = ()
    notes: tuple[str, ...] = ()
    axes: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    rows: str = ""
    columns: str = ""
    cards: tuple[PageCard, ...] = ()
    change: str = "change map"
    plots: tuple[Plot, ...] = ()


def render(page: Page, pictures: Sequence[PagePicture]) -> bytes:
    """Render the page as HTML in UTF-8.

    Args:
        page: its content.
        pictures: the album's, in the order of the indices on the cards.
    """
    templates = resources.files("kontext_lab.reports").joinpath("templates")
    style, script = (templates.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    hashes = (hashlib.sha256(text.encode("utf-8")).digest() for text in (style, script))
    style_hash, script_hash = (f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in hashes)
    environment = Environment(
        loader=PackageLoader("kontext_lab.reports"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = {
        "axes": [{"key": key, "values": axis} for key, axis in page.axes.items()],
        "rows": page.rows,
        "columns": page.columns,
        "change": page.change,
        "cards": [vars(card) for card in page.cards],
    }
    text = environment.get_template("page.html").render(
        page=page,
        # References stand first; a picture is known by its index in the album.
        pictures=sorted(enumerate(pictures), key=lambda one: (one[1].kind != "reference", one[0])),
        plots=[(plot, _data_uri(plot.picture), _data_uri(plot.dark)) for plot in page.plots],
        data=_visible(data),
        without_picture=[card for card in page.cards if card.picture is None],
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {style_hash}; script-src {script_hash}; "
        "base-uri 'none'; form-action 'none'",
    )
    return text.encode("utf-8")


def _visible(value: Any) -> Any:
    """Write out invisible characters, such as those that turn the direction of a line, in all nested text."""
    if isinstance(value, str):
        return value if isinstance(value, Markup) else visible(value)
    if isinstance(value, Mapping):
        return {key: _visible(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(one) for one in value]
    return value


def _data_uri(picture: bytes) -> str:
    """A drawn figure as a `data:` URI; "" if there is none."""
    if not picture:
        return ""
    kind = "png" if picture.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
