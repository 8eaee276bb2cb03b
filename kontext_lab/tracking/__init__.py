"""The one store: MLflow. Every sweep a parent run, every cell with an outcome a child run.

The only place that imports mlflow. Works through `MlflowClient` with explicit run ids, never the fluent
API, so that what a notebook has active stays as it is. Knows no service and no figure.
"""

from kontext_lab.tracking.assessments import BOOKED, MEASURED, hide, write_given, write_measured, write_note
from kontext_lab.tracking.database import may_hold
from kontext_lab.tracking.lineage import cells_with, edits_of, first_done, output_at
from kontext_lab.tracking.reading import SweepRun
from kontext_lab.tracking.search import PictureLocation, origin_of, outputs_like, outputs_with, whereabouts
from kontext_lab.tracking.store import Store
from kontext_lab.tracking.sweep_recorder import SweepRecorder
from kontext_lab.tracking.tracker import Tracker
from kontext_lab.tracking.vote_files import read_votes, withdraw_vote, write_vote
from kontext_lab.tracking.writing import Opening, settle_cell

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
