"""Safe reading of a file that a person named: a regular one, of limited size.

A path may lead to an endless device, to a pipe without a writer, or to a file larger than the memory. Knows no pictures.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["MAX_REFERENCE_BYTES", "encodable", "read_file", "too_large"]

MAX_REFERENCE_BYTES = 32 * 1024 * 1024
"""Largest reference: as a file, as bytes, as an address serves it, and as it is sent."""

_KINDS = {
    stat.S_IFDIR: "Is a directory",
    stat.S_IFIFO: "Is a named pipe",
    stat.S_IFSOCK: "Is a socket",
    stat.S_IFCHR: "Is a device",
    stat.S_IFBLK: "Is a device",
}
_PIECE = 1024 * 1024
# Opening a pipe or a device must not block.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def read_file(path: Path, most: int = MAX_REFERENCE_BYTES) -> bytes:
    """Read a regular file; links are followed.

    Args:
        path: the file.
        most: largest size in bytes; a larger file is not read.

    Raises:
        OSError: there is no such file, it can't be read, is not regular (EISDIR, ENXIO) or too large (EFBIG); its
            `strerror` says which.
        ValueError: an invalid path.
    """
    # Checked before it is opened, since opening a device may act on it, and again once it is open.
    _check(path.stat(), path, most)
    with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as stream:
        _check(os.fstat(stream.fileno()), path, most)
        data = bytearray()
        # Some system files report no size, and some have no bytes yet (None).
        while chunk := stream.read(min(_PIECE, most + 1 - len(data))):
            data += chunk
    if len(data) > most:
        raise OSError(errno.EFBIG, f"Grows beyond the limit of {most:,} bytes", str(path))
    return bytes(data)


def encodable(path: Path) -> Path:
    """Return the path in an encoding that the file system accepts; text it can't encode is written as UTF-8."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return Path(os.fsdecode(str(path).encode("utf-8", "surrogateescape")))
    return path


def too_large(size: int, most: int = MAX_REFERENCE_BYTES) -> str:
    """The end of an error about something too large."""
    return f"Has {size:,} bytes, more than the limit of {most:,}"


def _check(found: os.stat_result, path: Path, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "Is something else")
        number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.ENXIO
        raise OSError(number, f"{kind}, not a regular file", str(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, too_large(found.st_size, most), str(path))
