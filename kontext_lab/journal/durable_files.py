"""Files that are whole or not there, also after a power cut: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "clear_out",
    "create_durably",
    "make_folder",
    "read_json",
    "seal",
    "set_aside",
    "sync_folder",
    "write_durably",
    "write_json",
]

_GONE = ".gone-"


def write_durably(file: Path, data: bytes) -> None:
    """Write a file that is on disk, whole and under its name, when this returns.

    Raises:
        OSError: it can't be; nothing is left behind under the name.
    """
    # A name of its own: two workers may be at the same file, where an executor ran a task twice.
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def create_durably(file: Path, text: str) -> bool:
    """Create a file that is not there yet; of several callers, on several machines, one succeeds.

    Returns:
        Whether this call created it.

    Raises:
        OSError: the folder is missing or can't be written; the file may be there or not.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(file.parent)
    return True


def write_json(file: Path, facts: Mapping[str, Any]) -> None:
    """Facts as a JSON file that a person can read."""
    write_durably(file, json.dumps(facts, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def read_json(file: Path) -> dict[str, Any] | None:
    """The facts of a JSON file; None where there is none, or none that can be read."""
    try:
        found = json.loads(file.read_bytes().decode("utf-8", "surrogatepass"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def make_folder(folder: Path) -> None:
    """A new folder, known to its parent also after a power cut."""
    folder.mkdir(mode=0o700)
    sync_folder(folder.parent)


def set_aside(folder: Path) -> Path | None:
    """Take a folder's name away, so that it counts as removed; what is left of it, or None if it isn't there.

    None as well where the system won't have it: what still lies there is looked at by the next run.
    """
    gone = folder.with_name(f"{_GONE}{uuid.uuid4().hex}")
    try:
        folder.rename(gone)
    except OSError:
        return None
    return gone


def clear_out(folder: Path) -> None:
    """Remove what `set_aside` left in a folder, also in an earlier process."""
    for gone in folder.glob(f"{_GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)


def seal(folder: Path) -> None:
    """Make all that somebody wrote into a folder durable, and its owner's alone."""
    for path in sorted(folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if path.is_dir():
            sync_folder(path)
            continue
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the folder's list of names durable, where the platform can."""
    if os.name != "posix":
        return  # Windows opens no folders; its file system keeps a journal of names itself
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
