"""The sheet of an effects figure from its head to its foot, or the words that stand in its place. Pure."""

from __future__ import annotations

from kontext_lab.effects import Effects
from kontext_lab.figures import text
from kontext_lab.figures.effects_panels import add_panels
from kontext_lab.figures.effects_scale import scale_of
from kontext_lab.figures.effects_sketch import EffectsPlan, Sketch
from kontext_lab.figures.effects_tables import add_heat, add_shares

__all__ = ["NOTEBOOK", "plan_effects"]

NOTEBOOK = 9.0
"""Inches that a notebook has room for."""
_MARGIN = 0.2
_TITLE, _NOTE, _SENTENCE = 11.0, 8.0, 9.5


def plan_effects(effects: Effects, width: float = NOTEBOOK) -> EffectsPlan:
    """Where everything goes on a sheet so many inches wide; where nothing can be drawn, the sentences."""
    sketch = Sketch(width, _MARGIN)
    _add_head(sketch, effects)
    if not any(len(axis.measured) > 1 for axis in effects.axes):
        for sentence in effects.sentences:
            sketch.bottom = sketch.paragraph(sentence, _MARGIN, sketch.bottom, _SENTENCE, "value") + 0.06
        return sketch.frozen(sketch.bottom + _MARGIN)
    add_panels(sketch, effects.axes, scale_of(effects), left=_MARGIN, dots=not effects.is_rate)
    add_shares(sketch, effects, _MARGIN)
    if effects.interaction is not None:
        add_heat(sketch, effects, effects.interaction, _MARGIN)
    return sketch.frozen(sketch.bottom)


def _add_head(sketch: Sketch, effects: Effects) -> None:
    name = f" · {effects.name}" if effects.name else ""
    title = text.shorten(text.clean(effects.metric + name), _TITLE, sketch.width - 2 * _MARGIN)
    bottom = sketch.say(title, _MARGIN, sketch.bottom, _TITLE, "title")
    if effects.simulated:
        whole = effects.n or effects.units
        part = "" if effects.simulated == whole else f": {effects.simulated} of {whole}"
        bottom = sketch.say(f"simulated pictures (sandbox){part}", _MARGIN, bottom, _NOTE, "mark")
    if effects.n and effects.axes:
        bottom = sketch.paragraph(_legend(effects), _MARGIN, bottom, _NOTE, "note")
    sketch.bottom = bottom + 0.12


def _legend(effects: Effects) -> str:
    """What is drawn."""
    values = f"{effects.n} value" + ("" if effects.n == 1 else "s")
    if effects.is_rate:
        return f"{values} · point and bar: rate with its 95 % interval (Wilson)"
    blocked = next((axis.blocked_by for axis in effects.axes if not axis.replicate), ())
    block = f" · thin line: the same {' and '.join(blocked)}" if blocked else ""
    sure = any(point.low is not None for axis in effects.axes for point in axis.points)
    interval = " with its 95 % interval" if sure else " (no intervals: there is nothing to resample)"
    return f"{values} · dot: one output{block} · point{' and bar' if sure else ''}: mean{interval}"
