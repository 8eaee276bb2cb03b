"""`kl.report`: gathers results, pictures and figures, writes the page, and logs it to the sweep's run."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image

from kontext_lab.errors import ConfigError, KontextLabError, WrongType, shown
from kontext_lab.figures.axis_values import Values, choose
from kontext_lab.figures.effects_figure import effects
from kontext_lab.figures.pictures import change_picture
from kontext_lab.figures.text import first_few
from kontext_lab.images.heat_map import BRIGHTEST
from kontext_lab.lab.change_maps import ChangeMaps
from kontext_lab.lab.lab import Lab
from kontext_lab.lab.lookup import with_requests
from kontext_lab.redaction import get_logger
from kontext_lab.reports.album import Album
from kontext_lab.reports.anonymous import without_references
from kontext_lab.reports.cards import Maps, cards_of
from kontext_lab.reports.output_files import replace_file, writable_file
from kontext_lab.reports.page import Fact, Page, PagePrompt, Plot, render
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
"""Share by which the ratio of an output may differ from its reference's without being registered."""

METRICS = ("change/area", "preserve/ssim")
"""Metrics whose effects are drawn if they were measured; verdicts besides."""

SIMULATED = "Simulated pictures: made by the sandbox, not by the model. Costs are simulated as well."


def report(
    results: Results,
    path: str | os.PathLike[str],
    *,
    references: bool = True,
    originals: str | os.PathLike[str] | None = None,
    lab: Lab | None = None,
) -> Path:
    """Write results as one HTML page that opens from a disk or a mail: pictures, pickers, numbers, effects.

    The page is also logged to the sweep's run as `report.html`, if the results are those of one sweep. If that fails, a
    warning is logged; the file is written all the same.

    Args:
        results: of a sweep, or of several together.
        path: the file to write, replacing an existing one. The suffix `.html` may be left out.
        references: show the references. Without, the page holds no pixel of them and no name of their files.
        originals: a `.zip` to write as well: the exact bytes under readable names, and a table.
        lab: the lab whose store holds the results; None for the store that the pictures were loaded from.

    Returns:
        The page's absolute path.

    Raises:
        ConfigError: a file can't be written; says which.
        WrongType: `results` are not results.
        TrackingError: an original can't be loaded from the store.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> kl.report(kl.Results([], name="empty"), f"{folder.name}/study").name
        'study.html'
        >>> folder.cleanup()
    """
    if not isinstance(results, Results):
        raise WrongType(
            f"results must be kl.Results, not {type(results).__name__} (lab.load('last') returns those of the last sweep)"
        )
    target = writable_file(path, ".html", "report")
    archive = None if originals is None else writable_file(originals, ".zip", "originals")
    tracker = None
    trouble: KontextLabError = ConfigError("the store of the sweep is not known, give report(…, lab=lab)")
    try:
        tracker = _tracker_of(results) if lab is None else lab.context.tracker
    except KontextLabError as error:
        trouble = error
    reported = results if references else without_references(results)
    if references and tracker is not None and any(cell.request is None for cell in results):
        with suppress(KontextLabError):  # a note on the page says that references are missing
            reported = with_requests(tracker, results)
    data = _rendered(reported, references)
    replace_file(target, lambda file: file.write(data), "report")
    if results.run_id:
        try:
            if tracker is None:
                raise trouble
            tracker.log_file(results.run_id, ARTIFACT, data)
        except KontextLabError as error:
            log.warning("the report is written, but not logged to MLflow: %s", error)
    if archive is not None:
        with tempfile.TemporaryDirectory() as folder:
            reported.save(folder)
            replace_file(archive, lambda file: _zip(Path(folder), file), "originals")
    return target


def _zip(folder: Path, file: Any) -> None:
    # Pictures are compressed already: stored, not deflated.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())


def _tracker_of(results: Results) -> Tracker | None:
    """The store that holds the pictures; None if they were not loaded from one."""
    addresses = (getattr(output.load, "uri", "") for output in results.outputs)
    uri = next(filter(None, addresses), "") if results.run_id else ""
    return Tracker(uri) if uri else None


def _rendered(results: Results, references: bool) -> bytes:
    values = Values(results)
    source = results.comparison_source or ChangeMaps()
    maps = _change_maps(results, source) if references else {}
    held = {one.digest for cell in results if cell.request for one in cell.request.images if one.png}
    changes = sum(change is not None for change in maps.values())
    album = Album(sum(output.is_picture for output in results.outputs) + len(held) + changes)
    choice = choose(values, None, None, None)
    simulated = sum(cell.simulated for cell in results)
    mark = SIMULATED if simulated == len(results) else f"{simulated} of {len(results)} cells: {SIMULATED}"
    page = Page(
        title=results.name or "Results",
        summary=results.brief,
        simulated=mark if simulated else "",
        facts=tuple(_facts(values)),
        prompts=tuple(_prompts(values)),
        notes=tuple(_notes(results, references)),
        axes={key: [(value.label, value.full) for value in values.of(key)] for key in values.axes},
        rows=next(iter(choice.rows), ""),
        columns=next(iter(choice.columns), "") or choice.sheet,
        cards=tuple(cards_of(values, album, maps, source)),
        change=f"change map, brightest from a Lab distance of {BRIGHTEST:.0f} on, striped: not compared"
        + (" (simulated)" if results.simulated else ""),
        plots=tuple(_plots(results)),
    )
    return render(page, album.pictures)


def _change_maps(results: Results, source: ComparisonSource) -> Maps:
    """Change maps of outputs that were measured or re-framed; computed anew, as they are not stored."""
    wanted = [
        (index, output)
        for index, cell in enumerate(results)
        for output in cell.outputs
        if output.is_picture and (METRICS[0] in output.metrics or _is_reframed(output))
    ]
    with ThreadPoolExecutor(MAP_THREADS, thread_name_prefix="kontext-lab report") as pool:
        maps = list(pool.map(lambda one: _change_map(one[1], source), wanted))
    return {
        (index, output.number): change if METRICS[0] in output.metrics else None
        for (index, output), change in zip(wanted, maps, strict=True)
    }


def _is_reframed(output: Output) -> bool:
    """True if the output has another ratio than its first reference, so that they align only after registration."""
    request = output.cell.request
    width, height = request.images[0].sent_size if request is not None else (0, 0)
    known = all((width, height, output.width, output.height))
    return known and abs(width * output.height / (height * output.width) - 1) > _SAME_RATIO


def _change_map(output: Output, source: ComparisonSource) -> Image.Image | None:
    """The reference with its changes; None for a new picture, or if they can't be compared any more."""
    try:
        found = source.comparison(output)
        return change_picture(output, found, max(found.change_map.shape)) if found.registered else None
    except KontextLabError:
        return None


def _facts(values: Values) -> Iterator[Fact]:
    """Service, time, the parameters that vary and those that don't."""
    results = values.results
    services = dict.fromkeys("sandbox (simulated)" if cell.simulated else cell.service for cell in results)
    yield "service", ", ".join(filter(None, services)) or "not known"
    days = [cell.arrived.astimezone() for cell in results if cell.arrived is not None]
    if days:
        first, last = f"{min(days):%d %b %Y %H:%M}", f"{max(days):%d %b %Y %H:%M}"
        yield "pictures from", first if first == last else f"{first} to {last}"
    for key in values.axes:
        yield key, first_few(shortened([value.label for value in values.of(key)], 60), LISTED)
    yield from _fixed(results)
    yield from _protected(results)
    if results.run_id:
        yield "MLflow run", results.run_id
    now = datetime.now().astimezone()
    yield "report", f"{now:%d %b %Y %H:%M}, kontext-lab {metadata.version('kontext-lab')}"


def _fixed(results: Results) -> Iterator[Fact]:
    """Parameters that are the same in every cell; those left to the service in one line."""
    defaults = []
    for key in dict.fromkeys(key for cell in results for key in cell.params):
        if key == "prompt" or key.endswith(".label"):
            continue
        values = (cell.params.get(key) for cell in results)
        texts = {str(value) if key == "image" else value_text(key, value) for value in values}
        if texts == {DEFAULT}:
            defaults.append(key)
        elif len(texts) == 1:
            yield key, texts.pop()
    if defaults:
        yield "left to the service", ", ".join(defaults)


def _protected(results: Results) -> Iterator[Fact]:
    """Names of the protected boxes, by reference if several have some."""
    by_reference: dict[str, dict[str, None]] = {}
    for cell in results:
        images = cell.request.images if cell.request is not None else ()
        label = str(cell.params.get("image.label", ""))
        for at, boxes in enumerate(cell.protect):
            name = (label if len(cell.protect) == 1 else "") or (images[at].name if images else "")
            if boxes:
                by_reference.setdefault(name, {}).update(dict.fromkeys(boxes))
    lines = [
        ", ".join(boxes) if len(by_reference) == 1 else f"{name}: {', '.join(boxes)}"
        for name, boxes in by_reference.items()
    ]
    if lines:
        yield "protected", "; ".join(lines)


def _prompts(values: Values) -> Iterator[PagePrompt]:
    """Every prompt in full, with placeholders where words vary."""
    if "prompt" not in values.keys:
        return
    prompts = values.of("prompt")
    texts = [value.full or value.label for value in prompts]
    for value, text in zip(prompts, texts, strict=True):
        wording = compared(texts[0], text)
        name = value.label if len(prompts) > 1 and value.full else ""
        differs = wording.related and not wording.same
        yield PagePrompt(name, text, wording.pieces if differs else ())


def _notes(results: Results, references: bool) -> Iterator[str]:
    yield from dict.fromkeys((*results.notes, *filter(None, [results.missing_line])))
    if not len(results):
        yield "There are no cells."
        return
    if not any(output.is_picture for output in results.outputs):
        yield "No cell has a picture; each card says why."
    if results.counts[State.IN_DOUBT]:
        yield "Cells in doubt may have been billed in addition to the costs shown."
    if not references:
        yield "References are left out of this page."
    elif any(cell.request is None and cell.fingerprint for cell in results):
        yield "Some references can no longer be loaded; their cells show only the outputs."


def _plots(results: Results) -> Iterator[Plot]:
    """Effects on measured values and verdicts; none for a single cell."""
    if len(results) < 2:
        return
    names = dict.fromkeys(name for output in results.outputs for name in output.metrics)
    verdicts = [name for name in names if name.startswith(VERDICT)]
    for metric in [name for name in METRICS if name in names] + verdicts:
        try:
            light, dark = (effects(results, metric, dark=dark) for dark in (False, True))
            yield Plot(metric, _png(light.figure), light.sentences, _png(dark.figure))
        except KontextLabError as error:
            yield Plot(metric, sentences=(str(error),))
        except Exception as error:  # a figure that fails must not prevent the report
            log.warning("effects on %s can't be drawn: %s", metric, shown(error, 200))
            log.debug("traceback of the figure", exc_info=True)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
