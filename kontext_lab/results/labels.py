"""Labels of parameter values and names of criteria, for figures, statistics and the store."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from kontext_lab.request import FIELDS
from kontext_lab.results.cell import CellResult
from kontext_lab.sweep.axes import value_text

__all__ = [
    "FAVOURITE",
    "VERDICT",
    "criterion_of",
    "distinct",
    "is_placeholder",
    "prompt_template",
    "value_token",
    "verdict_key",
]

VERDICT = "verdict/"
"""Prefix of the metrics that hold verdicts."""

FAVOURITE = "favourite"


def verdict_key(criterion: str) -> str:
    """The metric of a criterion's verdicts: `follows prompt` is logged as `verdict/follows_prompt`."""
    return VERDICT + criterion.replace(" ", "_")


def criterion_of(key: str) -> str:
    """The criterion of a metric of verdicts, in words."""
    return key.removeprefix(VERDICT).replace("_", " ")


def value_token(cell: CellResult, key: str) -> Hashable:
    """A key that is equal for equal values of a parameter; None if the cell has no such parameter.

    Prompts are compared by template, references by digest: different pictures may have the same name.
    """
    # No repeat means the first one.
    value = cell.params.get(key, 1 if key == "repeat" else None)
    if value is None:
        return None
    if key == "prompt":
        return prompt_template(cell)
    if key == "image":
        request = cell.request
        digests = tuple(reference.digest for reference in request.images) if request is not None else ()
        return ("image", str(value), digests)
    return value_text(key, value)


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels, equal ones with a number: `coffee (1)`, `coffee (2)`."""
    return [
        f"{label} ({labels[:index].count(label) + 1})" if labels.count(label) > 1 else label
        for index, label in enumerate(labels)
    ]


def prompt_template(cell: CellResult) -> str:
    """The prompt with its placeholders restored, so that one template is one value for all words."""
    prompt = str(cell.params["prompt"])
    words = {
        key: str(value) for key, value in cell.params.items() if is_placeholder(key) and str(value).strip()
    }
    for key in sorted(words, key=lambda key: -len(words[key])):
        prompt = re.sub(rf"(?<!\w){re.escape(words[key])}(?!\w)", lambda _, key=key: f"{{{key}}}", prompt)  # type: ignore[misc]
    return prompt


def is_placeholder(key: str) -> bool:
    """True if a parameter's name is a placeholder of the prompt."""
    return key not in FIELDS and key not in ("image", "repeat", "output") and not key.endswith(".label")
