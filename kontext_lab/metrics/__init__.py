"""Measures how much an edit changed and how well it kept the rest, from pictures alone. Knows no sweep and no store."""

from kontext_lab.metrics.change import Region
from kontext_lab.metrics.comparison import VERSION, Comparison, PreparedReference, compare, prepare_reference
from kontext_lab.metrics.placement import Placement, boxes_in_output, in_output, placed

__all__ = [
    "VERSION",
    "Comparison",
    "Placement",
    "PreparedReference",
    "Region",
    "boxes_in_output",
    "compare",
    "in_output",
    "placed",
    "prepare_reference",
]
