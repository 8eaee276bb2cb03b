"""Any picture as pixels to look at: nothing is prepared, digested or sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import Image

from kontext_lab.errors import ImageError, shown
from kontext_lab.images.prepare import from_array, open_picture, to_rgb, upright
from kontext_lab.images.reference import OutputLike, Reference
from kontext_lab.images.source_file import read_file

__all__ = ["picture_of"]


def picture_of(source: Any) -> Image.Image:
    """A picture, upright, in RGB; see-through parts lie on white.

    Args:
        source: a path, bytes, a PIL image, an array as `load_reference` takes it, a Reference or an Output.

    Raises:
        ImageError: nothing a picture can be read from, no regular file of at most 32 MiB, or a reference that was
            not loaded.
        KontextLabError: an output has no picture; its class says why.
    """
    if isinstance(source, Image.Image):
        return to_rgb(upright(source))
    if isinstance(source, Reference):
        if not source.png:
            raise ImageError(f"{source.name}: was not loaded")
        return to_rgb(open_picture(source.png, source.name))
    if isinstance(source, OutputLike):
        return to_rgb(open_picture(source.bytes, "output"))
    if isinstance(source, bytes | bytearray | memoryview):
        return to_rgb(open_picture(bytes(source), "bytes"))
    if isinstance(source, str | os.PathLike):
        return to_rgb(open_picture(_read(Path(source)), shown(str(source))))
    if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        return to_rgb(from_array(source))
    raise ImageError(
        f"picture: {type(source).__name__} is nothing a picture can be read from; allowed are a path, bytes, "
        "a PIL image, an array, a Reference and an Output"
    )


def _read(path: Path) -> bytes:
    try:
        return read_file(path.expanduser())
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ without a home
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"picture: {shown(str(path))} can't be read: {reason}") from None
