"""The one store: MLflow. Every sweep a parent run, every cell with an outcome a child run.

The only place that imports mlflow. Works through `MlflowClient` with explicit run ids, never the fluent
API, so that what a notebook has active stays as it is. Knows no service and no figure.
"""

from kontext_lab.tracking.database import may_hold
from kontext_lab.tracking.layout import BOOKED, MEASURED
from kontext_lab.tracking.reading import SweepRun
from kontext_lab.tracking.search import PictureLocation
from kontext_lab.tracking.tracker import Tracker
from kontext_lab.tracking.writing import Opening

__all__ = ["BOOKED", "MEASURED", "Opening", "PictureLocation", "SweepRun", "Tracker", "may_hold"]
