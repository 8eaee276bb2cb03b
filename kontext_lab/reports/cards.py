"""The cards of a report: texts and pictures of each output. A picture that can't be loaded is reported on its card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from PIL import Image

from kontext_lab.errors import KontextLabError
from kontext_lab.figures.axis_values import Values
from kontext_lab.figures.captions import verdicts_of
from kontext_lab.images import thumbnail
from kontext_lab.lab.change_maps import on_references
from kontext_lab.reports.album import Album
from kontext_lab.reports.page import Fact, PageCard
from kontext_lab.request import MATCH_INPUT
from kontext_lab.results import CellResult, ComparisonSource, Output, State
from kontext_lab.results.labels import FAVOURITE, VERDICT, criterion_of, verdict_key
from kontext_lab.sweep.axes import value_text

__all__ = ["Maps", "cards_of"]

Maps = Mapping[tuple[int, int], Image.Image | None]
"""Change maps by the index of a cell and the number of its output; None if there is none to show."""

MAP_BOX = 512
"""Longest side of a change map: it is smooth."""


def cards_of(values: Values, album: Album, maps: Maps, source: ComparisonSource) -> Iterator[PageCard]:
    """Yield a card for each output, and for each cell without one; pictures are added to the album.

    Args:
        values: of the results.
        album: the page's pictures.
        maps: change maps, as far as there are any.
        source: registers outputs that have an entry in `maps` on their references.
    """
    indices = {id(cell): index for index, cell in enumerate(values.results)}
    tokens = {key: [value.token for value in values.of(key)] for key in values.axes}
    for shot in values.shots:
        cell = shot.cell
        output = shot.picture or Output(cell, shot.output)
        swept = {key: values.value(shot, key) for key in values.axes}
        title = " · ".join(f"{key} {value.label}" for key, value in swept.items()) or cell.title
        key = (indices[id(cell)], shot.output)
        picture, kind, said = _picture(output, title, album)
        references = list(_references(output, album, source if key in maps else None))
        metrics = {**cell.metrics, **output.metrics}
        yield PageCard(
            at=tuple(
                tokens[key].index(value.token) if value.token in tokens[key] else None
                for key, value in swept.items()
            ),
            title=title,
            kind=kind,
            said=said,
            mark=verdicts_of(output),
            simulated=cell.simulated,
            picture=picture,
            references=tuple(index for index, _ in references),
            frames=tuple(frame for _, frame in references),
            change=_add_change_map(maps.get(key), output, title, album),
            facts=_facts(output),
            params=tuple(_params(cell.params)),
            measured=tuple(
                (name, f"{value:.4g}")
                for name, value in metrics.items()
                if not name.startswith(VERDICT) and math.isfinite(value)
            ),
            verdicts=tuple(
                (criterion_of(name), "pass" if value == 1 else "fail")
                for name, value in output.metrics.items()
                if name.startswith(VERDICT) and (name != verdict_key(FAVOURITE) or value == 1)
            ),
            comment=cell.comment,
        )


def _picture(output: Output, title: str, album: Album) -> tuple[int | None, str, str]:
    """The index of the output's picture, the kind of its card, and the reason why there is no picture, or ""."""
    cell = output.cell
    is_moderated = "moderated" in (output.reason, cell.reason)
    kind = "moderated" if is_moderated else str(State.FAILED if output.reason else cell.state)
    if not output.is_picture:
        reason, note = (output.reason, output.note) if output.reason else (_state(cell), cell.note)
        return None, kind, f"{reason}: {note}" if note else reason
    caption = f"{title} (simulated)" if cell.simulated else title
    try:
        return album.add(("output", output.sha256), output.thumbnail, caption, "output"), "done", ""
    except KontextLabError as error:
        return None, kind, f"the picture can't be loaded: {error}"


def _state(cell: CellResult) -> str:
    return " ".join(filter(None, (str(cell.state).replace("_", " "), cell.reason)))


def _references(
    output: Output, album: Album, source: ComparisonSource | None
) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The index of each reference, and its placement with the output's picture if that is known."""
    aligned = on_references(output, source) if source is not None else []
    images = output.cell.request.images if output.cell.request is not None else ()
    for reference, placement in aligned or ((one, None) for one in images if one.png):
        load = partial(thumbnail, reference.png)
        try:
            index = album.add(
                ("reference", reference.digest), load, f"reference {reference.name}", "reference"
            )
        except KontextLabError:
            continue  # the output is worth showing without it
        frame = None
        if placement is not None:
            frame = {
                "size": placement.size,
                "layers": [placement.first, placement.second],
                "registered": placement.registered,
                "note": placement.note,
            }
        yield index, frame


def _add_change_map(change: Image.Image | None, output: Output, title: str, album: Album) -> int | None:
    """The index of the output's change map; None without one."""
    if change is None:
        return None

    def load(box: int) -> Image.Image:
        small = change.copy()
        small.thumbnail((box, box))
        return small

    caption = f"change map: {title}" + (" (simulated)" if output.cell.simulated else "")
    key = ("change", output.sha256, output.cell.fingerprint)
    return album.add(key, load, caption, "change", largest=MAP_BOX)


def _facts(output: Output) -> tuple[Fact, ...]:
    cell = output.cell
    asked = str(cell.params.get("aspect_ratio", MATCH_INPUT)).replace("_", " ")
    width, height = cell.request.expected_size if cell.request is not None else (0, 0)
    size = ""
    if output.width and output.height:
        ratio = output.width / output.height
        size = f"{output.width}×{output.height} {output.format}, ratio {ratio:.3f}"
    count = len(cell.outputs)
    facts = (
        ("state", _state(cell)),
        ("said", cell.note),
        ("cost", f"${cell.cost:.3f}" + (" (simulated)" if cell.simulated else "")),
        ("cost is of", f"all {count} outputs of the cell" if count > 1 else ""),
        ("seed", str(cell.params.get("seed", "not given"))),
        ("asked for", asked + (f", {width}×{height} expected" if height else "")),
        ("came", size),
        ("time", "" if cell.latency_s is None else f"{cell.latency_s:.1f} s"),
        ("arrived", "" if cell.arrived is None else f"{cell.arrived.astimezone():%d %b %Y %H:%M}"),
        ("reused from run", (cell.reused_from or "")[:8]),
        ("run", (cell.run_id or "")[:8]),
    )
    return tuple((name, text) for name, text in facts if text)


def _params(params: Mapping[str, Any]) -> Iterator[Fact]:
    for key, value in params.items():
        if not key.endswith(".label"):
            name = params.get(f"{key}.label")
            text = str(value) if key == "image" else value_text(key, value)
            yield key, f"{name}: {text}" if name else text
