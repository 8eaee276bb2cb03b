"""`kontext-lab report`: a sweep of the store as one page, and how large it became."""

from __future__ import annotations

from pathlib import Path

from kontext_lab.cli.output import FAILED, OK, say
from kontext_lab.errors import ConfigError
from kontext_lab.reports import writable_file
from kontext_lab.results import Results, safe_name

__all__ = ["write_report"]

MAILED = 20_000_000
"""Bytes from which many mail servers refuse an attachment."""


def write_report(which: str, *, out: Path | None, references: bool, originals: Path | None) -> int:
    """Write a sweep's report, and say where it is."""
    for path, suffix, what in ((out, ".html", "report"), (originals, ".zip", "originals")):
        if path is not None:
            writable_file(path, suffix, what)  # before anything is loaded
    from kontext_lab.lab import Lab  # noqa: PLC0415 - heavy, so after what can be wrong with the words
    from kontext_lab.reports.builder import report  # noqa: PLC0415

    with Lab("sandbox", quiet=True) as lab:
        results = lab.load(which)
        target = report(results, out or _named(results), references=references, originals=originals, lab=lab)
    say(f"{results.name}: {results.brief}")
    say(f"{target}, {_size(target)}")
    if target.stat().st_size > MAILED:
        say("  too large for many mail servers: fewer cells make it smaller", err=True)
    if originals is not None:
        archive = writable_file(originals, ".zip", "originals")
        say(f"{archive}, {_size(archive)}: the exact bytes and index.csv")
    if results.missing:
        say(f"  {results.missing_line}", err=True)
        return FAILED
    return OK


def _named(results: Results) -> Path:
    """A file in the working folder, called as the sweep is."""
    if not len(results):
        raise ConfigError("report: the sweep has no cells")
    return Path(f"{safe_name(results.name)}.html")


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{max(1, size // 1000)} kB"
