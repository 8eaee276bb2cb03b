"""Results as the plain values of a report: texts as a reader sees them, and which picture belongs to which.

Loads pictures as it goes; what can't be loaded says so on its own card.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image

from kontext_lab.errors import KontextLabError
from kontext_lab.figures.axis_values import Values
from kontext_lab.figures.captions import verdicts_of
from kontext_lab.images import Reference, thumbnail
from kontext_lab.lab.change_maps import on_references
from kontext_lab.metrics import Placement
from kontext_lab.reports import Album, Fact, PageAxis, PageCard, PageValue
from kontext_lab.request import MATCH_INPUT
from kontext_lab.results import CellResult, ComparisonSource, Output, Results, State
from kontext_lab.results.labels import FAVOURITE, VERDICT, criterion_of, verdict_key
from kontext_lab.sweep.axes import value_text

__all__ = ["Maps", "axes_of", "cards_of", "expected_pictures", "without_references"]

Maps = Mapping[tuple[int, int], Image.Image | None]
"""Change maps by a cell's place in the results and its output's number; None where there is none to show."""

MAP_BOX = 512
"""Longest side of a change map: it is smooth."""


def axes_of(values: Values) -> tuple[PageAxis, ...]:
    """What varies, with the names figures give to the values."""
    return tuple(
        PageAxis(key, tuple(PageValue(value.label, value.full) for value in values.of(key)))
        for key in values.axes
    )


def expected_pictures(results: Results, maps: Maps) -> int:
    """How many pictures a page will hold at most."""
    references = {one.digest for cell in results for one in _references(cell)}
    return (
        sum(1 for output in results.outputs if output.is_picture)
        + len(references)
        + sum(change is not None for change in maps.values())
    )


def cards_of(
    values: Values, album: Album, maps: Maps, comparison_source: ComparisonSource | None
) -> Iterator[PageCard]:
    """A card for every output, and for every cell without one.

    Args:
        values: of the results.
        album: takes the pictures in.
        maps: change maps, where there are any.
        comparison_source: registers those of their outputs on their references.
    """
    places = {id(cell): index for index, cell in enumerate(values.results)}
    tokens = {key: [value.token for value in values.of(key)] for key in values.axes}
    for shot in values.shots:
        outputs = (output for output in shot.cell.outputs if output.number == shot.output)
        output = next(outputs, None) or Output(shot.cell, shot.output)
        found = {key: values.value(shot, key) for key in values.axes}
        place = tuple(
            tokens[key].index(value.token) if value.token in tokens[key] else None
            for key, value in found.items()
        )
        title = " · ".join(f"{key} {value.label}" for key, value in found.items()) or shot.cell.title
        key = (places[id(shot.cell)], shot.output)
        compared = comparison_source if key in maps else None
        yield _card(output, place, title, album, change=maps.get(key), comparison_source=compared)


def _card(
    output: Output,
    place: tuple[int | None, ...],
    title: str,
    album: Album,
    *,
    change: Image.Image | None,
    comparison_source: ComparisonSource | None,
) -> PageCard:
    cell = output.cell
    picture, said = _picture(output, title, album)
    references = list(_reference_places(output, album, comparison_source))
    moderated = "moderated" in (output.reason, cell.reason)
    kind = "moderated" if moderated else str(State.FAILED if output.reason else cell.state)
    kind = "done" if picture is not None else kind
    return PageCard(
        place=place,
        title=title,
        kind=kind,
        said=said,
        mark=verdicts_of(output),
        simulated=cell.simulated,
        picture=picture,
        references=tuple(index for index, _ in references),
        placements=tuple(placement for _, placement in references),
        change=None if change is None else _change_place(change, output, title, album),
        facts=tuple(_facts(output)),
        params=tuple(_params(cell.params)),
        measured=tuple(
            Fact(name, f"{value:.4g}")
            for name, value in {**cell.metrics, **output.metrics}.items()
            if not name.startswith(VERDICT) and math.isfinite(value)
        ),
        verdicts=tuple(
            Fact(criterion_of(name), "pass" if value == 1 else "fail")
            for name, value in output.metrics.items()
            if name.startswith(VERDICT) and (name != verdict_key(FAVOURITE) or value == 1)
        ),
        comment=cell.comment,
    )


def _picture(output: Output, title: str, album: Album) -> tuple[int | None, str]:
    """The place of the output's picture, or why there is none."""
    if not output.is_picture:
        return None, _why(output)
    caption = f"{title} (simulated)" if output.cell.simulated else title
    try:
        return album.add(("output", output.sha256), output.thumbnail, caption, "output"), ""
    except KontextLabError as error:
        return None, f"the picture can't be loaded: {error}"


def _why(output: Output) -> str:
    """State and reason, and what was said about it."""
    cell = output.cell
    if output.reason:
        return f"{output.reason}: {output.note}" if output.note else output.reason
    state = str(cell.state).replace("_", " ")
    reason = " ".join(filter(None, (state, cell.reason)))
    return f"{reason}: {cell.note}" if cell.note else reason


def _references(cell: CellResult) -> list[Reference]:
    """What was given to the model, as far as it is at hand."""
    return [] if cell.request is None else [one for one in cell.request.images if one.png]


def _reference_places(
    output: Output, album: Album, comparison_source: ComparisonSource | None
) -> Iterator[tuple[int, Placement | None]]:
    """The place of each reference, and the frame it shares with the output's picture where there is one."""
    laid = on_references(output, comparison_source) if comparison_source is not None else []
    for reference, placement in laid or ((one, None) for one in _references(output.cell)):
        load = partial(thumbnail, reference.png)
        try:
            index = album.add(
                ("reference", reference.digest), load, f"reference {reference.name}", "reference"
            )
        except KontextLabError:
            continue  # the output is worth showing without it
        yield index, placement


def _change_place(change: Image.Image, output: Output, title: str, album: Album) -> int:
    def load(box: int) -> Image.Image:
        small = change.copy()
        small.thumbnail((box, box))
        return small

    caption = f"change map: {title}" + (" (simulated)" if output.cell.simulated else "")
    key = ("change", output.sha256, output.cell.fingerprint)
    return album.add(key, load, caption, "change", largest=MAP_BOX)


def _facts(output: Output) -> Iterator[Fact]:
    cell = output.cell
    yield Fact("state", " ".join(filter(None, (str(cell.state).replace("_", " "), cell.reason))))
    if cell.note:
        yield Fact("said", cell.note)
    yield Fact("cost", f"${cell.cost:.3f}" + (" (simulated)" if cell.simulated else ""))
    if len(cell.outputs) > 1:
        yield Fact("cost is of", f"all {len(cell.outputs)} outputs of the cell")
    yield Fact("seed", str(cell.params.get("seed", "not given")))
    asked = str(cell.params.get("aspect_ratio", MATCH_INPUT)).replace("_", " ")
    expected = cell.request.expected_size if cell.request is not None else (0, 0)
    yield Fact("asked for", asked + (f", {expected[0]}×{expected[1]} expected" if expected[1] else ""))
    if output.width and output.height:
        ratio = output.width / output.height
        yield Fact("came", f"{output.width}×{output.height} {output.format}, ratio {ratio:.3f}")
    if cell.latency_s is not None:
        yield Fact("time", f"{cell.latency_s:.1f} s")
    if cell.arrived is not None:
        yield Fact("arrived", f"{cell.arrived.astimezone():%d %b %Y %H:%M}")
    if cell.reused_from:
        yield Fact("reused from run", cell.reused_from[:8])
    if cell.run_id:
        yield Fact("run", cell.run_id[:8])


def _params(params: Mapping[str, Any]) -> Iterator[Fact]:
    for key, value in params.items():
        if key.endswith(".label"):
            continue
        name = params.get(f"{key}.label")
        text = str(value) if key == "image" else value_text(key, value)
        yield Fact(key, f"{name}: {text}" if name else text)


Identity = tuple[str, tuple[str, ...]]
"""The name of a cell's references, and their digests as far as they are known."""

_LEAST = 3
"""Shorter names stand in other words too often to be looked for."""


def without_references(results: Results) -> Results:
    """The same cells, each reference called by a number, in order of appearance."""
    found = dict.fromkeys(_identity(cell) for cell in results if "image" in cell.params)
    names = {identity: f"reference {number}" for number, identity in enumerate(found, 1)}
    secrets = {name for name, _ in names}
    secrets |= {str(cell.params["image.label"]) for cell in results if "image.label" in cell.params}
    # Several references in one request are named together.
    secrets |= {name for cell in results for name in str(cell.params.get("image", "")).split(" + ")}
    references = {one for cell in results if cell.request is not None for one in cell.request.images}
    secrets |= {text for one in references for text in (one.url, one.source) if text and len(text) > 12}
    words = sorted((word for word in secrets if len(word) >= _LEAST), key=len, reverse=True)
    made = Results(
        [_without(cell, names, words) for cell in results],
        name=results.name,
        run_id=results.run_id,
        notes=[_scrubbed(note, words, "(reference)") for note in results.notes],
    )
    made.spent, made.stopped = results.spent, results.stopped
    return made


def _identity(cell: CellResult) -> Identity:
    """What tells a cell's references from others, also from those of the same name."""
    references = () if cell.request is None else cell.request.images
    return str(cell.params["image"]), tuple(one.digest for one in references)


def _without(cell: CellResult, names: dict[Identity, str], secrets: Sequence[str]) -> CellResult:
    params: dict[str, Any] = {key: value for key, value in cell.params.items() if key != "image.label"}
    title = cell.title
    if "image" in params:
        params["image"] = names[_identity(cell)]
        # In a title the reference's name is one part among others.
        title = _scrubbed(title, secrets, params["image"]) if "image" in cell.swept else title
    made = replace(
        cell,
        params=params,
        title=title,
        note=_scrubbed(cell.note, secrets, "(reference)"),
        metrics=dict(cell.metrics),
        parents=(),
        request=None,
    )
    made.outputs = [
        replace(output, cell=made, note=_scrubbed(output.note, secrets, "(reference)"))
        for output in cell.outputs
    ]
    return made


def _scrubbed(text: str, secrets: Sequence[str], word: str) -> str:
    for secret in secrets:
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _: word, text)
    return text
