"""Results as files in a folder: the exact bytes under readable names, and a table that spreadsheets open."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kontext_lab.errors import ConfigError, OutputMissing, shown
from kontext_lab.redaction import get_logger
from kontext_lab.results.states import MISSING
from kontext_lab.sweep.wording import shortened
from kontext_lab.sweep.yaml_file import safe_name

if TYPE_CHECKING:
    import pandas as pd

    from kontext_lab.results.cell import Output
    from kontext_lab.results.results import Results

__all__ = ["checked_folder", "csv_text", "missing_line", "save", "writable_folder"]

log = get_logger(__name__)

NAMED = 5
"""Cells that are named where their pictures are missing."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet takes for a formula."""


def csv_text(frame: pd.DataFrame) -> str:
    """A table as CSV in which no cell is a formula to a spreadsheet."""

    def neutral(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        # Not every reader takes a lone carriage return for a part of the text.
        text = value.replace("\r\n", "\n").replace("\r", "\n")
        # A leading apostrophe is how spreadsheets are told that text is text.
        return "'" + text if text.startswith(FORMULA) else text

    # A metric of somebody's own heads a column by its name.
    return frame.map(neutral).rename(columns=neutral).to_csv(index=False)


def checked_folder(folder: str | Path) -> Path:
    """The folder as a path, if it is there or could be made as far as a look tells; makes nothing.

    Raises:
        ConfigError: it is a file, or lies where nothing can be made.
    """
    try:
        target = Path(folder).expanduser()
        place = next(one for one in (target, *target.absolute().parents) if os.path.lexists(one))
    except (TypeError, RuntimeError, ValueError) as error:  # ~ without a home, a null byte in the name
        raise ConfigError(f"{shown(folder)} is no folder: {error}") from None
    if not place.is_dir():
        what = "is a file" if place == target else f"can't be written: {shown(str(place))} is a file"
        raise ConfigError(f"{shown(str(target))}: {what}, give a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{shown(str(target))}: can't be written: no right to write in {shown(str(place))}")
    return target


def writable_folder(folder: str | Path) -> Path:
    """The folder, made if it isn't there, and tried: asked before anything is paid that should go into it.

    Raises:
        ConfigError: it can't be made or written.
    """
    target = checked_folder(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            return target
    except (OSError, ValueError) as error:  # ValueError: letters that the file system's encoding lacks
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{shown(str(target))}: can't be written: {reason}") from None


def missing_line(missing: Sequence[Output], outputs: Sequence[Output]) -> str:
    """How many pictures are missing, and where the first was looked for; "" where none is.

    Args:
        missing: the outputs that are.
        outputs: all of them.
    """
    if not missing:
        return ""
    count = sum(1 for output in outputs if output.sha256)
    place = getattr(missing[0].load, "place", "") or "the store"
    return f"{len(missing)} of {count} pictures {'is' if len(missing) == 1 else 'are'} missing in {place}"


def save(results: Results, folder: str | Path) -> Path:
    """Write every picture and `index.csv`; what is missing in the store is left out and named.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder can't be made or written.
    """
    target = writable_folder(folder)
    frame = results.to_frame()
    files: list[str] = []
    reasons = list(frame.get("reason", ()))  # results without cells make a table without columns
    missing = []
    width = len(str(len(results)))
    titles = [safe_name(title) for title in shortened([cell.title for cell in results], 80)]
    try:
        for number, (cell, title) in enumerate(zip(results, titles, strict=True), 1):
            for output in (*cell.outputs,) or (None,):
                name = ""
                if output is not None and output.sha256:
                    part = f" {output.number}" if len(cell.outputs) > 1 else ""
                    suffix = output.file_name.rpartition(".")[2]
                    name = f"{number:0{width}} {title}{part}.{suffix}"
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
    if missing:
        names = ", ".join(output.cell.title for output in missing[:NAMED]) + (" …" if missing[NAMED:] else "")
        line = f"{missing_line(missing, results.outputs)}, not saved: {names}"
        results.notes.append(line)
        log.warning("%s", line)
    return target
