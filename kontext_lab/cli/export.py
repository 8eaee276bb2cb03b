"""The commands `measure`, `export` and `report`: values and files from a sweep in the store."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kontext_lab.cli.output import FAILED, OK, counted, say
from kontext_lab.errors import ConfigError, TrackingError

__all__ = ["export", "measure", "report"]

PATH = click.Path(path_type=Path)
_MEASURES = {
    "change/area": ("changed", "{:.1%}"),
    "preserve/ssim": ("rest kept, similarity", "{:.3f}"),
    "preserve/delta_e": ("colour of the rest, Lab distance", "{:.1f}"),
}
_LINES_SHOWN = 5  # of pictures that could not be measured
_MAILED = 20_000_000  # bytes from which many mail servers refuse an attachment


@click.command()
@click.argument("which", metavar="RUN")
def measure(which: str) -> int:
    """Measure what a sweep's edits changed and what they kept; log it to MLflow. Free."""
    from kontext_lab.lab import Lab

    with Lab("sandbox", quiet=True) as lab:
        lab.context.tracker.store.check_writable()
        results = lab.load(which)
        before = len(results.notes)
        try:
            lab.measure(results, progress=sys.stderr.isatty())
        except TrackingError as error:
            results.notes.append(f"{error}; `kontext-lab measure {which}` measures the rest")
    outputs = [output for output in results.outputs if "align/registered" in output.metrics]
    simulated = any(output.cell.simulated for output in outputs)
    say(
        f"{results.name}: {counted(len(outputs), 'picture', 'pictures')} measured"
        + (" (simulated)" if simulated else "")
    )
    for name, (words, form) in _MEASURES.items():
        values = sorted(output.metrics[name] for output in outputs if name in output.metrics)
        if values:
            low, middle, high = map(form.format, (values[0], values[len(values) // 2], values[-1]))
            say(f"  {words}: {middle} in the middle, from {low} to {high}")
    strange = sum(output.metrics.get("align/registered") == 0 for output in outputs)
    if strange:
        say(f"  {strange} of them are new pictures: they share nothing with their references")
    trouble = results.notes[before:]
    for line in trouble[:_LINES_SHOWN]:
        say(line, err=True)
    if len(trouble) > _LINES_SHOWN:
        say(f"… and {len(trouble) - _LINES_SHOWN} more could not be measured", err=True)
    return FAILED if trouble else OK


@click.command()
@click.argument("which", metavar="RUN")
@click.argument("folder", metavar="DIR", type=PATH)
def export(which: str, folder: Path) -> int:
    """Save a sweep's pictures, byte for byte, and index.csv."""
    from kontext_lab.results import checked_folder

    checked_folder(folder)
    from kontext_lab.lab import Lab  # heavy, so only once the folder is known to be right

    results = Lab("sandbox").load(which)
    before = len(results.notes)
    target = results.save(folder)
    # A picture that could not be saved adds a note.
    lost = len(results.missing) or len(results.notes) - before
    count = sum(1 for output in results.outputs if output.sha256) - lost
    say(f"{count} pictures and index.csv in {target}")
    return FAILED if lost else OK


@click.command()
@click.argument("which", metavar="RUN")
@click.option("--out", type=PATH, metavar="FILE", help="Default: the sweep's name with .html.")
@click.option("--no-references", is_flag=True, help="Leave out the references.")
@click.option("--originals", type=PATH, metavar="FILE.zip", help="Also save the original files as a zip.")
def report(which: str, out: Path | None, no_references: bool, originals: Path | None) -> int:
    """Write a sweep as one page that opens anywhere: pictures, pickers, numbers. Also added to its run."""
    from kontext_lab.reports import writable_file
    from kontext_lab.results import safe_name

    for path, suffix, what in ((out, ".html", "report"), (originals, ".zip", "originals")):
        if path is not None:
            writable_file(path, suffix, what)  # before anything is loaded
    from kontext_lab.lab import Lab
    from kontext_lab.reports.builder import report as write_report

    with Lab("sandbox", quiet=True) as lab:
        results = lab.load(which)
        if out is None and not len(results):
            raise ConfigError("report: the sweep has no cells")
        target = write_report(
            results,
            out or Path(f"{safe_name(results.name)}.html"),
            references=not no_references,
            originals=originals,
            lab=lab,
        )
    say(f"{results.name}: {results.brief}")
    say(f"{target}, {_size(target)}")
    if target.stat().st_size > _MAILED:
        say("  too large for many mail servers: fewer cells make it smaller", err=True)
    if originals is not None:
        archive = writable_file(originals, ".zip", "originals")
        say(f"{archive}, {_size(archive)}: the exact bytes and index.csv")
    if results.missing:
        say(f"  {results.missing_line}", err=True)
        return FAILED
    return OK


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{max(1, size // 1000)} kB"
