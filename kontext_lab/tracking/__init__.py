"""The store, MLflow: a parent run for each sweep, a child run for each cell that has an outcome.

The only room that imports mlflow. It uses `MlflowClient` with explicit run ids, never the fluent API, so that a
notebook's active run stays active. Knows no service and no figure.
"""

from kontext_lab.tracking.database import may_hold
from kontext_lab.tracking.layout import BOOKED, MEASURED
from kontext_lab.tracking.reading import SweepRun
from kontext_lab.tracking.search import PictureLocation
from kontext_lab.tracking.tracker import Tracker
from kontext_lab.tracking.writing import Opening

__all__ = ["BOOKED", "MEASURED", "Opening", "PictureLocation", "SweepRun", "Tracker", "may_hold"]
