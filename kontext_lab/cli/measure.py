"""`kontext-lab measure`: what the edits of a tracked sweep changed and what they kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kontext_lab.cli.output import FAILED, OK, say
from kontext_lab.errors import TrackingError
from kontext_lab.lab import Lab
from kontext_lab.results import Output

__all__ = ["measure_run"]

_SHOWN = {
    "change/area": ("changed", "{:.1%}"),
    "preserve/ssim": ("rest kept, similarity", "{:.3f}"),
    "preserve/delta_e": ("colour of the rest, Lab distance", "{:.1f}"),
}


_LINES_SHOWN = 5
"""About what could not be measured."""


def measure_run(which: str) -> int:
    """Measure a sweep and say what came out, a line a value; 1 where something could not be measured or recorded."""
    with Lab("sandbox", quiet=True) as lab:
        lab.context.tracker.store.check_writable()
        results = lab.load(which)
        told = len(results.notes)
        try:
            lab.measure(results, progress=sys.stderr.isatty())
        except TrackingError as error:
            results.notes.append(f"{error}; `kontext-lab measure {which}` measures the rest")
    outputs = [output for output in results.outputs if "align/registered" in output.metrics]
    count = "1 picture" if len(outputs) == 1 else f"{len(outputs)} pictures"
    say(f"{results.name}: {count} measured" + (" (simulated)" if _simulated(outputs) else ""))
    for name, (words, form) in _SHOWN.items():
        values = sorted(output.metrics[name] for output in outputs if name in output.metrics)
        if values:
            low, middle, high = (
                form.format(one) for one in (values[0], values[len(values) // 2], values[-1])
            )
            say(f"  {words}: {middle} in the middle, from {low} to {high}")
    strange = sum(output.metrics.get("align/registered") == 0 for output in outputs)
    if strange:
        say(f"  {strange} of them are new pictures: nothing of their references is in its place")
    trouble = results.notes[told:]
    for line in trouble[:_LINES_SHOWN]:
        say(line, err=True)
    if len(trouble) > _LINES_SHOWN:
        say(f"… and {len(trouble) - _LINES_SHOWN} more could not be measured", err=True)
    return FAILED if trouble else OK


def _simulated(outputs: Sequence[Output]) -> bool:
    return any(output.cell.simulated for output in outputs)
