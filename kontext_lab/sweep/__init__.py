"""Sweeps: fixed parameters and axes, and the cells they make. Pure: sends nothing, knows no store."""

from kontext_lab.sweep.axes import MAX_CELLS, Axis, parse_axis
from kontext_lab.sweep.cells import Cell
from kontext_lab.sweep.sweep import Sweep

__all__ = ["MAX_CELLS", "Axis", "Cell", "Sweep", "parse_axis"]
