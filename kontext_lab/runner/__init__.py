"""Runs a plan: one coordinator decides, workers make one attempt each, observers are called in order.

Knows cells, attempts, a recorder and a journal to write to; no HTTP, MLflow, widgets or figures.
"""

from kontext_lab.runner.budget import Budget
from kontext_lab.runner.coordinator import Coordinator
from kontext_lab.runner.handle import Handle
from kontext_lab.runner.protocols import Observer, Permits, Task
from kontext_lab.runner.retry_policy import Pacing

__all__ = [
    "Budget",
    "Coordinator",
    "Handle",
    "Observer",
    "Pacing",
    "Permits",
    "Task",
]
