"""A study as one file: gathers results, pictures and figures, writes the page, and logs it to the sweep's run."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image

from kontext_lab.errors import ConfigError, KontextLabError, WrongType, shown
from kontext_lab.figures.axis_choice import choose
from kontext_lab.figures.axis_values import Values
from kontext_lab.figures.effects_figure import effects
from kontext_lab.images import thumbnail
from kontext_lab.lab.change_maps import ChangeMaps
from kontext_lab.lab.lab import Lab
from kontext_lab.lab.lookup import with_requests
from kontext_lab.lab.report_cells import Maps, axes_of, cards_of, expected_pictures, without_references
from kontext_lab.redaction import get_logger
from kontext_lab.reports import (
    BRIGHTEST,
    Album,
    Fact,
    Page,
    PagePrompt,
    Plot,
    glowing,
    packed,
    render,
    replace_file,
    writable_file,
)
from kontext_lab.request import DEFAULT
from kontext_lab.results import ComparisonSource, Output, Results, State
from kontext_lab.results.labels import VERDICT
from kontext_lab.sweep.axes import value_text
from kontext_lab.sweep.wording import compared, shortened
from kontext_lab.tracking import Tracker

__all__ = ["report"]

log = get_logger(__name__)

ARTIFACT = "report.html"

LISTED = 12
"""Values of an axis that are named in the page's head; the pickers have them all."""

MAP_THREADS = 2

_SAME_RATIO = 0.03
"""Share by which ratios may differ where nobody waits for a registration."""

METRICS = ("change/area", "preserve/ssim")
"""What effects are drawn of where it was measured; verdicts besides."""

SIMULATED = "Simulated pictures: made by the sandbox, not by the model. Costs are simulated as well."


def report(
    results: Results,
    path: str | os.PathLike[str],
    *,
    references: bool = True,
    originals: str | os.PathLike[str] | None = None,
    lab: Lab | None = None,
) -> Path:
    """Write a study as one page that opens from a disk or a mail: pictures, pickers, numbers, effects.

    Also logged to the sweep's run as `report.html`, where the results are those of one; that it can't be is a
    warning, the file is there all the same.

    Args:
        results: the study.
        path: where to; a file that is there is replaced. The suffix `.html` may be left out.
        references: show the references. Without, the page holds no pixel of them and no name of their files.
        originals: a `.zip` to write besides: the exact bytes under readable names, and a table.
        lab: whose store holds them; None for the one the pictures were loaded from.

    Returns:
        The page's path, absolute.

    Raises:
        ConfigError: a file can't be written; says which.
        TrackingError: an original can't be loaded from the store.

    Example:
        >>> lab = kl.Lab("sandbox", quiet=True, measure=False)
        >>> results = lab.run(kl.Sweep("Add a bird.", kl.sample("coffee"), axes={"seed": [1, 2]}))
        >>> kl.report(results, "birds", lab=lab).name
        'birds.html'
        >>> lab.close()
    """
    if not isinstance(results, Results):
        raise WrongType(
            f"results must be kl.Results, not {type(results).__name__} (lab.load('last') reads some)"
        )
    target = writable_file(path, ".html", "report")
    archive = None if originals is None else writable_file(originals, ".zip", "originals")
    # The store that the pictures are in; there is none where nothing was loaded from one.
    addresses = (getattr(output.load, "uri", "") for output in results.outputs)
    uri = next(filter(None, addresses), "") if results.run_id else ""
    tracker = None
    trouble: KontextLabError = ConfigError(
        "which store the sweep is in is not known, report(…, lab=lab) tells"
    )
    try:
        tracker = lab.context.tracker if lab is not None else Tracker(uri) if uri else None
    except KontextLabError as error:
        trouble = error
    if not references:
        shown_results = without_references(results)
    else:
        shown_results = results
        with suppress(KontextLabError):  # a note on the page says that they are missing
            if tracker is not None and any(cell.request is None for cell in results):
                with_requests(tracker, results)
    data = _rendered(shown_results, references)
    replace_file(target, data, "report")
    if results.run_id:
        try:
            if tracker is None:
                raise trouble
            tracker.log_file(results.run_id, ARTIFACT, data)
        except KontextLabError as error:
            log.warning("the report is written, but not logged to MLflow: %s", error)
    if archive is not None:
        with tempfile.TemporaryDirectory() as folder:
            shown_results.save(folder)
            packed(Path(folder), archive, "originals")
    return target


def _rendered(results: Results, references: bool) -> bytes:
    values = Values(results)
    comparison_source = results.comparison_source or ChangeMaps()
    maps = _change_maps(results, comparison_source) if references else {}
    album = Album(expected_pictures(results, maps))
    choice = choose(values, None, None, None)
    count = sum(cell.simulated for cell in results)
    simulated = SIMULATED if count else ""
    if 0 < count < len(results):
        simulated = f"{count} of {len(results)} cells: {SIMULATED}"
    page = Page(
        title=results.name or "Results",
        summary=results.brief,
        simulated=simulated,
        facts=tuple(_facts(values)),
        prompts=tuple(_prompts(values)),
        notes=tuple(_notes(results, references)),
        axes=axes_of(values),
        rows=next(iter(choice.rows), ""),
        columns=next(iter(choice.columns), "") or choice.sheet,
        cards=tuple(cards_of(values, album, maps, comparison_source)),
        change=f"change map, brightest from a Lab distance of {BRIGHTEST:.0f} on, striped: not compared"
        + (" (simulated)" if results.simulated else ""),
        plots=tuple(_plots(results)),
    )
    return render(page, album.pictures)


def _change_maps(results: Results, comparison_source: ComparisonSource) -> Maps:
    """Change maps, computed anew since they are kept nowhere; of outputs that were measured, or have another ratio."""
    wanted = [
        (place, output)
        for place, cell in enumerate(results)
        for output in cell.outputs
        if output.is_picture and (METRICS[0] in output.metrics or _is_reframed(output))
    ]
    with ThreadPoolExecutor(MAP_THREADS, thread_name_prefix="kontext-lab report") as pool:
        maps = list(pool.map(lambda one: _change_map(one[1], comparison_source), wanted))
    return {
        (place, output.number): change if METRICS[0] in output.metrics else None
        for (place, output), change in zip(wanted, maps, strict=True)
    }


def _is_reframed(output: Output) -> bool:
    """An output of another ratio than its first reference: without registration nothing of it would line up."""
    request = output.cell.request
    width, height = request.images[0].sent_size if request is not None else (0, 0)
    known = all((width, height, output.width, output.height))
    return known and abs(width * output.height / (height * output.width) - 1) > _SAME_RATIO


def _change_map(output: Output, comparison_source: ComparisonSource) -> Image.Image | None:
    """The reference with its changes; None for a new picture, or one that can't be compared any more."""
    try:
        found = comparison_source.comparison(output)
        request = output.cell.request
        if request is None or not found.registered:
            return None
        reference = thumbnail(request.images[found.reference].png, max(found.change_map.shape))
    except KontextLabError:
        return None
    return glowing(reference, found.change_map, seen=found.seen)


def _facts(values: Values) -> Iterator[Fact]:
    """Time, service, axes, and the parameters that are the same throughout."""
    results = values.results
    services = dict.fromkeys("sandbox (simulated)" if cell.simulated else cell.service for cell in results)
    yield Fact("service", ", ".join(filter(None, services)) or "not known")
    days = [cell.arrived.astimezone() for cell in results if cell.arrived is not None]
    if days:
        first, last = f"{min(days):%d %b %Y %H:%M}", f"{max(days):%d %b %Y %H:%M}"
        yield Fact("pictures from", first if first == last else f"{first} to {last}")
    for key in values.axes:
        labels = shortened([value.label for value in values.of(key)], 60)
        more = f" … ({len(labels)})" if len(labels) > LISTED else ""
        yield Fact(key, ", ".join(labels[:LISTED]) + more)
    yield from _fixed(results)
    yield from _protected(results)
    if results.run_id:
        yield Fact("MLflow run", results.run_id)
    yield Fact(
        "report",
        f"{datetime.now().astimezone():%d %b %Y %H:%M}, kontext-lab {metadata.version('kontext-lab')}",
    )


def _fixed(results: Results) -> Iterator[Fact]:
    """Parameters that are the same in every cell; those left to the service in one line."""
    left = []
    for key in dict.fromkeys(key for cell in results for key in cell.params):
        values = (cell.params.get(key) for cell in results)
        texts = {str(value) if key == "image" else value_text(key, value) for value in values}
        if len(texts) > 1 or key == "prompt" or key.endswith(".label"):
            continue
        text = texts.pop()
        if text == DEFAULT:
            left.append(key)
        else:
            yield Fact(key, text)
    if left:
        yield Fact("left to the service", ", ".join(left))


def _protected(results: Results) -> Iterator[Fact]:
    """Names of the boxes, by reference where several have some."""
    found: dict[str, dict[str, None]] = {}
    for cell in results:
        images = cell.request.images if cell.request is not None else ()
        label = str(cell.params.get("image.label", ""))
        for at, boxes in enumerate(cell.protect):
            name = (label if len(cell.protect) == 1 else "") or (images[at].name if images else "")
            if boxes:
                found.setdefault(name, {}).update(dict.fromkeys(boxes))
    lines = [
        ", ".join(boxes) if len(found) == 1 else f"{name}: {', '.join(boxes)}"
        for name, boxes in found.items()
    ]
    if lines:
        yield Fact("protected", "; ".join(lines))


def _prompts(values: Values) -> Iterator[PagePrompt]:
    """Every prompt in full; where words vary, with the words' names in their places."""
    if "prompt" not in values.keys:
        return
    found = values.of("prompt")
    texts = [value.full or value.label for value in found]
    for value, text in zip(found, texts, strict=True):
        wording = compared(texts[0], text)
        told = wording.related and not wording.same
        yield PagePrompt(
            value.label if len(found) > 1 and value.full else "", text, wording.pieces if told else ()
        )


def _notes(results: Results, references: bool) -> Iterator[str]:
    yield from dict.fromkeys((*results.notes, *filter(None, [results.missing_line])))
    if not len(results):
        yield "There are no cells."
        return
    if not any(output.is_picture for output in results.outputs):
        yield "No cell has a picture: each says why."
    if results.counts[State.IN_DOUBT]:
        yield "Cells in doubt may have been billed besides what is counted here."
    if not references:
        yield "What was given to the model is left out of this page."
    elif any(cell.request is None and cell.fingerprint for cell in results):
        yield "Some references are not at hand any more: those cells show their outputs alone."


def _plots(results: Results) -> Iterator[Plot]:
    """Effects on what was measured and judged; of a single cell there are none."""
    if len(results) < 2:
        return
    names = dict.fromkeys(name for output in results.outputs for name in output.metrics)
    measured = [name for name in METRICS if name in names]
    for metric in (*measured, *(name for name in names if name.startswith(VERDICT))):
        try:
            light, dark = (effects(results, metric, dark=dark) for dark in (False, True))
            yield Plot(metric, _png(light.figure), light.sentences, _png(dark.figure))
        except KontextLabError as error:
            yield Plot(metric, sentences=(str(error),))
        except Exception as error:  # whatever a value does to a figure, the report is written
            log.warning("effects on %s can't be drawn: %s", metric, shown(error, 200))
            log.debug("what kept effects from being drawn", exc_info=True)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
