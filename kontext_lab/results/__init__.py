"""The waist: a sweep's cells with their states and outputs. The runner writes them, everything else reads.

Knows no service, no store and no figure: where bytes are loaded from and how a picture of itself is drawn
are passed in.
"""

from kontext_lab.results.beside import Beside
from kontext_lab.results.cell import CellResult, Output, typed_params
from kontext_lab.results.known import Known
from kontext_lab.results.results import Results
from kontext_lab.results.saving import checked_folder, writable_folder
from kontext_lab.results.spending import Spending, Spent
from kontext_lab.results.states import State, outcome_of
from kontext_lab.results.tokens import distinct, value_token
from kontext_lab.results.wording import prompt_template
from kontext_lab.sweep.files import safe_name

__all__ = [
    "Beside",
    "CellResult",
    "Known",
    "Output",
    "Results",
    "Spending",
    "Spent",
    "State",
    "checked_folder",
    "distinct",
    "outcome_of",
    "prompt_template",
    "safe_name",
    "typed_params",
    "value_token",
    "writable_folder",
]
