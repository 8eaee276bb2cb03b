"""Results as files in a folder: the exact bytes under readable names, and a table for spreadsheets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kontext_lab.errors import ConfigError, OutputMissing, shown
from kontext_lab.results.cell import CellResult, Output
from kontext_lab.results.states import MISSING
from kontext_lab.sweep.wording import shortened
from kontext_lab.sweep.yaml_file import safe_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["checked_folder", "csv_text", "missing_line", "save", "writable_folder"]

NAMED = 5
"""Most cells that are named if their pictures are missing."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings of texts that a spreadsheet takes for a formula."""


def csv_text(frame: pd.DataFrame) -> str:
    """A table as CSV in which no cell is a formula to a spreadsheet."""

    def neutral(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        # Some readers end a row at a lone carriage return.
        text = value.replace("\r\n", "\n").replace("\r", "\n")
        # A leading apostrophe marks text in a spreadsheet.
        return "'" + text if text.startswith(FORMULA) else text

    # Names of people's own metrics are titles of columns.
    return frame.map(neutral).rename(columns=neutral).to_csv(index=False)


def checked_folder(folder: str | Path) -> Path:
    """The folder as a path, if it exists or could be made as far as permissions tell; else a ConfigError."""
    try:
        target = Path(folder).expanduser()
        place = next(path for path in (target, *target.absolute().parents) if os.path.lexists(path))
    except (TypeError, RuntimeError, ValueError) as error:  # ~ without a home, a null byte in the name
        raise ConfigError(f"{shown(folder)} is not the name of a folder: {error}") from None
    if not place.is_dir():
        what = "is a file" if place == target else f"can't be written: {shown(str(place))} is a file"
        raise ConfigError(f"{shown(str(target))}: {what}, give a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{shown(str(target))}: can't be written: no right to write in {shown(str(place))}")
    return target


def writable_folder(folder: str | Path) -> Path:
    """The folder, made if it is missing, and tested by writing to it; else a ConfigError."""
    target = checked_folder(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            return target
    except (OSError, ValueError) as error:  # ValueError: letters that the file system's encoding lacks
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{shown(str(target))}: can't be written: {reason}") from None


def missing_line(missing: Sequence[Output], outputs: Sequence[Output]) -> str:
    """The number and the location of missing pictures among outputs in one line; "" if there are none."""
    if not missing:
        return ""
    count = sum(1 for output in outputs if output.sha256)
    place = getattr(missing[0].load, "place", "") or "the store"
    return f"{len(missing)} of {count} pictures {'is' if len(missing) == 1 else 'are'} missing in {place}"


def save(cells: Sequence[CellResult], frame: pd.DataFrame, folder: str | Path) -> str:
    """Write every picture and `index.csv` into a folder; returns a line that names what is missing, or "".

    The frame is the table of these cells, one row per output, and gets the column `file`.
    """
    target = writable_folder(folder)
    files: list[str] = []
    reasons = list(frame.get("reason", ()))  # results without cells make a table without columns
    missing = []
    width = len(str(len(cells)))
    titles = [safe_name(title) for title in shortened([cell.title for cell in cells], 80)]
    try:
        for number, (cell, title) in enumerate(zip(cells, titles, strict=True), 1):
            for output in (*cell.outputs,) or (None,):
                name = ""
                if output is not None and output.sha256:
                    part = f" {output.number}" if len(cell.outputs) > 1 else ""
                    name = f"{number:0{width}} {title}{part}.{output.file_name.rpartition('.')[2]}"
                    try:
                        (target / name).write_bytes(output.bytes)
                    except OutputMissing:
                        missing.append(output)
                        reasons[len(files)] = MISSING
                        name = ""
                files.append(name)
        if reasons:
            frame["reason"] = reasons
        frame.insert(0, "file", files)
        (target / "index.csv").write_text(csv_text(frame), encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{shown(str(target))}: can't be written: {reason}") from None
    if not missing:
        return ""
    names = ", ".join(output.cell.title for output in missing[:NAMED]) + (" …" if missing[NAMED:] else "")
    return (
        f"{missing_line(missing, [output for cell in cells for output in cell.outputs])}, not saved: {names}"
    )
