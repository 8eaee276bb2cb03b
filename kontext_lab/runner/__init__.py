"""Runs a plan: one coordinator decides, workers make one attempt each, observers are told in order.

Knows cells, attempts, a recorder and a book to write to; neither HTTP nor MLflow, widgets nor figures.
"""

from kontext_lab.runner.coordinator import Coordinator
from kontext_lab.runner.handle import Handle
from kontext_lab.runner.parts import Book, Observer, Permits, Recorder, Task, Worker
from kontext_lab.runner.purse import Purse

__all__ = ["Book", "Coordinator", "Handle", "Observer", "Permits", "Purse", "Recorder", "Task", "Worker"]
