"""`kontext-lab find`: which cell made a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kontext_lab.cli.output import say, say_json
from kontext_lab.images import load_reference

if TYPE_CHECKING:
    from kontext_lab.lab.lookup import Found

__all__ = ["find_file"]


def find_file(file: Path, *, as_json: bool) -> int:
    """A line for every cell that made this picture; 1 where there is none."""
    picture = load_reference(
        file, max_megapixels=0.3
    )  # previews, which it is compared with, are smaller still
    from kontext_lab.lab.lookup import find  # noqa: PLC0415 - heavy, so after what can be wrong with the words
    from kontext_lab.tracking import Tracker  # noqa: PLC0415 - as above

    tracker = Tracker()
    found = find(tracker, picture)
    if as_json:
        say_json([_as_dict(one) for one in found])
    for one in () if as_json else found:
        say(one.line)
    if not found:
        say(f"no picture like it in {tracker.store.shown}", err=True)
    return 0 if found else 1


def _as_dict(found: Found) -> dict[str, Any]:
    cell = found.cell
    return {
        "how": found.how,
        "distance": found.distance,
        "sweep": found.sweep,
        "sweep_run_id": found.sweep_run_id,
        "experiment": found.experiment,
        "run_id": cell.run_id,
        "output": found.output.number,
        "title": cell.title,
        "simulated": cell.simulated,
        "sha256": found.output.sha256,
        "reused_from": cell.reused_from,
        "params": cell.params,
    }
