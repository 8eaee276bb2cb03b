"""Boxes in pictures: left, top, right and bottom as fractions of width and height."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kontext_lab.errors import KontextLabError, SweepError, shown

__all__ = ["Box", "checked_box", "checked_boxes"]

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 from 0 to 1: left before right, top before bottom."""

MOST_BOXES = 20

# What MLflow takes as the last part of a metric's name.
_NAME = re.compile(r"(?! )(?!\.{1,2}$)[\w\-. ]{1,60}(?<! )")

_TAKEN = ("ssim", "psnr_db", "delta_e")
"""What is measured of everything that was kept: `preserve/ssim` is no box."""


def checked_box(what: str, given: Any, error: type[KontextLabError] = SweepError) -> Box:
    """A box, if it can be one.

    Args:
        what: what the error calls it.
        given: four numbers, or their text.
        error: its class.

    Raises:
        SweepError: or what `error` is; says what is allowed.
    """
    try:
        x0, y0, x1, y1 = (float(side) for side in given)
    except (TypeError, ValueError, OverflowError):
        x0 = y0 = x1 = y1 = float("nan")
    if 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1:
        return (x0, y0, x1, y1)
    raise error(
        f"{what}: {shown(given)}, allowed are x0, y0, x1, y1 as fractions from 0 to 1, left before right, top before bottom"
    )


def checked_boxes(what: str, given: Any) -> dict[str, Box]:
    """Boxes by their names; none for None.

    Raises:
        SweepError: something is no box, or a name can't be one.
    """
    if given is None or given == "":
        return {}
    if not isinstance(given, Mapping):
        raise SweepError(
            f"{what}: {shown(given)}, allowed are names with boxes: {{'face': (x0, y0, x1, y1)}}"
        )
    if len(given) > MOST_BOXES:
        raise SweepError(f"{what}: {len(given)} boxes, allowed are {MOST_BOXES}")
    for name in given:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            raise SweepError(
                f"{what}: name {shown(name)}, allowed are up to 60 letters, digits, blanks and _-. but not {', '.join(_TAKEN)}"
            )
    return {name: checked_box(f"{what} {name!r}", box) for name, box in given.items()}
