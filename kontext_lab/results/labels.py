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
    "prompt_template",
    "value_token",
    "verdict_key",
]

VERDICT = "verdict/"
"""Beginning of the names under which verdicts are logged."""

FAVOURITE = "favourite"


def verdict_key(criterion: str) -> str:
    """The metric of a criterion's verdicts: `follows prompt` is logged as `verdict/follows_prompt`."""
    return VERDICT + criterion.replace(" ", "_")


def criterion_of(key: str) -> str:
    """A criterion in words, from the metric of its verdicts."""
    return key.removeprefix(VERDICT).replace("_", " ")


def value_token(cell: CellResult, key: str) -> Hashable:
    """Equal for equal values of a parameter; None where the cell has no such parameter.

    Of prompts the template, of references what they show: different pictures may well have one name.
    """
    # An unset repeat is the first one: it is logged only where it says something.
    value = cell.params.get(key, 1 if key == "repeat" else None)
    if value is None:
        return None
    if key == "prompt":
        return prompt_template(cell)
    if key == "image":
        request = cell.request
        digests = tuple(one.digest for one in request.images) if request is not None else ()
        return ("image", str(value), digests)
    return value_text(key, value)


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels with numbers behind those that stand more than once: `coffee (1)`, `coffee (2)`."""
    return [
        f"{label} ({labels[:at].count(label) + 1})" if labels.count(label) > 1 else label
        for at, label in enumerate(labels)
    ]


def prompt_template(cell: CellResult) -> str:
    """The prompt with its words taken out again, so that one template is one value, whatever fills it."""
    prompt = str(cell.params["prompt"])
    words = {key: str(value) for key, value in cell.params.items() if _is_word(key) and str(value).strip()}
    for key in sorted(words, key=lambda key: -len(words[key])):
        prompt = re.sub(rf"(?<!\w){re.escape(words[key])}(?!\w)", lambda _, key=key: f"{{{key}}}", prompt)  # type: ignore[misc]
    return prompt


def _is_word(key: str) -> bool:
    return key not in FIELDS and key not in ("image", "repeat", "output") and not key.endswith(".label")
