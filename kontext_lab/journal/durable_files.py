"""Files that are either whole or absent, also after a power cut: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kontext_lab.errors import ConfigError, shown

__all__ = [
    "HOME_VARIABLE",
    "clear_out",
    "create_durably",
    "make_folder",
    "private_folder",
    "read_json",
    "seal",
    "set_aside",
    "sync_folder",
    "write_durably",
    "write_json",
]

HOME_VARIABLE = "KONTEXT_LAB_HOME"

_GONE = ".gone-"


def write_durably(file: Path, data: bytes) -> None:
    """Write a file that is on disk, whole and under its name, when this returns.

    Raises:
        OSError: it can't be; nothing is left behind under the name.
    """
    # A unique name: two workers may write the same file if an executor runs a task twice.
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
    """Create a file that does not exist yet; of several callers, on several machines, one succeeds and gets True.

    Raises:
        OSError: the folder is missing or can't be written; the file may exist or not.
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
    """Write facts durably as a JSON file that a person can read."""
    write_durably(file, json.dumps(facts, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def read_json(file: Path) -> dict[str, Any] | None:
    """The facts of a JSON file; None if it is missing or can't be read."""
    try:
        facts = json.loads(file.read_bytes().decode("utf-8", "surrogatepass"))
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def make_folder(folder: Path) -> None:
    """Make a folder durably, readable by its owner alone."""
    folder.mkdir(mode=0o700)
    sync_folder(folder.parent)


def set_aside(folder: Path) -> Path | None:
    """Rename a folder so that it counts as removed; returns its new path.

    Returns None if it is missing or can't be renamed; then the next run finds it again.
    """
    gone = folder.with_name(f"{_GONE}{uuid.uuid4().hex}")
    try:
        folder.rename(gone)
    except OSError:
        return None
    return gone


def clear_out(folder: Path) -> None:
    """Remove the folders that `set_aside` renamed in a folder, also in an earlier process."""
    for gone in folder.glob(f"{_GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)


def private_folder(folder: Path) -> Path:
    """The folder, made if it is missing, readable by its owner alone.

    Raises:
        ConfigError: it can't be made, or is not a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"the journal's folder {shown(str(folder))} can't be used: {reason}; {HOME_VARIABLE} sets another"
        ) from None
    return folder


def seal(folder: Path) -> None:
    """Make the contents of a folder durable, and readable by its owner alone."""
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
