"""A sweep's cells with their states and outputs. The runner writes them, all other rooms read them.

Knows no service, no store and no figure: functions that load bytes and draw figures are passed in.
"""

from kontext_lab.results.cell import CellResult, Output, TrackedCell, typed_params
from kontext_lab.results.labels import (
    FAVOURITE,
    VERDICT,
    criterion_of,
    distinct,
    prompt_template,
    value_token,
    verdict_key,
)
from kontext_lab.results.results import ComparisonSource, Results
from kontext_lab.results.saving import checked_folder, writable_folder
from kontext_lab.results.spending import Spending, Spent
from kontext_lab.results.states import State, outcome_of
from kontext_lab.sweep.yaml_file import safe_name

__all__ = [
    "FAVOURITE",
    "VERDICT",
    "CellResult",
    "ComparisonSource",
    "Output",
    "Results",
    "Spending",
    "Spent",
    "State",
    "TrackedCell",
    "checked_folder",
    "criterion_of",
    "distinct",
    "outcome_of",
    "prompt_template",
    "safe_name",
    "typed_params",
    "value_token",
    "verdict_key",
    "writable_folder",
]
