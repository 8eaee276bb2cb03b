"""Runs a plan: one coordinator decides, workers make one attempt each, observers are told in order.

Knows cells, attempts, a recorder and a book to write to; neither HTTP nor MLflow, widgets nor figures.
"""

from kontext_lab.runner.budget import Budget
from kontext_lab.runner.coordinator import Coordinator
from kontext_lab.runner.handle import Handle
from kontext_lab.runner.protocols import JournalProtocol, Observer, Permits, Recorder, Task, WorkerProtocol

__all__ = [
    "Budget",
    "Coordinator",
    "Handle",
    "JournalProtocol",
    "Observer",
    "Permits",
    "Recorder",
    "Task",
    "WorkerProtocol",
]
