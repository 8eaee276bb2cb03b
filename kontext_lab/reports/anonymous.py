"""Results without their references: neither pixels nor names of files, for reports that are given away.

Prompts, words, notes and names of sweeps are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kontext_lab.results import CellResult, Results

__all__ = ["without_references"]

Identity = tuple[str, tuple[str, ...]]
"""The name of a cell's references, and their digests if they are known."""

_LEAST = 3
"""Characters of a name; shorter ones occur in ordinary text too often to be replaced."""


def without_references(results: Results) -> Results:
    """Copy the results; each reference is called by a number, in order of appearance."""
    identities = dict.fromkeys(_identity(cell) for cell in results if "image" in cell.params)
    names = {identity: f"reference {number}" for number, identity in enumerate(identities, 1)}
    secrets = {name for name, _ in names}
    for cell in results:
        # Names of single references too, if a request has several.
        secrets |= {str(cell.params.get("image.label", "")), *str(cell.params.get("image", "")).split(" + ")}
        for reference in () if cell.request is None else cell.request.images:
            secrets |= {text for text in (reference.url, reference.source) if text and len(text) > 12}
    words = sorted((word for word in secrets if len(word) >= _LEAST), key=len, reverse=True)
    copy = Results(
        [_without(cell, names, words) for cell in results],
        name=results.name,
        run_id=results.run_id,
        notes=[_scrubbed(note, words, "(reference)") for note in results.notes],
    )
    copy.spent, copy.stopped = results.spent, results.stopped
    return copy


def _identity(cell: CellResult) -> Identity:
    """Identify a cell's references, also among others of the same name."""
    references = () if cell.request is None else cell.request.images
    return str(cell.params["image"]), tuple(one.digest for one in references)


def _without(cell: CellResult, names: dict[Identity, str], secrets: Sequence[str]) -> CellResult:
    params: dict[str, Any] = {key: value for key, value in cell.params.items() if key != "image.label"}
    title = cell.title
    if "image" in params:
        params["image"] = names[_identity(cell)]
        # The name is one part of the title among others.
        title = _scrubbed(title, secrets, params["image"]) if "image" in cell.swept else title
    copy = replace(
        cell,
        params=params,
        title=title,
        note=_scrubbed(cell.note, secrets, "(reference)"),
        metrics=dict(cell.metrics),
        parents=(),
        request=None,
    )
    copy.outputs = [
        replace(output, cell=copy, note=_scrubbed(output.note, secrets, "(reference)"))
        for output in cell.outputs
    ]
    return copy


def _scrubbed(text: str, secrets: Sequence[str], word: str) -> str:
    for secret in secrets:
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _: word, text)
    return text
