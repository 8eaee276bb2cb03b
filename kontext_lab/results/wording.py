"""What a cell's prompt was before its words were filled in, read from its parameters alone."""

from __future__ import annotations

import re

from kontext_lab.request import FIELDS
from kontext_lab.results.cell import CellResult

__all__ = ["prompt_template"]


def prompt_template(cell: CellResult) -> str:
    """The prompt with its words taken out again, so that one template is one value, whatever fills it."""
    prompt = str(cell.params["prompt"])
    words = {key: str(value) for key, value in cell.params.items() if _is_word(key) and str(value).strip()}
    for key in sorted(words, key=lambda key: -len(words[key])):
        prompt = re.sub(rf"(?<!\w){re.escape(words[key])}(?!\w)", lambda _, key=key: f"{{{key}}}", prompt)  # type: ignore[misc]
    return prompt


def _is_word(key: str) -> bool:
    return key not in FIELDS and key not in ("image", "repeat", "output") and not key.endswith(".label")
