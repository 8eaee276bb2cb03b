"""Runs a plan: one coordinator decides, workers make one attempt each, observers are told in order.

Knows cells, attempts and a recorder to write to; neither HTTP nor MLflow, widgets nor figures.
"""

from kontext_lab.runner.coordinator import Coordinator, Observer, Recorder, Task
from kontext_lab.runner.handle import Handle, start

__all__ = ["Coordinator", "Handle", "Observer", "Recorder", "Task", "start"]
