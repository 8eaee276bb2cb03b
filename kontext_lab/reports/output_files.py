"""Files that are there whole or not at all: written beside their place and moved into it."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kontext_lab.errors import ConfigError, shown

__all__ = ["packed", "replace_file", "writable_file"]


def writable_file(path: str | os.PathLike[str], suffix: str, what: str) -> Path:
    """The path, absolute, if a file can be written there: asked before anything is made that should go into it.

    Args:
        path: with this suffix, or without one: then it is added.
        suffix: `.html`.
        what: what the file is to be, for the error.

    Raises:
        ConfigError: it is a folder, has another suffix, or its folder isn't there or can't be written.
    """
    try:
        target = Path(path).expanduser().absolute()
        is_folder = target.is_dir()
    except (TypeError, RuntimeError, ValueError, OSError) as error:  # RuntimeError: ~ without a home
        raise ConfigError(f"{what}: {shown(path)} is no file: {_reason(error)}") from None
    if is_folder:
        raise ConfigError(f"{what}: {shown(str(target))} is a folder, give a file such as study{suffix}")
    if not target.suffix:
        target = target.with_name(target.name + suffix)
    if target.suffix.lower() != suffix:
        raise ConfigError(f"{what}: {shown(target.name)}, allowed is a name that ends in {suffix}")
    with _told(target, what), tempfile.TemporaryFile(dir=target.parent):
        return target


def replace_file(target: Path, data: bytes, what: str) -> None:
    """Write a file in one go, in place of the one that is there.

    Raises:
        ConfigError: it can't be written; then what was there still is.
    """
    _replaced(target, what, lambda file: file.write(data))


def packed(folder: Path, target: Path, what: str) -> None:
    """A .zip of all files in a folder, in place of the one that is there.

    Raises:
        ConfigError: it can't be written; then what was there still is.
    """

    def fill(file: BinaryIO) -> None:
        # Pictures are packed already: stored, not deflated.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for found in sorted(one for one in folder.rglob("*") if one.is_file()):
                archive.write(found, found.relative_to(folder).as_posix())

    _replaced(target, what, fill)


def _replaced(target: Path, what: str, fill: Callable[[BinaryIO], object]) -> None:
    with _told(target, what):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:80]}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                fill(file)
            # mkstemp makes it its owner's alone; a report is as open as any file of the person.
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextmanager
def _told(target: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ConfigError(f"{what}: {shown(str(target))} can't be written: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
