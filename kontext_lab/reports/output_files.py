"""Files that are written whole or not at all: written beside their target and moved into its place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kontext_lab.errors import ConfigError, shown

__all__ = ["replace_file", "writable_file"]


def writable_file(path: str | os.PathLike[str], suffix: str, what: str) -> Path:
    """Return the absolute path if a file can be written there; called before the content is made.

    Args:
        path: with this suffix, or without one: then it is added.
        suffix: `.html`.
        what: name of the file in an error.

    Raises:
        ConfigError: it is a folder, has another suffix, or its folder doesn't exist or can't be written.
    """
    try:
        target = Path(path).expanduser().absolute()
        is_folder = target.is_dir()
    except (TypeError, RuntimeError, ValueError, OSError) as error:  # RuntimeError: ~ without a home
        raise ConfigError(f"{what}: {shown(path)} is not a file name: {_reason(error)}") from None
    if is_folder:
        raise ConfigError(f"{what}: {shown(str(target))} is a folder, give a file such as study{suffix}")
    if not target.suffix:
        target = target.with_name(target.name + suffix)
    if target.suffix.lower() != suffix:
        raise ConfigError(f"{what}: {shown(target.name)} must end in {suffix}")
    with _disk_errors(target, what), tempfile.TemporaryFile(dir=target.parent):
        return target


def replace_file(target: Path, write: Callable[[BinaryIO], object], what: str) -> None:
    """Write a file in one go, replacing an existing one.

    Raises:
        ConfigError: it can't be written; an existing file is left as it was.
    """
    with _disk_errors(target, what):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:80]}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            # mkstemp lets only the owner read it; a report gets the permissions of any new file.
            mask = os.umask(0o022)  # it can only be read by setting it
            os.umask(mask)
            Path(name).chmod(0o666 & ~mask)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


@contextmanager
def _disk_errors(target: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ConfigError(f"{what}: {shown(str(target))} can't be written: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
