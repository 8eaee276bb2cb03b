"""Results without anything of their references: neither pixels nor names of files, for pages that leave the house.

A copy: the results themselves stay as they are. What a person wrote – prompts, words, notes, names of sweeps – is
kept, since that is what a study is about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kontext_lab.results import CellResult, Results

__all__ = ["without_references"]

Identity = tuple[str, tuple[str, ...]]
"""The name of a cell's references, and their digests as far as they are known."""

_LEAST = 3
"""Shorter names stand in other words too often to be looked for."""


def without_references(results: Results) -> Results:
    """The same cells, each reference called by a number, in order of appearance."""
    found = dict.fromkeys(_identity(cell) for cell in results if "image" in cell.params)
    names = {identity: f"reference {number}" for number, identity in enumerate(found, 1)}
    secrets = {name for name, _ in names} | _parts(results) | _addresses(results)
    words = sorted((word for word in secrets if len(word) >= _LEAST), key=len, reverse=True)
    made = Results(
        [_without(cell, names, words) for cell in results],
        name=results.name,
        run_id=results.run_id,
        notes=[_scrubbed(note, words, "(reference)") for note in results.notes],
    )
    made.spent, made.stopped = results.spent, results.stopped
    return made


def _identity(cell: CellResult) -> Identity:
    """What tells a cell's references from others, also from those of the same name."""
    references = () if cell.request is None else cell.request.images
    return str(cell.params["image"]), tuple(one.digest for one in references)


def _parts(results: Results) -> set[str]:
    """Names that people gave to references, and those of single ones where several are in one request."""
    found = {str(cell.params["image.label"]) for cell in results if "image.label" in cell.params}
    joined = {str(cell.params.get("image", "")) for cell in results}
    return found | {name for names in joined for name in names.split(" + ")}


def _addresses(results: Results) -> set[str]:
    references = {one for cell in results if cell.request is not None for one in cell.request.images}
    return {text for one in references for text in (one.url, one.source) if text and len(text) > 12}


def _without(cell: CellResult, names: dict[Identity, str], secrets: Sequence[str]) -> CellResult:
    params: dict[str, Any] = {key: value for key, value in cell.params.items() if key != "image.label"}
    title = cell.title
    if "image" in params:
        params["image"] = names[_identity(cell)]
        # In a title the reference's name is one part among others.
        title = _scrubbed(title, secrets, params["image"]) if "image" in cell.swept else title
    made = replace(
        cell,
        params=params,
        title=title,
        note=_scrubbed(cell.note, secrets, "(reference)"),
        metrics=dict(cell.metrics),
        parents=(),
        request=None,
    )
    made.outputs = [
        replace(output, cell=made, note=_scrubbed(output.note, secrets, "(reference)"))
        for output in cell.outputs
    ]
    return made


def _scrubbed(text: str, secrets: Sequence[str], word: str) -> str:
    for secret in secrets:
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _: word, text)
    return text
