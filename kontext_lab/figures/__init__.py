"""Figures of results: grids of pictures and effects. The only room that imports matplotlib, and never pyplot.

A grid is planned as numbers first (`plan_grid`, pure) and drawn afterwards (`draw`), so that a live canvas can draw the
same plan.
"""

from kontext_lab.figures.axis_values import parameters, rest, values_of
from kontext_lab.figures.effects_figure import EffectsView, PointPlace, effects, effects_view
from kontext_lab.figures.geometry import GridPlan, Tile
from kontext_lab.figures.grid import draw, grid, grid_pages, preview_png
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.live_sheet import LiveSheet, Mark
from kontext_lab.figures.pictures import Previews, change_webp
from kontext_lab.figures.sizing import PageSize
from kontext_lab.figures.value_frames import frame_names

__all__ = [
    "EffectsView",
    "GridPlan",
    "LiveSheet",
    "Mark",
    "PageSize",
    "PointPlace",
    "Previews",
    "Tile",
    "change_webp",
    "draw",
    "effects",
    "effects_view",
    "frame_names",
    "grid",
    "grid_pages",
    "parameters",
    "plan_grid",
    "preview_png",
    "rest",
    "values_of",
]
