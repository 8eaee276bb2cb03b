"""What an edit changed, and how well it kept the rest: measured from the pictures alone. Knows no sweep and no store."""

from kontext_lab.metrics.change import Region
from kontext_lab.metrics.comparison import VERSION, Comparison, Measured, compare, measured
from kontext_lab.metrics.placement import Placement, boxes_in_output, in_output, placed

__all__ = [
    "VERSION",
    "Comparison",
    "Measured",
    "Placement",
    "Region",
    "boxes_in_output",
    "compare",
    "in_output",
    "measured",
    "placed",
]
