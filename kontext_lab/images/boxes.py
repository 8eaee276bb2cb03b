"""Boxes in pictures: left, top, right and bottom as fractions of width and height."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kontext_lab.errors import KontextLabError, SweepError, listed, meant, shown

__all__ = ["Box", "Boxes", "boxes_by_reference", "checked_box", "checked_boxes"]

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 from 0 to 1: left before right, top before bottom."""

Boxes = Mapping[str, Box]
"""Boxes of one picture by their names."""

MOST_BOXES = 20

# Names that MLflow accepts as the last part of a metric's name.
_NAME = re.compile(r"(?! )(?!\.{1,2}$)[\w\-. ]{1,60}(?<! )")

_TAKEN = ("ssim", "psnr_db", "delta_e")
"""Names of values of the whole picture, such as `preserve/ssim`, which no box may have."""


def checked_box(what: str, given: Any, error: type[KontextLabError] = SweepError) -> Box:
    """Return four numbers, or their text, as a valid box; else raises `error`, with `what` as the box's name."""
    try:
        x0, y0, x1, y1 = (float(side) for side in given)
    except (TypeError, ValueError, OverflowError):
        x0 = y0 = x1 = y1 = float("nan")
    if 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1:
        return (x0, y0, x1, y1)
    raise error(
        f"{what} must be x0, y0, x1, y1 as fractions from 0 to 1, left before right, top before bottom, not {shown(given)}"
    )


def checked_boxes(what: str, given: Any) -> dict[str, Box]:
    """Return valid boxes by their names, none for None; a SweepError if a box or a name is invalid."""
    if given is None or given == "":
        return {}
    if not isinstance(given, Mapping):
        raise SweepError(f"{what} must be names with boxes, {{'face': (x0, y0, x1, y1)}}, not {shown(given)}")
    if len(given) > MOST_BOXES:
        raise SweepError(f"{what} must be at most {MOST_BOXES} boxes, not {len(given)}")
    for name in given:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            raise SweepError(
                f"{what}: name must be 1 to 60 letters, digits, blanks and _-. other than {', '.join(_TAKEN)}, not {shown(name)}"
            )
    return {name: checked_box(f"{what} {name!r}", box) for name, box in given.items()}


def boxes_by_reference(what: str, given: Any, names: Sequence[str]) -> dict[str, dict[str, Box]]:
    """Return valid boxes by the names of their references; boxes without a reference belong to the only one.

    Args:
        what: their name in an error.
        given: names with boxes, or names of references with such mappings.
        names: all references.

    Raises:
        SweepError: a box is invalid, a reference is unknown, or several references are not named.
    """
    there = f"references are {listed([shown(name, 40) for name in names], most=8)}"
    if not isinstance(given, Mapping) or not any(isinstance(one, Mapping) for one in given.values()):
        boxes = checked_boxes(what, given)
        if boxes and len(names) > 1:
            raise SweepError(
                f"{what}: boxes belong to one of {len(names)} references, say to which: "
                f"{{{names[0]!r}: {{{next(iter(boxes))!r}: (x0, y0, x1, y1)}}}}; {there}"
            )
        return dict.fromkeys(names, boxes) if boxes else {}
    found: dict[str, dict[str, Box]] = {}
    for name, boxes in given.items():
        if not isinstance(boxes, Mapping):
            raise SweepError(f"{what} {shown(name)}: belongs to no reference; {there}")
        if name not in names:
            raise SweepError(f"{what}: no reference {shown(name)}; {meant(name, names)}{there}")
        found[name] = checked_boxes(f"{what} {name!r}", boxes)
    return found
