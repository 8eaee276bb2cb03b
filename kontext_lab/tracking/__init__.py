"""The store, MLflow: a parent run for each sweep, a child run for each cell that has an outcome.

The only room that imports mlflow. It uses `MlflowClient` with explicit run ids, never the fluent API, so that a
notebook's active run stays active. Knows no service and no figure.
"""

from kontext_lab.tracking.assessments import (
    hide,
    read_votes,
    withdraw_vote,
    write_given,
    write_measured,
    write_note,
    write_vote,
)
from kontext_lab.tracking.database import may_hold
from kontext_lab.tracking.layout import BOOKED, MEASURED
from kontext_lab.tracking.reading import SweepRun
from kontext_lab.tracking.search import (
    PictureLocation,
    cells_with,
    edits_of,
    first_done,
    origin_of,
    output_at,
    outputs_like,
    outputs_with,
    whereabouts,
)
from kontext_lab.tracking.store import Store
from kontext_lab.tracking.tracker import Tracker
from kontext_lab.tracking.writing import Opening, SweepRecorder, settle_cell

__all__ = [
    "BOOKED",
    "MEASURED",
    "Opening",
    "PictureLocation",
    "Store",
    "SweepRecorder",
    "SweepRun",
    "Tracker",
    "cells_with",
    "edits_of",
    "first_done",
    "hide",
    "may_hold",
    "origin_of",
    "output_at",
    "outputs_like",
    "outputs_with",
    "read_votes",
    "settle_cell",
    "whereabouts",
    "withdraw_vote",
    "write_given",
    "write_measured",
    "write_note",
    "write_vote",
]
